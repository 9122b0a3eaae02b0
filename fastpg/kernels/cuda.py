"""The cuda backend: kernels in Python by numba-cuda, on arrays in the GPU's memory.

:class:`Loops` implements the unchecked ops; the CPU backends use a module instead. An op is one or
a few launches on one stream. It returns before the GPU has done the work. It copies nothing. Only
``frame_difference`` and ``frame_stack`` allocate: one bit per pixel of the largest call so far.
:class:`CudaBackend` checks arguments and calls them.
"""

import math
from functools import cache
from threading import Lock
from typing import Any

import numpy as np

from fastpg.kernels._cuda import kernels
from fastpg.kernels._cuda.arrays import DeviceMemory, address, adopted, as_stream, stream_number
from fastpg.kernels._cuda.gradients import PRODUCT_SIDE, ROWS
from fastpg.kernels._cuda.jit import (
    PRODUCT_THREADS,
    RETURNS_THREADS,
    SCAN_THREADS,
    SEGMENT_THREADS,
    SIMULATED,
    THREADS,
    WARP,
    cuda,
    require_device,
)
from fastpg.kernels.ops import Backend
from fastpg.kernels.spec import BY_NAME

require_device()

MOST_BLOCKS = 1 << 20  # of a grid; beyond that, blocks compute several items
WORD = np.dtype(np.uint64)


@cache
def _most_threads() -> int:
    """The number of threads that the GPU holds at once."""
    if SIMULATED:
        return THREADS
    device = cuda.get_current_device()
    return device.MULTIPROCESSOR_COUNT * device.MAX_THREADS_PER_MULTIPROCESSOR


def _ceil_div(size: int, width: int) -> int:
    return -(-size // width)


def _width(units: int) -> int:
    """Threads of a block that computes one hidden unit per thread."""
    return min(THREADS, WARP * max(1, _ceil_div(units, WARP)))


def _flat(*arrays: Any) -> list[Any]:
    return [array.reshape(math.prod(array.shape)) for array in arrays]


class Loops:
    """Launches of the kernel table's ops on one stream of one GPU; nothing is checked.

    Parameters are those of the table, all given: inputs, scalars, outputs. Arrays need
    ``__cuda_array_interface__``, a C-contiguous layout and the dtypes of the table.

    ``frame_difference`` and ``frame_stack`` return nothing, as they would have to wait for the GPU;
    the capacity needed is ``offsets[N]``. They mark pixels in memory that grows with the largest
    call. To capture them in a CUDA graph, first call them once with arrays of that size.

    Attributes:
        stream: the stream, as numba's object.
    """

    __all__ = tuple(BY_NAME)

    def __init__(self, stream: Any = 0):
        self.stream = as_stream(stream)
        self._marking, self._marks = Lock(), [cuda.device_array(0, WORD)]
        self._number = stream_number(self.stream)

    def _adopt(self, *arrays: Any) -> list[Any]:
        return [adopted(array, self._number) for array in arrays]

    def _launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        if blocks:
            kernel[min(blocks, MOST_BLOCKS), threads, self.stream](*arguments)

    def _each(self, kernel: Any, size: int, *arguments: Any, threads: int = THREADS) -> None:
        """Launch a thread per item, or fewer threads if the GPU cannot hold so many at once."""
        blocks = min(_ceil_div(size, threads), _most_threads() // threads)
        self._launch(kernel, blocks, threads, *arguments)

    def _rows(self, kernel: Any, rows: int, threads: int, *arguments: Any) -> None:
        """Launch a block per row, but at most twice as many as the GPU holds at once."""
        self._launch(kernel, min(rows, 2 * _most_threads() // threads), threads, *arguments)

    # ---- pictures ---------------------------------------------------------------------------

    def preprocess(self, frames, find_background, views):
        """See :meth:`fastpg.kernels.ops.Backend.preprocess`."""
        frames, views = self._adopt(frames, views)
        find = bool(find_background)
        arguments = frames, find, not address(views) % 4, views
        self._launch(kernels.preprocess, views.shape[0], THREADS, *arguments)

    def preprocess_palette(self, frames, red, find_background, views):
        """See :meth:`fastpg.kernels.ops.Backend.preprocess_palette`."""
        frames, red, views = self._adopt(frames, red, views)
        find = bool(find_background)
        arguments = frames, red, find, not address(views) % 4, views
        self._launch(kernels.preprocess_palette, views.shape[0], THREADS, *arguments)

    def frame_difference(self, current, previous, indices, signs, offsets):
        """See :meth:`fastpg.kernels.ops.Backend.frame_difference`."""
        arrays = current, previous, indices, signs, offsets
        self._compress(kernels.frame_difference, False, *arrays)

    def frame_stack(self, current, previous, indices, signs, offsets):
        """See :meth:`fastpg.kernels.ops.Backend.frame_stack`."""
        arrays = current, previous, indices, signs, offsets
        self._compress(kernels.frame_stack, True, *arrays)

    def _compress(self, write, stacked, *arrays):
        """Mark pixels and count them, sum the counts, write: where a row starts needs the sums."""
        current, previous, indices, signs, offsets = self._adopt(*arrays)
        rows, inputs = current.shape
        words = _ceil_div(inputs, 64)
        threads = _width(8 * words)
        words *= 1 + stacked
        aligned = not (address(current) | address(previous) | inputs) % WORD.itemsize
        with self._marking:  # another host thread must not launch in between
            marks = self._marks_of(rows * words), words
            arguments = current, previous, stacked, aligned, *marks, offsets
            self._rows(kernels.mark, rows, threads, *arguments)
            self._launch(kernels.sum_up, 1, SCAN_THREADS, offsets)
            self._rows(write, rows, _width(words), *marks, current, indices, signs, offsets)

    def _marks_of(self, words: int) -> Any:
        """Memory of at least so many words, kept for the next calls.

        Smaller allocations are kept too: a captured graph may launch with them.
        """
        if self._marks[-1].shape[0] < words:
            self._marks.append(cuda.device_array(max(words, 2 * self._marks[-1].shape[0]), WORD))
        return self._marks[-1]

    def frame_difference_dense(self, current, previous, x):
        """See :meth:`fastpg.kernels.ops.Backend.frame_difference_dense`."""
        arrays = _flat(*self._adopt(current, previous, x))
        self._each(kernels.frame_difference_dense, arrays[0].shape[0], *arrays)

    # ---- returns ----------------------------------------------------------------------------

    def discounted_returns(self, rewards, dones, gamma, cut_at_rewards, returns):
        """See :meth:`fastpg.kernels.ops.Backend.discounted_returns`."""
        rewards, dones, returns = self._adopt(rewards, dones, returns)
        arguments = rewards, dones, float(gamma), bool(cut_at_rewards), returns
        kernel, size = kernels.discounted_returns, rewards.shape[1]
        self._each(kernel, size, *arguments, threads=RETURNS_THREADS)

    def generalized_advantages(self, rewards, dones, values, gamma, lam, advantages, returns):
        """See :meth:`fastpg.kernels.ops.Backend.generalized_advantages`."""
        rewards, dones, values = self._adopt(rewards, dones, values)
        outputs = self._adopt(advantages, returns)
        arguments = rewards, dones, values, float(gamma), float(gamma * lam), *outputs
        kernel, size = kernels.generalized_advantages, rewards.shape[1]
        self._each(kernel, size, *arguments, threads=RETURNS_THREADS)

    def standardize(self, values, offsets, standardized):
        """See :meth:`fastpg.kernels.ops.Backend.standardize`."""
        arrays = self._adopt(values, offsets, standardized)
        segments = offsets.shape[0] - 1
        short = values.shape[0] <= SEGMENT_THREADS * THREADS * segments // 8
        threads = SEGMENT_THREADS if short else THREADS
        self._rows(kernels.standardize, segments, threads, *arrays)

    # ---- the network ------------------------------------------------------------------------

    def policy_forward(self, indices, signs, offsets, w1, w2, hidden, probabilities):
        """See :meth:`fastpg.kernels.ops.Backend.policy_forward`."""
        arrays = self._adopt(indices, signs, offsets, w1, w2, hidden, probabilities)
        samples, units = hidden.shape
        self._launch(kernels.policy_forward, samples, _width(units), *arrays)

    def policy_forward_dense(self, x, w1, w2, hidden, probabilities):
        """See :meth:`fastpg.kernels.ops.Backend.policy_forward_dense`."""
        x, w1, w2, hidden, probabilities = self._adopt(x, w1, w2, hidden, probabilities)
        samples, units = hidden.shape
        blocks = _ceil_div(samples, PRODUCT_SIDE) * _ceil_div(units, PRODUCT_SIDE)
        self._launch(kernels.dense_hidden, blocks, PRODUCT_THREADS**2, blocks, x, w1, hidden)
        self._launch(kernels.heads, samples, _width(units), hidden, w2, probabilities)

    def policy_backward(
        self,
        indices,
        signs,
        offsets,
        hidden,
        probabilities,
        actions,
        advantages,
        w2,
        accumulate,
        dw1,
        dw2,
    ):
        """See :meth:`fastpg.kernels.ops.Backend.policy_backward`."""
        sample = hidden, probabilities, actions, advantages, w2
        arrays = self._adopt(indices, signs, offsets, *sample)
        self._backward(kernels.policy_backward, ROWS, arrays, accumulate, dw1, dw2)

    def policy_backward_dense(
        self, x, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2
    ):
        """See :meth:`fastpg.kernels.ops.Backend.policy_backward_dense`."""
        arrays = self._adopt(x, hidden, probabilities, actions, advantages, w2)
        kernel, side, threads = kernels.policy_backward_dense, PRODUCT_SIDE, PRODUCT_THREADS**2
        self._backward(kernel, side, arrays, accumulate, dw1, dw2, side, threads)

    def policy_backward_outputs(
        self, indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2
    ):
        """See :meth:`fastpg.kernels.ops.Backend.policy_backward_outputs`."""
        arrays = self._adopt(indices, signs, offsets, hidden, d_outputs, w2)
        self._backward(kernels.policy_backward_outputs, ROWS, arrays, accumulate, dw1, dw2)

    def _backward(self, kernel, rows, arrays, accumulate, dw1, dw2, columns=None, threads=None):
        """Launch blocks for ``rows`` by ``columns`` of dw1 each, and for one row of dw2 each."""
        dw1, dw2 = self._adopt(dw1, dw2)
        (inputs, units), outputs = dw1.shape, dw2.shape[0]
        threads = threads or _width(units)
        blocks1 = _ceil_div(inputs, rows) * _ceil_div(units, columns or threads)
        blocks2 = outputs * _ceil_div(units, threads)
        arguments = blocks1, blocks2, *arrays, bool(accumulate), dw1, dw2
        self._launch(kernel, blocks1 + blocks2, threads, *arguments)

    # ---- objectives, updates ----------------------------------------------------------------

    def ppo_gradient(
        self,
        probabilities,
        values,
        actions,
        old_probabilities,
        advantages,
        returns,
        clip,
        entropy_weight,
        value_weight,
        d_logits,
        d_values,
    ):
        """See :meth:`fastpg.kernels.ops.Backend.ppo_gradient`."""
        inputs = probabilities, values, actions, old_probabilities, advantages, returns
        scalars = float(clip), float(entropy_weight), float(value_weight)
        outputs = self._adopt(d_logits, d_values)
        arguments = *self._adopt(*inputs), *scalars, *outputs
        self._each(kernels.ppo_gradient, values.shape[0], *arguments)

    def rmsprop_update(self, gradient, learning_rate, decay, epsilon, weights, cache):
        """See :meth:`fastpg.kernels.ops.Backend.rmsprop_update`."""
        gradient, *updated = _flat(*self._adopt(gradient, weights, cache))
        scalars = map(np.float32, (learning_rate, decay, 1.0 - decay, epsilon))
        self._each(kernels.rmsprop_update, gradient.shape[0], gradient, *scalars, *updated)

    def adam_update(
        self, gradient, step, learning_rate, beta1, beta2, epsilon, weights, mean, square
    ):
        """See :meth:`fastpg.kernels.ops.Backend.adam_update`."""
        gradient, *updated = _flat(*self._adopt(gradient, weights, mean, square))
        rate = learning_rate / (1.0 - math.pow(beta1, step))
        scale = 1.0 / (1.0 - math.pow(beta2, step))
        shares = beta1, 1.0 - beta1, beta2, 1.0 - beta2
        scalars = map(np.float32, (rate, scale, *shares, epsilon))
        self._each(kernels.adam_update, gradient.shape[0], gradient, *scalars, *updated)

    # ---- actions ----------------------------------------------------------------------------

    def counter_uniforms(self, streams, steps, seed, uniforms):
        """See :meth:`fastpg.kernels.ops.Backend.counter_uniforms`."""
        streams, steps, uniforms = self._adopt(streams, steps, uniforms)
        arguments = streams, steps, np.uint64(seed), uniforms
        self._each(kernels.counter_uniforms, uniforms.shape[0], *arguments)

    def sample_actions(self, probabilities, uniforms, actions):
        """See :meth:`fastpg.kernels.ops.Backend.sample_actions`."""
        arrays = self._adopt(probabilities, uniforms, actions)
        self._each(kernels.sample_actions, arrays[2].shape[0], *arrays)


class CudaBackend(Backend):
    """The ops of the kernel table on arrays in the GPU's memory.

    Arguments may be arrays of numba, CuPy, PyTorch or any library with
    ``__cuda_array_interface__``; outputs that are left out are numba's. Launches go to one stream,
    the default one or that of :meth:`on`. ``frame_difference`` and ``frame_stack`` wait for it, as
    they return arrays of the used length; the other ops do not. An array made on another stream
    must be ready, unless it names its stream (CuPy's do): then the op waits.

    Shapes, dtypes and layouts are checked as in the other backends. Arrays' contents are not, as
    that would copy them to the host: indices, offsets and actions out of range then access memory
    out of bounds. ``on(check_values=True)`` turns those checks on.

    Attributes:
        stream: the stream, as numba's object.
        check_values: whether arrays' contents are checked.
    """

    def __init__(self, stream: Any = 0, check_values: bool = False):
        super().__init__("cuda", Loops(stream))
        self.stream = self.loops.stream
        self.memory = self._device = DeviceMemory(self.stream, check_values)
        self.check_values = check_values

    def on(self, stream: Any = 0, check_values: bool = False) -> "CudaBackend":
        """The same ops on another stream.

        Args:
            stream: of numba, CuPy or PyTorch, or a handle as an integer; 0 for the default one.
            check_values: whether to check arrays' contents, which copies them to the host.
        """
        return CudaBackend(stream, check_values)

    def to_backend(self, array):
        """See :meth:`fastpg.kernels.ops.Backend.to_backend`: a copy on the GPU."""
        return cuda.to_device(np.ascontiguousarray(array), stream=self.stream)

    def to_host(self, array):
        """See :meth:`fastpg.kernels.ops.Backend.to_host`; it waits for the stream."""
        return array if isinstance(array, np.ndarray) else self._device.to_host(array)

    def cut(self, array, size):
        """See :meth:`fastpg.kernels.ops.Backend.cut`."""
        part = self.empty((size,), array.dtype)
        if size:
            part.copy_to_device(array[:size], stream=self.stream)
        return part

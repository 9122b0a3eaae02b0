"""The cuda backend: kernels in Python by numba-cuda, on arrays in the GPU's memory.

:class:`Loops` is what the CPU backends have as modules: one launch (or few) an op, on one stream.
It returns before the GPU has done the work, copies nothing and allocates nothing but what marks
the pixels of the largest ``frame_difference`` or ``frame_stack`` so far, a bit each.
:class:`CudaBackend` is the checked door in front.
"""

import math
from functools import cache
from threading import Lock
from typing import Any

import numpy as np

from fastpg.kernels import checks
from fastpg.kernels._cuda import kernels
from fastpg.kernels._cuda.arrays import (
    address,
    adopted,
    as_stream,
    seen,
    stream_number,
    stream_of_arrays,
)
from fastpg.kernels._cuda.gradients import ROWS, TILE
from fastpg.kernels._cuda.jit import (
    RETURNS_THREADS,
    SCAN_THREADS,
    SEGMENT_THREADS,
    SIMULATED,
    THREADS,
    TILE_THREADS,
    WARP,
    cuda,
    require_device,
)
from fastpg.kernels.ops import Backend
from fastpg.kernels.spec import BY_NAME

require_device()

MOST_BLOCKS = 1 << 20  # of a grid; more things than that share blocks
WORD = np.dtype(np.uint64)


@cache
def _most_threads() -> int:
    """That the GPU holds at once."""
    if SIMULATED:
        return THREADS
    device = cuda.get_current_device()
    return device.MULTIPROCESSOR_COUNT * device.MAX_THREADS_PER_MULTIPROCESSOR


def _parts(size: int, width: int) -> int:
    return -(-size // width)


def _width(units: int) -> int:
    """Threads of a block whose threads have a hidden unit each."""
    return min(THREADS, WARP * max(1, _parts(units, WARP)))


def _flat(*arrays: Any) -> list[Any]:
    return [array.reshape(math.prod(array.shape)) for array in arrays]


class Loops:
    """Launches of the kernel table's ops on one stream; nothing is checked.

    Parameters are those of the table: inputs, scalars, outputs, all given. Arrays are anything with
    ``__cuda_array_interface__``, C-contiguous, with the dtypes of the table. ``frame_difference``
    and ``frame_stack`` return nothing, since that would wait: the room needed is ``offsets[N]``.
    They mark pixels in memory that they allocate when a call needs more than those before: to
    capture them in a CUDA graph, call them once with arrays of that size first. One object is for
    one GPU and one stream.

    Attributes:
        stream: the stream, as numba's.
    """

    __all__ = tuple(BY_NAME)

    def __init__(self, stream: Any = 0):
        self.stream = as_stream(stream)
        self._marking, self._rooms = Lock(), [cuda.device_array(0, WORD)]
        self._number = stream_number(self.stream)

    def _adopt(self, *arrays: Any) -> list[Any]:
        return [adopted(array, self._number) for array in arrays]

    def _launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        if blocks:
            kernel[min(blocks, MOST_BLOCKS), threads, self.stream](*arguments)

    def _each(self, kernel: Any, size: int, *arguments: Any, threads: int = THREADS) -> None:
        """One thing a thread; of more things than the GPU holds threads, some."""
        blocks = min(_parts(size, threads), _most_threads() // threads)
        self._launch(kernel, blocks, threads, *arguments)

    def _rows(self, kernel: Any, rows: int, threads: int, *arguments: Any) -> None:
        """A row a block at a time; of more than twice what the GPU holds, several."""
        self._launch(kernel, min(rows, 2 * _most_threads() // threads), threads, *arguments)

    # ---- pictures ---------------------------------------------------------------------------

    def preprocess(self, frames, find_background, views):
        """See :meth:`fastpg.kernels.ops.Backend.preprocess`."""
        frames, views = self._adopt(frames, views)
        find = bool(find_background)
        whole = not address(views) % 4
        self._launch(kernels.preprocess, views.shape[0], THREADS, frames, find, whole, views)

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
        """Sizes of the rows, their sums, the rows: no block knows its begin before the others."""
        current, previous, indices, signs, offsets = self._adopt(*arrays)
        rows, inputs = current.shape
        words = _parts(inputs, 64)
        threads = _width(8 * words)
        words *= 1 + stacked
        with self._marking:  # launches of another thread of the host must not come between
            room = self._room_for(rows * words)
            whole = not (address(current) | address(previous) | inputs) % WORD.itemsize
            marks = room, words
            self._rows(
                kernels.mark, rows, threads, current, previous, stacked, whole, *marks, offsets
            )
            self._launch(kernels.sum_up, 1, SCAN_THREADS, offsets)
            self._rows(write, rows, _width(words), *marks, current, indices, signs, offsets)

    def _room_for(self, words: int) -> Any:
        """Memory of so many words or more, kept for the next call.

        Smaller ones stay, too: a captured graph may launch with them.
        """
        if self._rooms[-1].shape[0] < words:
            self._rooms.append(cuda.device_array(max(words, 2 * self._rooms[-1].shape[0]), WORD))
        return self._rooms[-1]

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
        tiles = _parts(samples, TILE) * _parts(units, TILE)
        self._launch(kernels.dense_hidden, tiles, TILE_THREADS**2, tiles, x, w1, hidden)
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
        kernel, threads = kernels.policy_backward_dense, TILE_THREADS**2
        self._backward(kernel, TILE, arrays, accumulate, dw1, dw2, TILE, threads)

    def policy_backward_outputs(
        self, indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2
    ):
        """See :meth:`fastpg.kernels.ops.Backend.policy_backward_outputs`."""
        arrays = self._adopt(indices, signs, offsets, hidden, d_outputs, w2)
        self._backward(kernels.policy_backward_outputs, ROWS, arrays, accumulate, dw1, dw2)

    def _backward(self, kernel, rows, arrays, accumulate, dw1, dw2, columns=None, threads=None):
        """Launch blocks for parts of dw1, of ``rows`` by ``columns`` each, then for dw2's."""
        dw1, dw2 = self._adopt(dw1, dw2)
        (inputs, units), outputs = dw1.shape, dw2.shape[0]
        threads = threads or _width(units)
        parts1 = _parts(inputs, rows) * _parts(units, columns or threads)
        parts2 = outputs * _parts(units, threads)
        arguments = parts1, parts2, *arrays, bool(accumulate), dw1, dw2
        self._launch(kernel, parts1 + parts2, threads, *arguments)

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

    Arguments may be of numba, CuPy, PyTorch or others with ``__cuda_array_interface__``; results
    left out are allocated as numba's. Launches go to one stream, the default one unless
    :meth:`on` chose another; ``frame_difference`` and ``frame_stack`` wait for it, as they return
    arrays of the used length, the other ops do not. An array made on another stream must be ready;
    one that says its stream (CuPy's do) is waited for.

    Shapes, dtypes and layouts are checked as everywhere. What arrays hold is not, unless asked for
    (``on(check_values=True)``), since that copies them to the host: indices, offsets and actions
    out of range are read and written out of bounds.

    Attributes:
        stream: the stream, as numba's.
        check_values: whether arrays' contents are checked.
    """

    def __init__(self, stream: Any = 0, check_values: bool = False):
        super().__init__("cuda", Loops(stream))
        self.stream = self.loops.stream
        self.check_values = check_values
        self._number = stream_number(self.stream)

    def on(self, stream: Any = 0, check_values: bool = False) -> "CudaBackend":
        """The same ops on another stream: numba's, CuPy's, PyTorch's, or a handle as an integer."""
        return CudaBackend(stream, check_values)

    def to_backend(self, array):
        """Copy a NumPy array to the GPU."""
        return cuda.to_device(np.ascontiguousarray(array), stream=self.stream)

    def to_host(self, array):
        """Wait for the stream, and copy an array of the GPU to NumPy."""
        return self._host(adopted(array, self._number))

    def _checked(self, op, inputs, outputs, empty=None, **sizes):
        taken = [
            seen(declared.name, array, self._number)
            for declared, array in zip(op.inputs, inputs, strict=True)
        ]
        given = [
            None if array is None and not op.in_place else seen(declared.name, array, self._number)
            for declared, array in zip(op.outputs, outputs, strict=True)
        ]
        results = checks.checked(op, taken, given, empty or self._empty, **sizes)
        return [
            made if array is None else array for made, array in zip(results, outputs, strict=True)
        ]

    def _empty(self, shape, dtype):
        return cuda.device_array(shape, dtype, stream=stream_of_arrays(self.stream))

    def _flat(self, **arrays):
        for name, array in arrays.items():
            if not seen(name, array, self._number).flags.c_contiguous:
                raise ValueError(f"{name}: expected a C-contiguous array")
        own = {name: adopted(array, self._number) for name, array in arrays.items()}
        checks.check_one_shape(**own)
        return _flat(*own.values())

    def _last(self, offsets):
        return int(self._host(adopted(offsets, self._number)[-1:])[0])

    def _verify(self, check, *arguments):
        if self.check_values:
            taken = (adopted(argument, self._number) for argument in arguments)
            check(*(self._host(a) if hasattr(a, "copy_to_host") else a for a in taken))

    def _host(self, array):
        copy = array.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return copy

    def _sparse(self, name, *arrays):
        return super()._sparse(name, *(adopted(array, self._number) for array in arrays))

"""Training on the GPU: counterpart of :class:`fastpg.network.optimizer.Optimizer`."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda import learning_kernels as kernels
from fastpg.cuda.buffer import DeviceBuffer, Slots
from fastpg.cuda.gradients import MAX_DERIVATIVE
from fastpg.cuda.graph import DEFAULT_STREAM, GraphCache
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.network_kernels import BLOCKS, THREADS
from fastpg.cuda.shuffle import Minibatch
from fastpg.kernels._cuda.jit import cuda, typed
from fastpg.network.optimizer import STATS, Objective

_MAX_FRACTION_BITS = 36  # of a fixed-point gradient; fewer where sums could overflow
_BETAS, _ADAM_EPSILON, _RMSPROP_EPSILON = (0.9, 0.999), 1e-7, 1e-5  # as on the CPU


class Gradient(NamedTuple):
    """A minibatch's gradient, as kernels take it. Its R rows are those of the network's weights."""

    sums: Any  #: (R, H) int64, fixed point; all 0 between steps.
    #: (R,) int32, tiles that begin at a pixel's row minus tiles that end above it; all 0 between
    #: steps.
    cover: Any
    touched: Any  #: (R,) uint8, whether a row was lit in the last minibatch; always 1 for heads.
    status: Any  #: (1,) int32, nonzero once a derivative was not finite, or too large.


class Blocks(NamedTuple):
    """Memory of each block that computes gradients."""

    hidden: Any  #: (BLOCKS, H) float32, hidden units of the block's sample.
    heads: Any  #: (BLOCKS, heads) float32, the sample's heads, then the derivatives by them.
    statistics: Any  #: (BLOCKS, 4) float64, sums over the block's samples.


class Moments(NamedTuple):
    """The optimizer's state."""

    mean: Any  #: (R, H) float32, Adam's first moment.
    square: Any  #: (R, H) float32, second moment.
    #: (rows,) uint32, without heads: RMSProp's update after which a row's ``square`` was last
    #: computed.
    updated: Any


def _zeros(shape: Any, dtype: Any) -> Any:
    return cuda.to_device(np.zeros(shape, dtype))


def fraction_bits(samples: int, cell: int, mirrored: bool = False) -> int:
    """Fraction bits with which no sum of so many samples' gradients can overflow int64.

    A sample adds at most ``MAX_DERIVATIVE`` to a pixel, hence that much for every pixel of a cell,
    and again for the mirrored unit.
    """
    terms = samples * max(cell, 1) ** 2 * (1 + mirrored) * int(MAX_DERIVATIVE)
    return min(_MAX_FRACTION_BITS, 62 - terms.bit_length())


class DeviceOptimizer:
    """Gradients of a network's weights, and steps of RMSProp or Adam, on the GPU.

    It has the interface of :class:`fastpg.network.optimizer.Optimizer`, but its steps do not wait
    for the GPU. A derivative of one sample above ``MAX_DERIVATIVE`` counts as not finite.
    """

    def __init__(self, network: DeviceNetwork, moments: tuple[str, ...]):
        """Allocate moments of 0; arguments as :class:`fastpg.network.optimizer.Optimizer`."""
        self.network, self.moments, self.updates = network, moments, 0
        self._typed: dict[Any, Any] = {}
        self._graphs = GraphCache()
        shape = rows, units = network.weights.shape
        touched = np.zeros(rows, np.uint8)
        touched[network.rows :] = 1
        self._gradient = Gradient(
            sums=_zeros(shape, np.int64),
            cover=_zeros(rows, np.int32),
            touched=cuda.to_device(touched),
            status=_zeros(1, np.int32),
        )
        self._blocks = Blocks(
            hidden=_zeros((BLOCKS, units), np.float32),
            heads=_zeros((BLOCKS, network.heads), np.float32),
            statistics=_zeros((BLOCKS, len(STATS)), np.float64),
        )
        self._moments = Moments(
            mean=_zeros(shape, np.float32),
            square=_zeros(shape, np.float32),
            updated=_zeros(network.rows, np.uint32),
        )
        self._block_sums = _zeros(BLOCKS, np.float64)  # sums of squared gradients
        # sums of the statistics, the gradient's norm, its clip factor
        self._totals = _zeros(len(STATS) + 2, np.float64)
        self._rates = _zeros(2, np.float32)  # Adam's bias-corrected learning rate and epsilon
        self._start = _zeros(2, np.int64)
        self._progress = _zeros(2, np.int64)  # the next step's first sample, and updates so far
        # the host's copy of it; None after a step that was interrupted
        self._known_progress: tuple[int, int] | None = 0, 0

    def _launch(
        self, kernel: Any, *arguments: Any, blocks: int = BLOCKS, stream: Any = DEFAULT_STREAM
    ) -> None:
        """Launch a kernel, compiled for the types of the first call's arguments."""
        if kernel not in self._typed:
            self._typed[kernel] = typed(kernel, *arguments)
        self._typed[kernel][blocks, THREADS, stream](*arguments)

    @property
    def finite(self) -> bool:
        """Whether all gradients so far were finite; if not, no step was taken since. Waits."""
        return not self._gradient.status.copy_to_host()[0]

    def reset_stats(self) -> None:
        """Set the sums of the statistics to 0."""
        self._launch(kernels.reset_stats, self._totals, blocks=1)

    def stats(self) -> np.ndarray:
        """(4,) float64: ``STATS`` over the samples since :meth:`reset_stats`; waits for the GPU."""
        return self._totals.copy_to_host()[: len(STATS)]

    def adam_step(
        self,
        buffer: DeviceBuffer,
        samples: Minibatch,
        advantages: Any,
        returns: Any,
        objective: Objective,
        learning_rate: float,
    ) -> None:
        """See :meth:`fastpg.network.optimizer.Optimizer.adam_step`; arrays are on the GPU."""
        if self._known_progress != (samples.first, self.updates):
            progress = samples.first, self.updates
            self._launch(kernels.set_progress, self._progress, *progress, blocks=1)
        slots, weights, size = buffer.slots, self.network.weights, samples.size
        batch = samples.order, self._progress, size, advantages, returns, objective
        keep1, keep2 = map(np.float32, _BETAS)

        def launch(stream: Any) -> None:
            scale = self._compute_gradient(slots, *batch, 1.0 / size, stream)
            numbers = size, float(learning_rate), _ADAM_EPSILON, float(keep1), float(keep2)
            own = {"blocks": 1, "stream": stream}
            self._launch(kernels.advance_adam, self._progress, self._rates, *numbers, **own)
            moments = self._moments.mean, self._moments.square, self._totals, self._rates
            state = weights, self._gradient, *moments
            self._launch(kernels.adam_step, *state, scale, keep1, keep2, stream=stream)
            self.network.changed(self._gradient.touched, stream)

        arrays = slots, samples.order, advantages, returns
        self._known_progress = None
        self._graphs(size, launch, arrays, (*objective, learning_rate))
        self.updates += 1
        self._known_progress = samples.first + size, self.updates

    def rmsprop_step(
        self, buffer: DeviceBuffer, samples: Any, weights: Any, learning_rate: float, decay: float
    ) -> None:
        """See :meth:`fastpg.network.optimizer.Optimizer.rmsprop_step`; arrays are on the GPU."""
        batch = samples, self._start, samples.shape[0], weights, weights
        scale = self._compute_gradient(buffer.slots, *batch, Objective(), 1.0)
        self.updates += 1
        numbers = map(np.float32, (learning_rate, decay, _RMSPROP_EPSILON))
        moments, own = self._moments, self.network.weights
        state = own, self._gradient, moments.square, moments.updated
        self._launch(kernels.rmsprop_step, *state, scale, *numbers, self.updates)
        self.network.changed(self._gradient.touched)

    def _compute_gradient(
        self,
        slots: Slots,
        order: Any,
        progress: Any,
        size: int,
        advantages: Any,
        returns: Any,
        objective: Objective,
        weight: float,
        stream: Any = DEFAULT_STREAM,
    ) -> float:
        """Compute the gradient of ``size`` samples, each multiplied by ``weight``.

        ``progress`` is on the GPU: the index of the first sample in ``order``. Returns the factor
        from the gradient's integers to its values.
        """
        network, gradient, blocks = self.network, self._gradient, self._blocks
        mirrored = network.mirror_rows is not None
        unit = 2.0 ** fraction_bits(size, network.cell, mirrored)
        scale = weight / unit
        weights = tuple(map(float, objective[:3]))
        launch = partial(self._launch, stream=stream)
        batch = order, progress, size, advantages, returns, weights, unit
        launch(kernels.add_gradients, network.layers, slots, gradient, blocks, *batch)
        columns = network.layers.action_rows, network.inputs
        launch(kernels.prefix_sum_columns, gradient, *columns)
        if mirrored:
            rows = network.mirror_rows, network.inputs, network.rows
            launch(kernels.tie_mirrored, gradient, *rows)
        shape = network.inputs, network.rows, network.cell
        share = 0.5 if mirrored else 1.0
        launch(kernels.reduce_to_cells, gradient, self._block_sums, *shape, scale, share)
        sums = self._block_sums, blocks.statistics, self._totals
        launch(kernels.reduce_norm, *sums, float(objective.max_grad_norm), blocks=1)
        return scale

    def tensors(self) -> dict[str, np.ndarray]:
        """Moments as matrices shaped like the weights, and the number of updates, as the CPU's."""
        updated = self._moments.updated.copy_to_host()
        tensors = {"updated": updated, "updates": np.array([self.updates])}
        for name in self.moments:
            matrix = getattr(self._moments, name).copy_to_host()
            tensors[f"{name}_w1"], tensors[f"{name}_w2"] = self.network.outside(matrix)
        return tensors

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Restore :meth:`tensors` of this class or of the CPU's; resets :attr:`finite`."""
        moments, network = self._moments, self.network
        self.updates = int(tensors["updates"][0])
        moments.updated.copy_to_device(np.ascontiguousarray(tensors["updated"], np.uint32))
        for name in self.moments:
            matrix = network.inside(tensors[f"{name}_w1"], tensors[f"{name}_w2"])
            getattr(moments, name).copy_to_device(matrix)
        for name in ("sums", "cover", "status"):
            array = getattr(self._gradient, name)
            array.copy_to_device(np.zeros(array.shape, array.dtype))

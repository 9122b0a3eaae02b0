"""Learning on the GPU: the twin of :class:`fastpg.network.optimizer.Optimizer`."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda import learning_kernels as kernels
from fastpg.cuda.buffer import DeviceBuffer, Slots
from fastpg.cuda.gradients import LARGEST
from fastpg.cuda.graph import DEFAULT_STREAM, Replays
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.network_kernels import BLOCKS, THREADS
from fastpg.cuda.shuffle import Minibatch
from fastpg.kernels._cuda.jit import cuda, typed
from fastpg.network.optimizer import STATS, Objective

_MOST_BITS = 36  # behind the point of a gradient; fewer where sums would not fit
_BETAS, _ADAM_EPSILON, _RMSPROP_EPSILON = (0.9, 0.999), 1e-7, 1e-5  # as the CPU's


class Gradient(NamedTuple):
    """A minibatch's gradient, as kernels take it. R rows are those of ``DeviceNetwork.weights``.

    Attributes:
        sums: (R, H) int64, fixed point; all 0 between steps.
        cover: (R,) int32: tiles that begin at a pixel's row less those that end; 0 between steps.
        touched: (R,) uint8: whether a row lit in the last minibatch; heads always do.
        status: (1,) int32: not 0 once a derivative was not finite, or too large.
    """

    sums: Any
    cover: Any
    touched: Any
    status: Any


class Blocks(NamedTuple):
    """What each block that goes through samples has of its own.

    Attributes:
        hidden: (BLOCKS, H) float32, of a block's sample.
        heads: (BLOCKS, heads) float32, then the derivatives by them.
        statistics: (BLOCKS, 4) float64, sums over a block's samples.
    """

    hidden: Any
    heads: Any
    statistics: Any


class Moments(NamedTuple):
    """What the optimizer keeps of earlier gradients.

    Attributes:
        mean: (R, H) float32, of Adam.
        square: (R, H) float32.
        updated: (rows,) uint32, without heads: RMSProp's number of updates when a row's square was
            right.
    """

    mean: Any
    square: Any
    updated: Any


def _zeros(shape: Any, dtype: Any) -> Any:
    return cuda.to_device(np.zeros(shape, dtype))


def fraction_bits(samples: int, cell: int, paired: bool = False) -> int:
    """Bits behind the point with which no sum over so many samples can overflow.

    Each has at most ``LARGEST`` at a pixel, at every pixel of a cell, and as much at its unit's
    mirror image.
    """
    terms = samples * max(cell, 1) ** 2 * (1 + paired) * int(LARGEST)
    return min(_MOST_BITS, 62 - terms.bit_length())


class DeviceOptimizer:
    """What is said of :class:`fastpg.network.optimizer.Optimizer` holds here, but that no step
    waits.

    A derivative of one sample beyond ``LARGEST`` counts as not finite.
    """

    def __init__(self, network: DeviceNetwork, moments: tuple[str, ...]):
        """Set up; nothing has been learned yet.

        Args:
            network: whose weights are learned.
            moments: those that are snapshot: ("square",) for RMSProp, and "mean" for Adam.
        """
        self.network, self.moments, self.updates = network, moments, 0
        self._typed: dict[Any, Any] = {}
        self._replays = Replays()
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
        self._norms = _zeros(BLOCKS, np.float64)  # of blocks, sums of squares
        # the sums for the log, the gradient's norm, its factor
        self._totals = _zeros(len(STATS) + 2, np.float64)
        self._rates = _zeros(2, np.float32)  # of Adam's step: its size, its epsilon
        self._start = _zeros(2, np.int64)
        self._progress = _zeros(2, np.int64)  # where the next step's samples begin, and updates
        self._known: tuple[int, int] | None = 0, 0  # its numbers, unless a step was broken off

    def _launch(
        self, kernel: Any, *arguments: Any, blocks: int = BLOCKS, stream: Any = DEFAULT_STREAM
    ) -> None:
        """Launch a kernel; it is typed by the arguments of the first time."""
        if kernel not in self._typed:
            self._typed[kernel] = typed(kernel, *arguments)
        self._typed[kernel][blocks, THREADS, stream](*arguments)

    @property
    def finite(self) -> bool:
        """Whether all gradients so far were; no step was taken since. Waits for the GPU."""
        return not self._gradient.status.copy_to_host()[0]

    def reset_stats(self) -> None:
        """Begin the sums anew."""
        self._launch(kernels.forget, self._totals, blocks=1)

    def stats(self) -> np.ndarray:
        """(4,) float64: ``STATS`` over the samples since :meth:`reset_stats`; waits for the GPU."""
        return self._totals.copy_to_host()[: len(STATS)]

    def norm(self) -> float:
        """The length of the last gradient; waits for the GPU."""
        return float(self._totals.copy_to_host()[kernels.NORM])

    def adam_step(
        self,
        buffer: DeviceBuffer,
        samples: Minibatch,
        advantages: Any,
        returns: Any,
        objective: Objective,
        learning_rate: float,
    ) -> None:
        """One step of Adam along the gradient of the samples' mean objective.

        Args:
            buffer: what was played.
            samples: slots of it.
            advantages: float32 on the GPU, of all slots.
            returns: float32 on the GPU, of all slots.
            objective: what to climb.
            learning_rate: the step size.
        """
        if self._known != (samples.first, self.updates):
            self._launch(kernels.seek, self._progress, samples.first, self.updates, blocks=1)
        slots, weights, size = buffer.slots, self.network.weights, samples.size
        batch = samples.order, self._progress, size, advantages, returns, objective
        keep1, keep2 = map(np.float32, _BETAS)

        def launch(stream: Any) -> None:
            scale = self._add_up(slots, *batch, 1.0 / size, stream)
            numbers = size, float(learning_rate), _ADAM_EPSILON, float(keep1), float(keep2)
            own = {"blocks": 1, "stream": stream}
            self._launch(kernels.advance, self._progress, self._rates, *numbers, **own)
            moments = self._moments.mean, self._moments.square, self._totals, self._rates
            state = weights, self._gradient, *moments
            self._launch(kernels.adam, *state, scale, keep1, keep2, stream=stream)
            self.network.changed(self._gradient.touched, stream)

        arrays = slots, samples.order, advantages, returns
        self._known = None
        self._replays(size, launch, arrays, (*objective, learning_rate))
        self.updates += 1
        self._known = samples.first + size, self.updates

    def rmsprop_step(
        self,
        buffer: DeviceBuffer,
        samples: Any,
        weights: Any,
        learning_rate: float,
        decay: float,
    ) -> None:
        """One step of RMSProp along sum_t w_t grad log pi; ``weights`` w of all slots."""
        batch = samples, self._start, samples.shape[0], weights, weights
        scale = self._add_up(buffer.slots, *batch, Objective(), 1.0)
        self.updates += 1
        numbers = map(np.float32, (learning_rate, decay, _RMSPROP_EPSILON))
        moments, own = self._moments, self.network.weights
        state = own, self._gradient, moments.square, moments.updated
        self._launch(kernels.rmsprop, *state, scale, *numbers, self.updates)
        self.network.changed(self._gradient.touched)

    def _add_up(
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
        """The samples' gradient; returns what its integers are to be multiplied by.

        Args:
            slots: of the buffer.
            order: samples, on the GPU.
            progress: where in it they begin, on the GPU.
            size: how many there are.
            advantages: as :meth:`adam_step`.
            returns: as :meth:`adam_step`.
            objective: as :meth:`adam_step`.
            weight: of each sample.
            stream: of the launches.
        """
        network, gradient, blocks = self.network, self._gradient, self._blocks
        paired = network.mirror_rows is not None
        unit = 2.0 ** fraction_bits(size, network.cell, paired)
        scale = weight / unit
        weights = tuple(map(float, objective[:3]))
        launch = partial(self._launch, stream=stream)
        batch = order, progress, size, advantages, returns, weights, unit
        launch(kernels.add_gradients, network.layers, slots, gradient, blocks, *batch)
        launch(kernels.run_down, gradient, network.layers.past, network.inputs)
        if paired:
            launch(kernels.join, gradient, network.mirror_rows, network.inputs, network.rows)
        shape = network.inputs, network.rows, network.cell
        launch(kernels.fold, gradient, self._norms, *shape, scale, 0.5 if paired else 1.0)
        sums = self._norms, blocks.statistics, self._totals
        launch(kernels.judge, *sums, float(objective.max_grad_norm), blocks=1)
        return scale

    def tensors(self) -> dict[str, np.ndarray]:
        """All moments, as matrices like the weights, and the count of updates; those of the CPU."""
        updated = self._moments.updated.copy_to_host()
        tensors = {"updated": updated, "updates": np.array([self.updates])}
        for name in self.moments:
            matrix = getattr(self._moments, name).copy_to_host()
            tensors[f"{name}_w1"], tensors[f"{name}_w2"] = self.network.outside(matrix)
        return tensors

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`tensors` gave, or the CPU's; gradients count as finite again."""
        moments, network = self._moments, self.network
        self.updates = int(tensors["updates"][0])
        moments.updated.copy_to_device(np.ascontiguousarray(tensors["updated"], np.uint32))
        for name in self.moments:
            matrix = network.inside(tensors[f"{name}_w1"], tensors[f"{name}_w2"])
            getattr(moments, name).copy_to_device(matrix)
        for name in ("sums", "cover", "status"):
            array = getattr(self._gradient, name)
            array.copy_to_device(np.zeros(array.shape, array.dtype))

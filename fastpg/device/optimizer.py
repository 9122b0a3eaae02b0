"""Learning on the GPU: the twin of :class:`fastpg.tiles.Optimizer`."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastpg.device import _learning_kernels as kernels
from fastpg.device._gradients import LARGEST
from fastpg.device._network_kernels import BLOCKS, THREADS
from fastpg.device.network import DeviceNetwork
from fastpg.device.record import DeviceRecord
from fastpg.kernels._cuda_jit import cuda
from fastpg.tiles import SUMS, Objective

_MOST_BITS = 36  # behind the point of a gradient; fewer where sums would not fit
_BETAS, _ADAM_EPSILON, _RMSPROP_EPSILON = (0.9, 0.999), 1e-7, 1e-5  # as the CPU's


class Learning(NamedTuple):
    """What kernels learn with. R rows are those of ``DeviceNetwork.weights``.

    Attributes:
        weights: (R, H) float32, of the network.
        gradient: (R, H) int64, fixed point; all 0 between steps.
        cover: (R,) int32: tiles that begin at a pixel's row less those that end; 0 between steps.
        touched: (R,) uint8: whether a row lit in the last minibatch; heads always do.
        mean: (R, H) float32, of Adam.
        square: (R, H) float32.
        updated: (rows,) uint32, without heads: RMSProp's number of updates when a row's square was
            right.
        hidden: (BLOCKS, H) float32, of a block's sample.
        heads: (BLOCKS, heads) float32, then the derivatives by them.
        statistics: (BLOCKS, 4) float64, sums over a block's samples.
        norms: (BLOCKS,) float64, sums of squares.
        totals: (6,) float64: the sums for the log, the gradient's norm, its factor.
        status: (1,) int32: not 0 once a derivative was not finite, or too large.
    """

    weights: Any
    gradient: Any
    cover: Any
    touched: Any
    mean: Any
    square: Any
    updated: Any
    hidden: Any
    heads: Any
    statistics: Any
    norms: Any
    totals: Any
    status: Any


def _zeros(shape: Any, dtype: Any) -> Any:
    return cuda.to_device(np.zeros(shape, dtype))


def fraction_bits(samples: int, cell: int) -> int:
    """Bits behind the point with which no sum over so many samples can overflow.

    Each has at most ``LARGEST`` at a pixel, and at every pixel of a cell.
    """
    terms = samples * max(cell, 1) ** 2 * int(LARGEST)
    return min(_MOST_BITS, 62 - terms.bit_length())


class DeviceOptimizer:
    """What is said of :class:`fastpg.tiles.Optimizer` holds here, but that no step waits.

    A derivative of one sample beyond ``LARGEST`` counts as not finite.
    """

    def __init__(self, network: DeviceNetwork, moments: tuple[str, ...]):
        """Set up; nothing has been learned yet.

        Args:
            network: whose weights are learned.
            moments: those that are kept: ("square",) for RMSProp, and "mean" for Adam.
        """
        self.network, self.moments, self.updates = network, moments, 0
        shape = rows, units = network.weights.shape
        touched = np.zeros(rows, np.uint8)
        touched[network.rows :] = 1
        self._learning = Learning(
            weights=network.weights,
            gradient=_zeros(shape, np.int64),
            cover=_zeros(rows, np.int32),
            touched=cuda.to_device(touched),
            mean=_zeros(shape, np.float32),
            square=_zeros(shape, np.float32),
            updated=_zeros(network.rows, np.uint32),
            hidden=_zeros((BLOCKS, units), np.float32),
            heads=_zeros((BLOCKS, network.heads), np.float32),
            statistics=_zeros((BLOCKS, len(SUMS)), np.float64),
            norms=_zeros(BLOCKS, np.float64),
            totals=_zeros(len(SUMS) + 2, np.float64),
            status=_zeros(1, np.int32),
        )

    @property
    def finite(self) -> bool:
        """Whether all gradients so far were; no step was taken since. Waits for the GPU."""
        return not self._learning.status.copy_to_host()[0]

    def forget_sums(self) -> None:
        """Begin the sums anew."""
        self._learning.totals.copy_to_device(np.zeros(len(SUMS) + 2))

    def sums(self) -> np.ndarray:
        """(4,) float64: ``SUMS`` over the samples since :meth:`forget_sums`; waits for the GPU."""
        return self._learning.totals.copy_to_host()[: len(SUMS)]

    def norm(self) -> float:
        """The length of the last gradient; waits for the GPU."""
        return float(self._learning.totals.copy_to_host()[kernels.NORM])

    def climb_adam(
        self,
        record: DeviceRecord,
        samples: Any,
        advantages: Any,
        returns: Any,
        objective: Objective,
        learning_rate: float,
    ) -> None:
        """One step of Adam along the gradient of the samples' mean objective.

        Args:
            record: what was played.
            samples: (B,) int32 on the GPU, entries of it.
            advantages: float32 on the GPU, of all entries.
            returns: float32 on the GPU, of all entries.
            objective: what to climb.
            learning_rate: the step size.
        """
        weight = 1.0 / samples.shape[0]
        scale = self._gradient(record, samples, advantages, returns, objective, weight)
        self.updates += 1
        beta1, beta2 = (float(np.float32(beta)) for beta in _BETAS)
        second = math.sqrt(1 - beta2**self.updates)
        rate = learning_rate * second / (1 - beta1**self.updates)
        self._step(kernels.adam, scale, rate, _ADAM_EPSILON * second, beta1, beta2)

    def climb_rmsprop(
        self,
        record: DeviceRecord,
        samples: Any,
        weights: Any,
        learning_rate: float,
        decay: float,
    ) -> None:
        """One step of RMSProp along sum_t w_t grad log pi; ``weights`` w of all entries."""
        scale = self._gradient(record, samples, weights, weights, Objective(), 1.0)
        self.updates += 1
        numbers = learning_rate, decay, _RMSPROP_EPSILON
        self._step(kernels.rmsprop, scale, *numbers, updates=self.updates)

    def _gradient(
        self,
        record: DeviceRecord,
        samples: Any,
        advantages: Any,
        returns: Any,
        objective: Objective,
        weight: float,
    ) -> float:
        """The samples' gradient; returns what its integers are to be multiplied by.

        Args:
            record: as :meth:`climb_adam`.
            samples: as :meth:`climb_adam`.
            advantages: as :meth:`climb_adam`.
            returns: as :meth:`climb_adam`.
            objective: as :meth:`climb_adam`.
            weight: of each sample.
        """
        layers, learning = self.network.layers, self._learning
        unit = 2.0 ** fraction_bits(samples.shape[0], self.network.cell)
        scale = weight / unit
        weights = tuple(map(float, objective[:3]))
        batch = samples, advantages, returns, weights, unit
        kernels.add_gradients[BLOCKS, THREADS](layers, record.entries, learning, *batch)
        kernels.run_down[BLOCKS, THREADS](layers, learning)
        kernels.fold[BLOCKS, THREADS](layers, learning, scale)
        kernels.judge[1, THREADS](learning, float(objective.longest))
        return scale

    def _step(self, kernel: Any, scale: float, *numbers: float, **more: int) -> None:
        """One step, with numbers that are float32 there; none if a gradient was not finite."""
        floats = map(np.float32, numbers)
        kernel[BLOCKS, THREADS](self._learning, scale, *floats, *more.values())
        self.network.changed(self._learning.touched)

    def tensors(self) -> dict[str, np.ndarray]:
        """All moments, as matrices like the weights, and the count of updates; those of the CPU."""
        updated = self._learning.updated.copy_to_host()
        tensors = {"updated": updated, "updates": np.array([self.updates])}
        for name in self.moments:
            matrix = getattr(self._learning, name).copy_to_host()
            tensors[f"{name}_w1"], tensors[f"{name}_w2"] = self.network.outside(matrix)
        return tensors

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`tensors` gave, or the CPU's; gradients count as finite again."""
        learning, network = self._learning, self.network
        self.updates = int(tensors["updates"][0])
        learning.updated.copy_to_device(np.ascontiguousarray(tensors["updated"], np.uint32))
        for name in self.moments:
            matrix = network.inside(tensors[f"{name}_w1"], tensors[f"{name}_w2"])
            getattr(learning, name).copy_to_device(matrix)
        for name in ("gradient", "cover", "status"):
            array = getattr(learning, name)
            array.copy_to_device(np.zeros(array.shape, array.dtype))

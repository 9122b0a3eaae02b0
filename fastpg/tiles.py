"""The two-layer network on tiles: compiled, on all cores.

A view is a few tiles, solid rectangles of lit pixels; the compiled network keeps the sum of the
first layer's rows for each tile that it meets. It is the network of :mod:`fastpg.policy`, up to
rounding. This module knows how weights look to everybody else.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastpg._training import Learner, Network, Pool, Record
from fastpg.kernels.spec import VIEW_PIXELS, VIEW_SIDE
from fastpg.mirror import follow, twins

SAMPLES_AT_ONCE = 512  # their hidden units, 128 KB a block, stay in a core's cache
SUMS = ("entropy", "divergence", "clipped", "value_error")  # that gradients come with
_CELLS_SCALE = 0.4  # of the first weights that a cell's pixels share, to those of pixels


@dataclass(frozen=True)
class Sight:
    """What the network sees.

    Attributes:
        views: each by the steps that it lies back, from 0 on; an episode's first has itself before
            it.
        difference: of two views, instead of both.
        past_actions: actions before the one to be chosen.
    """

    views: tuple[int, ...] = (0, 1)
    difference: bool = False
    past_actions: int = 0

    @property
    def planes(self) -> int:
        """Views side by side in the first layer's rows."""
        return 1 if self.difference else len(self.views)

    @property
    def carry(self) -> int:
        """Steps before a step that it looks back at."""
        return max(*self.views, self.past_actions)


class TileNetwork:
    """Weights of the network, as blocks of hidden units inside and as matrices outside.

    With cells, a pixel's weights are learned as a sum of two parts: one of its own, and one that it
    shares with the pixels of its cell. That is the same network (the parts are added up wherever
    weights are used, and in :meth:`tensors`), but what is learned of one place is learned of the
    places around it too.

    Attributes:
        core: the compiled network.
        hidden: H, number of hidden units.
        cell: pixels in a cell's side; 0: no cells.
        twins: (rows + heads,) int32, see :func:`fastpg.mirror.twins`, if hidden units come in pairs
            that are each other's mirror image; or None.
    """

    def __init__(
        self,
        hidden: int,
        sight: Sight,
        actions: int,
        outputs: int,
        value: bool,
        cell: int = 0,
        mirrored: tuple[int, ...] | None = None,
    ):
        """Weights of 0.

        Args:
            hidden: H, number of hidden units.
            sight: what it sees.
            actions: A, number of actions.
            outputs: logits: A, or 1 for two actions.
            value: whether there is a value head.
            cell: pixels in a cell's side; 0: no cells.
            mirrored: for each action the one that takes its place upside down: units learn in
                pairs; None: each by itself.
        """
        self.hidden, self.sight, self.outputs, self.cell = hidden, sight, outputs, cell
        self.actions = actions
        self.twins: np.ndarray | None = None
        if mirrored is not None:
            if hidden % 2:
                raise ValueError(f"hidden: expected pairs of units, got {hidden}")
            shape = sight.planes, sight.past_actions, actions, outputs, value, cell
            self.twins = twins(*shape, mirrored)
        self.core = Network(
            hidden,
            sight.views,
            sight.difference,
            sight.past_actions,
            actions,
            outputs,
            value,
            cell,
        )

    def initialize(self, seed: int, pixels: float | None, policy: float | None) -> None:
        """Draw the weights from normal distributions.

        Args:
            seed: of the generator.
            pixels: standard deviation of the first layer; 1 / sqrt(fan in) if None. That of the
                cells' parts is 0.4 of it.
            policy: standard deviation of the policy's head; 1 / sqrt(fan in) if None. The
                value's head always has 1 / sqrt(fan in).
        """
        rng = np.random.default_rng(seed)
        scales = [1 / np.sqrt(self.hidden)] * self.core.heads
        if policy is not None:
            scales[: self.outputs] = [policy] * self.outputs
        w1 = rng.standard_normal((self.core.inputs, self.hidden))
        w2 = rng.standard_normal((self.core.heads, self.hidden)) * np.array(scales)[:, None]
        scale = 1 / np.sqrt(self.core.inputs) if pixels is None else pixels
        cells = rng.standard_normal((self.core.rows - self.core.inputs, self.hidden))
        tensors = {"w1": w1 * scale, "w2": w2[: self.outputs], "value": w2[self.outputs :]}
        parts = np.concatenate([tensors["w1"], cells * scale * _CELLS_SCALE])
        self._load(tensors | {"w1_parts": parts})
        if self.twins is not None:
            self._load_matrix(follow(self._matrix(), self.twins))

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights as copies.

        ``w1 (D, H)``: rows of the pixels, view by view and row by row, then of past actions, the
        latest view and action first; ``w2 (A, H)``, and ``value (1, H)`` if there is such a head.
        With cells also ``w1_parts``: D rows of the pixels' own parts, then those of cells.
        """
        heads = self.heads_outside(self.core.w2)
        parts = self.rows_outside(self.core.w1)
        tensors = {"w1": parts, "w2": heads[: self.outputs]}
        if self.cell:
            tensors |= {"w1": self._sums(parts), "w1_parts": parts}
        if self.core.heads > self.outputs:
            tensors["value"] = heads[self.outputs :]
        return tensors

    def load(self, tensors: dict[str, Any]) -> None:
        """Take over the weights of :meth:`tensors`; without ``w1_parts`` those of cells are 0.

        Raises:
            ValueError: they have other shapes, or units that come in pairs are none; the network
                is not to be used then.
        """
        self._load(tensors)
        if self.twins is not None:
            matrix = self._matrix()
            if not np.array_equal(matrix, follow(matrix, self.twins), equal_nan=True):
                raise ValueError("w1, w2: expected hidden units that mirror each other in pairs")

    def _matrix(self) -> np.ndarray:
        """(rows + heads, H): all weights, rows as inside."""
        rows = self.core.w1[:, : self.core.rows]
        return self.heads_outside(np.concatenate([rows, self.core.w2], axis=1))

    def _load_matrix(self, matrix: np.ndarray) -> None:
        """Take over :meth:`_matrix`."""
        rows, (blocks, heads, units) = self.core.rows, self.core.w2.shape
        inside = np.zeros((blocks, rows + heads, units), np.float32)
        self.heads_inside(matrix, inside)
        self.core.w1[:, :rows], self.core.w2[:] = inside[:, :rows], inside[:, rows:]
        self.core.changed()

    def _load(self, tensors: dict[str, Any]) -> None:
        parts = np.zeros((self.core.rows, self.hidden), np.float32)
        name, rows = "w1", self.core.inputs
        if self.cell and "w1_parts" in tensors:
            name, rows = "w1_parts", self.core.rows
        given = tensors[name]
        if given.shape != (rows, self.hidden):
            raise ValueError(f"{name}: expected {(rows, self.hidden)}, got {given.shape}")
        parts[: len(given)] = given
        self.rows_inside(parts, self.core.w1)
        heads = [tensors["w2"], *([tensors["value"]] if self.core.heads > self.outputs else [])]
        self.heads_inside(np.concatenate(heads), self.core.w2)
        self.core.changed()

    def _sums(self, parts: np.ndarray) -> np.ndarray:
        """(D, H): own parts and cells' added up."""
        across = -(-VIEW_SIDE // self.cell)
        x = y = np.arange(VIEW_SIDE) // self.cell
        of_pixel = (x[None, :] * across + y[:, None]).ravel()  # cells lie column by column
        w1, cells = parts[: self.core.inputs].copy(), parts[self.core.inputs :]
        planes = cells.reshape(self.sight.planes, across * across, self.hidden)
        pixels = self.sight.planes * VIEW_PIXELS
        w1[:pixels] += planes[:, of_pixel].reshape(pixels, self.hidden)
        return w1

    # ---- from blocks to matrices, and back ---------------------------------------------------

    def rows_outside(self, blocks: np.ndarray) -> np.ndarray:
        """(D, H) from (blocks, D or more, units), where pixels lie column by column."""
        rows, pixels = self.core.rows, self.sight.planes * VIEW_PIXELS
        flat = blocks[:, :rows].transpose(1, 0, 2).reshape(rows, -1)[:, : self.hidden]
        views = flat[:pixels].reshape(-1, VIEW_SIDE, VIEW_SIDE, self.hidden)
        return np.concatenate([_turned(views).reshape(pixels, self.hidden), flat[pixels:]])

    def rows_inside(self, matrix: Any, blocks: np.ndarray) -> None:
        """The inverse of :meth:`rows_outside`, into ``blocks``."""
        rows, pixels = self.core.rows, self.sight.planes * VIEW_PIXELS
        matrix = np.asarray(matrix)
        if matrix.shape != (rows, self.hidden):
            raise ValueError(f"w1: expected {(rows, self.hidden)}, got {matrix.shape}")
        views = matrix[:pixels].reshape(-1, VIEW_SIDE, VIEW_SIDE, self.hidden)
        whole = np.zeros((rows, blocks.shape[0] * blocks.shape[2]), blocks.dtype)
        whole[:pixels, : self.hidden] = _turned(views).reshape(pixels, -1)
        whole[pixels:, : self.hidden] = matrix[pixels:]
        blocks[:, :rows] = whole.reshape(rows, blocks.shape[0], -1).transpose(1, 0, 2)

    def heads_outside(self, blocks: np.ndarray) -> np.ndarray:
        """(heads, H) from (blocks, heads, units)."""
        flat = blocks.transpose(1, 0, 2).reshape(blocks.shape[1], -1)
        return flat[:, : self.hidden].copy()  # one head, or one block, may be a view

    def heads_inside(self, matrix: np.ndarray, blocks: np.ndarray) -> None:
        """The inverse of :meth:`heads_outside`, into ``blocks``."""
        if matrix.shape != (blocks.shape[1], self.hidden):
            expected = (blocks.shape[1], self.hidden)
            raise ValueError(f"w2, value: expected {expected} together, got {matrix.shape}")
        whole = np.zeros((blocks.shape[1], blocks.shape[0] * blocks.shape[2]), blocks.dtype)
        whole[:, : self.hidden] = matrix
        blocks[:] = whole.reshape(blocks.shape[1], blocks.shape[0], -1).transpose(1, 0, 2)


def _turned(views: np.ndarray) -> np.ndarray:
    return views.transpose(0, 2, 1, 3)


class Objective(NamedTuple):
    """What a step of PPO climbs: min(ratio A, clip(ratio) A) + entropy H - value (V - R)^2.

    Attributes:
        clip: how far the ratio of probabilities may be from 1; inf: no clipping.
        entropy: weight of the policy's entropy.
        value: weight of the value's squared error.
        longest: the gradient's longest; a longer one is cut to it.
    """

    clip: float = math.inf
    entropy: float = 0.0
    value: float = 0.0
    longest: float = math.inf


class Optimizer:
    """Gradients of a network's weights, and steps along them: RMSProp or Adam.

    Rows of the first layer whose pixels did not light in a batch are not touched. For RMSProp that
    is exact (a row's mean square is made up for when it lights again); for Adam it is what is
    called sparse or lazy Adam: the moments of such rows stand still, and so do their weights.

    Attributes:
        finite: whether all gradients so far were; from the first on that is not, no step is taken.
    """

    def __init__(
        self,
        network: TileNetwork,
        pool: Pool,
        moments: tuple[str, ...],
        samples_at_once: int = SAMPLES_AT_ONCE,
    ):
        """Set up; nothing has been learned yet.

        Args:
            network: whose weights are learned.
            pool: threads that share out the hidden units.
            moments: those that are kept: ("square",) for RMSProp, and "mean" for Adam.
            samples_at_once: of a minibatch, whose hidden units are kept between the forward and the
                backward pass.
        """
        self.network, self.moments = network, moments
        self.core = Learner(network.core, pool, samples_at_once, network.twins)
        self.finite = True
        self.forget_sums()

    def forget_sums(self) -> None:
        """Begin the sums anew."""
        self._sums = np.zeros(len(SUMS))

    def sums(self) -> np.ndarray:
        """(4,) float64: ``SUMS`` over the samples since :meth:`forget_sums`."""
        return self._sums

    def climb_adam(
        self,
        record: Record,
        samples: np.ndarray,
        advantages: np.ndarray,
        returns: np.ndarray,
        objective: Objective,
        learning_rate: float,
    ) -> None:
        """One step of Adam along the gradient of the samples' mean objective.

        Args:
            record: what was played.
            samples: (B,) int32, entries of it.
            advantages: float32, of all entries.
            returns: float32, of all entries.
            objective: what to climb.
            learning_rate: the step size.
        """
        if self._gradient(record, samples, advantages, returns, objective, 1.0 / len(samples)):
            factor = min(1.0, objective.longest / (self.core.norm() + 1e-9))
            self.core.adam(learning_rate, factor, 0.9, 0.999, 1e-7)

    def climb_rmsprop(
        self,
        record: Record,
        samples: np.ndarray,
        weights: np.ndarray,
        learning_rate: float,
        decay: float,
    ) -> None:
        """One step of RMSProp along sum_t w_t grad log pi; ``weights`` w of all entries."""
        if self._gradient(record, samples, weights, weights, Objective(), 1.0):
            self.core.rmsprop(learning_rate, decay, 1e-5)

    def _gradient(
        self,
        record: Record,
        samples: np.ndarray,
        advantages: np.ndarray,
        returns: np.ndarray,
        objective: Objective,
        scale: float,
    ) -> bool:
        """The samples' gradient, times ``scale``; whether it, and all before, are finite."""
        batch = record, samples, advantages, returns
        self._sums += self.core.gradient(*batch, *objective[:3], scale)
        self.finite &= math.isfinite(self.core.norm())
        return self.finite

    def tensors(self) -> dict[str, np.ndarray]:
        """All moments, as matrices like the weights, and the count of updates."""
        core, network = self.core, self.network
        tensors = {"updated": core.updated[0].copy(), "updates": np.array([core.updates])}
        for name in self.moments:
            tensors[f"{name}_w1"] = network.rows_outside(getattr(core, f"{name}1"))
            tensors[f"{name}_w2"] = network.heads_outside(getattr(core, f"{name}2"))
        return tensors

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`tensors` gave."""
        core, network = self.core, self.network
        core.updated[:] = tensors["updated"]
        core.updates = int(tensors["updates"][0])
        for name in self.moments:
            network.rows_inside(tensors[f"{name}_w1"], getattr(core, f"{name}1"))
            network.heads_inside(tensors[f"{name}_w2"], getattr(core, f"{name}2"))

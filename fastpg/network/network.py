"""The two-layer network on tiles: weights as matrices for Python, as blocks for compiled code.

A tile is a solid rectangle of lit pixels, and a view is a few tiles. The compiled network caches
the sum of the first layer's rows for each tile, so a forward pass adds a few sums instead of the
rows of all lit pixels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastpg.kernels.geometry import VIEW_PIXELS, VIEW_SIDE
from fastpg.network._network import Network
from fastpg.network.input_spec import InputSpec
from fastpg.network.symmetry import mirror_rows, symmetrize

#: Tensors that a policy plays with; ``value`` only if there is a value head.
WEIGHTS = ("w1", "w2", "value")
_CELLS_SCALE = 0.4  # standard deviation of the cells' first weights, relative to the pixels'


def weights_of(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights among the tensors of a checkpoint."""
    return {name: tensors[name] for name in WEIGHTS if name in tensors}


class TileNetwork:
    """Weights of the network; Python sees matrices, the core stores blocks of hidden units.

    With cells, a pixel's weights are the sum of two learned terms: its own, and one that it shares
    with the pixels of its cell. The network computes the same function, as the terms are added
    wherever weights are used and in :meth:`tensors`. Learning about one pixel thus also changes its
    neighbours' weights.

    ``hidden``, ``input_spec``, ``actions``, ``outputs`` and ``cell`` are attributes.
    """

    def __init__(
        self,
        hidden: int,
        input_spec: InputSpec,
        actions: int,
        outputs: int,
        value: bool,
        cell: int = 0,
        mirrored: tuple[int, ...] | None = None,
    ):
        """Create a network whose weights are 0.

        Args:
            hidden: H, number of hidden units.
            input_spec: the network's input.
            actions: A, number of actions.
            outputs: number of logits: A, or 1 for two actions.
            value: whether there is a value head.
            cell: pixels along a cell's side; 0 for no cells.
            mirrored: each action's mirror image, for hidden units in mirrored pairs; None for
                independent units.

        Raises:
            ValueError: there is no such network; the message names the argument.
        """
        self.hidden, self.input_spec, self.outputs, self.cell = hidden, input_spec, outputs, cell
        self.actions = actions
        #: (rows + heads,) int32 with mirrored units, see
        #: :func:`fastpg.network.symmetry.mirror_rows`; else None.
        self.mirror_rows: np.ndarray | None = None
        if mirrored is not None:
            if hidden % 2:
                raise ValueError(f"hidden: expected pairs of units, got {hidden}")
            shape = input_spec.planes, input_spec.past_actions, actions, outputs, value, cell
            self.mirror_rows = mirror_rows(*shape, mirrored)
        #: The compiled network.
        self.core = Network(
            hidden,
            input_spec.views,
            input_spec.difference,
            input_spec.past_actions,
            actions,
            outputs,
            value,
            cell,
        )

    def initialize(self, seed: int, pixels: float | None, policy: float | None) -> None:
        """Draw the weights from normal distributions.

        Args:
            seed: of the generator.
            pixels: standard deviation of the first layer; 1 / sqrt(fan in) if None. The cells'
                weights have 0.4 of it.
            policy: standard deviation of the policy head; 1 / sqrt(fan in) if None. The value head
                always has 1 / sqrt(fan in).
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
        if self.mirror_rows is not None:
            self._load_matrix(symmetrize(self._matrix(), self.mirror_rows))

    def tensors(self) -> dict[str, np.ndarray]:
        """Copies of the weights, float32, by name.

        ``w1`` (D, H) has a row per pixel, plane by plane and row by row, then a row per past
        action; the latest plane and action come first. ``w2`` (outputs, H) is the policy head,
        ``value`` (1, H) the value head, if there is one. With cells, ``w1_parts`` has the terms of
        w1: D rows of pixels and actions, then a row per cell.
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
        """Load weights as :meth:`tensors` returns them. Without ``w1_parts`` the cells' are 0.

        Raises:
            ValueError: a shape is wrong, or mirrored units are not each other's mirror image. Do
                not use the network after that.
        """
        self._load(tensors)
        if self.mirror_rows is not None:
            matrix = self._matrix()
            if not np.array_equal(matrix, symmetrize(matrix, self.mirror_rows), equal_nan=True):
                raise ValueError("w1, w2: expected hidden units that mirror each other in pairs")

    def _matrix(self) -> np.ndarray:
        """All weights (rows + heads, H), rows in the order of the compiled network."""
        rows = self.core.w1[:, : self.core.rows]
        return self.heads_outside(np.concatenate([rows, self.core.w2], axis=1))

    def _load_matrix(self, matrix: np.ndarray) -> None:
        """Load a matrix as :meth:`_matrix` returns it."""
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
        """w1 (D, H): the pixels' own terms plus their cells'."""
        across = -(-VIEW_SIDE // self.cell)
        x = y = np.arange(VIEW_SIDE) // self.cell
        of_pixel = (x[None, :] * across + y[:, None]).ravel()  # cells lie column by column
        w1, cells = parts[: self.core.inputs].copy(), parts[self.core.inputs :]
        planes = cells.reshape(self.input_spec.planes, across * across, self.hidden)
        pixels = self.input_spec.planes * VIEW_PIXELS
        w1[:pixels] += planes[:, of_pixel].reshape(pixels, self.hidden)
        return w1

    # ---- blocks to matrices and back ---------------------------------------------------------

    def rows_outside(self, blocks: np.ndarray) -> np.ndarray:
        """A matrix (rows, H) from blocks (blocks, rows or more, units).

        Pixels lie row by row in the matrix, column by column in the blocks.
        """
        rows, pixels = self.core.rows, self.input_spec.planes * VIEW_PIXELS
        flat = blocks[:, :rows].transpose(1, 0, 2).reshape(rows, -1)[:, : self.hidden]
        views = flat[:pixels].reshape(-1, VIEW_SIDE, VIEW_SIDE, self.hidden)
        return np.concatenate([_transposed(views).reshape(pixels, self.hidden), flat[pixels:]])

    def rows_inside(self, matrix: Any, blocks: np.ndarray) -> None:
        """Write a matrix (rows, H) into blocks: the inverse of :meth:`rows_outside`."""
        rows, pixels = self.core.rows, self.input_spec.planes * VIEW_PIXELS
        matrix = np.asarray(matrix)
        if matrix.shape != (rows, self.hidden):
            raise ValueError(f"w1: expected {(rows, self.hidden)}, got {matrix.shape}")
        views = matrix[:pixels].reshape(-1, VIEW_SIDE, VIEW_SIDE, self.hidden)
        whole = np.zeros((rows, blocks.shape[0] * blocks.shape[2]), blocks.dtype)
        whole[:pixels, : self.hidden] = _transposed(views).reshape(pixels, -1)
        whole[pixels:, : self.hidden] = matrix[pixels:]
        blocks[:, :rows] = whole.reshape(rows, blocks.shape[0], -1).transpose(1, 0, 2)

    def heads_outside(self, blocks: np.ndarray) -> np.ndarray:
        """A matrix (heads, H) from blocks (blocks, heads, units)."""
        flat = blocks.transpose(1, 0, 2).reshape(blocks.shape[1], -1)
        return flat[:, : self.hidden].copy()  # with one head or one block the slice is a view

    def heads_inside(self, matrix: np.ndarray, blocks: np.ndarray) -> None:
        """Write a matrix (heads, H) into blocks: the inverse of :meth:`heads_outside`."""
        if matrix.shape != (blocks.shape[1], self.hidden):
            expected = (blocks.shape[1], self.hidden)
            raise ValueError(f"w2, value: expected {expected} together, got {matrix.shape}")
        whole = np.zeros((blocks.shape[1], blocks.shape[0] * blocks.shape[2]), blocks.dtype)
        whole[:, : self.hidden] = matrix
        blocks[:] = whole.reshape(blocks.shape[1], blocks.shape[0], -1).transpose(1, 0, 2)


def _transposed(views: np.ndarray) -> np.ndarray:
    return views.transpose(0, 2, 1, 3)

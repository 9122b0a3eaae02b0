"""The network on tiles on the GPU: the twin of :class:`fastpg.network.network.TileNetwork`."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda import network_kernels as kernels
from fastpg.cuda.emulator import free_and_fixed_bytes
from fastpg.cuda.graph import DEFAULT_STREAM
from fastpg.cuda.memory import require_room_to_learn
from fastpg.kernels._cuda.jit import cuda, typed
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork


class Layers(NamedTuple):
    """A network's weights and what it sees, as kernels take them.

    Attributes:
        w1: (inputs, H) float32: own part and cell's part of each row added up; rows as
            csrc/network/tile_network.h has them, pixels column by column.
        w2: (heads, H) float32: logits, then the value if there is one.
        parts: (rows, H) float32: what is learned: ``w1``'s own parts, then those of cells; without
            cells ``w1`` itself.
        lags: (views,) int32: steps that each view lies back.
        difference: of two views instead of both.
        recalled: earlier actions that it sees.
        actions: there are.
        outputs: logits: 1 for two actions.
        past: first row of the recalled actions.
        cell: side of a cell, 0 if there are none.
    """

    w1: Any
    w2: Any
    parts: Any
    lags: Any
    difference: bool
    recalled: int
    actions: int
    outputs: int
    past: int
    cell: int


class DeviceNetwork:
    """A network's weights on the GPU. What is said of :class:`fastpg.network.network.TileNetwork`
    holds here.

    Attributes:
        host: a network of the CPU, for the conversions; its weights are those of the last
            :meth:`load` or :meth:`tensors`.
        weights: (rows + heads, H) float32 on the GPU: all that is learned.
        layers: the same, as kernels take it.
        mirror_rows: the host's, on the GPU, if hidden units come in pairs; or None.

    Raises:
        BackendUnavailable: no GPU, or no driver; the message says what to do.
        MemoryError: the GPU has too little for it and an optimizer.
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
        self.hidden, self.input_spec, self.outputs, self.cell = hidden, input_spec, outputs, cell
        self.actions = actions
        self.host = TileNetwork(hidden, input_spec, actions, outputs, value, cell, mirrored)
        self._add_up: Any = None
        core = self.host.core
        self.rows, self.inputs, self.heads = core.rows, core.inputs, core.heads
        room = free_and_fixed_bytes()
        if room is not None:
            require_room_to_learn(room[0], self.rows, self.inputs, self.heads, hidden, cell)
        self.weights = cuda.to_device(np.zeros((self.rows + self.heads, hidden), np.float32))
        paired = self.host.mirror_rows
        self.mirror_rows = None if paired is None else cuda.to_device(paired)
        parts = self.weights[: self.rows]
        self.layers = Layers(
            w1=cuda.device_array((self.inputs, hidden), np.float32) if cell else parts,
            w2=self.weights[self.rows :],
            parts=parts,
            lags=cuda.to_device(np.array(input_spec.views, np.int32)),
            difference=bool(input_spec.difference),
            recalled=input_spec.past_actions,
            actions=actions,
            outputs=outputs,
            past=input_spec.planes * VIEW_PIXELS,
            cell=cell,
        )

    def initialize(self, seed: int, pixels: float | None, policy: float | None) -> None:
        """See :meth:`fastpg.network.network.TileNetwork.initialize`: the same weights."""
        self.host.initialize(seed, pixels, policy)
        self._upload()

    def tensors(self) -> dict[str, np.ndarray]:
        """See :meth:`fastpg.network.network.TileNetwork.tensors`; waits for the GPU."""
        core = self.host.core
        rows, heads = self.outside(self.weights.copy_to_host())
        self.host.rows_inside(rows, core.w1)
        self.host.heads_inside(heads, core.w2)
        core.changed()
        return self.host.tensors()

    def load(self, tensors: dict[str, Any]) -> None:
        """See :meth:`fastpg.network.network.TileNetwork.load`."""
        self.host.load(tensors)
        self._upload()

    def _upload(self) -> None:
        """Take over the host's weights."""
        core = self.host.core
        self.weights.copy_to_device(
            self.inside(self.host.rows_outside(core.w1), self.host.heads_outside(core.w2))
        )
        self.changed(cuda.to_device(np.ones(self.rows, np.uint8)))

    def changed(self, rows: Any, stream: Any = DEFAULT_STREAM) -> None:
        """To be called after changes of ``weights``; ``rows`` (rows or more,) uint8: which."""
        if self.cell:
            if self._add_up is None:
                self._add_up = typed(kernels.add_up, self.layers, rows)
            self._add_up[kernels.BLOCKS, kernels.THREADS, stream](self.layers, rows)

    # ---- between the order of the rows outside and that on the GPU ---------------------------

    def inside(self, rows: Any, heads: Any) -> np.ndarray:
        """(rows + heads, H) float32 as ``weights`` from matrices of the order of :meth:`tensors`.

        Raises:
            ValueError: they have other shapes.
        """
        matrix = np.zeros((self.rows + self.heads, self.hidden), np.float32)
        self.host.rows_inside(rows, matrix[None])
        self.host.heads_inside(np.asarray(heads), matrix[None, self.rows :])
        return matrix

    def outside(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of :meth:`inside`."""
        return self.host.rows_outside(matrix[None]), matrix[self.rows :].copy()

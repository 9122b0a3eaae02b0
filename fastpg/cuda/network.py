"""The network on tiles on the GPU: counterpart of :class:`fastpg.network.network.TileNetwork`."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda import network_kernels as kernels
from fastpg.cuda.emulator import free_and_fixed_bytes
from fastpg.cuda.graph import DEFAULT_STREAM
from fastpg.cuda.memory import require_learner_fits
from fastpg.kernels._cuda.jit import cuda, typed
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork


class Layers(NamedTuple):
    """A network's weights and input spec, as kernels take them."""

    #: (inputs, H) float32, first layer: the sum of each row's own part and its cell's part.
    #: Rows are ordered as in csrc/network/tile_network.h, pixels column by column.
    w1: Any
    w2: Any  #: (heads, H) float32: logits, then the value if there is one.
    #: (rows, H) float32, the learned parts of ``w1``: each row's own, then those of cells. Without
    #: cells it is ``w1`` itself.
    parts: Any
    lags: Any  #: (views,) int32, age of each view in agent steps.
    #: True: the input is the difference of two views; False: the views side by side.
    difference: bool
    past_actions: int  #: number of past actions in the input.
    actions: int  #: number of actions.
    outputs: int  #: number of logits: 1 for two actions.
    action_rows: int  #: first row of the past actions.
    cell: int  #: side of a cell in pixels, 0 without cells.


class DeviceNetwork:
    """A network whose weights are on the GPU, with the interface of ``TileNetwork``.

    Attributes:
        host: a network of the CPU, for conversions; it has the weights of the last :meth:`load` or
            :meth:`tensors`.
        weights: (rows + heads, H) float32 on the GPU: all learned weights.
        layers: the same weights as kernels take them.
        mirror_rows: the host's ``mirror_rows`` on the GPU if hidden units are mirrored, else None.

    Raises:
        BackendUnavailable: no GPU, or no driver; the message has the cure.
        MemoryError: too little memory for the network and its optimizer.
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
        self._add_parts: Any = None
        core = self.host.core
        self.rows, self.inputs, self.heads = core.rows, core.inputs, core.heads
        free, _ = free_and_fixed_bytes()
        require_learner_fits(free, self.rows, self.inputs, self.heads, hidden, cell)
        self.weights = cuda.to_device(np.zeros((self.rows + self.heads, hidden), np.float32))
        mirror_rows = self.host.mirror_rows
        self.mirror_rows = None if mirror_rows is None else cuda.to_device(mirror_rows)
        parts = self.weights[: self.rows]
        self.layers = Layers(
            w1=cuda.device_array((self.inputs, hidden), np.float32) if cell else parts,
            w2=self.weights[self.rows :],
            parts=parts,
            lags=cuda.to_device(np.array(input_spec.views, np.int32)),
            difference=bool(input_spec.difference),
            past_actions=input_spec.past_actions,
            actions=actions,
            outputs=outputs,
            action_rows=input_spec.planes * VIEW_PIXELS,
            cell=cell,
        )

    def initialize(self, seed: int, pixels: float | None, policy: float | None) -> None:
        """See :meth:`fastpg.network.network.TileNetwork.initialize`: draws the same weights."""
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
        """Copy the host's weights to the GPU."""
        core = self.host.core
        rows, heads = self.host.rows_outside(core.w1), self.host.heads_outside(core.w2)
        self.weights.copy_to_device(self.inside(rows, heads))
        self.changed(cuda.to_device(np.ones(self.rows, np.uint8)))

    def changed(self, rows: Any, stream: Any = DEFAULT_STREAM) -> None:
        """Recompute what depends on ``weights``; ``rows`` (at least rows,) uint8: which changed."""
        if self.cell:
            if self._add_parts is None:
                self._add_parts = typed(kernels.add_parts, self.layers, rows)
            self._add_parts[kernels.BLOCKS, kernels.THREADS, stream](self.layers, rows)

    # ---- conversion between the row orders of tensors() and of the GPU -----------------------

    def inside(self, rows: Any, heads: Any) -> np.ndarray:
        """Return ``weights`` (rows + heads, H) float32 for matrices ordered as in :meth:`tensors`.

        Raises:
            ValueError: wrong shapes.
        """
        matrix = np.zeros((self.rows + self.heads, self.hidden), np.float32)
        self.host.rows_inside(rows, matrix[None])
        self.host.heads_inside(np.asarray(heads), matrix[None, self.rows :])
        return matrix

    def outside(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Invert :meth:`inside`."""
        return self.host.rows_outside(matrix[None]), matrix[self.rows :].copy()

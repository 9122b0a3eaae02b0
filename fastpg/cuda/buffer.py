"""What was played, on the GPU: an slot a step of each game, the games' steps side by side."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels._cuda.jit import cuda
from fastpg.network._network import RolloutBuffer

MOST_TILES = 32  # of a view; Pong shows four or five, seldom a dozen
TOO_MANY_TILES = 0  # place in `status`: not 0 once a view had more


class Slots(NamedTuple):
    """A buffer's arrays, as kernels take them; E slots, slot t * games + n is game n's at t.

    Attributes:
        tiles: (E, most tiles) uint16, of the frame before the action, as csrc/network/tiles.h.
        tile_counts: (E,) uint16, how many of them there are.
        episode_steps: (E,) uint8, frames of the episode before this one, at most 255.
        actions: (E,) uint8.
        dones: (E,) uint8; 1: the episode is over after the action.
        rewards: (E,) float32, of the action.
        action_probs: (E,) float32, the action's probability, at least FLT_MIN.
        values: (E,) float32, of the frame, if there is a value head.
        status: (1,) int32, what went wrong: see ``TOO_MANY_TILES``.
        games: N.
    """

    tiles: Any
    tile_counts: Any
    episode_steps: Any
    actions: Any
    dones: Any
    rewards: Any
    action_probs: Any
    values: Any
    status: Any
    games: int


DTYPES = {
    "tile_counts": np.uint16,
    "episode_steps": np.uint8,
    "actions": np.uint8,
    "dones": np.uint8,
    "rewards": np.float32,
    "action_probs": np.float32,
    "values": np.float32,
}


class DeviceBuffer:
    """Room on the GPU for what N games play; the twin of ``fastpg.network._network.RolloutBuffer``.

    Attributes:
        games: N.
        steps: rows of N slots.
        slots: the arrays.
    """

    def __init__(self, games: int, steps: int, most_tiles: int = MOST_TILES):
        """Make room, with undefined content, for so many steps of so many games."""
        self.games, self.steps = games, steps
        count = games * steps
        self.slots = Slots(
            tiles=cuda.device_array((count, most_tiles), np.uint16),
            **{name: cuda.device_array((count,), dtype) for name, dtype in DTYPES.items()},
            status=cuda.to_device(np.zeros(1, np.int32)),
            games=games,
        )

    @classmethod
    def of_host(
        cls, buffer: RolloutBuffer, games: int, most_tiles: int = MOST_TILES
    ) -> "DeviceBuffer":
        """A copy of a buffer of the host, whose slots lie game by game.

        Raises:
            ValueError: a view has more tiles than there is room for.
        """
        steps = buffer.slots // games
        most = int(buffer.tile_counts.max(initial=0))
        if most > most_tiles:
            raise ValueError(f"buffer: expected at most {most_tiles} tiles a view, got {most}")
        order = np.arange(games * steps).reshape(games, steps).T.ravel()
        tiles = np.zeros((len(order), most_tiles), np.uint16)
        for row, slot in zip(tiles, order, strict=True):
            begin, count = int(buffer.tile_offsets[slot]), int(buffer.tile_counts[slot])
            row[:count] = buffer.tiles[begin : begin + count]
        copy = cls(games, steps, most_tiles)
        copy.slots.tiles.copy_to_device(tiles)
        for name in DTYPES:
            getattr(copy.slots, name).copy_to_device(getattr(buffer, name)[order])
        return copy

    def rows(self, name: str, first: int, steps: int) -> Any:
        """(steps, N): rows of one of the arrays of numbers, on the GPU, without a copy."""
        whole = getattr(self.slots, name)
        part = whole[first * self.games : (first + steps) * self.games]
        return part.reshape(steps, self.games)

    def grow(self) -> None:
        """Make room for twice as many steps; what is in it stays."""
        old = self.slots
        larger = DeviceBuffer(self.games, 2 * self.steps, old.tiles.shape[1])
        count = self.games * self.steps
        for name in ("tiles", *DTYPES):
            getattr(larger.slots, name)[:count].copy_to_device(getattr(old, name))
        self.steps = larger.steps
        self.slots = larger.slots._replace(status=old.status)

    def check(self) -> None:
        """Raise if something went wrong on the GPU; waits for it.

        Raises:
            MemoryError: a view had more tiles than there is room for.
        """
        if self.slots.status.copy_to_host()[TOO_MANY_TILES]:
            raise MemoryError(
                f"a view has more than {self.slots.tiles.shape[1]} tiles, for which there is no "
                "room on the GPU: train on the CPU, or with --background frame"
            )

"""What was played, on the GPU: an entry a step of each game, the games' steps side by side."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels._cuda.jit import cuda
from fastpg.network._network import Record

MOST_TILES = 32  # of a view; Pong shows four or five, seldom a dozen
TOO_MANY_TILES = 0  # place in `status`: not 0 once a view had more


class Entries(NamedTuple):
    """A record's arrays, as kernels take them; E entries, entry t * games + n is game n's at t.

    Attributes:
        tiles: (E, most tiles) uint16, of the frame before the action, as csrc/network/tiles.h.
        counts: (E,) uint16, how many of them there are.
        ages: (E,) uint8, frames of the episode before this one, at most 255.
        actions: (E,) uint8.
        ends: (E,) uint8; 1: the episode is over after the action.
        rewards: (E,) float32, of the action.
        chances: (E,) float32, the action's probability, at least FLT_MIN.
        values: (E,) float32, of the frame, if there is a value head.
        status: (1,) int32, what went wrong: see ``TOO_MANY_TILES``.
        games: N.
    """

    tiles: Any
    counts: Any
    ages: Any
    actions: Any
    ends: Any
    rewards: Any
    chances: Any
    values: Any
    status: Any
    games: int


DTYPES = {
    "counts": np.uint16,
    "ages": np.uint8,
    "actions": np.uint8,
    "ends": np.uint8,
    "rewards": np.float32,
    "chances": np.float32,
    "values": np.float32,
}


class DeviceRecord:
    """Room on the GPU for what N games play; the twin of ``fastpg.network._network.Record``.

    Attributes:
        games: N.
        steps: rows of N entries.
        entries: the arrays.
    """

    def __init__(self, games: int, steps: int, most_tiles: int = MOST_TILES):
        """Make room, with undefined content, for so many steps of so many games."""
        self.games, self.steps = games, steps
        count = games * steps
        self.entries = Entries(
            tiles=cuda.device_array((count, most_tiles), np.uint16),
            **{name: cuda.device_array((count,), dtype) for name, dtype in DTYPES.items()},
            status=cuda.to_device(np.zeros(1, np.int32)),
            games=games,
        )

    @classmethod
    def of_host(cls, record: Record, games: int, most_tiles: int = MOST_TILES) -> "DeviceRecord":
        """A copy of a record of the host, whose entries lie game by game.

        Raises:
            ValueError: a view has more tiles than there is room for.
        """
        steps = record.entries // games
        most = int(record.counts.max(initial=0))
        if most > most_tiles:
            raise ValueError(f"record: expected at most {most_tiles} tiles a view, got {most}")
        order = np.arange(games * steps).reshape(games, steps).T.ravel()
        tiles = np.zeros((len(order), most_tiles), np.uint16)
        for row, entry in zip(tiles, order, strict=True):
            begin, count = int(record.begins[entry]), int(record.counts[entry])
            row[:count] = record.tiles[begin : begin + count]
        copy = cls(games, steps, most_tiles)
        copy.entries.tiles.copy_to_device(tiles)
        for name in DTYPES:
            getattr(copy.entries, name).copy_to_device(getattr(record, name)[order])
        return copy

    def rows(self, name: str, first: int, steps: int) -> Any:
        """(steps, N): rows of one of the arrays of numbers, on the GPU, without a copy."""
        whole = getattr(self.entries, name)
        part = whole[first * self.games : (first + steps) * self.games]
        return part.reshape(steps, self.games)

    def grow(self) -> None:
        """Make room for twice as many steps; what is in it stays."""
        old = self.entries
        larger = DeviceRecord(self.games, 2 * self.steps, old.tiles.shape[1])
        count = self.games * self.steps
        for name in ("tiles", *DTYPES):
            getattr(larger.entries, name)[:count].copy_to_device(getattr(old, name))
        self.steps = larger.steps
        self.entries = larger.entries._replace(status=old.status)

    def check(self) -> None:
        """Raise if something went wrong on the GPU; waits for it.

        Raises:
            MemoryError: a view had more tiles than there is room for.
        """
        if self.entries.status.copy_to_host()[TOO_MANY_TILES]:
            raise MemoryError(
                f"a view has more than {self.entries.tiles.shape[1]} tiles, for which there is no "
                "room on the GPU: train on the CPU, or with --background frame"
            )

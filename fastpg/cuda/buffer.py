"""The rollout buffer on the GPU: one slot per game and step, the games' steps side by side."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels._cuda.jit import cuda

MAX_TILES = 32  # per view; Pong's views have four or five tiles, seldom a dozen
TOO_MANY_TILES = 0  # index into `status`: nonzero once a view had more than the maximum


class Slots(NamedTuple):
    """The arrays of a buffer, as kernels take them. Slot ``t * games + n`` is step t of game n."""

    #: (slots, max tiles) uint16, tiles (csrc/network/tiles.h) of the frame before the action.
    tiles: Any
    tile_counts: Any  #: (slots,) uint16, number of tiles.
    episode_steps: Any  #: (slots,) uint8, earlier frames of the same episode, at most 255.
    actions: Any  #: (slots,) uint8.
    dones: Any  #: (slots,) uint8, 1 if the action ended the episode.
    rewards: Any  #: (slots,) float32, of the action.
    action_probs: Any  #: (slots,) float32, probability of the action, at least FLT_MIN.
    values: Any  #: (slots,) float32, value of the frame, if the network has a value head.
    status: Any  #: (1,) int32, error flags: see ``TOO_MANY_TILES``.
    games: int  #: N.


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
    """GPU counterpart of ``fastpg.network._network.RolloutBuffer`` for N games.

    Attributes:
        games: N.
        steps: allocated rows of N slots.
        slots: the arrays.
    """

    def __init__(self, games: int, steps: int, max_tiles: int = MAX_TILES):
        """Allocate ``steps`` rows of ``games`` slots; their contents are undefined."""
        self.games, self.steps = games, steps
        count = games * steps
        self.slots = Slots(
            tiles=cuda.device_array((count, max_tiles), np.uint16),
            **{name: cuda.device_array((count,), dtype) for name, dtype in DTYPES.items()},
            status=cuda.to_device(np.zeros(1, np.int32)),
            games=games,
        )

    def rows(self, name: str, first: int, steps: int) -> Any:
        """View (steps, N) of one of the one-dimensional arrays, on the GPU, without a copy."""
        array = getattr(self.slots, name)
        rows = array[first * self.games : (first + steps) * self.games]
        return rows.reshape(steps, self.games)

    def grow(self) -> None:
        """Double the number of steps; the contents stay."""
        old = self.slots
        larger = DeviceBuffer(self.games, 2 * self.steps, old.tiles.shape[1])
        count = self.games * self.steps
        for name in ("tiles", *DTYPES):
            getattr(larger.slots, name)[:count].copy_to_device(getattr(old, name))
        self.steps = larger.steps
        self.slots = larger.slots._replace(status=old.status)

    def check(self) -> None:
        """Raise if a kernel reported an error; waits for the GPU.

        Raises:
            MemoryError: a view had more tiles than a slot can hold.
        """
        if self.slots.status.copy_to_host()[TOO_MANY_TILES]:
            raise MemoryError(
                f"a view has more than {self.slots.tiles.shape[1]} tiles, which is all that a slot "
                "on the GPU holds: train on the CPU, or with --background frame"
            )

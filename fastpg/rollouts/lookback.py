"""Look-back frames: for each game, its current frame and the earlier ones that the network needs.

As named arrays, for N games whose network looks back C steps:

- ``lookback_tile_counts`` (N, C + 1) uint16: tiles of each slot;
- ``lookback_tiles`` uint16: the tiles of all slots, one after the other;
- ``lookback_episode_steps``, ``lookback_actions`` (N, C + 1) uint8.

The slots are those of a :class:`fastpg.network._network.RolloutBuffer`, see there.
"""

from collections.abc import Mapping

import numpy as np

from fastpg.network._network import TILES, RolloutBuffer


def lookback_of(buffer: RolloutBuffer, slots: np.ndarray) -> dict[str, np.ndarray]:
    """Look-back frames from slots (N, C + 1) of a buffer."""
    at = slots.ravel()
    offsets, counts = (a[at].astype(np.int64) for a in (buffer.tile_offsets, buffer.tile_counts))
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return {
        "lookback_tiles": buffer.tiles[np.repeat(offsets, counts) + within],
        "lookback_tile_counts": counts.astype(np.uint16).reshape(slots.shape),
        "lookback_episode_steps": buffer.episode_steps[at].reshape(slots.shape),
        "lookback_actions": buffer.actions[at].reshape(slots.shape),
    }


def checked_lookback(
    tensors: Mapping[str, np.ndarray], games: int, lookback: int, actions: int
) -> dict[str, np.ndarray]:
    """The look-back frames among a checkpoint's tensors, checked.

    Args:
        tensors: of the checkpoint.
        games: N.
        lookback: C.
        actions: number of actions.

    Raises:
        KeyError: a tensor is missing.
        ValueError: a tensor has another shape or dtype, or holds a tile or an action that does not
            exist.
    """
    dtypes = {
        "tile_counts": np.uint16,
        "tiles": np.uint16,
        "episode_steps": np.uint8,
        "actions": np.uint8,
    }
    frames = {f"lookback_{name}": tensors[f"lookback_{name}"] for name in dtypes}
    tiles = int(frames["lookback_tile_counts"].sum(dtype=np.int64))
    for name, dtype in dtypes.items():
        found = frames[f"lookback_{name}"]
        shape = (tiles,) if name == "tiles" else (games, lookback + 1)
        if found.shape != shape or found.dtype != dtype:
            expected = f"{shape} {np.dtype(dtype)}"
            raise ValueError(
                f"lookback_{name}: expected {expected}, got {found.shape} {found.dtype}"
            )
    for name, end in (("tiles", TILES), ("actions", actions)):
        most = frames[f"lookback_{name}"].max(initial=0)
        if most >= end:
            raise ValueError(f"lookback_{name}: expected all below {end}, got {most}")
    return frames

"""Tails: of each game the slot of the frame that it shows, and those that its next steps look at.

As tensors, for N games whose network looks back C steps: ``lookback_tile_counts`` (N, C + 1) uint16
tiles of each slot, ``lookback_tiles`` uint16 those of all slots one after the other,
``lookback_episode_steps`` and ``lookback_actions`` (N, C + 1) uint8. Slots are a buffer's, see
``fastpg.network._network.RolloutBuffer``.
"""

from collections.abc import Mapping

import numpy as np

from fastpg.network._network import TILES, RolloutBuffer


def lookback_of(buffer: RolloutBuffer, slots: np.ndarray) -> dict[str, np.ndarray]:
    """The frames that these slots (N, C + 1) of a buffer are."""
    at = slots.ravel()
    begins, counts = (
        buffer.tile_offsets[at].astype(np.int64),
        buffer.tile_counts[at].astype(np.int64),
    )
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return {
        "lookback_tiles": buffer.tiles[np.repeat(begins, counts) + within],
        "lookback_tile_counts": counts.astype(np.uint16).reshape(slots.shape),
        "lookback_episode_steps": buffer.episode_steps[at].reshape(slots.shape),
        "lookback_actions": buffer.actions[at].reshape(slots.shape),
    }


def checked_lookback(
    tensors: Mapping[str, np.ndarray], games: int, lookback: int, actions: int
) -> dict[str, np.ndarray]:
    """The frames among these tensors.

    Args:
        tensors: of a checkpoint, say.
        games: N.
        lookback: C.
        actions: that there are.

    Raises:
        KeyError: a tensor is missing.
        ValueError: another shape or dtype, or a tile or an action that there is not.
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

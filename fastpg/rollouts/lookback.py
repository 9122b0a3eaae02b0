"""Tails: of each game the entry of the frame that it shows, and those that its next steps look at.

As tensors, for N games whose network looks back C steps: ``tail_counts`` (N, C + 1) uint16 tiles of
each entry, ``tail_tiles`` uint16 those of all entries one after the other, ``tail_ages`` and
``tail_actions`` (N, C + 1) uint8. Entries are a record's, see ``fastpg.network._network.Record``.
"""

from collections.abc import Mapping

import numpy as np

from fastpg.network._network import TILES, Record


def tail_of(record: Record, entries: np.ndarray) -> dict[str, np.ndarray]:
    """The tail that these entries (N, C + 1) of a record are."""
    at = entries.ravel()
    begins, counts = record.begins[at].astype(np.int64), record.counts[at].astype(np.int64)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return {
        "tail_tiles": record.tiles[np.repeat(begins, counts) + within],
        "tail_counts": counts.astype(np.uint16).reshape(entries.shape),
        "tail_ages": record.ages[at].reshape(entries.shape),
        "tail_actions": record.actions[at].reshape(entries.shape),
    }


def checked_tail(
    tensors: Mapping[str, np.ndarray], games: int, carry: int, actions: int
) -> dict[str, np.ndarray]:
    """The tail among these tensors.

    Args:
        tensors: of a checkpoint, say.
        games: N.
        carry: C.
        actions: that there are.

    Raises:
        KeyError: a tensor is missing.
        ValueError: another shape or dtype, or a tile or an action that there is not.
    """
    dtypes = {"counts": np.uint16, "tiles": np.uint16, "ages": np.uint8, "actions": np.uint8}
    tail = {f"tail_{name}": tensors[f"tail_{name}"] for name in dtypes}
    tiles = int(tail["tail_counts"].sum(dtype=np.int64))
    for name, dtype in dtypes.items():
        found = tail[f"tail_{name}"]
        shape = (tiles,) if name == "tiles" else (games, carry + 1)
        if found.shape != shape or found.dtype != dtype:
            expected = f"{shape} {np.dtype(dtype)}"
            raise ValueError(f"tail_{name}: expected {expected}, got {found.shape} {found.dtype}")
    for name, end in (("tiles", TILES), ("actions", actions)):
        most = tail[f"tail_{name}"].max(initial=0)
        if most >= end:
            raise ValueError(f"tail_{name}: expected all below {end}, got {most}")
    return tail

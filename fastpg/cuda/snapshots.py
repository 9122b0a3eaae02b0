"""Snapshots of games on a GPU: copies there, and conversion to and from the CPU's format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpg.cuda.buffer import MAX_TILES
from fastpg.emulator._emulator import SNAPSHOT_BYTES
from fastpg.rollouts._rollouts import LAYOUT_VERSION

_HEAD_BYTES = 8 * 4  # layout, stream, step, needs_reset: uint64 each, before the game's state
# The buffer's arrays that the next steps look back at.
LOOKBACK = ("tiles", "tile_counts", "episode_steps", "actions")


@dataclass(frozen=True)
class DeviceSnapshot:
    """A snapshot on the GPU: the games, and the rows that their next steps look back at."""

    games: dict[str, Any]  #: games, streams, steps and needs_reset, by name.
    frames: dict[str, Any] | None  #: arrays of these rows, by name; None before the first step.

    def tensors(self) -> dict[str, np.ndarray]:
        """See :class:`fastpg.rollouts.snapshots.Snapshot`: copies on the host."""
        states = states_of(**{k: array.copy_to_host() for k, array in self.games.items()})
        tensors = {f"game_{n}": np.frombuffer(state, np.uint8) for n, state in enumerate(states)}
        if self.frames is None:
            return tensors
        frames = {name: rows.copy_to_host() for name, rows in self.frames.items()}
        return tensors | lookback_of_rows(frames, len(states))


def states_of(
    games: np.ndarray, streams: np.ndarray, steps: np.ndarray, needs_reset: np.ndarray
) -> list[bytes]:
    """Pack games and the keys of their random numbers as ``fastpg.rollouts._rollouts.Rollout``."""
    layout = np.full(len(games), LAYOUT_VERSION)
    head = np.stack([a.astype(np.uint64) for a in (layout, streams, steps, needs_reset)], axis=1)
    return [first.tobytes() + game.tobytes() for first, game in zip(head, games, strict=True)]


def from_states(states: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Invert :func:`states_of`; returns its arguments by name.

    Raises:
        ValueError: another size or layout.
    """
    size = _HEAD_BYTES + SNAPSHOT_BYTES
    for state in states:
        if len(state) != size:
            raise ValueError(f"state: expected {size} bytes, got {len(state)}")
    flat = np.frombuffer(b"".join(states), np.uint8).reshape(-1, size)
    layout, streams, steps, needs_reset = flat[:, :_HEAD_BYTES].copy().view(np.uint64).T
    for found in layout[layout != LAYOUT_VERSION]:
        raise ValueError(f"state: expected one of layout {LAYOUT_VERSION}, got {found}")
    return {
        "games": np.ascontiguousarray(flat[:, _HEAD_BYTES:]),
        "streams": np.ascontiguousarray(streams),
        "steps": np.ascontiguousarray(steps),
        "needs_reset": (needs_reset != 0).astype(np.uint8),
    }


def lookback_of_rows(frames: Mapping[str, np.ndarray], games: int) -> dict[str, np.ndarray]:
    """Convert rows of all games to the tensors of ``fastpg.rollouts.lookback.lookback_of``."""
    flat = {name: frames[name].reshape(-1, games).T for name in LOOKBACK[1:]}
    tiles = frames["tiles"].reshape(-1, games, MAX_TILES).transpose(1, 0, 2)
    used = np.arange(MAX_TILES) < flat["tile_counts"][..., None]
    return {"lookback_tiles": tiles[used]} | {
        f"lookback_{name}": np.ascontiguousarray(values) for name, values in flat.items()
    }


def rows_of_lookback(frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Invert :func:`lookback_of_rows`.

    Raises:
        ValueError: a slot with more tiles than the buffer holds.
    """
    counts = frames["lookback_tile_counts"]
    if counts.max(initial=0) > MAX_TILES:
        raise ValueError(f"frames: expected at most {MAX_TILES} tiles, got {counts.max()}")
    tiles = np.zeros((*counts.shape, MAX_TILES), np.uint16)
    tiles[np.arange(MAX_TILES) < counts[..., None]] = frames["lookback_tiles"]
    rows = {name: frames[f"lookback_{name}"].T.flatten() for name in LOOKBACK[1:]}
    return {"tiles": tiles.transpose(1, 0, 2).reshape(-1, MAX_TILES)} | rows

"""Games on a GPU as the CPU's rollouts keep them, and as copies that stay there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpg.cuda.buffer import MOST_TILES
from fastpg.emulator._emulator import SNAPSHOT_BYTES
from fastpg.rollouts._rollouts import LAYOUT_VERSION

_HEAD_BYTES = 8 * 4  # layout, stream, step, between: uint64 each, before the game
LOOKBACK = (
    "tiles",
    "tile_counts",
    "episode_steps",
    "actions",
)  # arrays of a buffer that the next steps look back at


@dataclass(frozen=True)
class KeptOnDevice:
    """Copies of games, and of the rows that their next steps look back at, on the GPU.

    Attributes:
        players: games, streams, steps and between, by name.
        frames: rows of the buffer, by name; None before the first step.
    """

    players: dict[str, Any]
    frames: dict[str, Any] | None

    def tensors(self) -> dict[str, np.ndarray]:
        """See :class:`fastpg.rollouts.snapshots.Snapshot`: copies to the host."""
        states = states_of(**{k: array.copy_to_host() for k, array in self.players.items()})
        tensors = {f"game_{n}": np.frombuffer(state, np.uint8) for n, state in enumerate(states)}
        if self.frames is None:
            return tensors
        frames = {name: rows.copy_to_host() for name, rows in self.frames.items()}
        return tensors | lookback_of_rows(frames, len(states))


def states_of(
    games: np.ndarray, streams: np.ndarray, steps: np.ndarray, between: np.ndarray
) -> list[bytes]:
    """Games, and the keys of their random numbers, as ``fastpg.rollouts._rollouts.Rollout`` has
    them.
    """
    layout = np.full(len(games), LAYOUT_VERSION)
    head = np.stack([a.astype(np.uint64) for a in (layout, streams, steps, between)], axis=1)
    return [first.tobytes() + game.tobytes() for first, game in zip(head, games, strict=True)]


def from_states(states: Sequence[bytes]) -> dict[str, np.ndarray]:
    """The inverse of :func:`states_of`, its arguments by name.

    Raises:
        ValueError: another size or layout.
    """
    size = _HEAD_BYTES + SNAPSHOT_BYTES
    for state in states:
        if len(state) != size:
            raise ValueError(f"state: expected {size} bytes, got {len(state)}")
    flat = np.frombuffer(b"".join(states), np.uint8).reshape(-1, size)
    layout, streams, steps, between = flat[:, :_HEAD_BYTES].copy().view(np.uint64).T
    for found in layout[layout != LAYOUT_VERSION]:
        raise ValueError(f"state: expected one of layout {LAYOUT_VERSION}, got {found}")
    games = np.ascontiguousarray(flat[:, _HEAD_BYTES:])
    keys = np.ascontiguousarray(streams), np.ascontiguousarray(steps)
    return dict(zip(("games", "streams", "steps"), (games, *keys), strict=True)) | {
        "between": (between != 0).astype(np.uint8)
    }


def lookback_of_rows(frames: Mapping[str, np.ndarray], games: int) -> dict[str, np.ndarray]:
    """Rows of all games as what ``fastpg.rollouts.lookback.lookback_of`` says of each game."""
    flat = {name: frames[name].reshape(-1, games).T for name in LOOKBACK[1:]}
    tiles = frames["tiles"].reshape(-1, games, MOST_TILES).transpose(1, 0, 2)
    used = np.arange(MOST_TILES) < flat["tile_counts"][..., None]
    return {"lookback_tiles": tiles[used]} | {
        f"lookback_{name}": np.ascontiguousarray(values) for name, values in flat.items()
    }


def rows_of_tail(frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of :func:`lookback_of_rows`.

    Raises:
        ValueError: an slot with more tiles than the buffer has room for.
    """
    counts = frames["lookback_tile_counts"]
    if counts.max(initial=0) > MOST_TILES:
        raise ValueError(f"frames: expected at most {MOST_TILES} tiles, got {counts.max()}")
    tiles = np.zeros((*counts.shape, MOST_TILES), np.uint16)
    tiles[np.arange(MOST_TILES) < counts[..., None]] = frames["lookback_tiles"]
    rows = {name: frames[f"lookback_{name}"].T.flatten() for name in LOOKBACK[1:]}
    return {"tiles": tiles.transpose(1, 0, 2).reshape(-1, MOST_TILES)} | rows

"""Rows of steps that the network on tiles plays step by step, in worker processes, on ale-py.

The same rows, to the last bit, as :class:`fastpg.rollouts.native.Games` plays in compiled code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import numpy as np

from fastpg.emulator.palette import PALETTE_RED
from fastpg.envs import game_class
from fastpg.envs.worker_pool import SharedArray, WorkerPool
from fastpg.kernels import get_backend
from fastpg.kernels.spec import SCREEN, VIEW_PIXELS
from fastpg.network._network import MOST_TILES, RolloutBuffer
from fastpg.network.network import TileNetwork
from fastpg.rollouts.base import HostCollector, PlayedSteps
from fastpg.rollouts.lookback import lookback_of
from fastpg.rollouts.stepwise_player import (
    RolloutSetup,
    first_states,
    load_weights,
    publish_weights,
    published_size,
)

_ARRAYS = (
    "tile_counts episode_steps actions dones rewards action_probs values".split()
)  # one number a slot


@dataclass(frozen=True)
class RowJob:
    """A row to be played, by any worker.

    Attributes:
        game: its number.
        steps: that the game has played before, in all its episodes; 0: its first has to begin.
        state: of the game.
        frames: tiles, counts, ages and actions of the slots that the first step looks back at, and
            of its own; None before the first.
    """

    game: int
    steps: int
    state: bytes
    frames: tuple[np.ndarray, ...] | None


@dataclass(frozen=True)
class PlayedRow:
    """A row: the game's state after it, its tiles, an array of each of ``_ARRAYS``, and times."""

    state: bytes
    tiles: np.ndarray
    arrays: dict[str, np.ndarray]
    emulator_frames: int
    seconds_emulation: float
    seconds_forward: float


class RowWorker:
    """What a worker process runs: plays any game's next row."""

    def __init__(self, setup: RolloutSetup, weights: SharedArray, steps: int):
        """Set up; ``steps`` of a row. ``weights`` are those that the learner hands over."""
        self.setup, self.steps, self._weights = setup, steps, weights.array
        self._game = game_class(setup.emulator)(setup.rules)
        table, input_spec = setup.action_table, setup.input_spec
        self._network = TileNetwork(
            setup.hidden, input_spec, len(table), setup.outputs, value=True, cell=setup.cell
        )
        self._lookback = input_spec.lookback
        slots = self._lookback + steps + 1
        self._buffer = RolloutBuffer(
            slots, min(slots * VIEW_PIXELS, MOST_TILES)
        )  # as full as can be
        self._preprocess = get_backend("cython").loops.preprocess_palette
        self._frame = np.zeros((1, *SCREEN), np.uint8)
        self._view = np.zeros((1, VIEW_PIXELS), np.uint8)

    def first_states(self, seeds: Sequence[int]) -> list[bytes]:
        """States of new games with the given seeds."""
        return first_states(self.setup, seeds)

    def play(self, jobs: Sequence[RowJob]) -> list[PlayedRow]:
        """Play some rows, with the weights of now."""
        load_weights(self._weights, self._network)
        return [self._play(job) for job in jobs]

    def _play(self, job: RowJob) -> PlayedRow:
        began, deciding = perf_counter(), 0.0
        game, buffer, choose = self._game, self._buffer, self._network.core.choose
        table, seed = self.setup.action_table, self.setup.seed
        game.restore(job.state)
        frames = game.emulated_frames
        self._begin(job)
        for step in range(self.steps):
            slot, now = self._lookback + step, perf_counter()
            action = choose(buffer, slot, seed, job.game, job.steps + step)
            deciding += perf_counter() - now
            reward, terminated, truncated = game.step(table[action])
            over = terminated or truncated
            buffer.rewards[slot], buffer.dones[slot] = reward, over
            if over:
                game.reset()
            self._look(slot + 1, 0 if over else min(int(buffer.episode_steps[slot]) + 1, 255))
        last = self._lookback + self.steps
        _, buffer.values[last] = self._network.core.evaluate(buffer, last)
        return PlayedRow(
            game.state(),
            buffer.tiles[: self._tile].copy(),
            {name: getattr(buffer, name).copy() for name in _ARRAYS},
            game.emulated_frames - frames,
            perf_counter() - began - deciding,
            deciding,
        )

    def _begin(self, job: RowJob) -> None:
        buffer, lookback = self._buffer, self._lookback
        for name in _ARRAYS:
            getattr(buffer, name)[:] = 0
        self._tile = 0
        if job.frames is None:
            buffer.tile_offsets[:lookback] = 0
            self._game.reset()
            self._look(lookback, 0)
            return
        tiles, counts, ages, actions = job.frames
        buffer.tiles[: len(tiles)], self._tile = tiles, len(tiles)
        known = slice(lookback + 1)
        buffer.tile_counts[known], buffer.episode_steps[known], buffer.actions[known] = (
            counts,
            ages,
            actions,
        )
        buffer.tile_offsets[known] = np.cumsum(counts, dtype=np.int64) - counts

    def _look(self, slot: int, age: int) -> None:
        """Write the game's picture down as the slot's frame."""
        self._game.screen(self._frame[0])
        self._preprocess(self._frame, PALETTE_RED, self.setup.find_background, self._view)
        self._tile = self._buffer.observe(slot, self._tile, age, self._view[0])


class SteppedRows(HostCollector):
    """Games on any emulator that play on, some steps at a time, shared out to processes."""

    def __init__(
        self, network: TileNetwork, setup: RolloutSetup, games: int, workers: int, steps: int
    ):
        """Start the workers; :meth:`seed` or :meth:`restore` before the first step."""
        self.network, self.games, self.workers = network, games, min(workers, games)
        self.lookback, self.steps = network.input_spec.lookback, steps
        self._weights = SharedArray((published_size(network),), "float32")
        factory = partial(RowWorker, setup, self._weights, steps)
        self._pool = WorkerPool([factory] * self.workers, inline=self.workers == 1)
        self._jobs: list[RowJob] = []
        self._buffer = RolloutBuffer(1, 1)

    @property
    def buffer(self) -> RolloutBuffer:
        """What was played last."""
        return self._buffer

    def _shares(self, values: Sequence) -> list[tuple]:
        return [(values[worker :: self.workers],) for worker in range(self.workers)]

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""
        parts = self._pool.call("first_states", self._shares(seeds))
        states = [parts[game % self.workers][game // self.workers] for game in range(self.games)]
        self._jobs = [RowJob(game, 0, state, None) for game, state in enumerate(states)]

    def states(self) -> list[bytes]:
        """All that the games' future depends on, but for the :meth:`frames`."""
        return [job.steps.to_bytes(8, "little") + job.state for job in self._jobs]

    def restore(self, states: Sequence[bytes]) -> None:
        """Take over :meth:`states`."""
        self._jobs = [
            RowJob(game, int.from_bytes(state[:8], "little"), state[8:], None)
            for game, state in enumerate(states)
        ]

    def play_steps(self, steps: int) -> PlayedSteps:
        """Play so many steps of each game, as many as the rows were made for."""
        if steps != self.steps:
            raise ValueError(f"steps: expected {self.steps}, as the rows were made, got {steps}")
        publish_weights(self.network, self._weights.array)
        parts = self._pool.call("play", self._shares(self._jobs))
        rows = [parts[game % self.workers][game // self.workers] for game in range(self.games)]
        self._write_down(rows)
        self._jobs = [
            replace(job, steps=job.steps + steps, state=row.state)
            for job, row in zip(self._jobs, rows, strict=True)
        ]
        self.set_lookback_frames(self.lookback_frames())
        self.played = True
        return PlayedSteps(
            sum(row.emulator_frames for row in rows),
            sum(row.seconds_emulation for row in rows) / self.workers,
            sum(row.seconds_forward for row in rows) / self.workers,
        )

    def _write_down(self, rows: Sequence[PlayedRow]) -> None:
        tiles = np.concatenate([row.tiles for row in rows])
        buffer = RolloutBuffer(self.games * (self.lookback + self.steps + 1), max(len(tiles), 1))
        buffer.tiles[: len(tiles)] = tiles
        for name in _ARRAYS:
            getattr(buffer, name)[:] = np.concatenate([row.arrays[name] for row in rows])
        buffer.tile_offsets[:] = np.cumsum(buffer.tile_counts, dtype=np.int64) - buffer.tile_counts
        self._buffer = buffer

    def lookback_frames(self) -> dict[str, np.ndarray]:
        """What the next steps look back at, as :class:`fastpg.rollouts.native.Games` says it."""
        ends = (np.arange(self.games) + 1) * self._stride
        return lookback_of(self.buffer, ends[:, None] + np.arange(-self.lookback - 1, 0))

    def set_lookback_frames(self, frames: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`frames`."""
        counts, ages, actions = (
            frames[f"lookback_{name}"] for name in ("tile_counts", "episode_steps", "actions")
        )
        ends = np.cumsum(counts.sum(axis=1, dtype=np.int64))
        tiles = np.split(frames["lookback_tiles"], ends[:-1])
        own = zip(tiles, counts, ages, actions, strict=True)
        self._jobs = [replace(job, frames=of) for job, of in zip(self._jobs, own, strict=True)]

    def close(self) -> None:
        """End the workers."""
        self._pool.terminate()

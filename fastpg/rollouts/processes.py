"""Rollouts in worker processes, step by step: for games that ale-py emulates.

The same rollouts, bit for bit, as :class:`fastpg.rollouts.native.NativeCollector` plays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from fastpg.envs.shared_array import SharedArray
from fastpg.envs.worker_pool import WorkerPool
from fastpg.network._network import RolloutBuffer
from fastpg.network.network import TileNetwork
from fastpg.rollouts.base import HostCollector, PlayedEpisodes, PlayedSteps
from fastpg.rollouts.stepwise import (
    SLOT_ARRAYS,
    Job,
    PlayedJob,
    StepwiseSetup,
    StepwiseWorker,
    publish_weights,
    published_size,
)

# Steps of an episode that a worker plays before it hands the game over: long enough that handing
# over (0.3 ms) does not show, short enough that all workers finish a batch at nearly the same time.
_FRAGMENT_STEPS = 256
# Look-back frames in the order of a job's, which has the tiles before them.
_LOOKBACK = ("lookback_tile_counts", "lookback_episode_steps", "lookback_actions")


class StepwiseCollector(HostCollector):
    """Games on any emulator, shared out to worker processes."""

    def __init__(
        self,
        network: TileNetwork,
        setup: StepwiseSetup,
        games: int,
        workers: int,
        steps: int | None = None,
    ):
        """Start the workers; :meth:`seed` or :meth:`restore` before the first rollout.

        Args:
            network: chooses the actions.
            setup: what to play, and how.
            games: number of games N.
            workers: number of processes.
            steps: played of each game in a rollout; None: whole episodes.
        """
        self.network, self.games, self.workers = network, games, min(workers, games)
        self.lookback, self.steps = network.input_spec.lookback, steps
        self._weights = SharedArray((published_size(network),), "float32")
        arguments = setup, self._weights, steps or _FRAGMENT_STEPS, steps is None
        self._pool = WorkerPool(
            [partial(StepwiseWorker, *arguments)] * self.workers, inline=self.workers == 1
        )
        self._jobs: list[Job] = []  # the next of each game
        self._buffer = RolloutBuffer(1, 1)

    @property
    def buffer(self) -> RolloutBuffer:
        """What the last rollout wrote."""
        return self._buffer

    def seed(self, seeds: Sequence[int]) -> None:
        """Seed every game and start its first episode."""
        shares = [(seeds[worker :: self.workers],) for worker in range(self.workers)]
        parts = self._pool.call("first_states", shares)
        states = [parts[game % self.workers][game // self.workers] for game in range(self.games)]
        self._jobs = [Job(game, game, 0, state) for game, state in enumerate(states)]

    def states(self) -> list[bytes]:
        """The state of each game; for steps of each game also how many it has played."""
        if self.steps is None:
            return [job.state for job in self._jobs]
        return [job.step.to_bytes(8, "little") + job.state for job in self._jobs]

    def restore(self, states: Sequence[bytes]) -> None:
        """Restore the games that :meth:`states` returned."""
        head = 0 if self.steps is None else 8
        self._jobs = [
            Job(game, game, int.from_bytes(state[:head], "little"), state[head:])
            for game, state in enumerate(states)
        ]

    def lookback_frames(self) -> dict[str, np.ndarray]:
        """See :class:`fastpg.rollouts.base.RolloutCollector`."""
        tiles, *rest = zip(*(job.lookback for job in self._jobs if job.lookback), strict=True)
        frames = zip(_LOOKBACK, map(np.stack, rest), strict=True)
        return {"lookback_tiles": np.concatenate(tiles), **dict(frames)}

    def set_lookback_frames(self, frames: Mapping[str, np.ndarray]) -> None:
        """See :class:`fastpg.rollouts.base.RolloutCollector`."""
        arrays = [frames[name] for name in _LOOKBACK]
        ends = np.cumsum(arrays[0].sum(axis=1, dtype=np.int64))
        tiles = np.split(frames["lookback_tiles"], ends[:-1])
        games = zip(self._jobs, zip(tiles, *arrays, strict=True), strict=True)
        self._jobs = [replace(job, lookback=lookback) for job, lookback in games]

    def close(self) -> None:
        """End the workers."""
        self._pool.terminate()

    # ---- playing ----------------------------------------------------------------------------

    def play_steps(self, steps: int) -> PlayedSteps:
        """Play so many steps of each game: as many as the workers were made for."""
        if steps != self.steps:
            raise ValueError(f"steps: expected {self.steps}, as the workers play, got {steps}")
        publish_weights(self.network, self._weights.array)
        parts = {part.job.game: part for part in self._run(list(self._jobs))}
        rows = [parts[game] for game in range(self.games)]
        self._write(rows, slice(None))
        self._jobs = [row.job for row in rows]
        self.played = True
        return self._took(rows)

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """See :class:`fastpg.rollouts.base.RolloutCollector`.

        Workers share the episodes in fragments. The result does not depend on which worker plays a
        fragment.
        """
        if self.steps is not None:
            raise ValueError(f"episodes: the workers play {self.steps} steps of each game")
        publish_weights(self.network, self._weights.array)
        numbers = range(first, first + episodes)
        plans = [list(numbers[game :: self.games]) for game in range(self.games)]
        after = list(self._jobs)
        fragments: dict[int, list[PlayedJob]] = {number: [] for number in numbers}
        waiting = [_episode(after[game], plan.pop(0)) for game, plan in enumerate(plans) if plan]
        for part in self._run(waiting):
            job = part.job
            fragments[job.stream].append(part)
            if not part.over:
                waiting.append(job)
                continue
            after[job.game] = job
            if plans[job.game]:
                waiting.append(_episode(job, plans[job.game].pop(0)))
        self._jobs = after
        parts = [part for number in numbers for part in fragments[number]]
        self._write(parts, slice(self.lookback, -1))
        ends = np.cumsum([sum(part.steps for part in fragments[n]) for n in numbers]).tolist()
        took = self._took(parts)
        return PlayedEpisodes(
            **vars(took), episode_slices=list(zip([0, *ends[:-1]], ends, strict=True))
        )

    def _run(self, waiting: list[Job]) -> Iterator[PlayedJob]:
        """Play jobs on all workers, those with the fewest steps first.

        This way all episodes finish at about the same time, and no worker idles for long. The
        caller may append to ``waiting`` between two results.
        """

        def next_job() -> tuple[Job] | None:
            if not waiting:
                return None
            job = min(waiting, key=lambda job: (job.step, job.stream))
            waiting.remove(job)
            return (job,)

        return (part for _, part in self._pool.results("play", next_job))

    def _write(self, parts: Sequence[PlayedJob], kept: slice) -> None:
        """Make the buffer, with these slots of each part."""
        tiles = []
        for part in parts:
            ends = np.cumsum([0, *part.arrays["tile_counts"]], dtype=np.int64)
            tiles.append(part.tiles[ends[:-1][kept][0] : ends[1:][kept][-1]])
        joined = np.concatenate(tiles)
        arrays = {
            name: np.concatenate([part.arrays[name][kept] for part in parts])
            for name in SLOT_ARRAYS
        }
        buffer = self._buffer = RolloutBuffer(len(arrays["actions"]), max(len(joined), 1))
        buffer.tiles[: len(joined)] = joined
        for name, array in arrays.items():
            getattr(buffer, name)[:] = array
        buffer.tile_offsets[:] = np.cumsum(buffer.tile_counts, dtype=np.int64) - buffer.tile_counts

    def _took(self, parts: Sequence[PlayedJob]) -> PlayedSteps:
        return PlayedSteps(
            sum(part.emulator_frames for part in parts),
            sum(part.seconds_emulation for part in parts) / self.workers,
            sum(part.seconds_forward for part in parts) / self.workers,
        )


def _episode(job: Job, number: int) -> Job:
    """The job that begins an episode, after the game's last one."""
    return replace(job, stream=number, step=0, lookback=None)

"""The rollout collector on the GPU: counterpart of ``fastpg.rollouts.native``."""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.cuda import buffer_kernels
from fastpg.cuda.buffer import MAX_TILES, DeviceBuffer
from fastpg.cuda.emulator import DevicePong, free_and_fixed_bytes
from fastpg.cuda.functions import current_capability
from fastpg.cuda.launch_shape import games_per_block
from fastpg.cuda.memory import VIEW_BYTES, require_training_fits
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.rollout_kernels import (
    MAX_GAMES_PER_BLOCK,
    THREADS_PER_BLOCK,
    GameArrays,
    rollout_kernel,
)
from fastpg.cuda.shuffle import Minibatch, shuffle_samples
from fastpg.cuda.snapshots import (
    LOOKBACK,
    DeviceSnapshot,
    from_states,
    lookback_of_rows,
    rows_of_lookback,
    states_of,
)
from fastpg.emulator._emulator import FRAME_WORDS
from fastpg.envs.rules import Rules
from fastpg.kernels import get_backend
from fastpg.kernels._cuda.jit import THREADS, cuda
from fastpg.rollouts.base import PlayedEpisodes, PlayedSteps, RolloutCollector
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.snapshots import Snapshot

LAUNCH_STEPS = 256  # per launch at most; between launches the host checks for games left to play
_FIRST_STEPS = 4 * LAUNCH_STEPS + 1  # allocated for whole episodes; the buffer grows when full
_MAX_BLOCKS = 1 << 16


class DeviceCollector(RolloutCollector):
    """Games of Pong that a network plays on the current GPU, and their rollout buffer.

    It plays the same games as the CPU's collector, as long as rounding does not change an action.
    All launches go to the default stream. The host waits only when it reads rewards and dones for
    its statistics.

    Attributes:
        network: chooses the actions.
        pong: the games.
    """

    def __init__(
        self,
        network: DeviceNetwork,
        rules: Rules,
        games: int,
        *,
        actions: Sequence[int],
        seed: int,
        find_background: bool = True,
        whole_episodes: bool = False,
    ):
        """Allocate the games; arguments as :class:`fastpg.rollouts.native.NativeCollector`.

        Call :meth:`seed` or :meth:`restore` before the first step.

        Raises:
            BackendUnavailable: no GPU, driver or compiler; the message has the cure.
            MemoryError: too little memory; the message has the largest number that fits.
        """
        self.network, self.games, self._whole_episodes = network, games, whole_episodes
        self.lookback = network.input_spec.lookback
        self._free, self._fixed = free_and_fixed_bytes()  # before this object's first array
        self._require_fits(self.lookback + 2)
        self.pong = DevicePong(rules, games, actions=actions, find_background=find_background)
        self._loops = get_backend("cuda").loops
        self._rollout = rollout_kernel(current_capability())
        self._seed = np.uint64(seed)
        self._per_block = games_per_block(games, blocks=4, lowest=4, highest=MAX_GAMES_PER_BLOCK)
        self._blocks = -(-games // self._per_block)
        states, shared, scratch = self.pong.arrays
        self._arrays = GameArrays(
            games=states,
            shared=shared,
            scratch=scratch,
            views=cuda.device_array((games, VIEW_BYTES), np.uint8),
            streams=cuda.device_array((games,), np.uint64),
            steps=cuda.device_array((games,), np.uint64),
            needs_reset=cuda.device_array((games,), np.uint8),
            episodes_left=cuda.device_array((games,), np.int64),
            hidden=cuda.device_array((self._blocks, network.hidden), np.float32),
        )
        self._buffer: Any = None
        # Updates read these arrays. They are reused while their size stays the same, so that the
        # updates' CUDA graphs stay valid.
        self._order: Any = None
        self._advantage_arrays: tuple[Any, Any] | None = None
        self._row = self.lookback  # buffer row that holds the games' current frames

    @property
    def buffer(self) -> Any:
        """The last rollout, a ``DeviceBuffer``; None before :meth:`allocate`."""
        return self._buffer

    def _require_fits(self, slots: int) -> None:
        """Raise MemoryError unless so many slots of each game fit, besides everything else."""
        sizes = slots, self.lookback, self.network.hidden
        require_training_fits(self.games, self._free, *sizes, self._fixed)

    def allocate(self, steps: int) -> None:
        """Allocate a new buffer with so many slots per game.

        Raises:
            MemoryError: too little memory; the message has the largest number that fits.
        """
        self._require_fits(steps)
        self._buffer, self._row = DeviceBuffer(self.games, steps), self.lookback
        slots = self._buffer.slots
        for array in (slots.tile_counts, slots.episode_steps, slots.actions):
            array.copy_to_device(np.zeros(array.shape, array.dtype))

    def _launch(self, kernel: Any, items: int, *arguments: Any) -> None:
        """Launch a thread for each item; for very many items, each thread has several."""
        blocks = min(max(1, -(-items // THREADS)), _MAX_BLOCKS)
        kernel[blocks, THREADS](*arguments)

    def rows(self, name: str, steps: int) -> np.ndarray:
        """See :class:`RolloutCollector`: a copy on the host."""
        return self.buffer.rows(name, self.lookback, steps).copy_to_host()

    # ---- playing -----------------------------------------------------------------------------

    def seed(self, seeds: Sequence[int]) -> None:
        """Seed every game and start its first episode."""
        self.pong.reset(list(seeds), views=False)
        numbers = np.arange(self.games, dtype=np.uint64)
        needs_reset = np.ones(self.games, np.uint8)
        self._set(streams=numbers, steps=0 * numbers, needs_reset=needs_reset)

    def _set(self, **arrays: np.ndarray) -> None:
        for name, values in arrays.items():
            getattr(self._arrays, name).copy_to_device(values)

    def _play(self, first: int, steps: int, bootstrap_values: bool) -> None:
        """Play steps into the buffer's rows from ``first``, in one launch."""
        arrays = self._arrays, self.network.layers, self.buffer.slots
        settings = self._seed, self._whole_episodes, self._per_block
        launch = self._rollout[self._blocks, THREADS_PER_BLOCK]
        launch(*arrays, *settings, first, steps, bootstrap_values)

    def _frames(self) -> int:
        """Emulator frames that all games have run so far."""
        frames = cuda.device_array((self.games,), np.int64)
        words = self._arrays.games.view(np.int64)
        self._launch(buffer_kernels.count_frames, self.games, words, *FRAME_WORDS, frames)
        return int(frames.copy_to_host().sum())

    def _cost(self, began: float, frames: int) -> PlayedSteps:
        """Frames and seconds since ``began``; all of the GPU's time is reported as emulation."""
        self.buffer.check()
        return PlayedSteps(self._frames() - frames, perf_counter() - began, 0.0)

    def play_steps(self, steps: int) -> PlayedSteps:
        """See :class:`RolloutCollector`; the buffer must be large enough."""
        began, frames = perf_counter(), self._frames()
        self._shift_lookback()
        for start in range(0, steps, LAUNCH_STEPS):
            count = min(LAUNCH_STEPS, steps - start)
            self._play(self.lookback + start, count, start + count == steps)
        self._row, self.played = self.lookback + steps, True
        return self._cost(began, frames)

    def _shift_lookback(self) -> None:
        """Move the rows that the next steps look back at to the beginning of the buffer."""
        first = self._row - self.lookback
        if first:
            arrays = (getattr(self.buffer.slots, name) for name in LOOKBACK)
            arguments = self.games, first, self.lookback + 1, *arrays
            self._launch(buffer_kernels.shift_lookback, self.games * MAX_TILES, *arguments)
        self._row = self.lookback

    # ---- whole episodes ----------------------------------------------------------------------

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """See :class:`RolloutCollector`; games that are finished wait for the others.

        An episode's slice (begin, end) has the slots of its game, which are every N-th.
        """
        began, frames, row, games = perf_counter(), self._frames(), 0, self.games
        if self.buffer is None:
            self.allocate(_FIRST_STEPS)
        planned = [len(range(game, episodes, games)) for game in range(games)]
        self._set(
            streams=np.arange(first, first + games, dtype=np.uint64),
            episodes_left=np.array(planned, np.int64),
            needs_reset=np.ones(games, np.uint8),
        )
        while self._arrays.episodes_left.copy_to_host().any():
            while row + LAUNCH_STEPS >= self.buffer.steps:
                self._require_fits(3 * self.buffer.steps)  # the old buffer and one twice as large
                self.buffer.grow()
            self._play(row, LAUNCH_STEPS, False)
            row += LAUNCH_STEPS
        cost = self._cost(began, frames)
        slices = self._episode_slices(planned, self.buffer.rows("dones", 0, row).copy_to_host())
        return PlayedEpisodes(**vars(cost), episode_slices=slices)

    def _episode_slices(self, planned: Sequence[int], dones: np.ndarray) -> list[tuple[int, int]]:
        slices, of_games = {}, np.ascontiguousarray(dones.T)
        for game, count in enumerate(planned):
            cuts = [0, *(np.flatnonzero(of_games[game])[:count] + 1).tolist()]
            for k in range(count):
                begin, end = (cut * self.games + game for cut in cuts[k : k + 2])
                slices[game + k * self.games] = begin, end
        return [slices[number] for number in sorted(slices)]

    def transitions(
        self, episode_slices: Sequence[tuple[int, int]]
    ) -> tuple[Any, np.ndarray, list[int]]:
        """See :class:`RolloutCollector`: the slots on the GPU, the rewards on the host."""
        lengths = [(end - begin) // self.games for begin, end in episode_slices]
        count = sum(lengths)
        samples = cuda.device_array((count,), np.int32)
        begins = cuda.to_device(np.array([begin for begin, _ in episode_slices], np.int64))
        offsets = cuda.to_device(np.cumsum([0, *lengths]))
        blocks = min(len(episode_slices), _MAX_BLOCKS)
        buffer_kernels.list_episode_slots[blocks, THREADS](self.games, begins, offsets, samples)
        rewards = cuda.device_array((count,), np.float32)
        all_rewards = self.buffer.slots.rewards
        self._launch(buffer_kernels.gather, count, all_rewards, samples, rewards)
        return samples, rewards.copy_to_host(), lengths

    def episode_advantages(
        self, estimator: ReturnEstimator, samples: Any, rewards: np.ndarray, lengths: Sequence[int]
    ) -> Any:
        """See :class:`RolloutCollector`: on the GPU, undefined for slots of no episode."""
        steps, loops, count = self.buffer.steps, self._loops, len(rewards)
        returns = cuda.device_array((steps * self.games,), np.float32)
        played = (self.buffer.rows(name, 0, steps) for name in ("rewards", "dones"))
        shaped = returns.reshape(steps, self.games)
        loops.discounted_returns(*played, estimator.gamma, estimator.cut_at_rewards, shaped)
        if estimator.standardize == "none":
            return returns
        ends = np.cumsum([0, *lengths])
        offsets = cuda.to_device(ends if estimator.standardize == "episode" else ends[[0, -1]])
        values, standard = (cuda.device_array((count,), np.float32) for _ in range(2))
        self._launch(buffer_kernels.gather, count, returns, samples, values)
        loops.standardize(values, offsets, standard)
        self._launch(buffer_kernels.scatter, count, standard, samples, returns)
        return returns

    # ---- samples -----------------------------------------------------------------------------

    def advantages(
        self, steps: int, gamma: float, lam: float, lost_point_weight: float = 1.0
    ) -> tuple[Any, Any]:
        """See :class:`RolloutCollector`; both on the GPU, in the same arrays each time."""
        buffer, lookback, size = self.buffer, self.lookback, steps * self.games
        raw, rewards = (cuda.device_array((steps, self.games), np.float32) for _ in range(2))
        slots = buffer.steps * self.games
        if self._advantage_arrays is None or self._advantage_arrays[0].shape[0] != slots:
            one, other = (cuda.device_array((slots,), np.float32) for _ in range(2))
            self._advantage_arrays = one, other
        standard, returns = self._advantage_arrays
        unweighted, dones = (buffer.rows(name, lookback, steps) for name in ("rewards", "dones"))
        arguments = unweighted.reshape(size), np.float32(lost_point_weight), rewards.reshape(size)
        self._launch(buffer_kernels.weigh_lost_points, size, *arguments)
        values = buffer.rows("values", lookback, steps + 1)
        own = slice(lookback * self.games, lookback * self.games + size)
        into = raw, returns[own].reshape(steps, self.games)
        self._loops.generalized_advantages(rewards, dones, values, gamma, lam, *into)
        segments = cuda.to_device(np.array([0, size]))
        self._loops.standardize(raw.reshape(size), segments, standard[own])
        return standard, returns

    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[Minibatch]:
        """See :class:`RolloutCollector`: the CPU's samples, but in shuffled order.

        They are in the same array each time.
        """
        count = steps * self.games
        if self._order is None or self._order.shape[0] != count:
            self._order = cuda.device_array((count,), np.int32)
        shuffle_samples(self.games, steps, self.lookback, keys, self._order)
        for first in range(0, count, size):
            yield Minibatch(self._order, first, min(size, count - first))

    # ---- snapshots ---------------------------------------------------------------------------

    def _game_arrays(self) -> dict[str, Any]:
        names = ("games", "streams", "steps", "needs_reset")
        return {name: getattr(self._arrays, name) for name in names}

    def _lookback_rows(self) -> dict[str, Any]:
        first, last = (self._row - self.lookback) * self.games, (self._row + 1) * self.games
        return {name: getattr(self.buffer.slots, name)[first:last] for name in LOOKBACK}

    def snapshot(self) -> DeviceSnapshot:
        """See :class:`fastpg.rollouts.snapshots.KeepsSnapshots`: copies on the GPU."""
        games = {name: _copied(array) for name, array in self._game_arrays().items()}
        frames = self._lookback_rows() if self.played else {}
        rows = {name: _copied(rows) for name, rows in frames.items()}
        return DeviceSnapshot(games, rows or None)

    def rollback(self, snapshot: Snapshot) -> None:
        """See :class:`fastpg.rollouts.snapshots.KeepsSnapshots`."""
        if not isinstance(snapshot, DeviceSnapshot):
            super().rollback(snapshot)
            return
        self._set(**snapshot.games)
        self._row, self.played = self.lookback, snapshot.frames is not None
        for name, rows in (snapshot.frames or {}).items():
            self._lookback_rows()[name].copy_to_device(rows)

    def states(self) -> list[bytes]:
        """See :class:`fastpg.rollouts.snapshots.KeepsSnapshots`: copies on the host."""
        return states_of(**{k: array.copy_to_host() for k, array in self._game_arrays().items()})

    def restore(self, states: Sequence[bytes]) -> None:
        """Restore :meth:`states` of this class or of the CPU's collector.

        Raises:
            ValueError: another layout, or values out of range.
        """
        arrays = from_states(states)
        self.pong.restore(arrays.pop("games"))
        self._set(**arrays)

    def lookback_frames(self) -> dict[str, np.ndarray]:
        """See :class:`RolloutCollector`: copies on the host."""
        rows = {name: array.copy_to_host() for name, array in self._lookback_rows().items()}
        return lookback_of_rows(rows, self.games)

    def set_lookback_frames(self, frames: Mapping[str, np.ndarray]) -> None:
        """See :class:`RolloutCollector`.

        Raises:
            ValueError: a slot with more tiles than the buffer holds.
        """
        self._row = self.lookback
        for name, rows in rows_of_lookback(frames).items():
            self._lookback_rows()[name].copy_to_device(rows)

    def close(self) -> None:
        """Do nothing: the GPU's memory is freed with the last reference to it."""


def _copied(array: Any) -> Any:
    """Copy an array of the GPU there."""
    copy = cuda.device_array(array.shape, array.dtype)
    copy.copy_to_device(array)
    return copy

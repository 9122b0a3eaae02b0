"""Games of Pong that a network plays on a GPU, and what is learned from:
``fastpg.rollouts.native`` there.
"""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.cuda import buffer_kernels as row_kernels
from fastpg.cuda.buffer import MOST_TILES, DeviceBuffer
from fastpg.cuda.emulator import DevicePong, free_and_fixed_bytes
from fastpg.cuda.functions import current_capability
from fastpg.cuda.launch_shape import games_a_block
from fastpg.cuda.memory import VIEW_BYTES, require_room_to_train
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.rollout_kernels import (
    MOST_GAMES_A_BLOCK,
    THREADS_A_BLOCK,
    Players,
    rollout_kernel,
)
from fastpg.cuda.shuffle import Minibatch, shuffled_samples
from fastpg.cuda.snapshots import (
    LOOKBACK,
    KeptOnDevice,
    from_states,
    lookback_of_rows,
    rows_of_tail,
    states_of,
)
from fastpg.emulator._emulator import FRAME_WORDS
from fastpg.envs.rules import Rules
from fastpg.kernels import get_backend
from fastpg.kernels._cuda.jit import SIMULATED, THREADS, cuda
from fastpg.rollouts.base import PlayedEpisodes, PlayedSteps, RolloutCollector
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.snapshots import Snapshot

LAUNCH_STEPS = 64 if SIMULATED else 256  # at most: then the host looks whether all are done
_FIRST_STEPS = 4 * LAUNCH_STEPS + 1  # of a buffer of whole episodes; a full one is made longer
_MOST_BLOCKS = 1 << 16


class DeviceGames(RolloutCollector):
    """Games of Pong that a network plays on the current GPU, and the buffer of it.

    The same games as :class:`fastpg.rollouts.native.Games` plays, as long as rounding parts no
    choices. All launches go to the default stream; the host waits where it takes rewards and ends
    for its books.

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
        """Get ready; :meth:`seed` or :meth:`restore` before the first step.

        Args:
            network: chooses the actions.
            rules: of the game.
            games: how many.
            actions: the emulator's number of each action of the network.
            seed: of the actions' random numbers.
            find_background: as ``preprocess``.
            whole_episodes: play episodes by number, each with random numbers of its own, instead
                of a number of steps.

        Raises:
            BackendUnavailable: no GPU, driver or compiler; the message says what to do.
            MemoryError: the GPU has too little; the message names the largest number that fits.
        """
        self.network, self.games, self._whole = network, games, whole_episodes
        self.lookback = network.input_spec.lookback
        self._room = free_and_fixed_bytes()
        self._require_room(self.lookback + 2)
        self.pong = DevicePong(rules, games, actions=actions, find_background=find_background)
        self._loops = get_backend("cuda").loops
        self._rollout = rollout_kernel(current_capability())
        self._seed = np.uint64(seed)
        self._each = games_a_block(games, blocks=4, least=4, most=MOST_GAMES_A_BLOCK)
        self._blocks = -(-games // self._each)
        states, shared, scratch = self.pong.arrays
        self._players = Players(
            games=states,
            shared=shared,
            scratch=scratch,
            views=cuda.device_array((games, VIEW_BYTES), np.uint8),
            streams=cuda.device_array((games,), np.uint64),
            steps=cuda.device_array((games,), np.uint64),
            between=cuda.device_array((games,), np.uint8),
            left=cuda.device_array((games,), np.int64),
            hidden=cuda.device_array((self._blocks, network.hidden), np.float32),
        )
        self._buffer: Any = None
        # what updates look at lies where it lay, for as long as its size is the same
        self._order: Any = None
        self._credit: tuple[Any, Any] | None = None
        self._row = self.lookback  # of the frames to act upon

    @property
    def buffer(self) -> Any:
        """What was played last: a ``DeviceBuffer``; none before :meth:`allocate`."""
        return self._buffer

    def _require_room(self, slots: int) -> None:
        """Raise MemoryError unless so many stored steps of each game fit, with all else."""
        if self._room is not None:
            free, fixed = self._room  # before the first array of these games
            sizes = slots, self.lookback, self.network.hidden
            require_room_to_train(self.games, free, *sizes, fixed)

    def allocate(self, steps: int) -> None:
        """Begin with empty rows for so many slots a game.

        Raises:
            MemoryError: the GPU has too little; the message names the largest number that fits.
        """
        self._require_room(steps)
        self._buffer, self._row = DeviceBuffer(self.games, steps), self.lookback
        slots = self._buffer.slots
        for array in (slots.tile_counts, slots.episode_steps, slots.actions):
            array.copy_to_device(np.zeros(array.shape, array.dtype))

    def _launch(self, kernel: Any, things: int, *arguments: Any) -> None:
        """Launch a thread for each of so many things, or for several."""
        blocks = min(max(1, -(-things // THREADS)), _MOST_BLOCKS)
        kernel[blocks, THREADS](*arguments)

    def rows(self, name: str, steps: int) -> np.ndarray:
        """See :class:`RolloutCollector`: a copy on the host."""
        return self.buffer.rows(name, self.lookback, steps).copy_to_host()

    # ---- playing -----------------------------------------------------------------------------

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""
        self.pong.reset(list(seeds), views=False)
        numbers = np.arange(self.games, dtype=np.uint64)
        self._set(streams=numbers, steps=0 * numbers, between=np.ones(self.games, np.uint8))

    def _set(self, **players: np.ndarray) -> None:
        for name, values in players.items():
            getattr(self._players, name).copy_to_device(values)

    def _play(self, first: int, steps: int, bootstrap_values: bool) -> None:
        """Play steps from a row on, all in one launch."""
        self._rollout[self._blocks, THREADS_A_BLOCK](
            self._players,
            self.network.layers,
            self.buffer.slots,
            self._seed,
            self._whole,
            self._each,
            first,
            steps,
            bootstrap_values,
        )

    def _frames(self) -> int:
        """Emulated in the lives of all games."""
        frames = cuda.device_array((self.games,), np.int64)
        words = self._players.games.view(np.int64)
        self._launch(row_kernels.emulated_frames, self.games, words, *FRAME_WORDS, frames)
        return int(frames.copy_to_host().sum())

    def _took(self, began: float, frames: int) -> PlayedSteps:
        """What it took since then; the GPU's time is not told apart, all counts as emulation."""
        self.buffer.check()
        return PlayedSteps(self._frames() - frames, perf_counter() - began, 0.0)

    def play_steps(self, steps: int) -> PlayedSteps:
        """See :class:`RolloutCollector`; the buffer has room for them."""
        began, frames = perf_counter(), self._frames()
        self._carry_over()
        for at in range(0, steps, LAUNCH_STEPS):
            count = min(LAUNCH_STEPS, steps - at)
            self._play(self.lookback + at, count, at + count == steps)
        self._row, self.played = self.lookback + steps, True
        return self._took(began, frames)

    def _carry_over(self) -> None:
        """Begin the rows with what the next steps look back at."""
        first = self._row - self.lookback
        if first:
            things = self.games * MOST_TILES
            arrays = (getattr(self.buffer.slots, name) for name in LOOKBACK)
            launch = row_kernels.shift_lookback
            self._launch(launch, things, self.games, first, self.lookback + 1, *arrays)
        self._row = self.lookback

    # ---- whole episodes ----------------------------------------------------------------------

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """As :meth:`fastpg.rollouts.native.Games.play_episodes`; games that are done wait for the
        others.

        The slots (begin, end) of an episode are those of its game, every N-th.
        """
        began, frames, row, games = perf_counter(), self._frames(), 0, self.games
        if self.buffer is None:
            self.allocate(_FIRST_STEPS)
        planned = [len(range(game, episodes, games)) for game in range(games)]
        self._set(
            streams=np.arange(first, first + games, dtype=np.uint64),
            left=np.array(planned, np.int64),
            between=np.ones(games, np.uint8),
        )
        while self._players.left.copy_to_host().any():
            while row + LAUNCH_STEPS >= self.buffer.steps:
                self._require_room(3 * self.buffer.steps)  # the old ones are copied
                self.buffer.grow()
            self._play(row, LAUNCH_STEPS, False)
            row += LAUNCH_STEPS
        took = self._took(began, frames)
        episode_slices = self._spans(planned, self.buffer.rows("dones", 0, row).copy_to_host())
        return PlayedEpisodes(**vars(took), episode_slices=episode_slices)

    def _spans(self, planned: Sequence[int], ends: np.ndarray) -> list[tuple[int, int]]:
        episode_slices, of_games = {}, np.ascontiguousarray(ends.T)
        for game, count in enumerate(planned):
            cuts = [0, *(np.flatnonzero(of_games[game])[:count] + 1).tolist()]
            for k in range(count):
                begin, end = (cut * self.games + game for cut in cuts[k : k + 2])
                episode_slices[game + k * self.games] = begin, end
        return [episode_slices[number] for number in sorted(episode_slices)]

    def transitions(
        self, episode_slices: Sequence[tuple[int, int]]
    ) -> tuple[Any, np.ndarray, list[int]]:
        """As ``fastpg.rollouts.returns.WholeEpisodes``: the slots on the GPU, the rewards on the
        host.
        """
        lengths = [(end - begin) // self.games for begin, end in episode_slices]
        count = sum(lengths)
        samples = cuda.device_array((count,), np.int32)
        begins = cuda.to_device(np.array([begin for begin, _ in episode_slices], np.int64))
        offsets = cuda.to_device(np.cumsum([0, *lengths]))
        launch = row_kernels.episode_samples[min(len(episode_slices), _MOST_BLOCKS), THREADS]
        launch(self.games, begins, offsets, samples)
        rewards = cuda.device_array((count,), np.float32)
        all_rewards = self.buffer.slots.rewards
        self._launch(row_kernels.gathered, count, all_rewards, samples, rewards)
        return samples, rewards.copy_to_host(), lengths

    def episode_advantages(
        self, estimator: ReturnEstimator, samples: Any, rewards: np.ndarray, lengths: Sequence[int]
    ) -> Any:
        """As ``fastpg.rollouts.returns.WholeEpisodes``, on the GPU; of slots of no episode:
        anything.
        """
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
        self._launch(row_kernels.gathered, count, returns, samples, values)
        loops.standardize(values, offsets, standard)
        self._launch(row_kernels.scattered, count, standard, samples, returns)
        return returns

    # ---- what is learned from ----------------------------------------------------------------

    def samples(self, steps: int) -> np.ndarray:
        """Slots (N * steps,) int32 of the last steps, game by game."""
        rows = (self.lookback + np.arange(steps)) * self.games
        return (np.arange(self.games)[:, None] + rows).astype(np.int32).ravel()

    def advantages(
        self, steps: int, gamma: float, lam: float, lost_point_weight: float = 1.0
    ) -> tuple[Any, Any]:
        """See :class:`RolloutCollector`; both on the GPU, the same arrays each time."""
        buffer, lookback, size = self.buffer, self.lookback, steps * self.games
        raw, rewards = (cuda.device_array((steps, self.games), np.float32) for _ in range(2))
        whole = buffer.steps * self.games
        if self._credit is None or self._credit[0].shape[0] != whole:
            one, other = (cuda.device_array((whole,), np.float32) for _ in range(2))
            self._credit = one, other
        standard, returns = self._credit
        dealt, ends = (buffer.rows(name, lookback, steps) for name in ("rewards", "dones"))
        weighted = dealt.reshape(size), np.float32(lost_point_weight), rewards.reshape(size)
        self._launch(row_kernels.weighted, size, *weighted)
        values = buffer.rows("values", lookback, steps + 1)
        own = slice(lookback * self.games, lookback * self.games + size)
        into = raw, returns[own].reshape(steps, self.games)
        self._loops.generalized_advantages(rewards, ends, values, gamma, lam, *into)
        self._loops.standardize(
            raw.reshape(size), cuda.to_device(np.array([0, size])), standard[own]
        )
        return standard, returns

    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[Minibatch]:
        """See :class:`RolloutCollector`: the same samples as on the CPU, in shuffled order.

        They lie in the same array each time.
        """
        count = steps * self.games
        if self._order is None or self._order.shape[0] != count:
            self._order = cuda.device_array((count,), np.int32)
        shuffled_samples(self.games, steps, self.lookback, keys, self._order)
        for at in range(0, count, size):
            yield Minibatch(self._order, at, min(size, count - at))

    # ---- keeping -----------------------------------------------------------------------------

    def _kept_players(self) -> dict[str, Any]:
        return {k: getattr(self._players, k) for k in ("games", "streams", "steps", "between")}

    def _lookback_rows(self) -> dict[str, Any]:
        first, last = (self._row - self.lookback) * self.games, (self._row + 1) * self.games
        return {name: getattr(self.buffer.slots, name)[first:last] for name in LOOKBACK}

    def snapshot(self) -> KeptOnDevice:
        """See :class:`fastpg.rollouts.snapshots.KeepsSnapshots`: copies on the GPU."""
        players = {name: _copied(array) for name, array in self._kept_players().items()}
        frames = self._lookback_rows() if self.played else {}
        rows = {name: _copied(rows) for name, rows in frames.items()}
        return KeptOnDevice(players, rows or None)

    def rollback(self, snapshot: Snapshot) -> None:
        """See :class:`fastpg.rollouts.snapshots.KeepsSnapshots`."""
        if not isinstance(snapshot, KeptOnDevice):
            super().rollback(snapshot)
            return
        self._set(**snapshot.players)
        self._row, self.played = self.lookback, snapshot.frames is not None
        for name, rows in (snapshot.frames or {}).items():
            self._lookback_rows()[name].copy_to_device(rows)

    def states(self) -> list[bytes]:
        """See :class:`fastpg.rollouts.snapshots.KeepsSnapshots`: copies to the host."""
        return states_of(**{k: array.copy_to_host() for k, array in self._kept_players().items()})

    def restore(self, states: Sequence[bytes]) -> None:
        """Take over :meth:`states`, or those of the CPU's games.

        Raises:
            ValueError: another layout, or values that no game has.
        """
        players = from_states(states)
        self.pong.restore(players.pop("games"))
        self._set(**players)

    def lookback_frames(self) -> dict[str, np.ndarray]:
        """See :class:`RolloutCollector`: copies to the host."""
        rows = {name: array.copy_to_host() for name, array in self._lookback_rows().items()}
        return lookback_of_rows(rows, self.games)

    def set_lookback_frames(self, frames: Mapping[str, np.ndarray]) -> None:
        """See :class:`RolloutCollector`.

        Raises:
            ValueError: an slot with more tiles than the buffer has room for.
        """
        self._row = self.lookback
        for name, rows in rows_of_tail(frames).items():
            self._lookback_rows()[name].copy_to_device(rows)

    def close(self) -> None:
        """The GPU's memory is free when nobody refers to it."""


def _copied(array: Any) -> Any:
    """A copy of an array of the GPU's, there."""
    copy = cuda.device_array(array.shape, array.dtype)
    copy.copy_to_device(array)
    return copy

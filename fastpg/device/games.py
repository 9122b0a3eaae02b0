"""Games of Pong that a network plays on a GPU, and what is learned from: ``fastpg.games`` there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import Any

import numpy as np

from fastpg._emulator import FRAME_WORDS, SNAPSHOT_BYTES
from fastpg._training import LAYOUT_VERSION
from fastpg.credit import Credit
from fastpg.device import _row_kernels as row_kernels
from fastpg.device._rollout_kernels import (
    GAMES_A_BLOCK,
    THREADS_A_BLOCK,
    Players,
    rollout_kernel,
)
from fastpg.device.functions import current_capability
from fastpg.device.memory import VIEW_BYTES
from fastpg.device.network import DeviceNetwork
from fastpg.device.pong import DevicePong
from fastpg.device.record import MOST_TILES, DeviceRecord
from fastpg.envs.rules import Rules
from fastpg.games import GameRows, PlayedEpisodes, PlayedSteps
from fastpg.keeping import Kept
from fastpg.kernels import get_backend
from fastpg.kernels._cuda_jit import SIMULATED, THREADS, cuda

LAUNCH_STEPS = 16 if SIMULATED else 256  # at most: then the host looks whether all is well
_FIRST_ROWS = 2048  # of a record of whole episodes; one that is full is made longer
_HEAD = ("layout", "stream", "step", "between")  # of a game's state, uint64 each, before the game
_TAIL = ("tiles", "counts", "ages", "actions")
_MOST_BLOCKS = 1 << 16


@dataclass(frozen=True)
class KeptOnDevice:
    """Copies of games, and of the rows that their next steps look back at.

    Attributes:
        games: whose they are.
        arrays: the games' own, by name.
        tail: rows of the record by name; None before the first step.
    """

    games: "DeviceGames"
    arrays: dict[str, Any]
    tail: dict[str, Any] | None

    def tensors(self) -> dict[str, np.ndarray]:
        """See :class:`fastpg.keeping.Kept`: copies to the host."""
        host = {name: self.games.on_host(array) for name, array in self.arrays.items()}
        tensors = {
            f"game_{n}": np.frombuffer(state, np.uint8) for n, state in enumerate(_states(**host))
        }
        if self.tail is None:
            return tensors
        tail = {name: self.games.on_host(rows) for name, rows in self.tail.items()}
        return tensors | _tail_tensors(tail, self.games.games)


def _states(
    games: np.ndarray, streams: np.ndarray, steps: np.ndarray, between: np.ndarray
) -> list[bytes]:
    """Games with their keys of random numbers, each as the CPU's rollout has them."""
    head = np.empty((len(games), len(_HEAD)), np.uint64)
    for k, values in enumerate((LAYOUT_VERSION, streams, steps, between)):
        head[:, k] = values
    return [first.tobytes() + game.tobytes() for first, game in zip(head, games, strict=True)]


def _tail_tensors(tail: Mapping[str, np.ndarray], games: int) -> dict[str, np.ndarray]:
    """Rows of all games as what ``fastpg.games.tail_of`` says of each."""
    flat = {name: tail[name].reshape(-1, games).T for name in _TAIL[1:]}
    tiles = tail["tiles"].reshape(-1, games, MOST_TILES).transpose(1, 0, 2)
    used = np.arange(MOST_TILES) < flat["counts"][..., None]
    return {"tail_tiles": tiles[used]} | {
        f"tail_{name}": np.ascontiguousarray(values) for name, values in flat.items()
    }


class DeviceGames(GameRows):
    """Games of Pong that a network plays on the current GPU, and the record of it.

    The same games as :class:`fastpg.games.Games` plays, as long as rounding parts no choices. All
    launches go to one stream; the host waits where it takes rewards and ends for its books.

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
            MemoryError: the GPU has too little.
        """
        self.network, self.games, self._whole = network, games, whole_episodes
        self.carry = network.sight.carry
        self.pong = DevicePong(rules, games, actions=actions, find_background=find_background)
        self.stream = self.pong.stream
        self._loops = get_backend("cuda").loops
        self._rollout = rollout_kernel(current_capability())
        self._seed = np.uint64(seed)
        blocks = -(-games // GAMES_A_BLOCK)
        self._players = Players(
            games=self.pong.states_there,
            shared=self.pong.shared,
            scratch=self.pong.scratch,
            views=self._empty((games, VIEW_BYTES), np.uint8),
            streams=self._empty((games,), np.uint64),
            steps=self._empty((games,), np.uint64),
            between=self._empty((games,), np.uint8),
            left=self._empty((games,), np.int64),
            hidden=self._empty((blocks, network.hidden), np.float32),
        )
        self._record: Any = None
        self._row = self.carry  # of the frames to act upon

    # ---- arrays ------------------------------------------------------------------------------

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return cuda.device_array(shape, dtype, stream=self.stream)

    def _upload(self, array: np.ndarray) -> Any:
        copy = cuda.to_device(np.ascontiguousarray(array), stream=self.stream)
        self.stream.synchronize()
        return copy

    def on_host(self, array: Any) -> np.ndarray:
        """A copy of an array of the GPU's, when all that was launched before is done."""
        copy = array.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return copy

    def _copied(self, array: Any) -> Any:
        copy = self._empty(array.shape, array.dtype)
        copy.copy_to_device(array, stream=self.stream)
        return copy

    def _each(self, kernel: Any, things: int, *arguments: Any) -> None:
        """Launch a thread for each of so many things, or for several."""
        blocks = min(max(1, -(-things // THREADS)), _MOST_BLOCKS)
        kernel[blocks, THREADS, self.stream](*arguments)

    @property
    def record(self) -> Any:
        """What was played last: a ``DeviceRecord``; none before :meth:`make_room`."""
        return self._record

    def make_room(self, steps: int) -> None:
        """Begin with empty rows for so many entries a game."""
        self._record = DeviceRecord(self.games, steps, self.stream)
        self._row = self.carry

    def _rows_of(self, array: Any, first: int, rows: int) -> Any:
        """(rows, N): some rows of an array of all entries, where it lies."""
        cut = array[first * self.games : (first + rows) * self.games]
        return cut.reshape(rows, self.games)

    def rows(self, name: str, steps: int) -> np.ndarray:
        """See :class:`GameRows`: a copy on the host."""
        return self.on_host(self._rows_of(getattr(self.record, name), self.carry, steps))

    # ---- playing -----------------------------------------------------------------------------

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""
        self.pong.reset(list(seeds), views=False)
        self._streams = self._upload(np.arange(self.games, dtype=np.uint64))
        self._steps = self._upload(np.zeros(self.games, np.uint64))
        self._between = self._upload(np.ones(self.games, np.uint8))

    def _play(self, row: int, steps: int, value_last: bool) -> None:
        """Play steps from a row on, all in one launch."""
        network, record = self.network, self.record
        blocks = -(-self.games // GAMES_A_BLOCK)
        self._rollout[blocks, THREADS_A_BLOCK, self.stream](
            *self.pong.arrays,
            self._views,
            self._streams,
            self._steps,
            self._between,
            self._left,
            self._seed,
            self._whole,
            row,
            steps,
            value_last,
            *network.arguments,
            *record.arguments,
        )

    def _frames(self) -> int:
        """Emulated in the lives of all games."""
        states, _, _ = self.pong.arrays
        frames = self._empty((self.games,), np.int64)
        words = states.view(np.int64)
        self._each(row_kernels.emulated_frames, self.games, words, *FRAME_WORDS, frames)
        return int(self.on_host(frames).sum())

    def _took(self, began: float, frames: int) -> PlayedSteps:
        """The GPU's time is not told apart: all of it counts as emulation."""
        self.record.check()
        return PlayedSteps(self._frames() - frames, perf_counter() - began, 0.0)

    def play_steps(self, steps: int) -> PlayedSteps:
        """See :class:`GameRows`; the record has room for them."""
        began, frames = perf_counter(), self._frames()
        self._carry_over()
        for at in range(0, steps, LAUNCH_STEPS):
            count = min(LAUNCH_STEPS, steps - at)
            self._play(self.carry + at, count, at + count == steps)
        self._row = self.carry + steps
        self.played = True
        return self._took(began, frames)

    def _carry_over(self) -> None:
        """Begin the rows with what the next steps look back at."""
        record, first = self.record, self._row - self.carry
        if first:
            arrays = record.tiles, record.counts, record.ages, record.actions
            things = self.games * MOST_TILES
            rows = first, self.carry + 1
            self._each(row_kernels.carry_over, things, self.games, *rows, *arrays)
        self._row = self.carry

    # ---- whole episodes ----------------------------------------------------------------------

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """As :meth:`fastpg.games.Games.play_episodes`; games that are done wait for the others.

        The entries (begin, end) of an episode are those of its game, every N-th.
        """
        began, frames, row = perf_counter(), self._frames(), 0
        if self.record is None:
            self.make_room(min(_FIRST_ROWS, 4 * LAUNCH_STEPS if SIMULATED else _FIRST_ROWS))
        planned = [len(range(game, episodes, self.games)) for game in range(self.games)]
        self._left = self._upload(np.array(planned, np.int64))
        self._streams = self._upload(np.arange(first, first + self.games, dtype=np.uint64))
        self._between = self._upload(np.ones(self.games, np.uint8))
        while self.on_host(self._left).any():
            if row + LAUNCH_STEPS >= self.record.rows:
                self._record = self.record.longer()
            self._play(row, LAUNCH_STEPS, False)
            row += LAUNCH_STEPS
        took = self._took(began, frames)
        spans = self._spans(planned, self.on_host(self._rows_of(self.record.ends, 0, row)))
        return PlayedEpisodes(**vars(took), spans=spans)

    def _spans(self, planned: Sequence[int], ends: np.ndarray) -> list[tuple[int, int]]:
        spans = {}
        for game, count in enumerate(planned):
            cuts = [0, *(np.flatnonzero(ends[:, game])[:count] + 1).tolist()]
            for k in range(count):
                begin, end = (cut * self.games + game for cut in cuts[k : k + 2])
                spans[game + k * self.games] = begin, end
        return [spans[number] for number in sorted(spans)]

    def decisions(self, spans: Sequence[tuple[int, int]]) -> tuple[Any, np.ndarray, list[int]]:
        """As ``fastpg.credit.WholeEpisodes``: the entries on the GPU, the rewards on the host."""
        lengths = [(end - begin) // self.games for begin, end in spans]
        samples = self._empty((sum(lengths),), np.int32)
        begins = self._upload(np.array([begin for begin, _ in spans], np.int64))
        offsets = self._upload(np.cumsum([0, *lengths]))
        blocks = min(len(spans), _MOST_BLOCKS)
        launch = row_kernels.episode_samples[blocks, THREADS, self.stream]
        launch(self.games, begins, offsets, samples)
        rewards = self._empty((sum(lengths),), np.float32)
        taken = self.record.rewards, samples, rewards
        self._each(row_kernels.gathered, sum(lengths), *taken)
        return samples, self.on_host(rewards), lengths

    def credits(
        self, credit: Credit, samples: Any, rewards: np.ndarray, lengths: Sequence[int]
    ) -> Any:
        """As ``fastpg.credit.WholeEpisodes``, on the GPU: what lies between episodes is not set."""
        record, loops = self.record, self._loops
        shape = record.rows, self.games
        returns = self._empty((prod(shape),), np.float32)
        played = (self._rows_of(array, 0, record.rows) for array in (record.rewards, record.ends))
        loops.discounted_returns(*played, credit.gamma, credit.cut_at_rewards, returns.reshape(shape))
        if credit.standardize == "none":
            return returns
        count = len(rewards)
        ends = np.cumsum([0, *lengths])
        offsets = self._upload(ends if credit.standardize == "episode" else ends[[0, -1]])
        values, standard = (self._empty((count,), np.float32) for _ in range(2))
        self._each(row_kernels.gathered, count, returns, samples, values)
        loops.standardize(values, offsets, standard)
        self._each(row_kernels.scattered, count, standard, samples, returns)
        return returns

    # ---- what is learned from ----------------------------------------------------------------

    def samples(self, steps: int) -> np.ndarray:
        """Entries (N * steps,) int32 of the last steps, game by game."""
        rows = (self.carry + np.arange(steps)) * self.games
        return (np.arange(self.games)[:, None] + rows).astype(np.int32).ravel()

    def advantages(self, steps: int, gamma: float, lam: float) -> tuple[Any, Any]:
        """See :class:`GameRows`; both on the GPU."""
        record, loops, carry = self.record, self._loops, self.carry
        raw = self._empty((steps, self.games), np.float32)
        standard, returns = (self._empty((record.entries,), np.float32) for _ in range(2))
        played = (self._rows_of(array, carry, steps) for array in (record.rewards, record.ends))
        values = self._rows_of(record.values, carry, steps + 1)
        into = self._rows_of(returns, carry, steps)
        loops.generalized_advantages(*played, values, gamma, lam, raw, into)
        size = steps * self.games
        whole = self._upload(np.array([0, size]))
        loops.standardize(raw.reshape(size), whole, standard[carry * self.games :][:size])
        return standard, returns

    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[Any]:
        """See :class:`GameRows`: the same samples as on the CPU, on the GPU, in shuffled order."""
        count = steps * self.games
        order = self._empty((count,), np.int32)
        keyed = self.games, steps, self.carry, self._upload(keys)
        self._each(row_kernels.shuffled_samples, count, *keyed, order)
        for at in range(0, count, size):
            yield order[at : at + size]

    # ---- keeping -----------------------------------------------------------------------------

    def _arrays(self) -> dict[str, Any]:
        states, _, _ = self.pong.arrays
        own = {"streams": self._streams, "steps": self._steps, "between": self._between}
        return {"games": states} | own

    def _tail_rows(self) -> dict[str, Any]:
        first, last = (self._row - self.carry) * self.games, (self._row + 1) * self.games
        return {name: getattr(self.record, name)[first:last] for name in _TAIL}

    def keep(self) -> KeptOnDevice:
        """See :class:`fastpg.keeping.KeepsGames`: copies on the GPU."""
        arrays = {name: self._copied(array) for name, array in self._arrays().items()}
        tail = self._tail_rows() if self.played else None
        if tail is not None:
            tail = {name: self._copied(rows) for name, rows in tail.items()}
        return KeptOnDevice(self, arrays, tail)

    def go_back(self, kept: Kept) -> None:
        """See :class:`fastpg.keeping.KeepsGames`."""
        if not isinstance(kept, KeptOnDevice):
            super().go_back(kept)
            return
        for name, array in self._arrays().items():
            array.copy_to_device(kept.arrays[name], stream=self.stream)
        self._row, self.played = self.carry, kept.tail is not None
        if kept.tail is not None:
            for name, rows in self._tail_rows().items():
                rows.copy_to_device(kept.tail[name], stream=self.stream)

    def states(self) -> list[bytes]:
        """All that the games' future depends on, but for the record: copies to the host."""
        return _states(**{name: self.on_host(array) for name, array in self._arrays().items()})

    def restore(self, states: Sequence[bytes]) -> None:
        """Take over :meth:`states`, of this layout.

        Raises:
            ValueError: another layout, or values that no game has.
        """
        size = 8 * len(_HEAD) + SNAPSHOT_BYTES
        for state in states:
            if len(state) != size:
                raise ValueError(f"state: expected {size} bytes, got {len(state)}")
        flat = np.frombuffer(b"".join(states), np.uint8).reshape(-1, size)
        head = flat[:, : 8 * len(_HEAD)].copy().view(np.uint64)
        wrong = head[head[:, 0] != LAYOUT_VERSION, 0]
        if wrong.size:
            raise ValueError(f"state: expected one of layout {LAYOUT_VERSION}, got {wrong[0]}")
        self.pong.restore(flat[:, 8 * len(_HEAD) :])
        self._streams, self._steps = (self._upload(head[:, k]) for k in (1, 2))
        self._between = self._upload((head[:, 3] != 0).astype(np.uint8))

    def tail(self) -> dict[str, np.ndarray]:
        """See :class:`GameRows`: copies to the host."""
        rows = {name: self.on_host(array) for name, array in self._tail_rows().items()}
        return _tail_tensors(rows, self.games)

    def set_tail(self, tail: Mapping[str, np.ndarray]) -> None:
        """See :class:`GameRows`.

        Raises:
            ValueError: an entry with more tiles than the record has room for.
        """
        counts = tail["tail_counts"]
        if counts.max(initial=0) > MOST_TILES:
            raise ValueError(f"tail: expected at most {MOST_TILES} tiles, got {counts.max()}")
        tiles = np.zeros((*counts.shape, MOST_TILES), np.uint16)
        tiles[np.arange(MOST_TILES) < counts[..., None]] = tail["tail_tiles"]
        turned = {"tiles": tiles.transpose(1, 0, 2).reshape(-1, MOST_TILES)} | {
            name: tail[f"tail_{name}"].T.ravel() for name in _TAIL[1:]
        }
        self._row = self.carry
        for name, rows in self._tail_rows().items():
            rows.copy_to_device(np.ascontiguousarray(turned[name]), stream=self.stream)
        self.stream.synchronize()

    def close(self) -> None:
        """The GPU's memory is free when nobody refers to it."""

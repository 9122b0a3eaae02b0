"""Games that the network on tiles plays, and the record of what it played.

:class:`Games` plays Pong in compiled code, on all cores, in few calls. What ale-py emulates is
played step by step, by ``stepped_games.py`` and ``stepped_rows.py``, the same to the last bit.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from fastpg._games import Rollout
from fastpg._training import MOST_ENTRIES, MOST_TILES, Pool, Record, shuffled
from fastpg.credit import WholeEpisodes
from fastpg.envs.native_game import frame_range, pong_cartridge, seed_words
from fastpg.envs.palette import PALETTE_RED
from fastpg.envs.rules import Rules
from fastpg.keeping import KeepsGames
from fastpg.kernels import get_backend
from fastpg.kernels.spec import VIEW_PIXELS
from fastpg.tails import checked_tail, tail_of
from fastpg.tiles import TileNetwork

_FIRST_ROOM = 2048  # steps an episode; a row that is full is made longer
_TILES_A_STEP = 16  # four times what Pong shows


@dataclass(frozen=True)
class PlayedSteps:
    """What it took to play.

    Attributes:
        emulator_frames: of all games, resets included.
        seconds_emulation: by the clock, in the emulator and its pictures.
        seconds_forward: the same, in the choice of actions.
    """

    emulator_frames: int
    seconds_emulation: float
    seconds_forward: float


@dataclass(frozen=True)
class PlayedEpisodes(PlayedSteps):
    """Whole episodes in a record.

    Attributes:
        spans: entries (begin, end) of each, in the order of their numbers.
    """

    spans: list[tuple[int, int]]


class GameRows(KeepsGames):
    """Games that play on, some steps at a time, each into a row of the record.

    A row begins with the entries that its first step looks back at, and ends with that of the frame
    after its last step. Episodes that end are followed by the next.

    Attributes:
        network: chooses the actions.
        carry: entries before a row's first step.
        played: whether there are steps that the next look back at.
    """

    network: Any
    carry: int
    played: bool = False

    @property
    @abstractmethod
    def record(self) -> Any:
        """What was played last."""

    @abstractmethod
    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""

    @abstractmethod
    def play_steps(self, steps: int) -> PlayedSteps:
        """Play so many steps of each game, and value the frames that they come to."""

    @abstractmethod
    def tail(self) -> dict[str, np.ndarray]:
        """What the next steps look back at: of each game the frame it shows and those before."""

    @abstractmethod
    def set_tail(self, tail: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tail`."""

    @abstractmethod
    def close(self) -> None:
        """End what plays."""

    @abstractmethod
    def rows(self, name: str, steps: int) -> np.ndarray:
        """(steps, N): an array of the record as the games' steps side by side, on the host."""

    @abstractmethod
    def advantages(
        self, steps: int, gamma: float, lam: float, lost_weight: float = 1.0
    ) -> tuple[Any, Any]:
        """Standardised advantages, and returns, of the last steps: of all entries of the record.

        Negative rewards count ``lost_weight`` times; the record keeps them as they are.
        """

    @abstractmethod
    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[Any]:
        """All samples of the last steps once, shuffled as the keys say, ``size`` at a time."""

    # ---- keeping ----------------------------------------------------------------------------

    def tensors(self) -> dict[str, np.ndarray]:
        """All that the games' future depends on, for :meth:`load`."""
        return super().tensors() | (self.tail() if self.played else {})

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        super().load(tensors)
        self.played = "tail_tiles" in tensors
        if self.played:
            own = self.games, self.carry, self.network.actions
            self.set_tail(checked_tail(tensors, *own))


class HostRows(GameRows):
    """Rows of a record of the CPU's: a game's entries lie one after the other."""

    @property
    def _stride(self) -> int:
        return self.record.entries // self.games

    def samples(self, steps: int) -> np.ndarray:
        """Entries (N * steps,) int32 of the last steps, game by game."""
        rows = np.arange(self.games)[:, None] * self._stride + self.carry
        return (rows + np.arange(steps)).astype(np.int32).ravel()

    def rows(self, name: str, steps: int) -> np.ndarray:
        """See :class:`GameRows`."""
        whole = getattr(self.record, name)[: self.games * self._stride]
        rows = whole.reshape(self.games, -1)[:, self.carry : self.carry + steps]
        return rows.T.copy()

    def entries(self, steps: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`rows`: (steps, N) at the record's entries, zeros elsewhere."""
        whole = np.zeros(self.record.entries, steps.dtype)
        rows = whole[: self.games * self._stride].reshape(self.games, -1)
        rows[:, self.carry : self.carry + len(steps)] = steps.T
        return whole

    # ---- what is learned from ----------------------------------------------------------------

    def advantages(
        self, steps: int, gamma: float, lam: float, lost_weight: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`GameRows`."""
        kernels = get_backend("cython")
        rewards = self.rows("rewards", steps)
        rewards[rewards < 0] *= np.float32(lost_weight)
        advantages, returns = kernels.generalized_advantages(
            rewards,
            self.rows("ends", steps).astype(np.bool_),
            self.rows("values", steps + 1),
            gamma,
            lam,
        )
        flat = advantages.ravel()
        standard = kernels.standardize(flat, np.array([0, flat.size]))
        return self.entries(standard.reshape(advantages.shape)), self.entries(returns)

    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[np.ndarray]:
        """See :class:`GameRows`."""
        samples = self.samples(steps)
        order = samples[shuffled(len(samples), keys)]
        for at in range(0, len(order), size):
            # in the order of play: what follows each other shows much the same pixels
            yield np.sort(order[at : at + size])


class Games(WholeEpisodes, HostRows):
    """Games of Pong that a network plays in compiled code, on a pool of threads.

    Attributes:
        core: the compiled rollout.
    """

    def __init__(
        self,
        network: TileNetwork,
        pool: Pool,
        rules: Rules,
        games: int,
        *,
        actions: Sequence[int],
        seed: int,
        find_background: bool = True,
        whole_episodes: bool = False,
        greedy: bool = False,
    ):
        """Get ready; :meth:`seed` or :meth:`restore` each game before the first step.

        Args:
            network: chooses the actions.
            pool: threads to play on.
            rules: of the game.
            games: how many.
            actions: the emulator's number of each action of the network.
            seed: of the actions' random numbers.
            find_background: as ``preprocess``.
            whole_episodes: play episodes by number, each with random numbers of its own, instead
                of a number of steps.
            greedy: take the likeliest action instead of drawing one.
        """
        self.network, self.games = network, games
        self.carry = network.sight.carry
        self.core = Rollout(
            pong_cartridge(),
            network.core,
            pool,
            games,
            frameskip=frame_range(rules),
            repeat=rules.repeat_action_probability,
            most_frames=rules.max_num_frames_per_episode,
            noop_max=rules.noop_max,
            red=PALETTE_RED,
            find_background=find_background,
            seed=seed,
            emulator_actions=tuple(actions),
            whole=whole_episodes,
            greedy=greedy,
        )

    @property
    def record(self) -> Record:
        """What was played last; none before :meth:`make_room`."""
        return self.core.record

    def make_room(self, steps: int) -> None:
        """Begin with empty rows of so many entries a game."""
        self.core.write_to(self._record(steps))

    def _record(self, steps: int) -> Record:
        return Record(self.games * steps, self.games * (steps * _TILES_A_STEP + 2 * VIEW_PIXELS))

    def grow(self) -> None:
        """Give every game twice the room, or what there can be; what is in it stays.

        Raises:
            MemoryError: there cannot be more.
        """
        steps, room = self.record.entries // self.games, self.record.room
        longer = min(2 * steps, MOST_ENTRIES // self.games), min(2 * room, MOST_TILES)
        if longer == (steps, room):
            raise MemoryError(
                f"{self.games} games at once, of {steps:,} steps and more: a record holds "
                f"{MOST_ENTRIES:,} steps and {MOST_TILES:,} tiles; play fewer "
                "episodes for an update (--episodes-per-batch)"
            )
        self.core.move_to(Record(self.games * longer[0], longer[1]))

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""
        for game, seed in zip(range(self.games), seeds, strict=True):
            self.core.seed(game, seed_words(seed))

    def states(self) -> list[bytes]:
        """All that the games' future depends on, but for the record."""
        return [self.core.state(game) for game in range(self.games)]

    def restore(self, states: Sequence[bytes]) -> None:
        """Take over :meth:`states`."""
        for game, state in zip(range(self.games), states, strict=True):
            self.core.restore(game, state)

    def _took(self, began: float, frames: int, choosing: float) -> PlayedSteps:
        seconds = perf_counter() - began
        forward = min(choosing / min(self.core.threads, self.games), seconds)
        return PlayedSteps(int(self.core.frames().sum() - frames), seconds - forward, forward)

    # ---- whole episodes ----------------------------------------------------------------------

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """Play episodes ``first``, .. to their ends; they are shared out to the games in turn."""
        began, core, games = perf_counter(), self.core, self.games
        if core.record is None:
            self.make_room(-(-episodes // games) * _FIRST_ROOM)
        frames = core.frames().sum()
        for game in range(games):
            core.plan(game, first + game, len(range(game, episodes, games)), games)
        choosing = core.play()
        while core.unfinished():
            self.grow()
            choosing += core.play()
        took = self._took(began, frames, choosing)
        return PlayedEpisodes(**vars(took), spans=self._spans())

    def _spans(self) -> list[tuple[int, int]]:
        spans = {}
        for game, (begin, entry, _) in enumerate(self.core.rows()):
            ends = np.flatnonzero(self.record.ends[begin:entry]) + 1 + begin
            for k, (first, last) in enumerate(zip([begin, *ends[:-1]], ends, strict=True)):
                spans[game + k * self.games] = int(first), int(last)
        return [spans[number] for number in sorted(spans)]

    def close(self) -> None:
        """Threads end with the pool."""

    # ---- a number of steps of each game ------------------------------------------------------

    def play_steps(self, steps: int) -> PlayedSteps:
        """See :class:`GameRows`; where a row is too short it is made longer."""
        began, core = perf_counter(), self.core
        frames = core.frames().sum()
        core.carry_over()
        choosing = core.play(self.carry + steps)
        while self.short_of(steps):
            self.grow()
            choosing += core.play(self.carry + steps)
        core.value_last()
        self.played = True
        return self._took(began, frames, choosing)

    def short_of(self, steps: int) -> bool:
        """Whether a game's row was full before it had played so many steps."""
        return any(entry - begin < self.carry + steps for begin, entry, _ in self.core.rows())

    def tail(self) -> dict[str, np.ndarray]:
        """See :class:`GameRows`."""
        last = [np.arange(entry - self.carry, entry + 1) for _, entry, _ in self.core.rows()]
        return tail_of(self.record, np.array(last))

    def set_tail(self, tail: Mapping[str, np.ndarray]) -> None:
        """See :class:`GameRows`; the rows have room."""
        counts = tail["tail_counts"]
        first = np.cumsum([0, *counts.sum(axis=1, dtype=np.int64)])
        for game in range(self.games):
            self.core.set_tail(
                game,
                np.ascontiguousarray(tail["tail_tiles"][first[game] : first[game + 1]]),
                counts[game],
                tail["tail_ages"][game],
                tail["tail_actions"][game],
            )

"""Rollouts in compiled code: games of Pong on our emulator, on a pool of threads."""

from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np

from fastpg.emulator.palette import PALETTE_RED
from fastpg.envs.native_game import compiled_rules, pong_cartridge
from fastpg.envs.rules import Rules
from fastpg.envs.seeds import seed_words
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network._network import MOST_SLOTS, MOST_TILES, Pool, RolloutBuffer
from fastpg.network.network import TileNetwork
from fastpg.rollouts._rollouts import Rollout
from fastpg.rollouts.base import HostCollector, PlayedEpisodes, PlayedSteps
from fastpg.rollouts.lookback import lookback_of

_FIRST_STEPS = 2048  # slots of an episode at first; a row that is full is made longer
_TILES_A_STEP = 16  # four times what Pong shows


class NativeCollector(HostCollector):
    """Games of Pong that a network plays in compiled code, on a pool of threads."""

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
        self.lookback = network.input_spec.lookback
        #: The compiled rollout.
        self.core = Rollout(
            pong_cartridge(),
            network.core,
            pool,
            games,
            **compiled_rules(rules),
            red=PALETTE_RED,
            find_background=find_background,
            seed=seed,
            emulator_actions=tuple(actions),
            whole_episodes=whole_episodes,
            greedy=greedy,
        )

    @property
    def buffer(self) -> RolloutBuffer:
        """The last rollout's buffer; None before :meth:`allocate`."""
        return self.core.buffer

    def allocate(self, steps: int) -> None:
        """Allocate empty rows of so many slots a game."""
        self.core.write_to(self._buffer(steps))

    def _buffer(self, steps: int) -> RolloutBuffer:
        return RolloutBuffer(
            self.games * steps, self.games * (steps * _TILES_A_STEP + 2 * VIEW_PIXELS)
        )

    def grow(self) -> None:
        """Double each game's slots, up to the limit, and keep their contents.

        Raises:
            MemoryError: there cannot be more.
        """
        steps, tiles = self.buffer.slots // self.games, self.buffer.tile_capacity
        longer = min(2 * steps, MOST_SLOTS // self.games), min(2 * tiles, MOST_TILES)
        if longer == (steps, tiles):
            raise MemoryError(
                f"{self.games} games at once, of {steps:,} steps and more: a buffer holds "
                f"{MOST_SLOTS:,} steps and {MOST_TILES:,} tiles; play fewer "
                "episodes for an update (--episodes-per-batch)"
            )
        self.core.move_to(RolloutBuffer(self.games * longer[0], longer[1]))

    def seed(self, seeds: Sequence[int]) -> None:
        """Seed every game and start its first episode."""
        for game, seed in zip(range(self.games), seeds, strict=True):
            self.core.seed(game, seed_words(seed))

    def states(self) -> list[bytes]:
        """Return each game's state, without the buffer."""
        return [self.core.state(game) for game in range(self.games)]

    def restore(self, states: Sequence[bytes]) -> None:
        """Restore the states that :meth:`states` returned."""
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
        if core.buffer is None:
            self.allocate(-(-episodes // games) * _FIRST_STEPS)
        frames = core.frames().sum()
        for game in range(games):
            core.plan(game, first + game, len(range(game, episodes, games)), games)
        choosing = core.play()
        while core.unfinished():
            self.grow()
            choosing += core.play()
        took = self._took(began, frames, choosing)
        return PlayedEpisodes(**vars(took), episode_slices=self._episode_slices())

    def _episode_slices(self) -> list[tuple[int, int]]:
        slices = {}
        for game, (begin, slot, _) in enumerate(self.core.rows()):
            ends = np.flatnonzero(self.buffer.dones[begin:slot]) + 1 + begin
            for k, (first, last) in enumerate(zip([begin, *ends[:-1]], ends, strict=True)):
                slices[game + k * self.games] = int(first), int(last)
        return [slices[number] for number in sorted(slices)]

    def close(self) -> None:
        """Threads end with the pool."""

    # ---- a number of steps of each game ------------------------------------------------------

    def play_steps(self, steps: int) -> PlayedSteps:
        """See :class:`fastpg.rollouts.base.RolloutCollector`; where a row is too short it is made
        longer.
        """
        began, core = perf_counter(), self.core
        frames = core.frames().sum()
        core.shift_lookback()
        choosing = core.play(self.lookback + steps)
        while self.short_of(steps):
            self.grow()
            choosing += core.play(self.lookback + steps)
        core.bootstrap_values()
        self.played = True
        return self._took(began, frames, choosing)

    def short_of(self, steps: int) -> bool:
        """Whether a game's row was full before it had played so many steps."""
        return any(slot - begin < self.lookback + steps for begin, slot, _ in self.core.rows())

    def lookback_frames(self) -> dict[str, np.ndarray]:
        """See :class:`fastpg.rollouts.base.RolloutCollector`."""
        last = [np.arange(slot - self.lookback, slot + 1) for _, slot, _ in self.core.rows()]
        return lookback_of(self.buffer, np.array(last))

    def set_lookback_frames(self, frames: Mapping[str, np.ndarray]) -> None:
        """See :class:`fastpg.rollouts.base.RolloutCollector`; the rows are long enough."""
        counts = frames["lookback_tile_counts"]
        first = np.cumsum([0, *counts.sum(axis=1, dtype=np.int64)])
        for game in range(self.games):
            self.core.set_lookback_frames(
                game,
                np.ascontiguousarray(frames["lookback_tiles"][first[game] : first[game + 1]]),
                counts[game],
                frames["lookback_episode_steps"][game],
                frames["lookback_actions"][game],
            )

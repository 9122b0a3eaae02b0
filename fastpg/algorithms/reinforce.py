"""REINFORCE as in the article: every decision is encouraged in proportion to its return.

:class:`Credit` says how returns become the weights of decisions; :class:`Reinforce` plays and
learns on the compiled network. :mod:`fastpg.algorithms.reinforce_ops` does the same with the kernel
table.
"""

import math
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np

from fastpg._training import Pool
from fastpg.algorithms.base import GAMES, WEIGHTS, Diverged, Played, stream_seed
from fastpg.envs.rules import Rules
from fastpg.kernels import get_backend
from fastpg.kernels.ops import Backend
from fastpg.tiles import Games, Optimizer, Sight, TileNetwork

_FIRST_ROOM = 2048  # steps an episode; a row doubles when it is full
_SAMPLES = 2048  # whose hidden units are kept at a time


class Credit(NamedTuple):
    """What turns the rewards of a batch into the weight of each decision."""

    gamma: float = 0.99
    cut_at_rewards: bool = True
    standardize: str = "episode"

    def advantages(
        self, kernels: Backend, rewards: np.ndarray, lengths: Sequence[int]
    ) -> np.ndarray:
        """Weights (B,) float32 of all decisions: returns, standardised as set.

        Args:
            kernels: of any backend.
            rewards: (B,) float32, episode after episode.
            lengths: steps of each episode, B together.
        """
        ends = np.cumsum([0, *lengths])
        dones = np.zeros((len(rewards), 1), np.bool_)
        dones[ends[1:] - 1] = True
        returns = kernels.discounted_returns(
            rewards[:, None], dones, self.gamma, self.cut_at_rewards
        ).ravel()
        if self.standardize == "none":
            return returns
        segments = ends if self.standardize == "episode" else ends[[0, -1]]
        return kernels.standardize(returns, segments)


class Reinforce:
    """Whole episodes, then one step of RMSProp along sum_t A_t grad log pi(a_t | x_t).

    All episodes of a batch are fixed when it begins and are played to their end by the weights that
    they will update. Which thread plays a game changes nothing: games and actions draw from
    generators of their own, and the batch is summed in the order of its episodes' numbers.
    """

    def __init__(
        self,
        credit: Credit,
        rules: Rules,
        *,
        emulator_actions: Sequence[int],
        sight: Sight,
        hidden: int,
        outputs: int,
        learning_rate: float,
        decay: float,
        episodes_per_batch: int,
        games: int,
        threads: int,
        seed: int,
        find_background: bool,
    ):
        """Draw the weights, begin the games."""
        self.credit, self.learning_rate, self.decay = credit, learning_rate, decay
        self.episodes_per_batch = episodes_per_batch
        self.kernels = get_backend("cython")
        pool = Pool(threads)
        self.network = TileNetwork(hidden, sight, len(emulator_actions), outputs, value=False)
        self.network.initialize(stream_seed(seed, WEIGHTS), None, None)
        self.optimizer = Optimizer(self.network, pool, _SAMPLES, ("square",))
        self.games = Games(
            self.network,
            pool,
            rules,
            games,
            actions=emulator_actions,
            seed=seed,
            find_background=find_background,
            whole_episodes=True,
        )
        self.games.seed([stream_seed(seed, GAMES, game) for game in range(games)])
        self.games.make_room(-(-episodes_per_batch // games) * _FIRST_ROOM)
        self._states, self._episodes = self.games.states(), 0

    def play(self) -> Played:
        """Play the next batch of episodes to their ends."""
        began = perf_counter()
        core, count, batch = self.games.core, self.games.games, self.episodes_per_batch
        self.games.restore(self._states)
        frames = core.frames().sum()
        for game in range(count):
            core.plan(game, self._episodes + game, len(range(game, batch, count)), count)
        choosing = core.play()
        while core.unfinished():
            self.games.grow()
            choosing += core.play()
        spans = self._spans()
        record = self.games.record
        samples = np.concatenate([np.arange(begin, end, dtype=np.int32) for begin, end in spans])
        lengths = [end - begin for begin, end in spans]
        rewards = record.rewards[samples]
        scores = np.add.reduceat(rewards, np.cumsum([0, *lengths[:-1]]), dtype=np.float64)
        seconds = perf_counter() - began
        forward = min(choosing / min(core.threads, count), seconds)
        return Played(
            len(samples),
            int(core.frames().sum() - frames),
            scores.tolist(),
            lengths,
            seconds - forward,
            forward,
            (samples, rewards, lengths),
        )

    def _spans(self) -> list[tuple[int, int]]:
        """Entries (begin, end) of the batch's episodes, in the order of their numbers."""
        count, spans = self.games.games, {}
        for game, (begin, entry, _) in enumerate(self.games.core.rows()):
            ends = np.flatnonzero(self.games.record.ends[begin:entry]) + 1 + begin
            for k, (first, last) in enumerate(zip([begin, *ends[:-1]], ends, strict=True)):
                spans[game + k * count] = int(first), int(last)
        return [spans[number] for number in sorted(spans)]

    def learn(self, played: Played) -> None:
        """One step uphill."""
        samples, rewards, lengths = played.batch
        record, core = self.games.record, self.optimizer.core
        advantages = np.zeros(record.entries, np.float32)
        advantages[samples] = self.credit.advantages(self.kernels, rewards, lengths)
        core.gradient(record, samples, advantages, advantages, math.inf, 0.0, 0.0, 1.0)
        if not math.isfinite(core.norm()):
            raise Diverged("the gradient is not finite")
        core.rmsprop(self.learning_rate, self.decay, 1e-5)
        self._states = self.games.states()
        self._episodes += self.episodes_per_batch

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, mean squares, and the games."""
        tensors = self.network.tensors() | self.optimizer.tensors()
        for game, state in enumerate(self._states):
            tensors[f"game_{game}"] = np.frombuffer(state, np.uint8)
        return tensors | {"episode": np.array([self._episodes])}

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        self.network.load(dict(tensors))
        self.optimizer.load(dict(tensors))
        self._states = [tensors[f"game_{game}"].tobytes() for game in range(self.games.games)]
        self.games.restore(self._states)
        self._episodes = int(tensors["episode"][0])

    def close(self) -> None:
        """Threads end with the object."""

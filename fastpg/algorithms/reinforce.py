"""REINFORCE as in the article: every decision is encouraged in proportion to its return.

:class:`Credit` says how returns become the weights of decisions; :class:`Reinforce` plays and
learns with the network on tiles. :mod:`fastpg.algorithms.reinforce_ops` is the same on the kernel
table.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fastpg._training import Pool
from fastpg.algorithms.base import GAMES, WEIGHTS, Diverged, Played, stream_seed
from fastpg.games import Games
from fastpg.kernels import get_backend
from fastpg.kernels.ops import Backend
from fastpg.stepped_games import SteppedGames
from fastpg.tiles import Optimizer, TileNetwork


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
    they will update. Who plays a game changes nothing: games and actions draw from generators of
    their own, and the batch is summed in the order of its episodes' numbers.
    """

    def __init__(
        self,
        credit: Credit,
        network: TileNetwork,
        games: Games | SteppedGames,
        pool: Pool,
        *,
        learning_rate: float,
        decay: float,
        episodes_per_batch: int,
        seed: int,
    ):
        """Draw the weights, begin the games."""
        self.credit, self.learning_rate, self.decay = credit, learning_rate, decay
        self.episodes_per_batch = episodes_per_batch
        self.kernels = get_backend("cython")
        self.network, self.games = network, games
        self.network.initialize(stream_seed(seed, WEIGHTS), None, None)
        self.optimizer = Optimizer(network, pool, ("square",))
        self.games.seed([stream_seed(seed, GAMES, game) for game in range(games.games)])
        self._states, self._episodes = self.games.states(), 0

    def play(self) -> Played:
        """Play the next batch of episodes to their ends."""
        self.games.restore(self._states)
        played = self.games.play_episodes(self._episodes, self.episodes_per_batch)
        samples = np.concatenate([np.arange(*span, dtype=np.int32) for span in played.spans])
        lengths = [end - begin for begin, end in played.spans]
        rewards = self.games.record.rewards[samples]
        scores = np.add.reduceat(rewards, np.cumsum([0, *lengths[:-1]]), dtype=np.float64)
        return Played(
            len(samples),
            played.emulator_frames,
            scores.tolist(),
            lengths,
            played.seconds_emulation,
            played.seconds_forward,
            (samples, rewards, lengths),
        )

    def learn(self, played: Played) -> dict[str, float]:
        """One step uphill."""
        samples, rewards, lengths = played.batch
        record, optimizer = self.games.record, self.optimizer
        advantages = np.zeros(record.entries, np.float32)
        advantages[samples] = self.credit.advantages(self.kernels, rewards, lengths)
        optimizer.forget_sums()
        optimizer.climb_rmsprop(record, samples, advantages, self.learning_rate, self.decay)
        if not optimizer.finite:
            raise Diverged("the gradient is not finite")
        self._states = self.games.states()
        self._episodes += self.episodes_per_batch
        return {"entropy": float(optimizer.sums()[0]) / len(samples)}

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
        """End workers."""
        self.games.close()

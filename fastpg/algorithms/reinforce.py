"""REINFORCE as in the article: every decision is encouraged in proportion to its return.

:class:`fastpg.rollouts.returns.ReturnEstimator` says how returns become the weights of decisions;
:class:`Reinforce` plays and learns with the network on tiles, on the CPU or, with other games,
network and optimizer, on a GPU. :mod:`fastpg.algorithms.reinforce_kernels` is the same on the
kernel table.
"""

from collections.abc import Mapping

import numpy as np

from fastpg.algorithms.base import GAMES, WEIGHTS, Diverged, Played, stream_seed
from fastpg.algorithms.parts import EpisodesPart, NetworkPart, OptimizerPart
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.snapshots import Snapshot, TensorSnapshot


class Reinforce:
    """Whole episodes, then one step of RMSProp along sum_t A_t grad log pi(a_t | x_t).

    All episodes of a batch are fixed when it begins and are played to their end by the weights that
    they will update. Who plays a game changes nothing: games and actions draw from generators of
    their own, and the batch is summed in the order of its episodes' numbers.

    Attributes:
        MOMENTS: those that its optimizer keeps.
    """

    MOMENTS = ("square",)

    def __init__(
        self,
        estimator: ReturnEstimator,
        network: NetworkPart,
        games: EpisodesPart,
        optimizer: OptimizerPart,
        *,
        learning_rate: float,
        decay: float,
        episodes_per_batch: int,
        seed: int,
    ):
        """Draw the weights, begin the games."""
        self.estimator, self.learning_rate, self.decay = estimator, learning_rate, decay
        self.episodes_per_batch = episodes_per_batch
        self.network, self.games = network, games
        self.network.initialize(stream_seed(seed, WEIGHTS), None, None)
        self.optimizer = optimizer
        self.games.seed([stream_seed(seed, GAMES, game) for game in range(games.games)])
        self._snapshot: Snapshot = self.games.snapshot()
        self._episodes = 0

    def play(self) -> Played:
        """Play the next batch of episodes to their ends."""
        self.games.rollback(self._snapshot)
        played = self.games.play_episodes(self._episodes, self.episodes_per_batch)
        samples, rewards, lengths = self.games.transitions(played.episode_slices)
        scores = np.add.reduceat(rewards, np.cumsum([0, *lengths[:-1]]), dtype=np.float64)
        return Played(
            len(rewards),
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
        buffer, optimizer = self.games.buffer, self.optimizer
        advantages = self.games.episode_advantages(self.estimator, samples, rewards, lengths)
        optimizer.reset_stats()
        optimizer.rmsprop_step(buffer, samples, advantages, self.learning_rate, self.decay)
        if not optimizer.finite:
            raise Diverged("the gradient is not finite")
        self._snapshot = self.games.snapshot()
        self._episodes += self.episodes_per_batch
        return {"entropy": float(optimizer.stats()[0]) / len(rewards)}

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, mean squares, and the games."""
        tensors = self.network.tensors() | self.optimizer.tensors() | self._snapshot.tensors()
        return tensors | {"episode": np.array([self._episodes])}

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        self.network.load(dict(tensors))
        self.optimizer.load(dict(tensors))
        names = [f"game_{game}" for game in range(self.games.games)]
        self._snapshot = TensorSnapshot({name: tensors[name] for name in names})
        self.games.rollback(self._snapshot)
        self._episodes = int(tensors["episode"][0])

    def close(self) -> None:
        """End workers."""
        self.games.close()

"""REINFORCE as in the article: every decision is encouraged in proportion to its return.

Plays and learns with the compiled network on tiles, on the CPU or on a GPU.
:mod:`fastpg.algorithms.reinforce_kernels` is the same algorithm as a readable loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastpg.algorithms.base import (
    GAMES,
    WEIGHTS,
    Diverged,
    Played,
    PolicyNetwork,
    PolicyOptimizer,
    stream_seed,
)
from fastpg.rollouts.base import RolloutCollector
from fastpg.rollouts.returns import ReturnEstimator


@dataclass(frozen=True)
class ReinforceSettings:
    """Settings; meanings as in :class:`fastpg.config.TrainConfig`."""

    episodes_per_batch: int
    learning_rate: float
    decay: float
    estimator: ReturnEstimator  #: how rewards become advantages


class Reinforce:
    """Whole episodes, then one step of RMSProp along sum_t A_t grad log pi(a_t | x_t).

    The episodes of a batch are fixed when it begins. All are played to their ends with the weights
    that they will update, so short episodes are not favoured. Each game and each episode draws from
    a random stream of its own, and the batch is summed in the order of the episodes' numbers, so
    neither threads nor processes change a result.
    """

    MOMENTS = ("square",)  #: moments that its optimizer keeps

    def __init__(
        self,
        settings: ReinforceSettings,
        network: PolicyNetwork,
        collector: RolloutCollector,
        optimizer: PolicyOptimizer,
        *,
        seed: int,
    ):
        """Draw the weights, and seed the games."""
        self.settings = settings
        self.network, self.collector, self.optimizer = network, collector, optimizer
        self.network.initialize(stream_seed(seed, WEIGHTS), None, None)
        games = range(collector.games)
        self.collector.seed([stream_seed(seed, GAMES, game) for game in games])
        self.collector.end_round()
        self._episodes = 0

    def play(self) -> Played:
        """Play the next batch of episodes to their ends."""
        collector = self.collector
        collector.begin_round()
        played = collector.play_episodes(self._episodes, self.settings.episodes_per_batch)
        samples, rewards, lengths = collector.transitions(played.episode_slices)
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
        """Take one step uphill."""
        samples, rewards, lengths = played.batch
        settings, collector, optimizer = self.settings, self.collector, self.optimizer
        advantages = collector.episode_advantages(settings.estimator, samples, rewards, lengths)
        batch = collector.buffer, samples, advantages
        optimizer.reset_stats()
        optimizer.rmsprop_step(*batch, settings.learning_rate, settings.decay)
        if not optimizer.finite:
            raise Diverged("the gradient is not finite")
        collector.end_round()
        self._episodes += settings.episodes_per_batch
        return {"entropy": float(optimizer.stats()[0]) / len(rewards)}

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, mean squares, and the games."""
        tensors = self.network.tensors() | self.optimizer.tensors()
        return tensors | self.collector.round_tensors() | {"episode": np.array([self._episodes])}

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Restore the state that :meth:`tensors` returned."""
        self.network.load(dict(tensors))
        self.optimizer.load(dict(tensors))
        self.collector.restore_round(tensors)
        self._episodes = int(tensors["episode"][0])

    def close(self) -> None:
        """End worker processes and threads."""
        self.collector.close()

"""PPO: a clipped policy gradient with a value head, several epochs over each round of playing.

One epoch without clipping (``epochs=1, clip=inf``) is an advantage actor-critic.
Source: Schulman et al. 2017, arXiv:1707.06347; advantages: arXiv:1506.02438.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastpg.algorithms.base import (
    GAMES,
    ORDER,
    WEIGHTS,
    Diverged,
    Played,
    PolicyNetwork,
    PolicyOptimizer,
    stream_seed,
)
from fastpg.algorithms.score_tracker import StartOrderedScores
from fastpg.network._network import SHUFFLE_KEYS
from fastpg.network.optimizer import STATS, Objective
from fastpg.rollouts.base import RolloutCollector

# Standard deviations of the first weights: small ones, so that policies begin all but uniform.
_PIXEL_SCALE, _POLICY_SCALE = 0.05, 0.01


@dataclass(frozen=True)
class PPOSettings:
    """Settings; meanings as in :class:`fastpg.config.TrainConfig`."""

    steps_per_update: int
    epochs: int
    minibatch: int
    learning_rate: float
    final_learning_rate: float
    entropy: float
    anneal_steps: int
    gamma: float
    gae_lambda: float
    lost_point_weight: float
    clip: float
    value_weight: float
    max_grad_norm: float


class PPO:
    """Plays T steps of N games, then runs several epochs of Adam on minibatches."""

    MOMENTS = ("mean", "square")  #: moments that its optimizer keeps

    def __init__(
        self,
        settings: PPOSettings,
        network: PolicyNetwork,
        collector: RolloutCollector,
        optimizer: PolicyOptimizer,
        *,
        seed: int,
    ):
        """Draw the weights, and seed the games."""
        self.settings, self.seed = settings, seed
        self.network, self.collector, self.optimizer = network, collector, optimizer
        self.network.initialize(stream_seed(seed, WEIGHTS), _PIXEL_SCALE, _POLICY_SCALE)
        games = range(collector.games)
        self.collector.seed([stream_seed(seed, GAMES, game) for game in games])
        self.collector.end_round()
        self.scores = StartOrderedScores(collector.games)
        self.agent_steps = self.rounds = 0

    # ---- playing ----------------------------------------------------------------------------

    def play(self) -> Played:
        """Play T steps of all games."""
        collector, steps = self.collector, self.settings.steps_per_update
        collector.begin_round()
        took = collector.play_steps(steps)
        scores = self.scores.copy()
        finished = scores.add(collector.rows("rewards", steps), collector.rows("dones", steps))
        return Played(
            steps * collector.games,
            took.emulator_frames,
            [score for score, _ in finished],
            [length for _, length in finished],
            took.seconds_emulation,
            took.seconds_forward,
            scores,
        )

    # ---- learning ---------------------------------------------------------------------------

    def learn(self, played: Played) -> dict[str, float]:
        """Learn from the steps in some epochs; returns means over the samples of the last one."""
        settings, collector = self.settings, self.collector
        steps = settings.steps_per_update
        weighting = settings.gamma, settings.gae_lambda, settings.lost_point_weight
        advantages, returns = collector.advantages(steps, *weighting)
        objective, learning_rate = self._annealed()
        draws = np.random.SeedSequence([self.seed, ORDER, self.rounds])
        keys = draws.generate_state(settings.epochs * SHUFFLE_KEYS).reshape(settings.epochs, -1)
        for epoch_keys in keys:
            self.optimizer.reset_stats()
            for chosen in collector.minibatches(steps, settings.minibatch, epoch_keys):
                batch = collector.buffer, chosen, advantages, returns
                self.optimizer.adam_step(*batch, objective, learning_rate)
        if not self.optimizer.finite:
            raise Diverged("the gradient is not finite")
        self.scores = played.batch
        self.agent_steps += played.agent_steps
        self.rounds += 1
        collector.end_round()
        means = self.optimizer.stats() / (steps * collector.games)
        return dict(zip(STATS, means.tolist(), strict=True))

    def _annealed(self) -> tuple[Objective, float]:
        """Return the current objective and learning rate.

        Both change linearly over ``anneal_steps``.
        """
        settings = self.settings
        done = min(self.agent_steps / settings.anneal_steps, 1.0) if settings.anneal_steps else 0.0
        learning_rate = settings.learning_rate * (1 - done) + settings.final_learning_rate * done
        entropy = settings.entropy * (1 - done) if settings.anneal_steps else settings.entropy
        limits = settings.value_weight, settings.max_grad_norm
        return Objective(settings.clip, entropy, *limits), learning_rate

    # ---- checkpoints ------------------------------------------------------------------------

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, moments, the games and what they look back at, running scores."""
        tensors = self.network.tensors() | self.optimizer.tensors()
        tensors |= self.collector.round_tensors() | self.scores.tensors()
        return tensors | {"progress": np.array([self.agent_steps, self.rounds])}

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Restore the state that :meth:`tensors` returned."""
        self.network.load(dict(tensors))
        self.optimizer.load(dict(tensors))
        self.scores = StartOrderedScores.from_tensors(tensors)
        self.agent_steps, self.rounds = (int(count) for count in tensors["progress"])
        self.collector.restore_round(tensors)

    def close(self) -> None:
        """End worker processes and threads."""
        self.collector.close()

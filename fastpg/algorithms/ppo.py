"""PPO: a clipped policy gradient with a value head, several epochs over each round of playing.

One epoch without clipping (``epochs=1, clip=inf``) is an advantage actor-critic.
Source: Schulman et al. 2017, arXiv:1707.06347; advantages: arXiv:1506.02438.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastpg.algorithms.base import GAMES, ORDER, WEIGHTS, Diverged, Played, stream_seed
from fastpg.algorithms.parts import NetworkPart, OptimizerPart
from fastpg.algorithms.score_tracker import StartOrderedScores
from fastpg.network._network import SHUFFLE_KEYS
from fastpg.network.optimizer import Objective
from fastpg.rollouts.base import RolloutCollector
from fastpg.rollouts.snapshots import Snapshot, TensorSnapshot

_PIXEL_SCALE, _POLICY_SCALE = 0.05, 0.01  # of the first weights: policies begin all but uniform
_LEARNED = ("entropy", "kl", "clip_fraction", "value_loss")  # what gradients come with


@dataclass(frozen=True)
class PPOSettings:
    """What a person can set; meanings as in :class:`fastpg.config.TrainConfig`."""

    steps: int
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
    """N games play T steps each; then some epochs of minibatches with Adam.

    Attributes:
        MOMENTS: those that its optimizer keeps.
    """

    MOMENTS = ("mean", "square")

    def __init__(
        self,
        settings: PPOSettings,
        network: NetworkPart,
        games: RolloutCollector,
        optimizer: OptimizerPart,
        *,
        seed: int,
    ):
        """Draw the weights, begin the games."""
        self.settings, self.seed = settings, seed
        self.network, self.games = network, games
        self.network.initialize(stream_seed(seed, WEIGHTS), _PIXEL_SCALE, _POLICY_SCALE)
        self.optimizer = optimizer
        self.games.seed([stream_seed(seed, GAMES, game) for game in range(games.games)])
        self.order = StartOrderedScores(games.games)
        self.agent_steps = self.rounds = 0
        self._broken_off = False
        self._snapshot: Snapshot = self.games.snapshot()

    # ---- playing ----------------------------------------------------------------------------

    def play(self) -> Played:
        """Play T steps of all games."""
        if self._broken_off:
            self.games.rollback(self._snapshot)
        self._broken_off = True  # until all of it has been learned from
        steps = self.settings.steps
        took = self.games.play_steps(steps)
        order = self.order.copy()
        finished = order.add(self.games.rows("rewards", steps), self.games.rows("dones", steps))
        return Played(
            steps * self.games.games,
            took.emulator_frames,
            [score for score, _ in finished],
            [length for _, length in finished],
            took.seconds_emulation,
            took.seconds_forward,
            order,
        )

    # ---- learning ---------------------------------------------------------------------------

    def learn(self, played: Played) -> dict[str, float]:
        """Some epochs over what was played; returns means over the samples of the last."""
        settings, buffer = self.settings, self.games.buffer
        estimator = settings.steps, settings.gamma, settings.gae_lambda, settings.lost_point_weight
        advantages, returns = self.games.advantages(*estimator)
        done = min(self.agent_steps / settings.anneal_steps, 1.0) if settings.anneal_steps else 0.0
        learning_rate = settings.learning_rate * (1 - done) + settings.final_learning_rate * done
        entropy = settings.entropy * (1 - done) if settings.anneal_steps else settings.entropy
        objective = Objective(settings.clip, entropy, settings.value_weight, settings.max_grad_norm)
        draws = np.random.SeedSequence([self.seed, ORDER, self.rounds])
        keys = draws.generate_state(settings.epochs * SHUFFLE_KEYS).reshape(settings.epochs, -1)
        for own in keys:
            self.optimizer.reset_stats()
            for chosen in self.games.minibatches(settings.steps, settings.minibatch, own):
                batch = buffer, chosen, advantages, returns
                self.optimizer.adam_step(*batch, objective, learning_rate)
        if not self.optimizer.finite:
            raise Diverged("the gradient is not finite")
        self.order = played.batch
        self.agent_steps += played.agent_steps
        self.rounds += 1
        self._snapshot, self._broken_off = self.games.snapshot(), False
        samples = settings.steps * self.games.games
        means = self.optimizer.stats() / samples
        return dict(zip(_LEARNED, means.tolist(), strict=True))

    # ---- keeping ----------------------------------------------------------------------------

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, moments, games and what they look back at."""
        progress = np.array([self.agent_steps, self.rounds])
        tensors = self.network.tensors() | self.optimizer.tensors() | self._snapshot.tensors()
        return tensors | self.order.tensors() | {"progress": progress}

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        self.network.load(dict(tensors))
        self.optimizer.load(dict(tensors))
        self.order = StartOrderedScores.from_tensors(tensors)
        self.agent_steps, self.rounds = (int(n) for n in tensors["progress"])
        names = [name for name in tensors if name.startswith(("game_", "lookback_"))]
        self._snapshot, self._broken_off = (
            TensorSnapshot({name: tensors[name] for name in names}),
            False,
        )
        self.games.rollback(self._snapshot)

    def close(self) -> None:
        """End workers."""
        self.games.close()

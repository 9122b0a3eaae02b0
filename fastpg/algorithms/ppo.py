"""PPO: a clipped policy gradient with a value head, several epochs over each round of playing.

One epoch without clipping (``epochs=1, clip=inf``) is an advantage actor-critic.
Source: Schulman et al. 2017, arXiv:1707.06347; advantages: arXiv:1506.02438.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastpg._training import Pool
from fastpg.algorithms.base import GAMES, ORDER, WEIGHTS, Diverged, Played, stream_seed
from fastpg.algorithms.episodes import EpisodeOrder
from fastpg.games import GameRows
from fastpg.kernels import get_backend
from fastpg.tiles import Optimizer, TileNetwork

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
    clip: float
    value_weight: float
    max_gradient: float


class PPO:
    """N games play T steps each; then some epochs of minibatches with Adam."""

    def __init__(
        self,
        settings: PPOSettings,
        network: TileNetwork,
        games: GameRows,
        pool: Pool,
        *,
        seed: int,
    ):
        """Draw the weights, begin the games."""
        self.settings, self.seed = settings, seed
        self.kernels = get_backend("cython")
        self.network, self.games = network, games
        self.network.initialize(stream_seed(seed, WEIGHTS), _PIXEL_SCALE, _POLICY_SCALE)
        self.optimizer = Optimizer(network, pool, ("mean", "square"))
        self.games.seed([stream_seed(seed, GAMES, game) for game in range(games.games)])
        self.order = EpisodeOrder(games.games)
        self.agent_steps = self.rounds = 0
        self._broken_off = False
        self._saved = self._games_tensors()

    # ---- playing ----------------------------------------------------------------------------

    def play(self) -> Played:
        """Play T steps of all games."""
        if self._broken_off:
            self._restore_games(self._saved)
        self._broken_off = True  # until all of it has been learned from
        steps = self.settings.steps
        took = self.games.play_steps(steps)
        order = self.order.copy()
        finished = order.add(self.games.rows("rewards", steps), self.games.rows("ends", steps))
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
        settings, record = self.settings, self.games.record
        advantages, returns = self._advantages()
        samples = self.games.samples(settings.steps)
        done = min(self.agent_steps / settings.anneal_steps, 1.0) if settings.anneal_steps else 0.0
        learning_rate = settings.learning_rate * (1 - done) + settings.final_learning_rate * done
        entropy = settings.entropy * (1 - done) if settings.anneal_steps else settings.entropy
        rng = np.random.default_rng([self.seed, ORDER, self.rounds])
        for _ in range(settings.epochs):
            order, sums = rng.permutation(samples), np.zeros(len(_LEARNED))
            for at in range(0, len(order), settings.minibatch):
                # in the order of play: what follows each other shows much the same pixels
                chosen = np.sort(order[at : at + settings.minibatch])
                sums += self.optimizer.core.gradient(
                    record,
                    chosen,
                    advantages,
                    returns,
                    settings.clip,
                    entropy,
                    settings.value_weight,
                    1.0 / len(chosen),
                )
                self._step(learning_rate)
        self.order = played.batch
        self.agent_steps += played.agent_steps
        self.rounds += 1
        self._saved, self._broken_off = self._games_tensors(), False
        return dict(zip(_LEARNED, (sums / len(samples)).tolist(), strict=True))

    def _advantages(self) -> tuple[np.ndarray, np.ndarray]:
        """Standardised advantages and returns of all entries of the record."""
        settings, games, steps = self.settings, self.games, self.settings.steps
        advantages, returns = self.kernels.generalized_advantages(
            games.rows("rewards", steps),
            games.rows("ends", steps).astype(np.bool_),
            games.rows("values", steps + 1),
            settings.gamma,
            settings.gae_lambda,
        )
        flat = advantages.ravel()
        standard = self.kernels.standardize(flat, np.array([0, flat.size]))
        return games.entries(standard.reshape(advantages.shape)), games.entries(returns)

    def _step(self, learning_rate: float) -> None:
        norm = self.optimizer.core.norm()
        if not math.isfinite(norm):
            raise Diverged("the gradient is not finite")
        factor = min(1.0, self.settings.max_gradient / (norm + 1e-9))
        self.optimizer.core.adam(learning_rate, factor, 0.9, 0.999, 1e-7)

    # ---- keeping ----------------------------------------------------------------------------

    def _games_tensors(self) -> dict[str, np.ndarray]:
        states = self.games.states()
        tensors = {f"game_{k}": np.frombuffer(state, np.uint8) for k, state in enumerate(states)}
        return tensors | (self.games.tail() if self.rounds else {})

    def _restore_games(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.games.restore([tensors[f"game_{k}"].tobytes() for k in range(self.games.games)])
        if "tail_tiles" in tensors:
            self.games.set_tail(tensors)

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, moments, games and what they look back at."""
        progress = np.array([self.agent_steps, self.rounds])
        tensors = self.network.tensors() | self.optimizer.tensors() | self._saved
        return tensors | self.order.tensors() | {"progress": progress}

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        self.network.load(dict(tensors))
        self.optimizer.load(dict(tensors))
        self.order = EpisodeOrder.from_tensors(tensors)
        self.agent_steps, self.rounds = (int(n) for n in tensors["progress"])
        names = [name for name in tensors if name.startswith(("game_", "tail_"))]
        self._saved, self._broken_off = {name: tensors[name] for name in names}, False
        self._restore_games(self._saved)

    def close(self) -> None:
        """End workers."""
        self.games.close()

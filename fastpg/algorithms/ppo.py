"""PPO: a clipped policy gradient with a value head, several epochs over each round of playing.

One epoch without clipping (``epochs=1, clip=inf``) is an advantage actor-critic.
Source: Schulman et al. 2017, arXiv:1707.06347; advantages: arXiv:1506.02438.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from fastpg._training import Pool
from fastpg.algorithms.base import GAMES, ORDER, WEIGHTS, Diverged, Played, stream_seed
from fastpg.algorithms.episodes import EpisodeOrder
from fastpg.envs.rules import Rules
from fastpg.kernels import get_backend
from fastpg.tiles import Games, Optimizer, Sight, TileNetwork

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
        rules: Rules,
        *,
        emulator_actions: Sequence[int],
        sight: Sight,
        hidden: int,
        cell: int,
        outputs: int,
        games: int,
        threads: int,
        seed: int,
        find_background: bool,
    ):
        """Draw the weights, begin the games."""
        self.settings, self.seed = settings, seed
        self.kernels = get_backend("cython")
        pool = Pool(threads)
        self.network = TileNetwork(
            hidden, sight, len(emulator_actions), outputs, value=True, cell=cell
        )
        self.network.initialize(stream_seed(seed, WEIGHTS), _PIXEL_SCALE, _POLICY_SCALE)
        most_samples = min(settings.minibatch, games * settings.steps)
        self.optimizer = Optimizer(self.network, pool, most_samples, ("mean", "square"))
        self.games = Games(
            self.network,
            pool,
            rules,
            games,
            actions=emulator_actions,
            seed=seed,
            find_background=find_background,
        )
        self.games.seed([stream_seed(seed, GAMES, game) for game in range(games)])
        self.games.make_room(self.games.carry + settings.steps + 1)
        self.order = EpisodeOrder(games)
        self.agent_steps = self.rounds = 0
        self._broken_off = False
        self._saved = self._games_tensors()

    # ---- playing ----------------------------------------------------------------------------

    def play(self) -> Played:
        """Play T steps of all games."""
        began = perf_counter()
        if self._broken_off:
            self._restore_games(self._saved)
        self._broken_off = True  # until all of it has been learned from
        core, steps = self.games.core, self.settings.steps
        frames = core.frames().sum()
        core.carry_over()
        choosing = core.play(self.games.carry + steps)
        while self.games.short_of(steps):
            self.games.grow()
            choosing += core.play(self.games.carry + steps)
        core.value_last()
        order = self.order.copy()
        finished = order.add(self.games.rows("rewards", steps), self.games.rows("ends", steps))
        seconds = perf_counter() - began
        forward = min(choosing / min(core.threads, self.games.games), seconds)
        return Played(
            steps * self.games.games,
            int(core.frames().sum() - frames),
            [score for score, _ in finished],
            [length for _, length in finished],
            seconds - forward,
            forward,
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
        """Threads end with the object."""

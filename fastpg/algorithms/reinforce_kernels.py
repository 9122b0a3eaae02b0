"""REINFORCE with the kernel table: any backend, emulator, input and game, in worker processes.

The same as :class:`fastpg.algorithms.reinforce.Reinforce`, up to rounding; all backends of the
table give the same bits.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from fastpg.algorithms.base import GAMES, WEIGHTS, Diverged, Played, stream_seed
from fastpg.envs.worker_pool import SharedArray, WorkerPool
from fastpg.kernels import get_backend
from fastpg.network.table_policy import Policy, RMSProp
from fastpg.rollouts.episode import Episode, concatenate_inputs
from fastpg.rollouts.fragments import RolloutWorker, play_batch, rehearsal
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.stepwise_player import RolloutSetup, input_size


class ReinforceOps:
    """Workers that play whole episodes, and a learner that calls kernels."""

    def __init__(
        self,
        estimator: ReturnEstimator,
        setup: RolloutSetup,
        *,
        learning_rate: float,
        decay: float,
        episodes_per_batch: int,
        games: int,
        workers: int,
    ):
        """Draw the weights, start the workers, compile all that is needed."""
        self.estimator, self.episodes_per_batch, self.games = estimator, episodes_per_batch, games
        self.workers = workers
        size = input_size(setup.input)
        shared = SharedArray(((size + setup.outputs) * setup.hidden,), "float32")
        w1 = shared.array[: size * setup.hidden].reshape(size, setup.hidden)
        w2 = shared.array[size * setup.hidden :].reshape(setup.outputs, setup.hidden)
        self.policy = Policy(w1, w2, get_backend(setup.backend))
        self.policy.initialize(stream_seed(setup.seed, WEIGHTS))
        self.optimizer = RMSProp(self.policy, learning_rate, decay)
        self.pool = WorkerPool(
            [partial(RolloutWorker, setup, shared)] * workers, inline=workers == 1
        )
        self._states = self._new_games(setup.seed)
        self._episodes = 0
        if setup.backend == "numba":  # compile now, so that no update's time has that in it
            small = Policy(
                np.zeros((size, 1), np.float32),
                np.zeros((setup.outputs, 1), np.float32),
                self.policy.backend,
            )
            update(self.estimator, RMSProp(small, 0.0, 0.0), [rehearsal(setup.input)])

    def play(self) -> Played:
        """Play the next batch on all workers."""
        first = self._episodes
        last = first + self.episodes_per_batch
        plans = [list(range(first + game, last, self.games)) for game in range(self.games)]
        batch = play_batch(self.pool, plans, self._states)
        lengths = [len(episode.actions) for episode in batch.episodes]
        return Played(
            sum(lengths),
            sum(episode.emulator_frames for episode in batch.episodes),
            [episode.score for episode in batch.episodes],
            lengths,
            batch.seconds_emulation / self.workers,
            batch.seconds_forward / self.workers,
            batch,
        )

    def _new_games(self, seed: int) -> list[bytes]:
        seeds = [stream_seed(seed, GAMES, game) for game in range(self.games)]
        shares = [seeds[worker :: self.workers] for worker in range(self.workers)]
        parts = self.pool.call("first_states", [(share,) for share in shares])
        return [parts[game % self.workers][game // self.workers] for game in range(self.games)]

    def learn(self, played: Played) -> dict[str, float]:
        """One step uphill."""
        update(self.estimator, self.optimizer, played.batch.episodes)
        if not (np.isfinite(self.policy.w1).all() and np.isfinite(self.policy.w2).all()):
            raise Diverged("the weights are not finite")
        self._states = played.batch.states
        self._episodes += self.episodes_per_batch
        return {}

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, mean squares, and the games."""
        games = {
            f"game_{k}": np.frombuffer(state, np.uint8) for k, state in enumerate(self._states)
        }
        return {
            "w1": self.policy.w1,
            "w2": self.policy.w2,
            "cache_w1": self.optimizer.cache_w1,
            "cache_w2": self.optimizer.cache_w2,
            "episode": np.array([self._episodes]),
        } | games

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        self.policy.w1[:], self.policy.w2[:] = tensors["w1"], tensors["w2"]
        self.optimizer.cache_w1[:] = tensors["cache_w1"]
        self.optimizer.cache_w2[:] = tensors["cache_w2"]
        self._states = [tensors[f"game_{game}"].tobytes() for game in range(self.games)]
        self._episodes = int(tensors["episode"][0])

    def close(self) -> None:
        """End the workers."""
        self.pool.terminate()


def update(estimator: ReturnEstimator, optimizer: RMSProp, episodes: Sequence[Episode]) -> None:
    """One step along the gradient of sum_t A_t log pi(a_t | x_t) over whole episodes.

    Args:
        estimator: the weight of each decision.
        optimizer: holds the policy that played the episodes; its weights are updated.
        episodes: the batch; sums run in this order.
    """
    inputs = concatenate_inputs([episode.inputs for episode in episodes])
    actions = np.concatenate([episode.actions for episode in episodes])
    rewards = np.concatenate([episode.rewards for episode in episodes])
    lengths = [len(episode.actions) for episode in episodes]
    advantages = estimator.advantages(optimizer.policy.backend, rewards, lengths)
    optimizer.policy.gradients(inputs, actions, advantages, optimizer.dw1, optimizer.dw2)
    optimizer.step()

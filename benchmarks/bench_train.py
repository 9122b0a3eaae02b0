"""What an update costs, apart from playing: learning from a batch as real ones are.

The whole command beside bare emulation and other libraries: ``end_to_end.py``.
"""

from dataclasses import replace

import numpy as np
import pytest

from fastpg.algorithms.build import make_algorithm
from fastpg.algorithms.reinforce_kernels import update
from fastpg.config import preset
from fastpg.kernels import get_backend
from fastpg.network.table_policy import Policy, RMSProp, SparseRows
from fastpg.rollouts.episode import Episode
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.train import resolve_auto, resolve_rules

EPISODES, STEPS, PIXELS, HIDDEN = 10, 1200, 22, 200


def batch(rng):
    """Episodes with as many steps and lit pixels as Pong's, early in training."""
    for number in range(EPISODES):
        offsets = np.arange(STEPS + 1, dtype=np.int64) * PIXELS
        indices = rng.integers(0, 6400, offsets[-1]).astype(np.uint16)
        signs = rng.choice([-1, 1], offsets[-1]).astype(np.int8)
        rewards = np.where(rng.random(STEPS) < 0.017, -1, 0).astype(np.float32)
        actions = rng.integers(0, 2, STEPS).astype(np.uint8)
        yield Episode(number, SparseRows(indices, signs, offsets), actions, rewards, 3 * STEPS)


@pytest.mark.parametrize("backend", ["numba", "cython"])
def test_update(benchmark, backend):
    benchmark.group = f"one update from {EPISODES} episodes"
    rng = np.random.default_rng(0)
    episodes = list(batch(rng))
    w1, w2 = np.zeros((6400, HIDDEN), np.float32), np.zeros((1, HIDDEN), np.float32)
    policy = Policy(w1, w2, get_backend(backend))
    policy.initialize(0)
    optimizer = RMSProp(policy, 1e-4, 0.99)
    benchmark(update, ReturnEstimator(), optimizer, episodes)
    stored = sum(episode.nbytes for episode in episodes)
    benchmark.extra_info["bytes_per_stored_step"] = stored / (EPISODES * STEPS)
    if benchmark.stats:
        samples = EPISODES * STEPS
        benchmark.extra_info["microseconds_per_step"] = benchmark.stats["min"] / samples * 1e6


@pytest.mark.parametrize("minibatch", [1024, 4096])
@pytest.mark.parametrize("hidden", [128, 256])
def test_learning_of_ppo(benchmark, hidden, minibatch):
    """What a step costs in all epochs of a round of the preset ``fast``, on all cores."""
    benchmark.group = "PPO: learning from one round"
    config = replace(preset("fast"), hidden=hidden, minibatch=minibatch)
    rules = resolve_rules(config)
    algorithm = make_algorithm(resolve_auto(config, rules), rules)
    for _ in range(4):
        algorithm.learn(algorithm.play())
    played = algorithm.play()
    benchmark.pedantic(algorithm.learn, (played,), rounds=5 if benchmark.enabled else 1)
    if benchmark.stats:
        samples = played.agent_steps * config.epochs
        cost = benchmark.stats["median"] / samples * 1e6
        benchmark.extra_info["microseconds_per_sample_and_epoch"] = cost

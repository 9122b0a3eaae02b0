"""What an update costs, apart from playing: learning from a batch as real ones are.

The whole command beside bare emulation and other libraries: ``end_to_end.py``.
"""

import numpy as np
import pytest

from fastpg.algorithms.reinforce import Reinforce
from fastpg.kernels import get_backend
from fastpg.policy import Policy, RMSProp, SparseRows
from fastpg.recording import Episode

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
    benchmark(Reinforce().update, optimizer, episodes)
    stored = sum(episode.nbytes for episode in episodes)
    benchmark.extra_info["bytes_per_stored_step"] = stored / (EPISODES * STEPS)
    if benchmark.stats:
        samples = EPISODES * STEPS
        benchmark.extra_info["microseconds_per_step"] = benchmark.stats["min"] / samples * 1e6

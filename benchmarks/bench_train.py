"""What does learning cost, without playing? One update of REINFORCE, one round of PPO.

``end_to_end.py`` times training as a whole.
"""

from dataclasses import replace

import pytest

from fastpg.algorithms.build import make_algorithm
from fastpg.cli.resolve import resolve
from fastpg.config import preset


@pytest.mark.parametrize("backend", ["numba", "cython"])
def test_update(benchmark, backend):
    """One update of REINFORCE on a backend of the kernel table, from a run's first episodes."""
    config = replace(preset("pong"), backend=backend)
    algorithm = make_algorithm(resolve(config))
    played = algorithm.play()
    benchmark.group = f"one update from {len(played.scores)} episodes"
    benchmark(algorithm.learn, played)
    if benchmark.stats:
        cost = benchmark.stats["min"] / played.agent_steps * 1e6
        benchmark.extra_info["microseconds_per_step"] = cost


@pytest.mark.parametrize("minibatch", [1024, 4096])
@pytest.mark.parametrize("hidden", [128, 256])
def test_learning_of_ppo(benchmark, hidden, minibatch):
    """All epochs of one rollout of the preset ``fast``, on all cores."""
    benchmark.group = "PPO: all epochs of one rollout"
    config = replace(preset("fast"), hidden=hidden, minibatch=minibatch)
    algorithm = make_algorithm(resolve(config))
    for _ in range(4):
        algorithm.learn(algorithm.play())
    played = algorithm.play()
    benchmark.pedantic(algorithm.learn, (played,), rounds=5 if benchmark.enabled else 1)
    if benchmark.stats:
        samples = played.agent_steps * config.epochs
        cost = benchmark.stats["median"] / samples * 1e6
        benchmark.extra_info["microseconds_per_sample_and_epoch"] = cost

"""What an update costs, apart from playing: learning from a batch as real ones are.

The whole command beside bare emulation and other libraries: ``end_to_end.py``.
"""

from dataclasses import replace

import pytest

from fastpg.algorithms.build import make_algorithm
from fastpg.cli.resolve import resolve
from fastpg.config import preset


@pytest.mark.parametrize("backend", ["numba", "cython"])
def test_update(benchmark, backend):
    """One update of the thin loop, from the first ten episodes."""
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
    """What a step costs in all epochs of a round of the preset ``fast``, on all cores."""
    benchmark.group = "PPO: learning from one round"
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

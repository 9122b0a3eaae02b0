"""Measure the host's time while a GPU trains: microseconds per rollout, and per update.

``python -m tests.gpu.ptx --idle python -m benchmarks.gpu_host`` measures it without a GPU: it runs
all code of the host, including numba-cuda's, and launches nothing. On a GPU, where the host waits
at the end of both, it measures the time of host and GPU together.
"""

import argparse
import statistics
from dataclasses import replace
from time import perf_counter

from benchmarks.gpu_training import RECIPE, prepared
from fastpg.config import preset


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    config = replace(preset("fast"), device="cuda", **RECIPE)
    updates = config.epochs * config.steps_per_update * config.num_envs // config.minibatch
    algorithm, _ = prepared(config)
    algorithm.learn(algorithm.play())  # compiles
    playing, learning = [], []
    for _ in range(rounds):
        began = perf_counter()
        played = algorithm.play()
        between = perf_counter()
        algorithm.learn(played)
        playing.append(between - began)
        learning.append((perf_counter() - between) / updates)
    print(f"per rollout: {1e6 * statistics.median(playing):,.0f} us")
    print(f"per update, {updates} per rollout: {1e6 * statistics.median(learning):,.0f} us")


if __name__ == "__main__":
    main()

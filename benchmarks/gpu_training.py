"""Measure training on the GPU: steps/s by the number of environments, and the time to a score.

benchmarks/gpu.py uses it. ``python -m benchmarks.gpu_training`` measures how long :data:`RECIPE`
takes from scratch to an evaluation of +18, on the GPU or, to test the recipe, on the CPU
(``--device cpu``).
"""

import argparse
import statistics
import sys
import tempfile
from dataclasses import replace
from time import perf_counter

import numpy as np

from fastpg.algorithms.build import make_algorithm
from fastpg.checkpoint import save
from fastpg.cli.resolve import resolve
from fastpg.config import preset
from fastpg.evaluation.episodes import evaluate
from fastpg.system.cores import available_cores

# For about a thousand environments: few steps per rollout, large minibatches.
RECIPE = {
    "num_envs": 1024,
    "steps_per_update": 64,
    "minibatch": 4096,
    "epochs": 6,
    "hidden": 256,
    "anneal_steps": 3_000_000,
    "agent_steps": 12_000_000,
}
EVERY = 4  # rounds between evaluations
EPISODES = 100


def report(line):
    """Print progress."""
    print(line, file=sys.stderr, flush=True)


def error_cell(error):
    """An error's message for a cell of a table."""
    return " ".join(f"{type(error).__name__}: {error}".replace("|", "/").split())


def prepared(config):
    """Make (algorithm, rules) from settings."""
    spec = resolve(config)
    return make_algorithm(spec), spec.rules


def rounds_of(algorithm, seconds):
    """Run rounds for a number of seconds; returns agent steps, seconds of playing and of learning.

    The first round, which compiles, is not counted.
    """
    algorithm.learn(algorithm.play())
    steps, playing, learning = 0, 0.0, 0.0
    while playing + learning < seconds or not steps:
        began = perf_counter()
        played = algorithm.play()
        between = perf_counter()
        algorithm.learn(played)  # waits for the GPU: it reads the statistics
        steps += played.agent_steps
        playing += between - began
        learning += perf_counter() - between
    return steps, playing, learning


def training_table(sizes, seconds, device):
    """The table of agent steps/s, and {algorithm: [(environments, rate), ...]}."""
    lines = [
        "| algorithm | environments | agent steps/s | emulator frames/s | playing | learning |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    rates = {"the article's": [], "PPO": []}
    for name, given in rates.items():
        for size in sizes:
            config = replace(
                preset("pong" if name != "PPO" else "fast"), device=device, num_envs=size
            )
            if name == "PPO":
                config = replace(config, steps_per_update=64, minibatch=min(4096, 64 * size))
            else:
                config = replace(config, env="PongNoFrameskip-v4", episodes_per_batch=size)
            try:
                algorithm, _ = prepared(config)
                steps, playing, learning = rounds_of(algorithm, seconds)
            except Exception as error:  # out of memory, a device error: go on with other rows
                lines.append(f"| {name} | {size:,} | {error_cell(error)} | | | |")
                continue
            rate, total = steps / (playing + learning), playing + learning
            shares = f"{playing / total:.0%} | {learning / total:.0%}"
            lines.append(f"| {name} | {size:,} | {rate:,.0f} | {4 * rate:,.0f} | {shares} |")
            report(lines[-1])
            given.append((size, rate))
    return lines, rates


def divergence(config, other, rounds):
    """Where two runs' actions first differ: (round, step, game), or None if they never do.

    Args:
        config: settings of PPO.
        other: settings of the other run, with as many games and steps.
        rounds: number of rounds to compare.
    """
    runs = [prepared(one)[0] for one in (config, other)]
    for number in range(rounds):
        played = [run.play() for run in runs]
        first, second = (run.collector.rows("actions", config.steps_per_update) for run in runs)
        if (first != second).any():
            step, game = np.argwhere(first != second)[0]
            return number, int(step), int(game)
        for run, one in zip(runs, played, strict=True):
            run.learn(one)
    return None


def divergence_lines(seeds, device, rounds=20):
    """Where runs of preset fast on a device and on the CPU first differ, in Markdown."""
    lines = []
    for seed in range(seeds):
        config = replace(preset("fast"), seed=seed)
        found = divergence(replace(config, device=device), config, rounds)
        said = f"in none of {rounds} rounds"
        if found is not None:
            said = "in round {}, step {}, game {}".format(*(1 + number for number in found))
        lines.append(f"- seed {seed}: {said}")
        report(lines[-1])
    games, steps = config.num_envs, config.steps_per_update
    return [
        f"Preset `fast`, {games} games of {steps} steps per round; first differing action:",
        "",
        *lines,
    ]


def seconds_to(score, config, episodes=EPISODES, every=EVERY, progress=report):
    """Train to an evaluation of a score; returns (seconds, agent steps, rounds, final score).

    The time of evaluations is not counted. The evaluation that ends the training is biased upwards,
    because it is the first that passes, so the final score comes from other episodes. Seconds are
    None if training ended before the score was reached.
    """
    algorithm, rules = prepared(config)
    rounds, spent = 0, 0.0
    threads = available_cores()
    with tempfile.TemporaryDirectory() as folder:

        def mean(seed):
            state = {"config": config.to_json(), "weights_only": True}
            path = save(folder, rounds, algorithm.network.tensors(), state, keep=1)
            options = {"emulator": "native", "episodes": episodes, "seed": seed, "threads": threads}
            return float(evaluate(path, rules, **options).scores.mean())

        while algorithm.agent_steps < config.agent_steps:
            began = perf_counter()
            algorithm.learn(algorithm.play())
            spent += perf_counter() - began
            rounds += 1
            if rounds % every == 0:
                found = mean(seed=0)
                progress(
                    f"{rounds} rounds, {algorithm.agent_steps:,} steps, {spent:.2f} s: {found:+.1f}"
                )
                if found >= score:
                    return spent, algorithm.agent_steps, rounds, mean(seed=1)
        return None, algorithm.agent_steps, rounds, mean(seed=1)


def warm_up(config):
    """Compile everything that a run needs."""
    algorithm, _ = prepared(config)
    algorithm.learn(algorithm.play())


def score_lines(score, seeds, device, options=()):
    """The time from scratch to an evaluation of a score, per seed, in Markdown."""
    recipe = RECIPE | dict(options)
    config = replace(preset("fast"), device=device, **recipe)
    began = perf_counter()
    warm_up(config)
    startup = perf_counter() - began
    results = [seconds_to(score, replace(config, seed=seed)) for seed in range(seeds)]
    spent = sorted(result[0] for result in results if result[0] is not None)
    words = [f"--{name.replace('_', '-')} {value}" for name, value in recipe.items()]
    lines = [f"`--preset fast {' '.join(words)}`", ""]
    for seed, (seconds, steps, rounds, found) in enumerate(results):
        took = f"{seconds:.2f} s" if seconds is not None else "never"
        lines.append(
            f"- seed {seed}: {took}, {steps:,} agent steps, {rounds} rounds; then {found:+.1f}"
        )
    if spent:
        middle, seen = statistics.median(spent), f"{len(spent)} of {seeds} seeds"
        lines += ["", f"Median {middle:.2f} s ({seen}); start-up {startup:.1f} s not included."]
    return lines


def main():
    """Measure the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--score", type=float, default=18)
    for name, value in RECIPE.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    arguments = parser.parse_args()
    options = {name: getattr(arguments, name) for name in RECIPE}
    print("\n".join(score_lines(arguments.score, arguments.seeds, arguments.device, options)))


if __name__ == "__main__":
    main()

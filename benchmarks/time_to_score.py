"""How long does training take to reach a score? A table over presets, rules and seeds.

    python benchmarks/time_to_score.py --presets fast --envs ALE/Pong-v5

Each run has all cores. It ends when the mean score of 100 episodes reaches +20, or at the preset's
limit. Its policy then plays 100 episodes on ale-py's emulator. Results are appended to ``--out``:
a second call continues an interrupted one, and ``--report`` prints the results without training.
Learning curves are drawn beside ``--out``.

The mean score is over the last 100 episodes in the order of their starts. An episode counts once
all episodes that started before it have finished, so quick losses do not count first.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fastpg.system.cores import available_cores

SCORES = (0, 18, 20)
CORES = available_cores()


def train(preset, env, seed, options, folder):
    """Train once; return the rows of metrics."""
    command = [sys.executable, "-m", "fastpg.train", "--preset", preset, "--env", env]
    command += ["--seed", str(seed), "--run-dir", folder, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = Path(folder, "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def rules_of(run):
    """The rules of a run's games."""
    from fastpg.cli.resolve import resolve_rules
    from fastpg.config import TrainConfig

    config = json.loads(Path(run, "config.json").read_text())
    return resolve_rules(TrainConfig.from_json(config))


def measure(preset, env, seed, options, episodes):
    """Train once and evaluate; return the row of results."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder, "run"))
        rows = train(preset, env, seed, options, run)
        reached = {}
        for score in SCORES:
            means = ((row, row["mean_score_100"]) for row in rows)
            first = next((row for row, mean in means if mean is not None and mean >= score), None)
            names = ("agent_steps", "emulator_frames", "seconds", "episodes")
            reached[str(score)] = first and {name: first[name] for name in names}
        result = {
            "preset": preset,
            "env": env,
            "seed": seed,
            "options": options,
            "evaluated": episodes,
            "reached": reached,
            "startup": rows[-1]["seconds_startup"],
            "last": {k: rows[-1][k] for k in ("agent_steps", "seconds", "mean_score_100")},
            "curve": thinned(rows),
        }
        if episodes:
            from fastpg.evaluation.episodes import evaluate

            played = evaluate(run, rules_of(run), episodes=episodes, threads=CORES)
            scores = played.scores
            result["ale_score"] = float(scores.mean())
            result["ale_error"] = float(1.96 * scores.std(ddof=1) / len(scores) ** 0.5)
        return result


def mismatch(results, wanted, options, episodes):
    """Why the stored rows cannot be in one table with the wanted ones, as a line; or None."""
    groups = {(preset, env) for preset, env, _ in wanted}
    for row in results:
        group, had = (row["preset"], row["env"]), (row["options"], row["evaluated"])
        if group in groups and had != (options, episodes):
            return (
                f"holds runs of {' under '.join(group)} with options {had[0]}, {had[1]} episodes "
                f"of evaluation; expected {options}, {episodes}: give another file"
            )
    return None


def thinned(rows, points=300):
    """(agent steps, seconds, mean score) of about ``points`` evenly spaced rows."""
    chosen = rows[:: max(1, len(rows) // points)]
    return [[r["agent_steps"], r["seconds"], r["mean_score_100"]] for r in chosen]


def spread(values, form):
    """Median and range as text; None is a run that did not reach the score, and is counted."""
    reached = sorted(value for value in values if value is not None)
    if not reached:
        return f"none of {len(values)}"
    middle = statistics.median([*reached, *[float("inf")] * (len(values) - len(reached))])
    text = form(middle) if middle != float("inf") else "-"
    text += f" ({form(reached[0])}-{form(reached[-1])})"
    return text if len(reached) == len(values) else f"{text}, {len(reached)} of {len(values)}"


def report(results):
    """Print the table."""
    print(
        "| preset | rules | seeds | mean score | agent steps, M | frames, M | seconds "
        "| start-up, s | score on ale-py |\n|---|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    groups = {}
    for row in results:
        groups.setdefault((row["preset"], row["env"]), []).append(row)
    presets = list(dict.fromkeys(preset for preset, _ in groups))
    for preset, env in sorted(groups, key=lambda group: presets.index(group[0])):
        rows = groups[preset, env]
        for score in SCORES:
            at = [row["reached"][str(score)] for row in rows]
            if score and not any(at):
                continue
            cells = [
                spread([a and a[name] / scale for a in at], form)
                for name, scale, form in (
                    ("agent_steps", 1e6, "{:.2f}".format),
                    ("emulator_frames", 1e6, "{:.2f}".format),
                    ("seconds", 1, "{:.1f}".format),
                )
            ]
            startup = f"{statistics.median(row['startup'] for row in rows):.1f}"
            final = [row.get("ale_score") for row in rows]
            print(
                f"| {preset} | {env} | {len(rows)} | {score:+d} | {' | '.join(cells)} | {startup} "
                f"| {spread(final, '{:+.1f}'.format)} |"
            )


def draw(results, path):
    """Draw mean score against seconds, one plot per preset (rows) and rule set (columns)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    presets, envs = (
        list(dict.fromkeys(row[name] for row in results)) for name in ("preset", "env")
    )
    size = {"figsize": (4 * len(envs), 3 * len(presets)), "squeeze": False}
    figure, axes = plt.subplots(len(presets), len(envs), **size)
    for row in results:
        axis = axes[presets.index(row["preset"])][envs.index(row["env"])]
        points = [(s, m) for _, s, m in row["curve"] if m is not None]
        axis.plot(*zip(*points, strict=True), linewidth=1)
        axis.set_title(f"{row['preset']}, {row['env']}")
    for axis in axes.flat:
        axis.set_visible(bool(axis.lines))
        axis.set(xlabel="seconds", ylim=(-21.5, 21.5))
        axis.grid(alpha=0.3)
    for first in axes:
        first[0].set_ylabel("mean score of 100 episodes")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    print(f"curves: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["fast", "pong"])
    parser.add_argument(
        "--envs", nargs="+", default=["PongNoFrameskip-v4", "ALE/Pong-v5", "Pong-v0"]
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (5)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--stop-at-score", type=float, default=20.0)
    parser.add_argument("--episodes", type=int, default=100, help="of the evaluation; 0 for none")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="for fastpg.train")
    parser.add_argument("--out", type=Path, default=Path("time_to_score.jsonl"), help="results")
    parser.add_argument(
        "--report", action="store_true", help="print the results in --out without training"
    )
    arguments = parser.parse_args()
    lines = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    results = [json.loads(line) for line in lines]
    done = {(row["preset"], row["env"], row["seed"]) for row in results}
    options = ["--stop-at-score", str(arguments.stop_at_score), *arguments.options]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    wanted = [(p, e, s) for s in seeds for p in arguments.presets for e in arguments.envs]
    if arguments.report:
        wanted = []
    if wrong := mismatch(results, wanted, options, arguments.episodes):
        parser.error(f"--out {arguments.out}: {wrong}")
    for preset, env, seed in wanted:
        if (preset, env, seed) in done:
            continue
        row = measure(preset, env, seed, options, arguments.episodes)
        results.append(row)
        with open(arguments.out, "a") as file:
            file.write(json.dumps(row) + "\n")
        print(preset, env, seed, row["reached"], row.get("ale_score"), file=sys.stderr)
    report(results)
    if results:
        draw(results, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()

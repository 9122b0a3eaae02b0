"""Draw the learning curves of runs (needs the extra ``[plot]``).

    python benchmarks/curve.py RUN [RUN ..] PNG

The curve is the mean score of the last 100 episodes against emulator frames.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

from fastpg.training.metrics_file import read_metrics

RANDOM_SCORE = -20.3


def main():
    parser = argparse.ArgumentParser(description="Draw learning curves.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("png", help="picture to write")
    arguments = parser.parse_args()
    runs = arguments.runs
    figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    for run in runs:
        rows = read_metrics(run / "metrics.jsonl")
        rows = [row for row in rows if row["mean_score_100"] is not None]
        frames = [row["emulator_frames"] / 1e6 for row in rows]
        axes.plot(frames, [row["mean_score_100"] for row in rows], lw=1.2, label=run.name)
    axes.axhline(RANDOM_SCORE, color="0.6", lw=0.8, ls="--")
    axes.axhline(0, color="0.8", lw=0.8)
    axes.annotate("random", (0, RANDOM_SCORE), (2, 3), textcoords="offset points", color="0.4")
    axes.set(xlabel="emulator frames (millions)", ylabel="mean score, last 100 episodes")
    axes.spines[["top", "right"]].set_visible(False)
    if len(runs) > 1:
        axes.legend(frameon=False)
    figure.savefig(arguments.png, dpi=100)


if __name__ == "__main__":
    main()

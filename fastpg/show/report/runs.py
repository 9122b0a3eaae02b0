"""What run folders hold, for plots: settings, rows of metrics, the last scores; seeds together."""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fastpg.checkpoint import CheckpointError, load
from fastpg.show import ShowError
from fastpg.training.metrics_file import Row, read_metrics
from fastpg.training.run_folder import CONFIG, METRICS

#: What a learning curve may be drawn over: names of figures in a row.
AXES = ("episodes", "agent_steps", "seconds")
_FIGURES = [field.name for field in fields(Row) if field.default is MISSING]  # that each row has
_POINTS = 300  # of a band


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        path: its folder.
        config: its settings by name.
        rows: of its metrics, one an update, at least one.
        scores: (n,) float32: its last episodes', at most 100; empty without a checkpoint.
    """

    path: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    scores: np.ndarray

    @property
    def last(self) -> dict[str, Any]:
        """The row of the last update."""
        return self.rows[-1]

    def column(self, name: str) -> np.ndarray:
        """(rows,) float64 of a figure; NaN where it is null."""
        return np.array([np.nan if row[name] is None else row[name] for row in self.rows])

    @property
    def short(self) -> bool:
        """Whether there never were 100 episodes to take the mean score of."""
        return bool(np.isnan(self.column("mean_score_100")).all())

    @property
    def last_score(self) -> float:
        """The last of its curve; -inf if that is empty."""
        scores = self.curve("episodes")[1]
        return float(scores[-1]) if len(scores) else -math.inf

    def curve(self, axis: str) -> tuple[np.ndarray, np.ndarray]:
        """Rising figures of an axis and the score there: the mean of the last 100 episodes.

        A run of fewer than 100 episodes has the mean of each update's episodes instead.
        """
        scores = self.column("mean_score_batch" if self.short else "mean_score_100")
        known = ~np.isnan(scores)
        return self.column(axis)[known], scores[known]


@dataclass(frozen=True)
class Group:
    """Runs of the same settings but the seed.

    Attributes:
        label: short, and different from other groups'.
        runs: at least one, in the order given.
    """

    label: str
    runs: list[Run]

    def band(self, axis: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """Places, lowest, median and highest score of the seeds, where all of them have one.

        None with fewer than two runs, or where they have no place in common.
        """
        curves = [run.curve(axis) for run in self.runs]
        if len(curves) < 2 or any(len(x) < 2 for x, _ in curves):
            return None
        begin, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        if begin >= end:
            return None
        places = np.linspace(begin, end, _POINTS)
        scores = np.stack([np.interp(places, x, y) for x, y in curves])
        return places, scores.min(0), np.median(scores, 0), scores.max(0)


def read_run(path: Path) -> Run:
    """Read a run's folder.

    Raises:
        ShowError: it is none, cannot be read, or has no row yet.
    """
    if not (path / CONFIG).is_file():
        reason = "no such folder" if not path.exists() else f"has no {CONFIG}"
        raise ShowError(
            f"{path}: {reason}; RUN is the folder that python -m fastpg.train writes and names"
        )
    try:
        config = json.loads((path / CONFIG).read_text())
        rows = read_metrics(path / METRICS)
        if not isinstance(config, dict):
            raise ValueError(f"{path / CONFIG}: expected an object")
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ShowError(f"{path}: cannot be read: {said}") from None
    if not rows:
        raise ShowError(f"{path}: has no update yet; try again later")
    missing = [name for name in _FIGURES if any(name not in row for row in rows)]
    if missing:
        raise ShowError(f"{path}: {METRICS} has rows without {', '.join(missing)}")
    try:
        scores = np.asarray(load(path).tensors["scores"], np.float32)
    except (CheckpointError, KeyError):
        scores = np.zeros(0, np.float32)
    return Run(path, config, rows, scores)


def grouped(runs: Sequence[Run], apart: Collection[str]) -> list[Group]:
    """Runs together whose settings are equal, without those named ``apart``."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        same = {name: value for name, value in run.config.items() if name not in apart}
        found.setdefault(json.dumps(same, sort_keys=True), []).append(run)
    lists = list(found.values())
    names = differing([own[0].config for own in lists], apart)
    return [Group(_label(own[0].config, names), own) for own in lists]


def differing(configs: Sequence[dict[str, Any]], apart: Collection[str]) -> list[str]:
    """Names of settings that are not the same in all."""
    names = dict.fromkeys(name for config in configs for name in config if name not in apart)
    return [n for n in names if any(c.get(n) != configs[0].get(n) for c in configs)]


def _label(config: dict[str, Any], names: list[str]) -> str:
    parts = [str(config.get("preset", "?")), str(config.get("env", "?"))]
    if "preset" not in names and "env" not in names:  # what makes the difference, if anything
        parts += [f"{name} {config.get(name)}" for name in names[:2]]
    return ", ".join(parts)

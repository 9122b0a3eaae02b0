"""Run folders as plots need them: settings, metrics and last scores, grouped by settings."""

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

#: Columns of the metrics that a learning curve can be drawn over.
AXES = ("episodes", "agent_steps", "seconds")
_REQUIRED = [field.name for field in fields(Row) if field.default is MISSING]
_FIGURES = {field.name for field in fields(Row)}
_NEVER_NULL = {field.name for field in fields(Row) if field.type in (int, float)}
_POINTS = 300  # points at which a band is evaluated


@dataclass(frozen=True)
class Run:
    """One run."""

    path: Path  #: folder of the run
    config: dict[str, Any]  #: settings by name
    rows: list[dict[str, Any]]  #: rows of metrics, one an update, at least one
    #: (n,) float32: scores of the last episodes, at most 100; empty without a checkpoint.
    scores: np.ndarray

    @property
    def name(self) -> str:
        """Name of the folder. Bytes of it that are no text are replaced."""
        return self.path.name.encode("utf-8", "replace").decode()

    @property
    def last(self) -> dict[str, Any]:
        """Metrics of the last update."""
        return self.rows[-1]

    def column(self, name: str) -> np.ndarray:
        """Return a column of the metrics as (rows,) float64, with NaN for null."""
        return np.array([np.nan if row[name] is None else row[name] for row in self.rows])

    @property
    def short(self) -> bool:
        """True if the run has fewer than 100 episodes, the number that the mean score needs."""
        return bool(np.isnan(self.column("mean_score_100")).all())

    @property
    def last_score(self) -> float:
        """Last score of the curve; -inf if the curve is empty."""
        scores = self.curve("episodes")[1]
        return float(scores[-1]) if len(scores) else -math.inf

    def curve(self, axis: str) -> tuple[np.ndarray, np.ndarray]:
        """Return positions on an axis, rising, and the mean score of the last 100 episodes there.

        A run of fewer than 100 episodes has the mean of each update's episodes instead.
        """
        scores = self.column("mean_score_batch" if self.short else "mean_score_100")
        known = ~np.isnan(scores)
        return self.column(axis)[known], scores[known]


@dataclass(frozen=True)
class Group:
    """Runs with equal settings but different seeds."""

    label: str  #: short name that no other group has
    runs: list[Run]  #: at least one run, in the order of the command line

    def band(self, axis: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
        """Return positions on an axis and the lowest, median and highest score of the runs there.

        None with fewer than two runs, or if their curves do not overlap.
        """
        curves = [run.curve(axis) for run in self.runs]
        if len(curves) < 2 or any(len(x) < 2 for x, _ in curves):
            return None
        begin, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        if begin >= end:
            return None
        positions = np.linspace(begin, end, _POINTS)
        scores = np.stack([np.interp(positions, x, y) for x, y in curves])
        return positions, scores.min(0), np.median(scores, 0), scores.max(0)


def read_run(path: Path) -> Run:
    """Read the folder of a run.

    Raises:
        ShowError: it is not the folder of a run, cannot be read, or has no metrics yet.
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
    missing = [name for name in _REQUIRED if any(name not in row for row in rows)]
    if missing:
        raise ShowError(f"{path}: {METRICS} has rows without {', '.join(missing)}")
    for number, row in enumerate(rows, 1):
        for name in _FIGURES & row.keys():
            if type(row[name]) not in (int, float, type(None)):
                said = f"expected a number or null, got {row[name]!r:.40}"
                raise ShowError(f"{path}: {METRICS}: line {number}: {name}: {said}")
            if row[name] is None and name in _NEVER_NULL:
                said = "expected a number, got null"
                raise ShowError(f"{path}: {METRICS}: line {number}: {name}: {said}")
    try:
        scores = np.asarray(load(path).tensors["scores"], np.float32)
    except (CheckpointError, KeyError):
        scores = np.zeros(0, np.float32)
    return Run(path, config, rows, scores)


def grouped(runs: Sequence[Run], apart: Collection[str]) -> list[Group]:
    """Group runs whose settings are equal, without regard to the settings named ``apart``."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        same = {name: value for name, value in run.config.items() if name not in apart}
        groups.setdefault(json.dumps(same, sort_keys=True), []).append(run)
    lists = list(groups.values())
    names = differing([same[0].config for same in lists], apart)
    return [Group(_label(same[0].config, names), same) for same in lists]


def differing(configs: Sequence[dict[str, Any]], apart: Collection[str]) -> list[str]:
    """Return the names of settings that differ between configurations, except ``apart``."""
    names = dict.fromkeys(name for config in configs for name in config if name not in apart)
    return [n for n in names if any(c.get(n) != configs[0].get(n) for c in configs)]


def _label(config: dict[str, Any], names: list[str]) -> str:
    words = [str(config.get("preset", "?")), str(config.get("env", "?"))]
    if "preset" not in names and "env" not in names:
        words += [f"{name} {config.get(name)}" for name in names[:2]]
    return ", ".join(words)

"""What a run saves besides its algorithm: settings, counters, seconds and the last scores."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastpg.algorithms.base import Played
from fastpg.checkpoint import Checkpoint
from fastpg.config import TrainConfig


class ScoreWindow:
    """The scores of the last ``size`` finished episodes, in the order in which they were added.

    Training adds them in the order in which the episodes began.
    """

    def __init__(self, size: int = 100):
        if size < 1:
            raise ValueError(f"expected size >= 1, got {size}")
        self.size = size
        self._scores: deque[float] = deque(maxlen=size)

    def add(self, score: float) -> None:
        """Append the score of the next episode."""
        self._scores.append(float(score))

    @property
    def mean(self) -> float | None:
        """Mean of the last ``size`` scores; None while there are fewer."""
        return math.fsum(self._scores) / self.size if len(self._scores) == self.size else None

    def array(self) -> np.ndarray:
        """Return the scores (n,) float32, oldest first, n <= size, for a checkpoint."""
        return np.array(self._scores, np.float32)

    @classmethod
    def from_array(cls, scores: np.ndarray, size: int = 100) -> "ScoreWindow":
        """Restore a window from what :meth:`array` returned.

        Args:
            scores: (n,); of more than ``size`` scores, only the last ones are used.
            size: of the window.

        Raises:
            ValueError: scores is not one-dimensional.
        """
        if scores.ndim != 1:
            raise ValueError(f"scores: expected (n,), got {scores.shape}")
        window = cls(size)
        window._scores.extend(float(score) for score in scores)
        return window


class RunState:
    """Counters, seconds and scores of a run, from its first update on."""

    def __init__(self) -> None:
        self.counters = {"update": 0, "episodes": 0, "agent_steps": 0, "emulator_frames": 0}
        #: In total, and the shares of emulation, forward passes and learning.
        self.seconds = {"total": 0.0, "emulation": 0.0, "forward": 0.0, "learning": 0.0}
        self.scores = ScoreWindow()  #: of the last 100 episodes

    def count(self, played: Played, seconds_learning: float, seconds_total: float) -> None:
        """Add one update: its round, and the seconds of learning from it.

        Args:
            played: the round.
            seconds_learning: of this update.
            seconds_total: of the run up to now.
        """
        for score in played.scores:
            self.scores.add(score)
        self.counters["update"] += 1
        self.counters["episodes"] += len(played.scores)
        self.counters["agent_steps"] += played.agent_steps
        self.counters["emulator_frames"] += played.emulator_frames
        self.seconds["emulation"] += played.seconds_emulation
        self.seconds["forward"] += played.seconds_forward
        self.seconds["learning"] += seconds_learning
        self.seconds["total"] = seconds_total

    def to_save(
        self, config: TrainConfig, algorithm: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the tensors and the state of a checkpoint from which the run can be resumed.

        Args:
            config: settings of the run.
            algorithm: its algorithm's tensors.
        """
        state = {"config": config.to_json(), "counters": self.counters, "seconds": self.seconds}
        return dict(algorithm) | {"scores": self.scores.array()}, state

    def restore(self, saved: Checkpoint) -> None:
        """Take the values of a checkpoint that :meth:`to_save` described."""
        self.scores = ScoreWindow.from_array(saved.tensors["scores"])
        self.counters.update(saved.state["counters"])
        self.seconds.update(saved.state["seconds"])

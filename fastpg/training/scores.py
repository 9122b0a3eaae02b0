"""The scores of the last episodes, and their mean."""

import math
from collections import deque

import numpy as np


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

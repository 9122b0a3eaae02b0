"""A mean's confidence interval, and a histogram of text."""

from collections.abc import Sequence
from functools import cache

import numpy as np

_POINTS = 200_001  # of the integral; its error is below 1e-8
_MOST_ROWS = 22
_WIDTH = 40  # characters of the longest bar


@cache
def t_quantile(freedom: int, confidence: float = 0.95) -> float:
    """The t between whose negative and itself Student's distribution has so much.

    With t = sqrt(freedom) tan(a) its density is proportional to cos(a)^(freedom - 1).

    Args:
        freedom: degrees of freedom, at least 1.
        confidence: above 0 and below 1.
    """
    # beyond 12 deviations there is nothing left, and the grid stays fine for any freedom
    widest = np.pi / 2 if freedom < 100 else np.arctan(12 / np.sqrt(freedom))
    angles = np.linspace(0, widest, _POINTS)
    density = np.cos(angles) ** (freedom - 1)
    area = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = np.interp(confidence, area / area[-1], angles)
    return float(np.sqrt(freedom) * np.tan(angle))


def confidence_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of the mean by Student's t; None of less than two values."""
    count = len(values)
    if count < 2:
        return None
    mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(count)
    half = t_quantile(count - 1) * error
    return float(mean - half), float(mean + half)


def histogram(values: np.ndarray) -> list[str]:
    """Lines of less than 60 characters: a bin's values, a bar, how many.

    Args:
        values: (N,) whole numbers, N at least 1.
    """
    low, high = int(values.min()), int(values.max())
    width = -(-(high - low + 1) // _MOST_ROWS)
    counts = np.bincount(((values - low) // width).astype(np.int64))
    lines = []
    for k, count in enumerate(counts):
        first = low + k * width
        name = f"{first:+d}" if width == 1 else f"{first:+d}..{first + width - 1:+d}"
        bar = "#" * -(-int(count) * _WIDTH // int(counts.max()))
        lines.append((name, bar, int(count)))
    column = max(len(name) for name, _, _ in lines)
    return [f"{name:>{column}} {bar} {count or ''}".rstrip() for name, bar, count in lines]

"""Student's t against SciPy; intervals; histograms."""

import numpy as np
import pytest

from fastpg.evaluation.statistics import confidence_interval, histogram, t_quantile

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 99, 100, 101, 999, 99_999])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_quantiles_are_students(freedom, confidence):
    expected = stats.t.ppf(0.5 + confidence / 2, freedom)
    assert t_quantile(freedom, confidence) == pytest.approx(expected, rel=1e-5)


def test_interval_is_scipys():
    values = np.random.default_rng(0).integers(-21, 22, 40).astype(float)
    expected = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert confidence_interval(values) == pytest.approx(expected)
    assert confidence_interval([5.0, 5.0, 5.0]) == (5.0, 5.0)
    assert confidence_interval([5.0]) is None


def test_interval_covers_the_mean_so_often():
    rng = np.random.default_rng(1)
    intervals = [confidence_interval(rng.normal(3, 2, 5)) for _ in range(400)]
    covered = np.mean([low < 3 < high for low, high in intervals])
    assert 0.92 < covered < 0.98


def test_histogram_has_a_row_for_each_score():
    lines = histogram(np.array([-2.0, 1, 1, 1, 1]))
    assert lines == ["-2 ########## 1", "-1", "+0", f"+1 {'#' * 40} 4"]


def test_histogram_of_many_scores_has_wider_bins():
    scores = np.array([0, 1, 2, 399, 400])
    lines = histogram(scores)
    assert len(lines) <= 22
    assert lines[0].split()[0] == "+0..+18"
    assert lines[0].endswith(" 3")
    assert lines[-1].endswith(" 1") or lines[-1].endswith(" 2")
    assert sum(int(line.split()[-1]) for line in lines if "#" in line) == 5
    assert max(map(len, lines)) < 60

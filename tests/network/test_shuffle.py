"""Minibatch order: keys fix a permutation, which statistics cannot tell from a random one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpg.network._network import SHUFFLE_KEYS, shuffled


def keys_of(number):
    return np.random.SeedSequence(number).generate_state(SHUFFLE_KEYS)


@given(st.integers(0, 3000), st.integers(0, 2**32))
def test_shuffled_numbers_are_all_of_them_once(count, number):
    assert sorted(shuffled(count, keys_of(number))) == list(range(count))


@pytest.mark.parametrize("count", [4096, 5000])
def test_shuffled_numbers_are_alike_everywhere(count):
    """Positions, successors and the order of neighbours are as frequent as in random orders."""
    draws, bins = 400, 10
    orders = np.array([shuffled(count, keys_of(number)) for number in range(draws)])
    counts = np.stack(
        [np.histogram(orders[:, at], bins, (0, count))[0] for at in range(0, count, count // 50)]
    )
    expected = draws / bins
    statistic = ((counts - expected) ** 2 / expected).sum()  # chi square, 9 degrees each
    degrees = len(counts) * (bins - 1)
    assert abs(statistic - degrees) < 5 * np.sqrt(2 * degrees)
    following = (np.diff(orders, axis=1) == 1).sum()  # in random orders Poisson with mean `draws`
    assert abs(following - draws) < 5 * np.sqrt(draws)
    ascending = (orders[:, ::2][:, : count // 2] < orders[:, 1::2]).mean()
    assert abs(ascending - 0.5) < 5 * 0.5 / np.sqrt(draws * (count // 2))


def test_shuffled_refuses_what_it_cannot_do():
    for count, keys in ((-1, keys_of(0)), (2**31 + 1, keys_of(0)), (4, keys_of(0)[1:])):
        with pytest.raises(ValueError, match="count, keys"):
            shuffled(count, keys)

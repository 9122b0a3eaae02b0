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


def mixed(x):
    """MurmurHash3's finaliser."""
    x = (x ^ x >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    x = (x ^ x >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return x ^ x >> 16


def feistel(at, count, keys):
    """A number of a permutation of 0 .. count - 1, on the fewest bits that hold them."""
    bits = max((count - 1).bit_length(), 2)
    low = bits // 2
    while True:
        left, right = at >> low, at & (1 << low) - 1
        for even, odd in zip(keys[::2], keys[1::2], strict=True):
            left ^= mixed(right + even & 0xFFFFFFFF) & (1 << bits - low) - 1
            right ^= mixed(left + odd & 0xFFFFFFFF) & (1 << low) - 1
        at = left << low | right
        if at < count:
            return at


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 255, 256, 257, 1000, 4096, 4097])
def test_the_order_is_that_of_the_network_in_the_header(count):
    keys = keys_of(count)
    numbers = [int(key) for key in keys]
    assert shuffled(count, keys).tolist() == [feistel(at, count, numbers) for at in range(count)]


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

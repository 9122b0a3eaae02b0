"""StartOrderedScores and ReturnEstimator against models that follow every step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpg.algorithms.score_tracker import StartOrderedScores
from fastpg.kernels import get_backend
from fastpg.rollouts.returns import ReturnEstimator


def brute_force(rewards, ends, rounds):
    """Episodes (score, length) released after each round, from the whole history (T, N)."""
    steps, games = ends.shape
    episodes = []  # (begin, game, end, score); end is None while it runs
    for game in range(games):
        begin = 0
        for t in range(steps):
            if ends[t, game]:
                episodes.append((begin, game, t + 1, float(rewards[begin : t + 1, game].sum())))
                begin = t + 1
        episodes.append((begin, game, None, None))
    released, before = [], 0
    for now in rounds:
        known = [(b, g, e if e and e <= now else None, s) for b, g, e, s in episodes if b <= now]
        running = min((b, g) for b, g, e, _ in known if e is None)
        ready = [
            (s, e - b) for b, g, e, s in sorted(known, key=lambda x: x[:2]) if (b, g) < running
        ]
        released.append(ready[before:])
        before = len(ready)
    return released


@st.composite
def histories(draw):
    """(rewards, ends) of some games, and the steps after which a round is over."""
    games, steps = draw(st.integers(1, 5)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rewards = rng.integers(-1, 2, (steps, games)).astype(np.float32)
    often = rng.choice([0.02, 0.3, 0.9], games)  # short and long episodes side by side
    cuts = sorted(draw(st.sets(st.integers(1, steps))) | {steps})
    return rewards, (rng.random((steps, games)) < often).astype(np.uint8), cuts


@settings(max_examples=150, deadline=None)
@given(histories(), st.booleans())
def test_episodes_count_in_the_order_of_their_begins(history, saved):
    rewards, ends, cuts = history
    order, got, begin = StartOrderedScores(ends.shape[1]), [], 0
    for end in cuts:
        got.append(order.add(rewards[begin:end], ends[begin:end]))
        begin = end
        if saved:
            tensors = order.tensors()
            order = StartOrderedScores.from_tensors({k: v.copy() for k, v in tensors.items()})
            for name, tensor in order.tensors().items():
                np.testing.assert_array_equal(tensor, tensors[name])
    assert got == brute_force(rewards, ends, cuts)


def test_a_copy_stands_apart():
    order = StartOrderedScores(2)
    rewards, ends = np.ones((3, 2), np.float32), np.array([[0, 0], [0, 1], [0, 0]])
    assert order.copy().add(rewards, ends) == []
    assert order.step == 0
    order.add(rewards, ends)
    ends[:] = 1
    assert order.copy().add(rewards, ends)[:2] == [(4.0, 4), (2.0, 2)]
    assert order.add(rewards, ends)[:2] == [(4.0, 4), (2.0, 2)]
    assert order.add(rewards[:0], ends[:0]) == []


# ---- estimator -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("standardize", ["episode", "batch", "none"])
def test_credit_of_each_decision(cut, standardize):
    rng = np.random.default_rng(0)
    lengths = [7, 1, 12, 3]
    rewards = rng.choice([-1, 0, 0, 0, 1], sum(lengths)).astype(np.float32)
    returns, begin = np.zeros(sum(lengths)), 0
    for length in lengths:
        for t in range(length):
            for k in range(t, length):
                returns[begin + t] += 0.9 ** (k - t) * rewards[begin + k]
                if cut and rewards[begin + k]:
                    break
        begin += length
    if standardize == "batch":
        returns = (returns - returns.mean()) / returns.std()
    elif standardize == "episode":
        parts = np.split(returns, np.cumsum(lengths)[:-1])
        returns = np.concatenate([(p - p.mean()) / (p.std() or 1) for p in parts])
    for backend in ("cython", "reference"):
        estimator = ReturnEstimator(0.9, cut, standardize)
        got = estimator.advantages(get_backend(backend), rewards, lengths)
        np.testing.assert_allclose(got, returns, rtol=1e-5, atol=1e-6)

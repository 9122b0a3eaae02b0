"""Properties of every backend's ops on random inputs: identities, invariances, distributions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastpg.kernels import get_backend
from tests.support.cases import HOST_BACKENDS, case

pytestmark = pytest.mark.parametrize("backend", HOST_BACKENDS)
quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def views(draw_shape):
    return hnp.arrays(np.uint8, draw_shape, elements=st.integers(0, 1))


@quick
@given(shape=st.tuples(st.integers(0, 3), st.integers(1, 200)), data=st.data())
def test_sparse_rows_rebuild_the_dense_difference(backend, shape, data):
    kernels = get_backend(backend)
    current, previous = data.draw(views(shape)), data.draw(views(shape))
    indices, signs, offsets = kernels.frame_difference(current, previous)
    rebuilt = np.zeros(shape, np.float32)
    rebuilt[np.repeat(np.arange(shape[0]), np.diff(offsets)), indices] = signs
    np.testing.assert_array_equal(rebuilt, kernels.frame_difference_dense(current, previous))
    assert all((np.diff(row.astype(int)) > 0).all() for row in np.split(indices, offsets[1:-1]))


@quick
@given(seed=seeds, hidden=st.integers(1, 40), outputs=st.integers(1, 4))
def test_sparse_and_dense_network_agree(backend, seed, hidden, outputs):
    kernels, rng = get_backend(backend), np.random.default_rng(seed)
    current, previous = (rng.random((2, 5, 60)) < 0.2).astype(np.uint8)
    rows = kernels.frame_difference(current, previous)
    x = kernels.frame_difference_dense(current, previous)
    w1, w2 = (rng.normal(size=s).astype("f4") for s in ((60, hidden), (outputs, hidden)))
    sparse, dense = kernels.policy_forward(*rows, w1, w2), kernels.policy_forward_dense(x, w1, w2)
    decision = rng.integers(0, max(outputs, 2), 5).astype("u1"), rng.normal(size=5).astype("f4")
    gradients = [
        backward(*inputs, *sparse, *decision, w2, np.empty_like(w1), np.empty_like(w2))
        for backward, inputs in (
            (kernels.policy_backward, rows),
            (kernels.policy_backward_dense, (x,)),
        )
    ]
    for a, b in zip((*sparse, *gradients[0]), (*dense, *gradients[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@quick
@given(seed=seeds, outputs=st.integers(1, 4))
def test_gradients_from_the_outputs_are_those_from_the_decisions(backend, seed, outputs):
    kernels = get_backend(backend)
    inputs = case("policy_backward", seed, B=9, D=30, H=11, A=outputs, pixels=4).inputs
    *rows, hidden, probabilities, actions, advantages, w2, _ = inputs.values()
    taken = actions[:, None] if outputs == 1 else actions[:, None] == np.arange(outputs)
    dlogits = advantages[:, None] * (taken.astype(np.float32) - probabilities)
    given = kernels.policy_backward_outputs(*rows, hidden, dlogits, w2, *gradients(30, 11, outputs))
    expected = kernels.policy_backward(
        *rows, hidden, probabilities, actions, advantages, w2, *gradients(30, 11, outputs)
    )
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def gradients(inputs, units, outputs):
    """Uninitialised dw1 and dw2."""
    return np.empty((inputs, units), np.float32), np.empty((outputs, units), np.float32)


@quick
@given(seed=seeds, steps=st.integers(0, 60), gamma=st.floats(0, 1))
def test_returns_are_linear_in_the_rewards(backend, seed, steps, gamma):
    kernels, rng = get_backend(backend), np.random.default_rng(seed)
    first, second = rng.integers(-3, 4, (2, steps, 2)).astype(np.float32)
    dones = rng.random((steps, 2)) < 0.1
    parts = [kernels.discounted_returns(r, dones, gamma) for r in (first, second)]
    both = kernels.discounted_returns(first + 2 * second, dones, gamma)
    np.testing.assert_allclose(both, parts[0] + 2 * parts[1], rtol=1e-5, atol=1e-4)


def rollout(seed, steps):
    """Rewards, dones, values and a potential of the state, of two environments."""
    rng = np.random.default_rng(seed)
    rewards, values, potential = rng.normal(size=(3, steps + 1, 2)).astype(np.float32)
    return rewards[:steps], rng.random((steps, 2)) < 0.1, values, potential


@quick
@given(seed=seeds, steps=st.integers(0, 60), gamma=st.floats(0, 1))
def test_advantages_with_lambda_1_are_bootstrapped_returns_minus_values(
    backend, seed, steps, gamma
):
    kernels, (rewards, dones, values, _) = get_backend(backend), rollout(seed, steps)
    advantages, returns = kernels.generalized_advantages(rewards, dones, values, gamma, 1.0)
    never = np.zeros((1, 2), bool)
    expected = kernels.discounted_returns(
        np.concatenate([rewards, values[-1:]]), np.concatenate([dones, never]), gamma
    )[:steps]
    np.testing.assert_allclose(returns, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(advantages, expected - values[:-1], rtol=1e-5, atol=1e-5)


@quick
@given(seed=seeds, steps=st.integers(0, 60), gamma=st.floats(0, 1), lam=st.floats(0, 1))
def test_a_potential_in_rewards_and_values_leaves_advantages_alone(
    backend, seed, steps, gamma, lam
):
    """Reward shaping, section 5 of the GAE paper; an ended episode has the potential 0."""
    kernels, (rewards, dones, values, potential) = get_backend(backend), rollout(seed, steps)
    shaped = rewards + np.where(dones, 0, gamma * potential[1:]) - potential[:-1]
    advantages, _ = kernels.generalized_advantages(rewards, dones, values, gamma, lam)
    same, _ = kernels.generalized_advantages(
        shaped.astype(np.float32), dones, values - potential, gamma, lam
    )
    np.testing.assert_allclose(same, advantages, rtol=1e-4, atol=1e-4)


@quick
@given(seed=seeds, lam=st.floats(0, 1))
def test_nothing_after_an_end_is_looked_at(backend, seed, lam):
    kernels, (rewards, dones, values, _) = get_backend(backend), rollout(seed, 30)
    dones[19] = True
    before, _ = kernels.generalized_advantages(rewards, dones, values, 0.99, lam)
    rewards[20:], values[20:] = np.nan, np.inf
    after, _ = kernels.generalized_advantages(rewards, dones, values, 0.99, lam)
    np.testing.assert_array_equal(after[:20], before[:20])


def decisions(seed, outputs):
    """The arrays of a ppo_gradient call."""
    inputs = case("ppo_gradient", seed, B=20, A=outputs).inputs
    return [v for v in inputs.values() if isinstance(v, np.ndarray)]


@quick
@given(seed=seeds, weight=st.floats(0, 1))
def test_one_output_is_the_second_logit_of_two(backend, seed, weight):
    ppo, (up, *rest) = get_backend(backend).ppo_gradient, decisions(seed, 1)
    one, _ = ppo(up, *rest, 0.2, weight, 0.5)
    two, _ = ppo(np.concatenate([1 - up, up], axis=1), *rest, 0.2, weight, 0.5)
    np.testing.assert_allclose(two[:, 1:], one, rtol=1e-5, atol=1e-6)


@quick
@given(seed=seeds, outputs=st.integers(2, 18), clip=st.floats(0, np.inf), weight=st.floats(0, 9))
def test_a_shift_of_all_logits_changes_no_objective(backend, seed, outputs, clip, weight):
    d_logits, _ = get_backend(backend).ppo_gradient(*decisions(seed, outputs), clip, weight, 0.5)
    scale = 1 + np.abs(d_logits).sum(axis=1)
    np.testing.assert_allclose(d_logits.sum(axis=1) / scale, 0, atol=1e-6)


@quick
@given(seed=seeds, outputs=st.integers(1, 6), clip=st.floats(0, np.inf))
def test_a_first_epoch_climbs_the_policy_gradient(backend, seed, outputs, clip):
    """Before the weights change, d_logits are those of policy_backward, for any clip."""
    probabilities, values, actions, _, advantages, returns = decisions(seed, outputs)
    numbers = np.arange(20)
    if outputs == 1:
        old = np.where(actions == 1, probabilities[:, 0], 1 - probabilities[:, 0])
        taken = actions[:, None]
    else:
        old = probabilities[numbers, actions]
        taken = np.arange(outputs) == actions[:, None]
    d_logits, _ = get_backend(backend).ppo_gradient(
        probabilities, values, actions, old, advantages, returns, clip, 0.0, 0.5
    )
    np.testing.assert_allclose(d_logits, advantages[:, None] * (taken - probabilities), rtol=1e-6)


@quick
@given(
    probabilities=hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 20), st.integers(1, 4)),
        elements=st.sampled_from([0, 1]) | st.floats(0, 1, width=32),
    ),
    old=st.sampled_from([2.0**-126, 1]) | st.floats(2.0**-126, 1, width=32),
    advantage=st.floats(-1, 1, width=32),
    clip=st.sampled_from([0, 0.2, np.inf]),
)
def test_any_probabilities_give_finite_gradients(backend, probabilities, old, advantage, clip):
    samples, outputs = probabilities.shape
    numbers = np.arange(samples)
    actions = (numbers % max(outputs, 2)).astype(np.uint8)
    ones = np.ones(samples, np.float32)
    d_logits, d_values = get_backend(backend).ppo_gradient(
        probabilities, ones, actions, old * ones, advantage * ones, -ones, clip, 1.0, 1.0
    )
    assert np.isfinite(d_logits).all()
    assert (d_values == -4).all()


@quick
@given(seed=seeds, size=st.integers(2, 400), scale=st.floats(1e-3, 1e3), shift=st.floats(-99, 99))
def test_standardized_values_have_mean_0_and_deviation_1(backend, seed, size, scale, shift):
    values = (np.random.default_rng(seed).normal(size=size) * scale + shift).astype(np.float32)
    standardized = get_backend(backend).standardize(values, np.array([0, size]))
    if values.min() == values.max():
        assert not standardized.any()
        return
    assert abs(standardized.mean(dtype=float)) < 1e-5
    assert abs(standardized.std(dtype=float) - 1) < 1e-5


@quick
@given(seed=seeds, step=st.integers(1, 10**6), power=st.integers(-9, 9))
def test_adam_does_not_feel_the_size_of_the_gradients(backend, seed, step, power):
    """Scaling by a power of two does not round; the epsilon is too small to matter."""
    kernels = get_backend(backend)
    gradient, weights, mean, square = np.random.default_rng(seed).normal(size=(4, 50)).astype("f4")
    scale, square = np.float32(2.0**power), square * square
    scaled = weights.copy()
    kernels.adam_update(
        gradient * scale, step, 0.01, scaled, mean * scale, square * scale**2, epsilon=1e-30
    )
    kernels.adam_update(gradient, step, 0.01, weights, mean, square, epsilon=1e-30)
    np.testing.assert_array_equal(scaled, weights)


@quick
@given(seed=seeds, decay=st.floats(0, 0.99), rate=st.floats(0, 1))
def test_adam_without_a_mean_is_rmsprop_in_the_end(backend, seed, decay, rate):
    kernels = get_backend(backend)
    gradient, weights, mean, square = np.random.default_rng(seed).normal(size=(4, 50)).astype("f4")
    square *= square
    expected, cache = weights.copy(), square.copy()
    kernels.rmsprop_update(gradient, rate, decay, expected, cache)
    kernels.adam_update(gradient, 10**6, rate, weights, mean, square, beta1=0.0, beta2=decay)
    np.testing.assert_array_equal(weights, expected)
    np.testing.assert_array_equal(square, cache)


@quick
@given(seed=seeds, rate=st.floats(0, 1))
def test_adams_first_step_is_the_learning_rate(backend, seed, rate):
    gradient = np.random.default_rng(seed).choice([-1, 1], 50) * np.geomspace(1e-3, 1e3, 50)
    weights, mean, square = np.zeros((3, 50), np.float32)
    update = get_backend(backend).adam_update
    update(gradient.astype(np.float32), 1, rate, weights, mean, square, epsilon=1e-10)
    np.testing.assert_allclose(weights, rate * np.sign(gradient), rtol=1e-5, atol=1e-38)


@quick
@given(
    seed=st.integers(0, 2**64 - 1), streams=hnp.arrays(np.uint64, st.integers(1, 50)), order=seeds
)
def test_uniforms_depend_on_nothing_but_seed_stream_and_step(backend, seed, streams, order):
    kernels, rng = get_backend(backend), np.random.default_rng(order)
    steps = rng.integers(0, 2**64, streams.size, dtype=np.uint64)
    together = kernels.counter_uniforms(streams, steps, seed)
    assert (together >= 0).all()
    assert (together < 1).all()
    shuffled = rng.permutation(streams.size)
    alone = [kernels.counter_uniforms(streams[[i]], steps[[i]], seed)[0] for i in shuffled]
    np.testing.assert_array_equal(alone, together[shuffled])


def test_uniforms_are_uniform(backend):
    streams, steps = (g.ravel().astype(np.uint64) for g in np.mgrid[:100, :1000])
    uniforms = get_backend(backend).counter_uniforms(streams[:20000], steps[:20000], 1)
    counts = np.histogram(uniforms, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-square, 19 degrees, p = 0.001


@quick
@given(seed=seeds, outputs=st.integers(1, 6))
def test_actions_follow_the_cumulative_probabilities(backend, seed, outputs):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(max(outputs, 2)))[:outputs].astype(np.float32)
    grid = ((np.arange(4000) + 0.5) / 4000).astype(np.float32)
    sample = get_backend(backend).sample_actions
    actions = sample(np.tile(probabilities, (4000, 1)), grid)
    shares = np.bincount(actions, minlength=max(outputs, 2)) / 4000
    expected = [1 - probabilities[0], probabilities[0]] if outputs == 1 else probabilities
    np.testing.assert_allclose(shares, expected, atol=1 / 1000)

"""The reference itself, against hand calculations, published vectors and finite differences."""

import numpy as np
import pytest
from scipy.signal import lfilter

from fastpg.kernels import get_backend
from fastpg.kernels.reference import philox4x32

REFERENCE = get_backend("reference")


def f32(*values):
    return np.array(values, np.float32)


# ---- pictures -------------------------------------------------------------------------------


def test_preprocess_crops_samples_and_finds_the_background():
    frames = np.full((1, 210, 160, 3), 144, np.uint8)
    frames[0, 35, 0, 0] = 200  # view pixel 0
    frames[0, 37, 158, 0] = 1  # row 1, column 79
    frames[0, 193, 2, 0] = 0  # black is background too
    frames[0, 36] = frames[0, 195:] = frames[0, :35] = 7  # not sampled
    frames[..., 1:] = 99  # nor are green and blue
    (view,) = REFERENCE.preprocess(frames)
    assert np.flatnonzero(view).tolist() == [0, 159]


def test_preprocess_of_the_article_takes_144_and_109():
    frames = np.full((1, 210, 160, 3), 50, np.uint8)
    frames[0, 35, :6, 0] = [144, 0, 109, 0, 1, 0]
    (view,) = REFERENCE.preprocess(frames, find_background=False)
    assert view[:3].tolist() == [0, 0, 1]
    assert view[3:].all()


def test_equally_frequent_backgrounds_take_the_lowest():
    frames = np.zeros((1, 210, 160), np.uint8)
    frames[0, 35:195:4], frames[0, 37:195:4] = 1, 2
    red = np.zeros(256, np.uint8)
    red[1:3] = 90, 30
    view = REFERENCE.preprocess_palette(frames, red)[0].reshape(80, 80)
    assert view[::2].all()
    assert not view[1::2].any()


def test_frame_difference_and_stack_of_five_pixels():
    current = np.array([[0, 1, 1, 0, 0], [0, 0, 0, 0, 1]], np.uint8)
    previous = np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 1]], np.uint8)
    indices, signs, offsets = REFERENCE.frame_difference(current, previous)
    assert (indices.tolist(), signs.tolist(), offsets.tolist()) == ([0, 2], [-1, 1], [0, 2, 2])
    indices, signs, offsets = REFERENCE.frame_stack(current, previous)
    assert indices.tolist() == [1, 2, 5, 6, 4, 9]
    assert signs.tolist() == [1] * 6
    assert offsets.tolist() == [0, 4, 6]
    x = REFERENCE.frame_difference_dense(current, previous)
    assert x.tolist() == [[-1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]


# ---- returns --------------------------------------------------------------------------------


def column(values, dtype=np.float32):
    return np.array(values, dtype)[:, None]


def test_returns_by_hand():
    rewards, dones = column([1, 0, 2, 0, 4]), column([0, 0, 1, 0, 0], bool)
    returns = REFERENCE.discounted_returns(rewards, dones, 0.5)
    assert returns[:, 0].tolist() == [1 + 0.5 * 1, 0.5 * 2, 2, 0.5 * 4, 4]
    cut = REFERENCE.discounted_returns(rewards, dones, 0.5, cut_at_rewards=True)
    assert cut[:, 0].tolist() == [1, 1, 2, 2, 4]


def test_returns_are_those_of_a_linear_filter():
    rewards = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    returns = REFERENCE.discounted_returns(rewards, np.zeros(rewards.shape, bool), 0.99)
    expected = lfilter([1], [1, -0.99], rewards[::-1].astype(float), axis=0)[::-1]
    np.testing.assert_allclose(returns, expected, rtol=1e-6, atol=1e-6)


def test_cut_returns_without_discount_are_the_points_outcomes():
    rewards = column([0, 0, -1, 0, 1, 0, 0, 0, -1])
    dones = column([0] * 8 + [1], bool)
    returns = REFERENCE.discounted_returns(rewards, dones, 1.0, cut_at_rewards=True)
    assert returns[:, 0].tolist() == [-1, -1, -1, 1, 1, -1, -1, -1, -1]


def test_advantages_by_hand():
    rewards, dones = column([1, 0, 2]), column([0, 1, 0], bool)
    values = column([4, 8, 2, 6])
    advantages, returns = REFERENCE.generalized_advantages(rewards, dones, values, 0.5, 0.25)
    # deltas: 1 + 0.5 * 8 - 4, 0 - 8 (the end), 2 + 0.5 * 6 - 2; then gamma * lam = 1 / 8
    assert advantages[:, 0].tolist() == [1 - 8 / 8, -8, 3]
    assert returns[:, 0].tolist() == [4, 0, 5]


def test_advantages_are_the_papers_sum_of_discounted_differences():
    """Equation 16: A[t] = sum_l (gamma * lam)^l * delta[t + l], up to the end of the episode."""
    rng = np.random.default_rng(0)
    rewards, values = (rng.normal(size=(t, 3)).astype(np.float32) for t in (300, 301))
    dones = rng.random((300, 3)) < 0.03
    advantages, returns = REFERENCE.generalized_advantages(rewards, dones, values, 0.97, 0.9)
    for n in range(3):
        v = values[:, n].astype(float)
        deltas = rewards[:, n] + 0.97 * ~dones[:, n] * v[1:] - v[:-1]
        for t in range(300):
            end = t + np.append(np.flatnonzero(dones[t:, n]), 299 - t)[0] + 1
            expected = (deltas[t:end] * (0.97 * 0.9) ** np.arange(end - t)).sum()
            np.testing.assert_allclose(advantages[t, n], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(returns, advantages + values[:-1], rtol=1e-6, atol=1e-6)


def test_standardize_by_hand():
    values = f32(1, 3, 5, 5, 5, 7)
    standardized = REFERENCE.standardize(values, np.array([0, 2, 2, 5, 6]))
    assert standardized.tolist() == [-1, 1, 0, 0, 0, 0]


# ---- the network ----------------------------------------------------------------------------

ROWS = (np.array([0, 2, 1], np.uint16), np.array([1, -1, 1], np.int8), np.array([0, 2, 3]))
W1 = f32([1, 2], [3, -4], [-1, 5])


def test_forward_by_hand_with_one_output():
    hidden, probabilities = REFERENCE.policy_forward(*ROWS, W1, f32([0.5, 7]))
    assert hidden.tolist() == [[2, 0], [3, 0]]  # [1 + 1, 2 - 5], [3, -4], below 0 cut
    np.testing.assert_allclose(probabilities[:, 0], 1 / (1 + np.exp([-1.0, -1.5])), rtol=1e-7)


def test_forward_by_hand_with_two_outputs():
    _, probabilities = REFERENCE.policy_forward(*ROWS, W1, f32([0.5, 0], [1.0, 0]))
    odds = np.exp([1.0, 1.5])  # differences of the logits: 2 - 1 and 3 - 1.5
    np.testing.assert_allclose(probabilities[:, 1] / probabilities[:, 0], odds, rtol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_backward_by_hand():
    hidden, probabilities = f32([2, 0], [3, 0]), f32([0.75], [0.5])
    actions, advantages = np.array([1, 0], np.uint8), f32(2, 4)
    dw1, dw2 = np.ones((3, 2), np.float32), np.ones((1, 2), np.float32)
    REFERENCE.policy_backward(
        *ROWS, hidden, probabilities, actions, advantages, f32([0.5, 7]), dw1, dw2
    )
    # dlogits: 2 (1 - 0.75) = 0.5 and 4 (0 - 0.5) = -2; the second unit is off in both samples.
    assert dw2.tolist() == [[0.5 * 2 - 2 * 3, 0]]
    assert dw1.tolist() == [[0.25, 0], [-1, 0], [-0.25, 0]]
    REFERENCE.policy_backward(
        *ROWS, hidden, probabilities, actions, advantages, f32([0.5, 7]), dw1, dw2, True
    )
    assert dw2.tolist() == [[-10, 0]]
    assert dw1.tolist() == [[0.5, 0], [-2, 0], [-0.5, 0]]


def log_likelihood(x, w1, w2, actions, advantages):
    """sum_b advantages[b] * log pi(actions[b] | x[b]), in float64."""
    logits = np.maximum(x @ w1, 0) @ w2.T
    if w2.shape[0] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    log_pi = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return (advantages * log_pi[np.arange(len(x)), actions]).sum()


def assert_gradients_are_slopes(gradients, varied, objective, atol=1e-5):
    """Compare with central differences of ``objective()``, which reads the arrays ``varied``."""
    for gradient, array in zip(gradients, varied, strict=True):
        for at in np.ndindex(array.shape):
            ends = []
            for step in (1e-6, -2e-6):
                array[at] += step
                ends.append(objective())
            array[at] += 1e-6
            np.testing.assert_allclose(gradient[at], (ends[0] - ends[1]) / 2e-6, atol=atol)


def random_network(outputs):
    """Six samples of nine inputs, sparse and dense, and the weights of five hidden units."""
    rng = np.random.default_rng(outputs)
    x = rng.choice([-1, 0, 1], (6, 9)).astype(np.float32)
    w1, w2 = (rng.normal(size=s).astype(np.float32) for s in ((9, 5), (outputs, 5)))
    samples, pixels = np.nonzero(x)
    rows = (
        pixels.astype(np.uint16),
        x[samples, pixels].astype(np.int8),
        np.searchsorted(samples, np.arange(7)),
    )
    return rng, x, rows, w1, w2


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("sparse", [True, False])
def test_gradient_equals_finite_differences(outputs, sparse):
    rng, x, rows, w1, w2 = random_network(outputs)
    actions = rng.integers(0, max(outputs, 2), 6).astype(np.uint8)
    advantages = rng.normal(size=6).astype(np.float32)
    inputs, suffix = (rows, "") if sparse else ((x,), "_dense")
    forward = getattr(REFERENCE, f"policy_forward{suffix}")(*inputs, w1, w2)
    gradients = getattr(REFERENCE, f"policy_backward{suffix}")(
        *inputs, *forward, actions, advantages, w2, np.empty_like(w1), np.empty_like(w2)
    )
    weights = [w.astype(np.float64) for w in (w1, w2)]
    assert_gradients_are_slopes(
        gradients, weights, lambda: log_likelihood(x.astype(float), *weights, actions, advantages)
    )


@pytest.mark.parametrize("outputs", [1, 3])
def test_gradient_from_outputs_equals_finite_differences(outputs):
    """The objective is a squared error of the linear outputs, as a value loss is."""
    rng, x, rows, w1, w2 = random_network(outputs)
    targets = rng.normal(size=(6, outputs))

    def errors(w1, w2):
        return np.maximum(x.astype(float) @ w1, 0) @ w2.T - targets

    weights = [w.astype(np.float64) for w in (w1, w2)]
    hidden, _ = REFERENCE.policy_forward(*rows, w1, w2)
    d_outputs = (2 * errors(*weights)).astype(np.float32)
    gradients = REFERENCE.policy_backward_outputs(
        *rows, hidden, d_outputs, w2, np.empty_like(w1), np.empty_like(w2)
    )
    assert_gradients_are_slopes(
        gradients, weights, lambda: (errors(*weights) ** 2).sum(), atol=3e-5
    )


@pytest.mark.parametrize(
    ("action", "old", "advantage", "expected"),
    [
        (1, 0.75, 2, 2 * (1 - 0.75)),  # a ratio of 1
        (0, 0.25, 2, 2 * (0 - 0.75)),
        (1, 0.5, 2, 0),  # 1.5, clipped
        (1, 0.5, -2, -2 * 1.5 * (1 - 0.75)),  # 1.5, but to the worse
        (0, 0.5, -2, 0),  # 0.5, clipped
        (0, 0.5, 2, 2 * 0.5 * (0 - 0.75)),  # 0.5, but to the worse
    ],
)
def test_ppo_by_hand(action, old, advantage, expected):
    weights = {"clip": 0.2, "entropy_weight": 0.0, "value_weight": 0.5}
    inputs = f32(3), np.array([action], np.uint8), f32(old), f32(advantage), f32(5)
    d_logits, d_values = REFERENCE.ppo_gradient(f32([0.75]), *inputs, **weights)
    assert d_logits.tolist() == [[expected]]
    assert d_values.tolist() == [2.0]  # -2 * 0.5 * (3 - 5)
    two, _ = REFERENCE.ppo_gradient(f32([0.25, 0.75]), *inputs, **weights)
    assert two.tolist() == [[-expected, expected]]


def ppo_objective(logits, values, actions, old, advantages, returns, clip, entropy, value):
    """The paper's objective in float64, summed over the samples."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    log_pi = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    ratio = np.exp(log_pi[np.arange(len(logits)), actions]) / old
    clipped = np.clip(ratio, 1 - clip, 1 + clip)
    surrogate = np.minimum(ratio * advantages, clipped * advantages)
    entropies = -(np.exp(log_pi) * log_pi).sum(axis=1)
    return (surrogate + entropy * entropies - value * (values - returns) ** 2).sum()


@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("clip", [0.2, np.inf])
def test_ppo_gradient_equals_finite_differences(outputs, clip):
    rng = np.random.default_rng(outputs)
    logits = rng.normal(size=(60, outputs))
    both = np.concatenate([np.zeros((60, 1)), logits], axis=1) if outputs == 1 else logits
    probabilities = np.exp(both) / np.exp(both).sum(axis=1, keepdims=True)
    actions = rng.integers(0, max(outputs, 2), 60).astype(np.uint8)
    ratios = np.exp(rng.normal(0, 0.4, 60))
    old = (probabilities[np.arange(60), actions] / ratios).astype(np.float32)
    values, advantages, returns = rng.normal(size=(3, 60)).astype(np.float32)
    rest = (actions, old, advantages, returns, clip, 0.3, 0.7)
    d_logits, d_values = REFERENCE.ppo_gradient(
        probabilities[:, -outputs:].astype(np.float32), values, *rest
    )
    stopped = np.where(advantages > 0, ratios > 1 + clip, ratios < 1 - clip).mean()
    assert 0.1 < stopped < 0.9 if clip < 1 else stopped == 0
    varied = [logits.copy(), values.astype(np.float64)]
    assert_gradients_are_slopes((d_logits, d_values), varied, lambda: ppo_objective(*varied, *rest))


def test_rmsprop_step_by_hand():
    weights, cache = f32(1, 2), f32(4, 0)
    REFERENCE.rmsprop_update(f32(2, 0), 0.5, 0.75, weights, cache, epsilon=1.0)
    # cache: 0.75 * 4 + 0.25 * 4 = 4; weight: 1 + 0.5 * 2 / (2 + 1)
    assert cache.tolist() == [4, 0]
    np.testing.assert_allclose(weights, [4 / 3, 2], rtol=1e-7)


def test_adam_steps_by_hand():
    weights, mean, square = f32(1, 2), f32(0, 0), f32(0, 0)
    arrays = {"weights": weights, "mean": mean, "square": square}
    numbers = {"learning_rate": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0}
    REFERENCE.adam_update(f32(2, 0), 1, **arrays, **numbers)
    # mean: 1, corrected 1 / 0.5 = 2; square: 1, corrected 1 / 0.25 = 4; 1 + 0.5 * 2 / (2 + 1)
    assert (mean.tolist(), square.tolist()) == ([1, 0], [1, 0])
    np.testing.assert_allclose(weights, [4 / 3, 2], rtol=1e-7)
    REFERENCE.adam_update(f32(-1, 0), 2, **arrays, **numbers)
    # mean: 0.5 * 1 - 0.5 = 0; square: 0.75 * 1 + 0.25 = 1
    assert (mean.tolist(), square.tolist()) == ([0, 0], [1, 0])
    np.testing.assert_allclose(weights, [4 / 3, 2], rtol=1e-7)


def test_adam_is_the_papers_algorithm_1():
    """Both moving averages as closed sums over all gradients (section 3 of the paper)."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(0.1, 1, (40, 5)).astype(np.float32)
    weights, mean, square = np.zeros((3, 5), np.float32)
    expected = np.zeros(5)
    for t in range(1, 41):
        REFERENCE.adam_update(gradients[t - 1], t, 0.01, weights, mean, square, epsilon=1e-8)
        ages = np.arange(t)[::-1, None]
        past = gradients[:t].astype(float)
        first = (0.1 * 0.9**ages * past).sum(axis=0) / (1 - 0.9**t)
        second = (0.001 * 0.999**ages * past**2).sum(axis=0) / (1 - 0.999**t)
        expected += 0.01 * first / (np.sqrt(second) + 1e-8)
    np.testing.assert_allclose(weights, expected, rtol=1e-4)


# ---- actions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    """Random123's known answers (kat_vectors) for philox4x32-10, also through the op."""
    counter, key, expected = ([int(w, 16) for w in s.split()] for s in (counter, key, expected))
    assert list(philox4x32(counter, key)) == expected
    step, stream, seed = (low | high << 32 for low, high in (counter[:2], counter[2:], key))
    for backend in ("reference", "numba", "cython"):
        (uniform,) = get_backend(backend).counter_uniforms(
            np.array([stream], np.uint64), np.array([step], np.uint64), seed
        )
        assert uniform == (expected[0] >> 8) / 2**24


def test_sampled_actions_by_hand():
    uniforms = f32(0, 0.25, 0.5, 0.999)
    up = REFERENCE.sample_actions(np.full((4, 1), 0.5, np.float32), uniforms)
    assert up.tolist() == [1, 1, 0, 0]
    three = REFERENCE.sample_actions(np.tile(f32(0.25, 0.5, 0.25), (4, 1)), uniforms)
    assert three.tolist() == [0, 1, 1, 2]

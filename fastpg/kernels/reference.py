"""The reference backend: the meaning of every op, in plain NumPy.

It is written to be read, and to be compared with; it is slow. :class:`fastpg.kernels.ops.Backend`
documents each function in its method of the same name. The parameters are the same, in the table's
order: inputs, scalars, outputs. Sums run in a stated order, so the compiled backends can have the
same bits where the kernel table says tolerance 0.
"""

import math
from itertools import pairwise

import numpy as np

from fastpg.kernels.geometry import FIRST_ROW, VIEW_SIDE
from fastpg.kernels.spec import SUM_LANES

ROWS = slice(FIRST_ROW, FIRST_ROW + 2 * VIEW_SIDE, 2)
COLUMNS = slice(0, 2 * VIEW_SIDE, 2)
ARTICLE_BACKGROUNDS = (144, 109)


def preprocess(frames, find_background, views):
    for n, frame in enumerate(frames):
        _view(frame[ROWS, COLUMNS, 0].ravel(), find_background, views[n])


def preprocess_palette(frames, red, find_background, views):
    for n, frame in enumerate(frames):
        _view(red[frame[ROWS, COLUMNS]].ravel(), find_background, views[n])


def _view(values, find_background, view):
    """A view from its 6,400 red values."""
    found = [np.bincount(values).argmax()] if find_background else ARTICLE_BACKGROUNDS
    view[:] = ~np.isin(values, [*found, 0])


def frame_difference(current, previous, indices, signs, offsets):
    """Returns the capacity needed."""
    return _compress(current.astype(np.int8) - previous.astype(np.int8), indices, signs, offsets)


def frame_stack(current, previous, indices, signs, offsets):
    """Returns the capacity needed."""
    return _compress(np.hstack([current, previous]).astype(np.int8), indices, signs, offsets)


def _compress(x, indices, signs, offsets):
    """Compressed sparse rows of x (N, D) int8, cut to the capacity of ``indices``."""
    rows, columns = np.nonzero(x)
    offsets[0] = 0
    offsets[1:] = np.cumsum(np.count_nonzero(x, axis=1))
    capacity = indices.shape[0]
    indices[: columns.size] = columns[:capacity]
    signs[: columns.size] = x[rows, columns][:capacity]
    return columns.size


def frame_difference_dense(current, previous, x):
    np.subtract(current, previous, out=x, dtype=np.float32)


def discounted_returns(rewards, dones, gamma, cut_at_rewards, returns):
    running = np.zeros(rewards.shape[1])
    for t in reversed(range(rewards.shape[0])):
        cut = dones[t] | ((rewards[t] != 0) if cut_at_rewards else False)
        running = rewards[t] + np.where(cut, 0.0, gamma * running)
        returns[t] = running


def generalized_advantages(rewards, dones, values, gamma, lam, advantages, returns):
    values = values.astype(np.float64)
    running = np.zeros(rewards.shape[1])
    for t in reversed(range(rewards.shape[0])):
        delta = rewards[t] + np.where(dones[t], 0.0, gamma * values[t + 1]) - values[t]
        running = delta + np.where(dones[t], 0.0, gamma * lam * running)
        advantages[t] = running
        returns[t] = running + values[t]


def standardize(values, offsets, standardized):
    for begin, end in pairwise(offsets):
        x = values[begin:end].astype(np.float64)
        if x.size == 0 or x.min() == x.max():
            standardized[begin:end] = 0.0
            continue
        deviation = x - _sum_in_lanes(x) / x.size
        variance = _sum_in_lanes(deviation * deviation) / x.size
        standardized[begin:end] = deviation / np.sqrt(variance)


def _sum_in_lanes(terms):
    """Sum over the last axis in SUM_LANES partial sums (i mod SUM_LANES), joined by halves.

    Vector instructions add in this order.
    """
    *kept, size = terms.shape
    padding = [(0, 0)] * len(kept) + [(0, -size % SUM_LANES)]
    rows = np.pad(terms, padding).reshape(*kept, -1, SUM_LANES)
    lanes = _sum_in_order(np.moveaxis(rows, -2, 0))
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities):
    for b in range(hidden.shape[0]):
        row = slice(offsets[b], offsets[b + 1])
        terms = w1[indices[row]] * signs[row, None].astype(np.float32)
        hidden[b] = np.maximum(_sum_in_order(terms), 0)
    _heads(hidden, w2, probabilities)


def policy_forward_dense(x, w1, w2, hidden, probabilities):
    hidden[:] = np.maximum(x.astype(np.float64) @ w1.astype(np.float64), 0)
    _heads(hidden, w2, probabilities)


def _heads(hidden, w2, probabilities):
    """Action probabilities from hidden units, (B, A) from (B, H)."""
    samples, outputs = probabilities.shape
    for b in range(samples):
        logits = _sum_in_lanes(hidden[b] * w2).astype(np.float64)
        if outputs == 1:
            with np.errstate(over="ignore"):  # exp overflows for a logit below -709: probability 0
                probabilities[b] = 1.0 / (1.0 + np.exp(-logits))
        else:
            exponentials = np.exp(logits - logits.max())
            probabilities[b] = exponentials / np.cumsum(exponentials)[-1]


def _sum_in_order(terms):
    """Sum over the first axis, one term after the other; np.sum promises no order."""
    total = np.zeros(terms.shape[1:], terms.dtype)
    for term in terms:
        total += term
    return total


def policy_backward(
    indices, signs, offsets, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2
):
    d_logits = _d_logits(probabilities, actions, advantages)
    policy_backward_outputs(indices, signs, offsets, hidden, d_logits, w2, accumulate, dw1, dw2)


def policy_backward_outputs(indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2):
    """Samples add up in index order."""
    if not accumulate:
        dw1[:] = 0
        dw2[:] = 0
    for b in range(hidden.shape[0]):
        d_hidden = _d_hidden(hidden[b], d_outputs[b], w2, dw2)
        for k in range(offsets[b], offsets[b + 1]):
            dw1[indices[k]] += np.float32(signs[k]) * d_hidden


def policy_backward_dense(x, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2):
    if not accumulate:
        dw1[:] = 0
        dw2[:] = 0
    d_logits = _d_logits(probabilities, actions, advantages)
    d_hidden = np.zeros(hidden.shape)
    for b in range(hidden.shape[0]):
        d_hidden[b] = _d_hidden(hidden[b], d_logits[b], w2, dw2)
    dw1 += (x.astype(np.float64).T @ d_hidden).astype(np.float32)


def _d_logits(probabilities, actions, advantages):
    """Derivatives (B, A) of sum_b advantages[b] * log pi(actions[b]) by the logits."""
    outputs, actions = probabilities.shape[1], actions[:, None]
    taken = actions if outputs == 1 else np.arange(outputs) == actions
    return advantages[:, None] * (taken.astype(np.float32) - probabilities)


def _d_hidden(hidden, d_outputs, w2, dw2):
    """One sample's derivatives by its hidden units; adds its term of dw2."""
    dw2 += d_outputs[:, None] * hidden
    d_hidden = _sum_in_order(d_outputs[:, None] * w2)
    return np.where(hidden > 0, d_hidden, np.float32(0))


def ppo_gradient(
    probabilities, values, actions, old_probabilities, advantages, returns,
    clip, entropy_weight, value_weight,
    d_logits, d_values,
):  # fmt: skip
    samples, outputs = probabilities.shape
    for b in range(samples):
        row, p = probabilities[b], probabilities[b].astype(np.float64)
        if outputs == 1:
            taken = actions[b]
            chosen = row[0] if taken else np.float32(1) - row[0]
        else:
            taken = np.arange(outputs) == actions[b]
            chosen = row[actions[b]]
        ratio, advantage = float(chosen) / float(old_probabilities[b]), float(advantages[b])
        above = advantage > 0 and ratio > 1 + clip
        below = advantage < 0 and ratio < 1 - clip
        weight = 0.0 if above or below else advantage * ratio  # of the clipped surrogate
        d_logits[b] = weight * (taken - p) + entropy_weight * _entropy_gradient(p)
    d_values[:] = -2.0 * value_weight * (values.astype(np.float64) - returns)  # the value loss


def _entropy_gradient(p):
    """Derivatives of the policy's entropy by its logits, from one sample's probabilities."""
    if p.size == 1:
        return -p * (1 - p) * (_log(p) - _log(1 - p))
    return -p * (_log(p) - _sum_in_order(p * _log(p)))


def _log(p):
    """The C library's logarithm, as NumPy has its own; 0 where p is 0, as 0 * log 0 is 0."""
    return np.array([math.log(x) if x > 0 else 0.0 for x in p])


def rmsprop_update(gradient, learning_rate, decay, epsilon, weights, cache):
    rate, keep, take = np.float32(learning_rate), np.float32(decay), np.float32(1.0 - decay)
    cache[:] = keep * cache + take * (gradient * gradient)
    weights += rate * gradient / (np.sqrt(cache) + np.float32(epsilon))


def adam_update(gradient, step, learning_rate, beta1, beta2, epsilon, weights, mean, square):
    """math.pow is the C library's."""
    rate = np.float32(learning_rate / (1.0 - math.pow(beta1, step)))
    scale = np.float32(1.0 / (1.0 - math.pow(beta2, step)))
    mean[:] = np.float32(beta1) * mean + np.float32(1.0 - beta1) * gradient
    square[:] = np.float32(beta2) * square + np.float32(1.0 - beta2) * (gradient * gradient)
    weights += rate * mean / (np.sqrt(scale * square) + np.float32(epsilon))


def counter_uniforms(streams, steps, seed, uniforms):
    for n in range(streams.shape[0]):
        step, stream = int(steps[n]), int(streams[n])
        counter = [step & 0xFFFFFFFF, step >> 32, stream & 0xFFFFFFFF, stream >> 32]
        word = philox4x32(counter, [int(seed) & 0xFFFFFFFF, int(seed) >> 32])[0]
        uniforms[n] = (word >> 8) * 2.0**-24


def philox4x32(counter, key):
    """Ten rounds of Philox 4x32: four 32-bit words from a counter of four and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1 = (product1 >> 32) ^ c1 ^ k0, product1 & 0xFFFFFFFF
        c2, c3 = (product0 >> 32) ^ c3 ^ k1, product0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def sample_actions(probabilities, uniforms, actions):
    outputs = probabilities.shape[1]
    if outputs == 1:
        actions[:] = uniforms < probabilities[:, 0]
        return
    cumulative = np.cumsum(probabilities[:, :-1], axis=1, dtype=np.float32)
    actions[:] = np.count_nonzero(uniforms[:, None] >= cumulative, axis=1)

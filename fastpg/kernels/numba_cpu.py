"""The numba backend: loops compiled on first use, callable from your own ``@njit`` functions.

:class:`fastpg.kernels.ops.Backend` documents each loop in its method of the same name. The
parameters are the same, in the table's order: inputs, scalars, outputs. All are given, and nothing
is checked or allocated. The network's loops are in :mod:`fastpg.kernels._numba.policy`.
"""

import math

import numpy as np

from fastpg.kernels._numba.jit import carray, jit, stack_float64
from fastpg.kernels._numba.policy import policy_backward as policy_backward
from fastpg.kernels._numba.policy import policy_backward_dense as policy_backward_dense
from fastpg.kernels._numba.policy import policy_backward_outputs as policy_backward_outputs
from fastpg.kernels._numba.policy import policy_forward as policy_forward
from fastpg.kernels._numba.policy import policy_forward_dense as policy_forward_dense
from fastpg.kernels._numba.scalar import (
    ZERO,
    advantage_step,
    log_or_zero,
    mean_square,
    philox_uniform,
    ppo_weight,
    return_step,
    rmsprop_weight,
)
from fastpg.kernels.geometry import FIRST_ROW, VIEW_PIXELS
from fastpg.kernels.geometry import VIEW_SIDE as SIDE
from fastpg.kernels.spec import BY_NAME, SUM_LANES

__all__ = list(BY_NAME)

CENTRE = VIEW_PIXELS // 2 + SIDE // 2
ENVIRONMENTS = 64  # environments per pass; their running sums fit on the stack


@jit
def preprocess(frames, find_background, views):
    for n in range(frames.shape[0]):
        view = views[n]
        for row in range(SIDE):
            pixels, out = frames[n, FIRST_ROW + 2 * row], view[row * SIDE : (row + 1) * SIDE]
            for j in range(SIDE):
                out[j] = pixels[2 * j, 0]
        _binarize(view, find_background)


@jit
def preprocess_palette(frames, red, find_background, views):
    # If more than half of the pixels have one palette index, it is the background's, and only the
    # other pixels need a look-up.
    for n in range(frames.shape[0]):
        frame, view = frames[n], views[n]
        common = frame[FIRST_ROW, 0]
        if find_background and _mark_others(frame, common, view) < VIEW_PIXELS // 2:
            _look_up_marked(frame, red, red[common], view)
            continue
        for row in range(SIDE):
            pixels, out = frame[FIRST_ROW + 2 * row], view[row * SIDE : (row + 1) * SIDE]
            for j in range(SIDE):
                out[j] = red[pixels[2 * j]]
        _binarize(view, find_background)


@jit
def _mark_others(frame, index, view):
    """Set the view to 1 where a pixel has another palette index; return how many have."""
    others = 0
    for row in range(SIDE):
        pixels, out = frame[FIRST_ROW + 2 * row], view[row * SIDE : (row + 1) * SIDE]
        count = np.uint8(0)  # at most 80: a byte can count
        for j in range(SIDE):
            out[j] = pixels[2 * j] != index
            count = np.uint8(count + out[j])
        others += int(count)
    return others


@jit
def _look_up_marked(frame, red, background, view):
    """Clear the marks of pixels whose red value is 0 or the background's."""
    marks = view.view(np.uint64)
    for i in range(marks.shape[0]):
        if marks[i] == np.uint64(0):
            continue
        row, column = 8 * i // SIDE, 8 * i % SIDE
        pixels, out = frame[FIRST_ROW + 2 * row], view[8 * i : 8 * i + 8]
        for j in range(8):
            value = red[pixels[2 * (column + j)]]
            out[j] = (value != background) & (value != 0)


@jit
def _binarize(view, find_background):
    """Turn a view's red values into 0 and 1, in place."""
    first, second = np.uint8(144), np.uint8(109)
    if find_background:
        if _is_majority(view, view[0]):
            first = view[0]
        elif _is_majority(view, view[CENTRE]):
            first = view[CENTRE]
        else:
            first = _mode(view)
        second = first
    for i in range(view.shape[0]):
        value = view[i]
        view[i] = (value != first) & (value != second) & (value != 0)


@jit
def _is_majority(values, candidate):
    """Whether more than half of the values are ``candidate``, which then is the mode."""
    equal = 0
    for row in range(SIDE):
        line = values[row * SIDE : (row + 1) * SIDE]
        count = np.uint8(0)  # at most 80: a byte can count
        for j in range(SIDE):
            count = np.uint8(count + (line[j] == candidate))
        equal += int(count)
    return equal > VIEW_PIXELS // 2


@jit
def _mode(values):
    """The most frequent value; of equally frequent ones the lowest.

    A histogram would need memory. Counting one value among 6,400 bytes takes 100 vector
    instructions, and the loop ends when the values left are fewer than the best count.
    """
    best, most, left = 0, 0, values.shape[0]
    for candidate in range(256):
        if left <= most:
            break
        count = 0
        for i in range(values.shape[0]):
            count += values[i] == candidate
        left -= count
        if count > most:
            best, most = candidate, count
    return np.uint8(best)


@jit
def frame_difference(current, previous, indices, signs, offsets):
    """Returns the capacity needed."""
    used = 0
    offsets[0] = 0
    for n in range(current.shape[0]):
        used = _compress(current[n], previous[n], 0, indices, signs, used)
        offsets[n + 1] = used
    return used


@jit
def frame_stack(current, previous, indices, signs, offsets):
    """Returns the capacity needed."""
    used = 0
    offsets[0] = 0
    for n in range(current.shape[0]):
        used = _compress(current[n], None, 0, indices, signs, used)
        used = _compress(previous[n], None, current.shape[1], indices, signs, used)
        offsets[n + 1] = used
    return used


@jit
def _compress(current, previous, base, indices, signs, used):
    """Append the non-zero pixels of a row, eight at a time; most words of eight are zero.

    ``previous`` is None for the row itself instead of a difference. Words may have any address:
    numba's processors load unaligned words.
    """
    size = current.shape[0]
    whole = size - size % 8
    now = current[:whole].view(np.uint64)
    before = now if previous is None else previous[:whole].view(np.uint64)
    for i in range(now.shape[0]):
        word = now[i] if previous is None else now[i] ^ before[i]
        if word != np.uint64(0):
            used = _append(current, previous, 8 * i, 8, base, indices, signs, used)
    return _append(current, previous, whole, size - whole, base, indices, signs, used)


@jit
def _append(current, previous, begin, count, base, indices, signs, used):
    """Append the non-zero pixels among ``count`` of a row.

    While the capacity holds all of them every pixel is written, and a zero is overwritten by the
    next one: no branches.
    """
    now, capacity = current[begin : begin + count], indices.shape[0]
    fits = used + count <= capacity
    for j in range(count):
        sign = np.int8(now[j]) if previous is None else np.int8(now[j] - previous[begin + j])
        if fits or (sign != 0 and used < capacity):
            indices[used] = base + begin + j
            signs[used] = sign
        used += sign != 0
    return used


@jit
def frame_difference_dense(current, previous, x):
    for n in range(x.shape[0]):
        now, before, out = current[n], previous[n], x[n]
        for d in range(out.shape[0]):
            out[d] = np.float32(np.int32(now[d]) - np.int32(before[d]))


@jit
def discounted_returns(rewards, dones, gamma, cut_at_rewards, returns):
    running = carray(stack_float64(ENVIRONMENTS), (ENVIRONMENTS,))
    for first in range(0, rewards.shape[1], ENVIRONMENTS):
        last = min(first + ENVIRONMENTS, rewards.shape[1])
        running[:] = 0.0
        for t in range(rewards.shape[0] - 1, -1, -1):
            reward, done, out = rewards[t, first:last], dones[t, first:last], returns[t, first:last]
            for i in range(last - first):
                running[i] = return_step(reward[i], done[i], cut_at_rewards, gamma * running[i])
                out[i] = running[i]


@jit
def generalized_advantages(rewards, dones, values, gamma, lam, advantages, returns):
    running = carray(stack_float64(ENVIRONMENTS), (ENVIRONMENTS,))
    decay = gamma * lam
    for first in range(0, rewards.shape[1], ENVIRONMENTS):
        last = min(first + ENVIRONMENTS, rewards.shape[1])
        running[:] = 0.0
        for t in range(rewards.shape[0] - 1, -1, -1):
            reward, done = rewards[t, first:last], dones[t, first:last]
            value, next_value = values[t, first:last], values[t + 1, first:last]
            advantage, out = advantages[t, first:last], returns[t, first:last]
            for i in range(last - first):
                bootstrap, discounted = gamma * np.float64(next_value[i]), decay * running[i]
                running[i] = advantage_step(reward[i], done[i], value[i], bootstrap, discounted)
                advantage[i] = running[i]
                out[i] = running[i] + np.float64(value[i])


@jit
def standardize(values, offsets, standardized):
    for s in range(offsets.shape[0] - 1):
        x, out = values[offsets[s] : offsets[s + 1]], standardized[offsets[s] : offsets[s + 1]]
        different = False
        for i in range(x.shape[0]):
            different |= x[i] != x[0]
        if not different:
            out[:] = ZERO
            continue
        mean = _power_sum(x, 0.0, False) / x.shape[0]
        deviation = np.sqrt(_power_sum(x, mean, True) / x.shape[0])
        for i in range(x.shape[0]):
            out[i] = (np.float64(x[i]) - mean) / deviation


@jit
def _power_sum(x, mean, squared):
    """Sum of ``x - mean``, or of its squares, in SUM_LANES partial sums, joined by halves."""
    lanes = carray(stack_float64(SUM_LANES), (SUM_LANES,))
    for j in range(SUM_LANES):
        lanes[j] = 0.0
    whole = x.shape[0] - x.shape[0] % SUM_LANES
    for i in range(0, whole, SUM_LANES):
        for j in range(SUM_LANES):
            difference = np.float64(x[i + j]) - mean
            lanes[j] += difference * difference if squared else difference
    for j in range(x.shape[0] - whole):
        difference = np.float64(x[whole + j]) - mean
        lanes[j] += difference * difference if squared else difference
    left, right = lanes[0] + lanes[4], lanes[1] + lanes[5]
    return (left + (lanes[2] + lanes[6])) + (right + (lanes[3] + lanes[7]))


@jit
def ppo_gradient(
    probabilities, values, actions, old_probabilities, advantages, returns,
    clip, entropy_weight, value_weight,
    d_logits, d_values,
):  # fmt: skip
    outputs = probabilities.shape[1]
    for b in range(probabilities.shape[0]):
        row, out, action = probabilities[b], d_logits[b], actions[b]
        chosen = row[action if outputs > 1 else 0]
        if outputs == 1 and action == 0:
            chosen = np.float32(1) - chosen
        ratio = np.float64(chosen) / np.float64(old_probabilities[b])
        weight = ppo_weight(ratio, np.float64(advantages[b]), clip)
        if outputs == 1:
            p = np.float64(row[0])
            entropy = -p * (1.0 - p) * (log_or_zero(p) - log_or_zero(1.0 - p))
            out[0] = weight * (np.float64(action) - p) + entropy_weight * entropy
        else:
            _softmax_gradient(row, action, weight, entropy_weight, out)
        d_values[b] = -2.0 * value_weight * (np.float64(values[b]) - np.float64(returns[b]))


@jit
def _softmax_gradient(row, action, weight, entropy_weight, out):
    """One sample's derivatives by its logits, from its probabilities ``row``."""
    negentropy = 0.0
    for a in range(row.shape[0]):
        p = np.float64(row[a])
        negentropy += p * log_or_zero(p)
    for a in range(row.shape[0]):
        p = np.float64(row[a])
        entropy = -p * (log_or_zero(p) - negentropy)
        out[a] = weight * ((1.0 if action == a else 0.0) - p) + entropy_weight * entropy


@jit
def rmsprop_update(gradient, learning_rate, decay, epsilon, weights, cache):
    rate, keep, take = np.float32(learning_rate), np.float32(decay), np.float32(1.0 - decay)
    small = np.float32(epsilon)
    for i in range(gradient.shape[0]):
        cache[i] = mean_square(cache[i], gradient[i], keep, take)
        weights[i] = rmsprop_weight(weights[i], cache[i], gradient[i], rate, small)


@jit
def adam_update(gradient, step, learning_rate, beta1, beta2, epsilon, weights, mean, square):
    rate = np.float32(learning_rate / (1.0 - math.pow(beta1, np.float64(step))))
    scale = np.float32(1.0 / (1.0 - math.pow(beta2, np.float64(step))))
    keep1, take1 = np.float32(beta1), np.float32(1.0 - beta1)
    keep2, take2 = np.float32(beta2), np.float32(1.0 - beta2)
    small = np.float32(epsilon)
    for i in range(gradient.shape[0]):
        mean[i] = keep1 * mean[i] + take1 * gradient[i]
        square[i] = mean_square(square[i], gradient[i], keep2, take2)
        weights[i] = rmsprop_weight(weights[i], scale * square[i], mean[i], rate, small)


@jit
def counter_uniforms(streams, steps, seed, uniforms):
    for n in range(uniforms.shape[0]):
        uniforms[n] = philox_uniform(streams[n], steps[n], np.uint64(seed))


@jit
def sample_actions(probabilities, uniforms, actions):
    outputs = probabilities.shape[1]
    for n in range(actions.shape[0]):
        if outputs == 1:
            actions[n] = uniforms[n] < probabilities[n, 0]
            continue
        cumulative, action = ZERO, 0
        for a in range(outputs - 1):
            cumulative += probabilities[n, a]
            action += uniforms[n] >= cumulative
        actions[n] = action

"""The numba backend's two-layer network: forward and backward, on sparse and dense inputs.

:class:`fastpg.kernels.ops.Backend` documents the loops. Rows of weights are added four at a time,
with one load and one store of the sum for all four. The parentheses in ``((s + a) + b)`` keep the
order of the reference.
"""

import math

import numpy as np

from fastpg.kernels._numba.jit import carray, jit, stack_float32
from fastpg.kernels._numba.scalar import ZERO, d_logit, relu, sigmoid
from fastpg.kernels.spec import SUM_LANES as LANES

UNITS = 256  # hidden units per pass; their derivatives fit on the stack
ROWS = 128  # rows of dense weights per pass; they stay in the L2 cache
SAMPLES = 4  # dense samples per pass; their derivatives fit on the stack
SAMPLES_UNITS = SAMPLES * UNITS


@jit
def policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities):
    for b in range(hidden.shape[0]):
        total, k, end = hidden[b], offsets[b], offsets[b + 1]
        total[:] = ZERO
        while k + 4 <= end:
            s0, s1 = np.float32(signs[k]), np.float32(signs[k + 1])
            s2, s3 = np.float32(signs[k + 2]), np.float32(signs[k + 3])
            r0, r1 = w1[indices[k]], w1[indices[k + 1]]
            r2, r3 = w1[indices[k + 2]], w1[indices[k + 3]]
            for h in range(total.shape[0]):
                total[h] = (((total[h] + s0 * r0[h]) + s1 * r1[h]) + s2 * r2[h]) + s3 * r3[h]
            k += 4
        while k < end:
            _add_scaled(np.float32(signs[k]), w1[indices[k]], total)
            k += 1
        _heads(total, w2, probabilities[b])


@jit
def policy_forward_dense(x, w1, w2, hidden, probabilities):
    inputs = w1.shape[0]
    hidden[:] = ZERO
    for first in range(0, inputs, ROWS):
        last = min(first + ROWS, inputs)
        for b in range(hidden.shape[0]):
            total, row, d = hidden[b], x[b], first
            while d + 4 <= last:
                x0, x1, x2, x3 = row[d], row[d + 1], row[d + 2], row[d + 3]
                r0, r1, r2, r3 = w1[d], w1[d + 1], w1[d + 2], w1[d + 3]
                for h in range(total.shape[0]):
                    total[h] = (((total[h] + x0 * r0[h]) + x1 * r1[h]) + x2 * r2[h]) + x3 * r3[h]
                d += 4
            while d < last:
                _add_scaled(row[d], w1[d], total)
                d += 1
    for b in range(hidden.shape[0]):
        _heads(hidden[b], w2, probabilities[b])


@jit
def _add_scaled(scale, row, total):
    for h in range(total.shape[0]):
        total[h] += scale * row[h]


@jit
def _heads(hidden, w2, probabilities):
    """One sample's ReLU, in place, and its action probabilities."""
    for h in range(hidden.shape[0]):
        hidden[h] = relu(hidden[h])
    outputs = probabilities.shape[0]
    if outputs == 1:
        probabilities[0] = sigmoid(_logit(hidden, w2[0]))
        return
    highest, total = -np.inf, 0.0
    for a in range(outputs):
        probabilities[a] = _logit(hidden, w2[a])
        highest = max(highest, np.float64(probabilities[a]))
    for a in range(outputs):
        total += math.exp(np.float64(probabilities[a]) - highest)
    for a in range(outputs):
        probabilities[a] = math.exp(np.float64(probabilities[a]) - highest) / total


@jit
def _logit(hidden, weights):
    """Dot product in LANES partial sums, joined by halves."""
    lanes = carray(stack_float32(LANES), (LANES,))
    for j in range(LANES):
        lanes[j] = ZERO
    units = hidden.shape[0]
    whole = units - units % LANES
    for h in range(0, whole, LANES):
        for j in range(LANES):
            lanes[j] += hidden[h + j] * weights[h + j]
    for j in range(units - whole):
        lanes[j] += hidden[whole + j] * weights[whole + j]
    left, right = lanes[0] + lanes[4], lanes[1] + lanes[5]
    return (left + (lanes[2] + lanes[6])) + (right + (lanes[3] + lanes[7]))


@jit
def policy_backward(
    indices, signs, offsets, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2
):
    rows = indices, signs, offsets
    _backward(rows, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2)


@jit
def policy_backward_outputs(indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2):
    rows = indices, signs, offsets
    _backward(rows, hidden, d_outputs, None, None, w2, accumulate, dw1, dw2)


@jit
def _backward(rows, hidden, outputs, actions, advantages, w2, accumulate, dw1, dw2):
    """``outputs`` (B, A): probabilities, or derivatives of the outputs if ``actions`` is None."""
    indices, signs, offsets = rows
    units = hidden.shape[1]
    d_hidden = carray(stack_float32(UNITS), (UNITS,))
    if not accumulate:
        dw1[:] = ZERO
        dw2[:] = ZERO
    for b in range(hidden.shape[0]):
        for first in range(0, units, UNITS):
            last = min(first + UNITS, units)
            _d_hidden(b, hidden, outputs, actions, advantages, w2, first, last, dw2, d_hidden)
            for k in range(offsets[b], offsets[b + 1]):
                _add_scaled(np.float32(signs[k]), d_hidden, dw1[indices[k]][first:last])


@jit
def policy_backward_dense(x, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2):
    samples, units = hidden.shape
    d_hidden = carray(stack_float32(SAMPLES_UNITS), (SAMPLES, UNITS))
    if not accumulate:
        dw1[:] = ZERO
        dw2[:] = ZERO
    for begin in range(0, samples, SAMPLES):
        end = min(begin + SAMPLES, samples)
        for first in range(0, units, UNITS):
            last = min(first + UNITS, units)
            for b in range(begin, end):
                out = d_hidden[b - begin]
                _d_hidden(b, hidden, probabilities, actions, advantages, w2, first, last, dw2, out)
            _add_samples(x[begin:end], d_hidden, first, last, dw1)


@jit
def _add_samples(x, d_hidden, first, last, dw1):
    """dw1[d, first:last] += sum_s x[s, d] * d_hidden[s], for at most SAMPLES samples."""
    for d in range(dw1.shape[0]):
        total = dw1[d][first:last]
        if x.shape[0] == SAMPLES:
            x0, x1, x2, x3 = x[0, d], x[1, d], x[2, d], x[3, d]
            d0, d1, d2, d3 = d_hidden[0], d_hidden[1], d_hidden[2], d_hidden[3]
            for h in range(total.shape[0]):
                total[h] = (((total[h] + x0 * d0[h]) + x1 * d1[h]) + x2 * d2[h]) + x3 * d3[h]
        else:
            for s in range(x.shape[0]):
                _add_scaled(x[s, d], d_hidden[s], total)


@jit
def _d_hidden(b, hidden, outputs, actions, advantages, w2, first, last, dw2, d_hidden):
    """Sample b's term of dw2, and its derivatives by the hidden units first .. last - 1.

    ``w2[a][first:last]`` slices a row, not the matrix, so numba knows that it is contiguous.
    """
    active, units, count = hidden[b][first:last], last - first, w2.shape[0]
    for h in range(units):
        d_hidden[h] = ZERO
    for a in range(count):
        derivative = outputs[b, a]
        if actions is not None:
            derivative = d_logit(advantages[b], derivative, actions[b], a, count)
        weights, gradient = w2[a][first:last], dw2[a][first:last]
        for h in range(units):
            gradient[h] += derivative * active[h]
            d_hidden[h] += derivative * weights[h]
    for h in range(units):
        d_hidden[h] = d_hidden[h] if active[h] > ZERO else ZERO

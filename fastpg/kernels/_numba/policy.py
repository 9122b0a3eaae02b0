"""The numba backend's two-layer network: sparse and dense, forward and backward.

Rows of the weights are added four at a time, so that the sum is loaded and stored once for four;
``((s + a) + b)`` keeps the order of the reference.
"""

import math

import numpy as np

from fastpg.kernels._numba.jit import carray, jit, stack_float32
from fastpg.kernels._numba.scalar import ZERO, dlogit, relu, sigmoid
from fastpg.kernels.spec import SUM_LANES as LANES

TILE = 256  # hidden units whose gradient is kept on the stack
DEPTH = 128  # rows of dense weights at a time: they stay in the L2 cache
GROUP = 4  # dense samples whose gradients are kept on the stack
GROUP_TILE = GROUP * TILE


@jit
def policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_forward`."""
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
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_forward_dense`."""
    inputs = w1.shape[0]
    hidden[:] = ZERO
    for first in range(0, inputs, DEPTH):
        last = min(first + DEPTH, inputs)
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
    """The hidden layer's relu in place, then one sample's probabilities."""
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
    """Sum in LANES partial sums, joined by halves."""
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
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_backward`."""
    _backward(
        indices,
        signs,
        offsets,
        hidden,
        probabilities,
        actions,
        advantages,
        w2,
        accumulate,
        dw1,
        dw2,
    )


@jit
def policy_backward_outputs(indices, signs, offsets, hidden, d_outputs, w2, accumulate, dw1, dw2):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_backward_outputs`."""
    _backward(indices, signs, offsets, hidden, d_outputs, None, None, w2, accumulate, dw1, dw2)


@jit
def _backward(indices, signs, offsets, hidden, rows, actions, advantages, w2, accumulate, dw1, dw2):
    """Rows are the samples' probabilities, or, without actions, the gradients of their outputs."""
    units = hidden.shape[1]
    dhidden = carray(stack_float32(TILE), (TILE,))
    if not accumulate:
        dw1[:] = ZERO
        dw2[:] = ZERO
    for b in range(hidden.shape[0]):
        for first in range(0, units, TILE):
            last = min(first + TILE, units)
            _dhidden(b, hidden, rows, actions, advantages, w2, first, last, dw2, dhidden)
            for k in range(offsets[b], offsets[b + 1]):
                _add_scaled(np.float32(signs[k]), dhidden, dw1[indices[k]][first:last])


@jit
def policy_backward_dense(x, hidden, probabilities, actions, advantages, w2, accumulate, dw1, dw2):
    """Loop of :meth:`fastpg.kernels.ops.Backend.policy_backward_dense`."""
    samples, units = hidden.shape
    dhidden = carray(stack_float32(GROUP_TILE), (GROUP, TILE))
    if not accumulate:
        dw1[:] = ZERO
        dw2[:] = ZERO
    for begin in range(0, samples, GROUP):
        end = min(begin + GROUP, samples)
        for first in range(0, units, TILE):
            last = min(first + TILE, units)
            for b in range(begin, end):
                out = dhidden[b - begin]
                _dhidden(b, hidden, probabilities, actions, advantages, w2, first, last, dw2, out)
            _add_group(x[begin:end], dhidden, first, last, dw1)


@jit
def _add_group(x, dhidden, first, last, dw1):
    """dw1[d, first:last] += sum_s x[s, d] * dhidden[s], for GROUP samples or fewer."""
    for d in range(dw1.shape[0]):
        total = dw1[d][first:last]
        if x.shape[0] == GROUP:
            x0, x1, x2, x3 = x[0, d], x[1, d], x[2, d], x[3, d]
            d0, d1, d2, d3 = dhidden[0], dhidden[1], dhidden[2], dhidden[3]
            for h in range(total.shape[0]):
                total[h] = (((total[h] + x0 * d0[h]) + x1 * d1[h]) + x2 * d2[h]) + x3 * d3[h]
        else:
            for s in range(x.shape[0]):
                _add_scaled(x[s, d], dhidden[s], total)


@jit
def _dhidden(b, hidden, rows, actions, advantages, w2, first, last, dw2, dhidden):
    """Sample b's part of dw2, and its dhidden, on the hidden units first .. last - 1.

    Rows are cut, not the matrices: a part of each row is contiguous, and known to be.
    """
    active, units, outputs = hidden[b][first:last], last - first, w2.shape[0]
    for h in range(units):
        dhidden[h] = ZERO
    for a in range(outputs):
        derivative = rows[b, a]
        if actions is not None:
            derivative = dlogit(advantages[b], derivative, actions[b], a, outputs)
        weights, gradient = w2[a][first:last], dw2[a][first:last]
        for h in range(units):
            gradient[h] += derivative * active[h]
            dhidden[h] += derivative * weights[h]
    for h in range(units):
        dhidden[h] = dhidden[h] if active[h] > ZERO else ZERO

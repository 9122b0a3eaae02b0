"""Device functions of learning: a sample's loss, and its gradients added to those of the others.

Gradients are sums of integers, fixed point, since additions of those give the same in any order:
threads add with atomic instructions, and yet each run has the same bits. ``gradient`` is a
:class:`fastpg.cuda.optimizer.Gradient`.
"""

import math

import numpy as np

from fastpg.cuda.forward import (
    chance_of,
    height_of,
    past_row,
    seen,
    to_probabilities,
    width_of,
)
from fastpg.kernels._cuda.jit import counted, cuda, device, index, times32, times64
from fastpg.kernels._numba.scalar import ZERO, log_or_zero, ppo_weight
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network._network import TILE_PIXELS

LARGEST = np.float32(1024)  # derivative of one sample; beyond it learning has failed
ENTROPY, DIVERGENCE, CLIPPED, VALUE_ERROR = range(4)  # places of a sample's statistics


# ---- the loss, by one thread ----------------------------------------------------------------


@device
def loss(net, buffer, slot, advantages, returns, objective, heads, statistics):
    """An slot's heads become the objective's derivatives by them, as
    csrc/kernels/returns_losses_optimizers.h's.

    Args:
        net: the network.
        buffer: what was played.
        slot: of it.
        advantages: of all slots.
        returns: of all slots.
        objective: clip, and the weights of entropy and of the value's error, float64.
        heads: (heads,) float32, read and written.
        statistics: (4,) float64, added to.
    """
    clip, entropy_weight, value_weight = objective
    outputs, action = net.outputs, np.int64(buffer.actions[slot])
    error = 0.0
    if net.w2.shape[0] > outputs:
        error = np.float64(heads[outputs]) - np.float64(returns[slot])
        heads[outputs] = -2.0 * value_weight * error
    to_probabilities(heads, outputs)
    advantage = np.float64(advantages[slot])
    chance = np.float64(chance_of(heads, outputs, action))
    ratio = chance / np.float64(buffer.action_probs[slot])
    weight = ppo_weight(ratio, advantage, clip)
    if outputs == 1:
        entropy = _of_logit(heads, action, weight, entropy_weight)
    else:
        entropy = _of_logits(heads, outputs, action, weight, entropy_weight)
    statistics[ENTROPY] += entropy
    if ratio > 0.0:
        statistics[DIVERGENCE] += ratio - 1.0 - math.log(ratio)
    if weight == 0.0 and advantage != 0.0 and ratio > 0.0:
        statistics[CLIPPED] += 1.0
    statistics[VALUE_ERROR] += error * error


@device
def _of_logit(heads, action, weight, entropy_weight):
    """From the probability of action 1 to the derivative by its logit; returns the entropy."""
    p = np.float64(heads[0])
    log_p, log_q = log_or_zero(p), log_or_zero(1.0 - p)
    of_entropy = -p * (1.0 - p) * (log_p - log_q)
    heads[0] = times64(weight, np.float64(action) - p) + times64(entropy_weight, of_entropy)
    return -(times64(p, log_p) + times64(1.0 - p, log_q))


@device
def _of_logits(heads, outputs, action, weight, entropy_weight):
    """From probabilities to the derivatives by their logits; returns the entropy."""
    negentropy = 0.0
    for a in range(outputs):
        p = np.float64(heads[a])
        negentropy += times64(p, log_or_zero(p))
    for a in range(outputs):
        p = np.float64(heads[a])
        of_entropy = -p * (log_or_zero(p) - negentropy)
        taken = 1.0 if action == a else 0.0
        heads[a] = times64(weight, taken - p) + times64(entropy_weight, of_entropy)
    return -negentropy


# ---- fixed point ----------------------------------------------------------------------------


@device
def fixed(value, unit, status):
    """A derivative as an integer, 1 / unit each; what is not finite, or too large, sets status."""
    if abs(value) <= LARGEST:
        return np.int64(math.floor(np.float64(value) * unit + 0.5))
    cuda.atomic.max(status, 0, 1)
    return np.int64(0)


# ---- backward, by a block -------------------------------------------------------------------


@device
def backward(net, buffer, slot, hidden, d_heads, unit, gradient):
    """Add an slot's gradients to the sums; in columns of pixels to those of their differences.

    That is, a tile adds at its first row and subtracts below its last: running sums down the
    columns, in :func:`run_down`, then give each row its own.
    """
    if cuda.threadIdx.x == 0:  # what is not finite counts even where all units are 0
        for o in range(d_heads.shape[0]):
            fixed(times32(d_heads[o], ZERO), unit, gradient.status)
    h = cuda.threadIdx.x
    while h < hidden.shape[0]:
        if hidden[index(h)] != ZERO:  # most units are 0
            back = ZERO
            for o in range(d_heads.shape[0]):
                row = net.parts.shape[0] + o
                what = fixed(times32(d_heads[index(o)], hidden[index(h)]), unit, gradient.status)
                if what != 0:
                    cuda.atomic.add(gradient.sums, (index(row), index(h)), what)
                back += times32(d_heads[index(o)], net.w2[index(o), index(h)])
            if hidden[index(h)] > ZERO:
                what = fixed(back, unit, gradient.status)
                if what != 0:
                    _scatter(net, buffer, slot, counted(h), what, gradient)
        h += cuda.blockDim.x
    _cover(net, buffer, slot, gradient)


@device
def _scatter(net, buffer, slot, h, what, gradient):
    """Add a hidden unit's derivative to its column of the gradient."""
    _scatter_frame(buffer, 0, slot, h, what, gradient)
    for k in range(1, net.lags.shape[0]):
        frame = seen(net, buffer, slot, k)
        if net.difference:
            _scatter_frame(buffer, 0, frame, h, -what, gradient)
        else:
            _scatter_frame(buffer, k, frame, h, what, gradient)
    for k in range(net.recalled):
        row = past_row(net, buffer, slot, k)
        if row >= 0:
            cuda.atomic.add(gradient.sums, (counted(row), h), what)


@device
def _scatter_frame(buffer, plane, frame, h, what, gradient):
    k, count = 0, np.int64(buffer.tile_counts[index(frame)])
    while k < count:
        tile = np.int64(buffer.tiles[index(frame), index(k)])
        y, height = tile % VIEW_SIDE, height_of(tile)
        row = counted(plane * TILE_PIXELS + tile % TILE_PIXELS)
        last = row + (width_of(tile) - 1) * VIEW_SIDE
        while row <= last:
            cuda.atomic.add(gradient.sums, (row, h), what)
            if y + height < VIEW_SIDE:
                cuda.atomic.add(gradient.sums, (row + height, h), -what)
            row += VIEW_SIDE
        k += 1


@device
def _cover(net, buffer, slot, gradient):
    """Count the tiles over each row in the same way: a row that lit is one with some."""
    for k in range(net.lags.shape[0]):
        frame = seen(net, buffer, slot, k)
        plane = 0 if net.difference else k
        i = cuda.threadIdx.x
        while i < np.int64(buffer.tile_counts[frame]):
            tile = np.int64(buffer.tiles[frame, i])
            y, height = tile % VIEW_SIDE, height_of(tile)
            row = plane * TILE_PIXELS + tile % TILE_PIXELS
            for _ in range(width_of(tile)):
                cuda.atomic.add(gradient.cover, row, 1)
                if y + height < VIEW_SIDE:
                    cuda.atomic.add(gradient.cover, row + height, -1)
                row += VIEW_SIDE
            i += cuda.blockDim.x
    k = cuda.threadIdx.x
    while k < net.recalled:
        row = past_row(net, buffer, slot, k)
        if row >= 0:
            cuda.atomic.add(gradient.cover, row, 1)
        k += cuda.blockDim.x

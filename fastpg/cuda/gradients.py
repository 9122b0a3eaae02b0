"""Device functions of the backward pass: a sample's loss, and its gradients added to the sums.

Gradients are added as fixed-point integers with atomic instructions. Integer addition is
associative, so the sums have the same bits in every run, whatever the order of threads.
``gradient`` is a :class:`fastpg.cuda.optimizer.Gradient`.
"""

import math

import numpy as np

from fastpg.cuda.forward import action_row, tile_rows, to_probabilities, view_slot
from fastpg.kernels._cuda.jit import counted, cuda, device, index, times32
from fastpg.kernels._numba.scalar import ZERO, ppo_weight
from fastpg.kernels.cuda_device import logit_derivatives, probability_of
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network.optimizer import STATS

MAX_DERIVATIVE = np.float32(1024)  # of one sample; a larger one means that learning has diverged
ENTROPY, KL, CLIP_FRACTION, VALUE_LOSS = range(len(STATS))  # indices into a sample's statistics


# ---- the loss, by one thread ----------------------------------------------------------------


@device
def loss_derivatives(net, buffer, slot, advantages, returns, objective, heads, statistics):
    """Replace a slot's heads by the derivatives of the objective with respect to them.

    The formulas are those of csrc/kernels/ppo_losses.h. ``advantages`` and ``returns`` are float32
    of all slots, ``objective`` is clip, entropy weight and value weight as float64. The sample's
    ``STATS`` are added to ``statistics``, (4,) float64.
    """
    clip, entropy_weight, value_weight = objective
    outputs, action = net.outputs, np.int64(buffer.actions[slot])
    error = 0.0
    if net.w2.shape[0] > outputs:
        error = np.float64(heads[outputs]) - np.float64(returns[slot])
        heads[outputs] = -2.0 * value_weight * error
    to_probabilities(heads, outputs)
    advantage = np.float64(advantages[slot])
    probability = np.float64(probability_of(action, heads, outputs))
    ratio = probability / np.float64(buffer.action_probs[slot])
    weight = ppo_weight(ratio, advantage, clip)
    statistics[ENTROPY] += logit_derivatives(heads, outputs, action, weight, entropy_weight, heads)
    if ratio > 0.0:
        statistics[KL] += ratio - 1.0 - math.log(ratio)
    if weight == 0.0 and advantage != 0.0 and ratio > 0.0:
        statistics[CLIP_FRACTION] += 1.0
    statistics[VALUE_LOSS] += error * error


# ---- fixed point ----------------------------------------------------------------------------


@device
def to_fixed_point(value, unit, status):
    """``value * unit`` rounded to an integer; 0, and the status set, if not finite or too large."""
    if abs(value) <= MAX_DERIVATIVE:
        return np.int64(math.floor(np.float64(value) * unit + 0.5))
    cuda.atomic.max(status, 0, 1)
    return np.int64(0)


# ---- backward, by a block -------------------------------------------------------------------


@device
def backward(net, buffer, slot, hidden, d_heads, unit, gradient):
    """Add a slot's gradients to the sums.

    Pixel gradients are stored as differences along each column: a tile adds at its first row and
    subtracts below its last. The kernel ``prefix_sum_columns`` turns the differences into each
    row's gradient.
    """
    if cuda.threadIdx.x == 0:  # notice derivatives that are not finite even if all units are 0
        for o in range(d_heads.shape[0]):
            to_fixed_point(times32(d_heads[o], ZERO), unit, gradient.status)
    h = cuda.threadIdx.x
    while h < hidden.shape[0]:
        if hidden[index(h)] != ZERO:  # most units are 0
            d_hidden = ZERO
            for o in range(d_heads.shape[0]):
                row = net.parts.shape[0] + o
                d_weight = times32(d_heads[index(o)], hidden[index(h)])
                amount = to_fixed_point(d_weight, unit, gradient.status)
                if amount != 0:
                    cuda.atomic.add(gradient.sums, (index(row), index(h)), amount)
                d_hidden += times32(d_heads[index(o)], net.w2[index(o), index(h)])
            if hidden[index(h)] > ZERO:
                amount = to_fixed_point(d_hidden, unit, gradient.status)
                if amount != 0:
                    _add_first_layer(net, buffer, slot, counted(h), amount, gradient)
        h += cuda.blockDim.x
    _count_tiles(net, buffer, slot, gradient)


@device
def _add_first_layer(net, buffer, slot, h, amount, gradient):
    """Add a hidden unit's derivative to its column of the first layer's gradient."""
    _add_frame(buffer, 0, slot, h, amount, gradient)
    for k in range(1, net.lags.shape[0]):
        frame = view_slot(net, buffer, slot, k)
        if net.difference:
            _add_frame(buffer, 0, frame, h, -amount, gradient)
        else:
            _add_frame(buffer, k, frame, h, amount, gradient)
    for k in range(net.past_actions):
        row = action_row(net, buffer, slot, k)
        if row >= 0:
            cuda.atomic.add(gradient.sums, (counted(row), h), amount)


@device
def _add_frame(buffer, plane, frame, h, amount, gradient):
    k, count = 0, np.int64(buffer.tile_counts[index(frame)])
    while k < count:
        row, last, height = tile_rows(buffer.tiles[index(frame), index(k)], plane)
        ends_above = row % VIEW_SIDE + height < VIEW_SIDE  # the view's lower edge
        while row <= last:
            cuda.atomic.add(gradient.sums, (row, h), amount)
            if ends_above:
                cuda.atomic.add(gradient.sums, (row + height, h), -amount)
            row += VIEW_SIDE
        k += 1


@device
def _count_tiles(net, buffer, slot, gradient):
    """Count the tiles that cover each row, also stored as differences.

    A row was lit if its count is not 0.
    """
    for k in range(net.lags.shape[0]):
        frame = view_slot(net, buffer, slot, k)
        plane = 0 if net.difference else k
        i = cuda.threadIdx.x
        while i < np.int64(buffer.tile_counts[frame]):
            row, last, height = tile_rows(buffer.tiles[frame, i], plane)
            ends_above = row % VIEW_SIDE + height < VIEW_SIDE
            while row <= last:
                cuda.atomic.add(gradient.cover, row, 1)
                if ends_above:
                    cuda.atomic.add(gradient.cover, row + height, -1)
                row += VIEW_SIDE
            i += cuda.blockDim.x
    k = cuda.threadIdx.x
    while k < net.past_actions:
        row = action_row(net, buffer, slot, k)
        if row >= 0:
            cuda.atomic.add(gradient.cover, row, 1)
        k += cuda.blockDim.x

"""Device functions of the network on tiles: an slot's hidden units and heads, by a block.

All threads of a block call with equal arguments, and each has a hidden unit at a time, so that a
row of weights is read in one go. ``net`` is a :class:`fastpg.cuda.network.Layers`, ``buffer`` an
:class:`fastpg.cuda.buffer.Slots`. Sums do not depend on the number of threads, nor
on which products a compiler fuses with sums: a rollout and learning give the same chances.
"""

import math

import numpy as np

from fastpg.kernels._cuda.jit import counted, cuda, device, index, times32
from fastpg.kernels._numba.scalar import ZERO, relu, sigmoid
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network._network import TILE_PIXELS

MOST_HEADS = 19  # as csrc/network/tile_network.h
HEAD_LANES = 32  # partial sums of a head
TALL = 4  # heights that tiles have; kinds from here on are two columns wide


@device
def seen(net, buffer, slot, view):
    """The slot whose frame an slot has as view number ``view``: an episode's first has itself."""
    lag, age = np.int64(net.lags[view]), np.int64(buffer.episode_steps[slot])
    return slot - min(lag, age) * buffer.games


@device
def past_row(net, buffer, slot, k):
    """The row of the earlier action number k (0 the latest), or -1 at the episode's begin."""
    if k >= np.int64(buffer.episode_steps[slot]):
        return np.int64(-1)
    action = np.int64(buffer.actions[slot - (1 + k) * buffer.games])
    return np.int64(net.past + k * net.actions + action)


@device
def height_of(tile):
    """Rows of a tile."""
    return np.int64(1) << tile // TILE_PIXELS % TALL


@device
def width_of(tile):
    """Columns of a tile."""
    return np.int64(2) if tile >= TALL * TILE_PIXELS else np.int64(1)


@device
def column_sums(w1, first, height, unit, other, total, total_other):
    """Two units' sums, and their weights of some rows in order; four are on their way at once."""
    row, last = first, first + height
    while row + 4 <= last:
        a, b = w1[index(row), index(unit)], w1[index(row + 1), index(unit)]
        c, d = w1[index(row + 2), index(unit)], w1[index(row + 3), index(unit)]
        e, f = w1[index(row), index(other)], w1[index(row + 1), index(other)]
        g, h = w1[index(row + 2), index(other)], w1[index(row + 3), index(other)]
        total = total + a + b + c + d
        total_other = total_other + e + f + g + h
        row += 4
    while row < last:
        total += w1[index(row), index(unit)]
        total_other += w1[index(row), index(other)]
        row += 1
    return total, total_other


@device
def frame_sums(net, buffer, plane, frame, unit, other):
    """Sums of two units' weights over the pixels that an slot's frame lights in a plane.

    Two, since what a tile is takes longer to see than to add up.
    """
    total, total_other = ZERO, ZERO
    k, count = 0, np.int64(buffer.tile_counts[index(frame)])
    while k < count:
        tile = np.int64(buffer.tiles[index(frame), index(k)])
        height, first = height_of(tile), counted(plane * TILE_PIXELS + tile % TILE_PIXELS)
        last = first + (width_of(tile) - 1) * VIEW_SIDE
        while first <= last:
            total, total_other = column_sums(net.w1, first, height, unit, other, total, total_other)
            first += VIEW_SIDE
        k += 1
    return total, total_other


@device
def hidden_units(net, buffer, slot, unit, other):
    """Two of an slot's hidden units."""
    total, total_other = frame_sums(net, buffer, 0, slot, unit, other)
    if net.difference:
        before = frame_sums(net, buffer, 0, seen(net, buffer, slot, 1), unit, other)
        total, total_other = total - before[0], total_other - before[1]
    else:
        for k in range(1, net.lags.shape[0]):
            earlier = frame_sums(net, buffer, k, seen(net, buffer, slot, k), unit, other)
            total, total_other = total + earlier[0], total_other + earlier[1]
    for k in range(net.recalled):
        row = past_row(net, buffer, slot, k)
        if row >= 0:
            total += net.w1[index(row), index(unit)]
            total_other += net.w1[index(row), index(other)]
    return relu(total), relu(total_other)


@device
def forward(net, buffer, slot, hidden, heads):
    """Write an slot's hidden units (H,) and heads: logits, then the value if there is one.

    Both are arrays that the whole block sees, in shared or global memory. When it returns, all
    threads may read both, and call again with others.
    """
    lanes = cuda.shared.array((MOST_HEADS, HEAD_LANES), np.float32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    count, units = net.w2.shape
    unit = thread
    while unit < units:
        other = unit + threads if unit + threads < units else unit
        one, another = hidden_units(net, buffer, slot, unit, other)
        hidden[index(unit)] = one
        hidden[index(other)] = another
        unit += 2 * threads
    cuda.syncthreads()
    i = thread
    while i < count * HEAD_LANES:
        o, lane = i // HEAD_LANES, i % HEAD_LANES
        total, unit = ZERO, lane
        while unit < units:
            total += times32(hidden[index(unit)], net.w2[index(o), index(unit)])
            unit += HEAD_LANES
        lanes[o, lane] = total
        i += threads
    cuda.syncthreads()
    o = thread
    while o < count:
        total = ZERO
        for lane in range(HEAD_LANES):
            total += lanes[o, lane]
        heads[o] = total
        o += threads
    cuda.syncthreads()


# ---- what a thread does alone ---------------------------------------------------------------


@device
def to_probabilities(heads, outputs):
    """Logits to probabilities, in place: sigmoid or softmax in float64, rounded once."""
    if outputs == 1:
        heads[0] = sigmoid(heads[0])
        return
    highest, total = -math.inf, 0.0
    for a in range(outputs):
        highest = max(highest, np.float64(heads[a]))
    for a in range(outputs):
        total += math.exp(np.float64(heads[a]) - highest)
    for a in range(outputs):
        heads[a] = np.float32(math.exp(np.float64(heads[a]) - highest) / total)


@device
def chance_of(probabilities, outputs, action):
    """An action's probability."""
    if outputs > 1:
        return probabilities[action]
    return probabilities[0] if action else np.float32(1) - probabilities[0]

"""Device functions of the network's forward pass: a slot's hidden units and heads, by one block.

All threads of a block call with equal arguments. Each thread computes some of the hidden units, so
consecutive threads read consecutive weights of a row. ``net`` is a
:class:`fastpg.cuda.network.Layers`, ``buffer`` a :class:`fastpg.cuda.buffer.Slots`. The sums depend
neither on the number of threads nor on how a compiler fuses products and sums, so rollouts and
learning compute the same probabilities.
"""

import math

import numpy as np

from fastpg.kernels._cuda.jit import counted, cuda, device, index, times32
from fastpg.kernels._numba.scalar import ZERO, relu, sigmoid
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network._network import TILE_PIXELS

MAX_HEADS = 19  # as in csrc/network/tile_network.h
HEAD_LANES = 32  # partial sums of a head
TILE_HEIGHTS = 4  # heights 1, 2, 4, 8; from this kind on, tiles are two columns wide


# ---- slots and rows that a network reads ----------------------------------------------------


@device
def view_slot(net, buffer, slot, view):
    """Slot of a view's frame; before the episode's beginning, that of its first frame."""
    lag, steps = np.int64(net.lags[view]), np.int64(buffer.episode_steps[slot])
    return slot - min(lag, steps) * buffer.games


@device
def action_row(net, buffer, slot, k):
    """Row of weights of past action k (0 is the latest); -1 before the episode's beginning."""
    if k >= np.int64(buffer.episode_steps[slot]):
        return np.int64(-1)
    action = np.int64(buffer.actions[slot - (1 + k) * buffer.games])
    return np.int64(net.action_rows + k * net.actions + action)


@device
def tile_rows(tile, plane):
    """Rows of weights of a tile's pixels in a plane: (first, last, height).

    ``first`` and ``last`` are the top pixels of its first and its last column.
    """
    tile = np.int64(tile)
    height = np.int64(1) << tile // TILE_PIXELS % TILE_HEIGHTS
    first = counted(plane * TILE_PIXELS + tile % TILE_PIXELS)
    columns = np.int64(2) if tile >= TILE_HEIGHTS * TILE_PIXELS else np.int64(1)
    return first, first + (columns - 1) * VIEW_SIDE, height


# ---- hidden units ---------------------------------------------------------------------------


@device
def column_sums(w1, first, height, unit, other, total, total_other):
    """Add some consecutive rows of weights to two units' sums, in order.

    Four rows at a time, so that several loads are in flight.
    """
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
    """Sum two units' weights of a plane over the lit pixels of a frame.

    Two units at a time, because decoding a tile takes longer than adding its weights.
    """
    total, total_other = ZERO, ZERO
    k, count = 0, np.int64(buffer.tile_counts[index(frame)])
    while k < count:
        first, last, height = tile_rows(buffer.tiles[index(frame), index(k)], plane)
        while first <= last:
            total, total_other = column_sums(net.w1, first, height, unit, other, total, total_other)
            first += VIEW_SIDE
        k += 1
    return total, total_other


@device
def hidden_units(net, buffer, slot, unit, other):
    """Two hidden units of a slot."""
    total, total_other = frame_sums(net, buffer, 0, slot, unit, other)
    if net.difference:
        before = frame_sums(net, buffer, 0, view_slot(net, buffer, slot, 1), unit, other)
        total, total_other = total - before[0], total_other - before[1]
    else:
        for k in range(1, net.lags.shape[0]):
            earlier = frame_sums(net, buffer, k, view_slot(net, buffer, slot, k), unit, other)
            total, total_other = total + earlier[0], total_other + earlier[1]
    for k in range(net.past_actions):
        row = action_row(net, buffer, slot, k)
        if row >= 0:
            total += net.w1[index(row), index(unit)]
            total_other += net.w1[index(row), index(other)]
    return relu(total), relu(total_other)


# ---- heads ----------------------------------------------------------------------------------


@device
def forward(net, buffer, slot, hidden, heads):
    """Write a slot's hidden units (H,) and heads (logits, then the value if there is one).

    Both arrays must be visible to the whole block: shared or global memory. After the return all
    threads may read both, and may call again with others.
    """
    lanes = cuda.shared.array((MAX_HEADS, HEAD_LANES), np.float32)
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


# ---- by a single thread ---------------------------------------------------------------------


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

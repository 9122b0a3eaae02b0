"""The kernels of :class:`fastpg.cuda.optimizer.DeviceOptimizer`, in the order of their launches.

Those that set a few numbers, and :func:`judge`, have one block, all others ``BLOCKS`` blocks of
``THREADS``.
"""

import math

import numpy as np

from fastpg.cuda.forward import forward
from fastpg.cuda.gradients import backward, loss
from fastpg.cuda.network_kernels import THREADS, cells_across
from fastpg.kernels._cuda.blocks import sum_over_block
from fastpg.kernels._cuda.jit import counted, cuda, device, index, kernel, times32, times64
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network._network import TILE_PIXELS

STATISTICS = 4  # of samples: _gradients.py has their places
NORM, FACTOR = 4, 5  # places behind them in `totals`
FIRST, UPDATES = 0, 1  # places in `progress`: of a minibatch in its order, of updates so far
AT_ONCE = 8  # rows that a thread has on their way


@kernel
def forget(totals):
    """Begin the sums for the log anew."""
    if cuda.threadIdx.x < STATISTICS:
        totals[cuda.threadIdx.x] = 0.0


@kernel
def seek(progress, first, updates):
    """Set where the next minibatch begins, and how many updates there were."""
    if cuda.threadIdx.x == 0:
        progress[FIRST], progress[UPDATES] = first, updates


@kernel
def advance(progress, rates, size, rate, epsilon, keep1, keep2):
    """Go on to the next step of Adam, behind a minibatch; what its rate and epsilon are."""
    if cuda.threadIdx.x == 0:
        progress[FIRST] += size
        progress[UPDATES] += 1
        updates = np.float64(progress[UPDATES])
        second = math.sqrt(1.0 - math.pow(keep2, updates))
        rates[0] = rate * second / (1.0 - math.pow(keep1, updates))
        rates[1] = epsilon * second


@kernel
def add_gradients(
    net, buffer, gradient, blocks, order, progress, size, advantages, returns, objective, unit
):
    """Add up the gradients of ``size`` slots of an order; a block has one at a time."""
    block = cuda.blockIdx.x
    hidden, heads = blocks.hidden[block], blocks.heads[block]
    statistics = blocks.statistics[block]
    if cuda.threadIdx.x == 0:
        for k in range(STATISTICS):
            statistics[k] = 0.0
    first = progress[FIRST]
    i = first + block
    while i < first + size:
        slot = np.int64(order[i])
        forward(net, buffer, slot, hidden, heads)
        if cuda.threadIdx.x == 0:
            loss(net, buffer, slot, advantages, returns, objective, heads, statistics)
        cuda.syncthreads()
        backward(net, buffer, slot, hidden, heads, unit, gradient)
        cuda.syncthreads()
        i += cuda.gridDim.x


# ---- gradients of rows ----------------------------------------------------------------------


@kernel
def run_down(gradient, past, inputs):
    """From differences down each column of pixels to its rows' gradients; which rows lit.

    Rows ``past`` to ``inputs``, those of recalled actions, are in no column.
    """
    covers = cuda.shared.array(VIEW_SIDE, np.int32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    for column in range(cuda.blockIdx.x, past // VIEW_SIDE, cuda.gridDim.x):
        first = column * VIEW_SIDE
        different = False
        for y in range(thread, VIEW_SIDE, threads):
            covers[y] = gradient.cover[first + y]
            different = different or covers[y] != 0
            gradient.cover[first + y] = 0
        if cuda.syncthreads_or(np.int32(different)):
            if thread == 0:
                for y in range(1, VIEW_SIDE):
                    covers[y] += covers[y - 1]
            h = thread
            while h < gradient.sums.shape[1]:
                _run_down(gradient.sums, first, h)
                h += threads
            cuda.syncthreads()
        for y in range(thread, VIEW_SIDE, threads):
            gradient.touched[first + y] = covers[y] > 0
        cuda.syncthreads()
    for row in range(past + cuda.grid(1), inputs, cuda.gridsize(1)):
        gradient.touched[row] = gradient.cover[row] > 0
        gradient.cover[row] = 0


@device
def _run_down(sums, first, h):
    """Running sums over a column of a hidden unit."""
    part = cuda.local.array(AT_ONCE, np.int64)
    total, begin = np.int64(0), first
    while begin < first + VIEW_SIDE:
        for i in range(AT_ONCE):
            part[i] = sums[index(begin + i), index(h)]
        for i in range(AT_ONCE):
            total += part[i]
            sums[index(begin + i), index(h)] = total
        begin += AT_ONCE


@device
def _slope(gradient, row, h, scale):
    """A gradient in float32, from fixed point; ``scale`` is that of the objective, too."""
    return np.float32(np.float64(gradient.sums[index(row), index(h)]) * scale)


@kernel
def join(gradient, mirror_rows, inputs, rows):
    """Add the gradients of rows that are each other's ``mirror_rows``, see
    fastpg/network/symmetry.py.

    Rows ``inputs`` to ``rows``, those of cells, come after: sums of what is joined here.
    """
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        given = np.int64(mirror_rows[row])
        twin, sign = (given, np.int64(1)) if given >= 0 else (-1 - given, np.int64(-1))
        if (row < inputs or row >= rows) and row <= twin:
            lit = gradient.touched[row] | gradient.touched[twin]
            if lit:
                for pair in range(cuda.threadIdx.x, gradient.sums.shape[1] // 2, cuda.blockDim.x):
                    _join(gradient.sums, row, twin, 2 * pair, sign)
            cuda.syncthreads()  # all have read which lit
            if cuda.threadIdx.x == 0:
                gradient.touched[row] = lit
                gradient.touched[twin] = lit


@device
def _join(sums, row, twin, h, sign):
    """The gradients of two units that are a pair, of which ``h`` is the even one."""
    even = sums[row, h] + sign * sums[twin, h + 1]
    odd = sums[row, h + 1] + sign * sums[twin, h]
    sums[row, h], sums[row, h + 1] = even, odd
    sums[twin, h + 1], sums[twin, h] = sign * even, sign * odd


@kernel
def fold(gradient, norms, inputs, rows, cell, scale, share):
    """Gradients of cells from their pixels'; each block's part of the sum of all squares.

    Rows ``inputs`` to ``rows`` are those of cells; ``share`` of the squares counts: of units in
    pairs one's.
    """
    sums = cuda.shared.array(THREADS, np.float64)
    total = 0.0
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        if inputs <= row < rows:
            _fold_cell(gradient, row - inputs, row, cell)
        if gradient.touched[row]:
            h = cuda.threadIdx.x
            while h < gradient.sums.shape[1]:
                slope = np.float64(_slope(gradient, row, h, scale))
                total += times64(slope, slope)
                h += cuda.blockDim.x
    total = sum_over_block(total, sums)
    if cuda.threadIdx.x == 0:
        norms[cuda.blockIdx.x] = share * total


@device
def _fold_cell(gradient, number, row, cell):
    """The gradient of a cell's part, its row and number given, and whether a pixel of it lit."""
    number, cell, across = counted(number), counted(cell), cells_across(cell)
    left, top = number // across % across * cell, number % across * cell
    right, bottom = min(left + cell, VIEW_SIDE), min(top + cell, VIEW_SIDE)
    first = number // (across * across) * TILE_PIXELS
    lit = False
    x = left
    while x < right:
        pixel = first + x * VIEW_SIDE + top
        last = pixel + bottom - top
        while pixel < last:
            lit = lit or gradient.touched[index(pixel)] > 0
            pixel += 1
        x += 1
    if lit:
        h = cuda.threadIdx.x
        while h < gradient.sums.shape[1]:
            gradient.sums[index(row), index(h)] = _cell_sum(
                gradient, first, left, right, top, bottom, h
            )
            h += cuda.blockDim.x
    if cuda.threadIdx.x == 0:
        gradient.touched[row] = lit
    cuda.syncthreads()


@device
def _cell_sum(gradient, first, left, right, top, bottom, h):
    """Sum of a hidden unit's gradients over the pixels of a cell that lit."""
    total, x = np.int64(0), left
    while x < right:
        pixel = first + x * VIEW_SIDE + top
        last = pixel + bottom - top
        while pixel < last:
            if gradient.touched[index(pixel)]:
                total += gradient.sums[index(pixel), index(h)]
            pixel += 1
        x += 1
    return total


@kernel
def judge(norms, statistics, totals, longest):
    """The gradient's norm, what a longer one than ``longest`` is cut by, sums for the log."""
    sums = cuda.shared.array(THREADS, np.float64)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    squares, k = 0.0, thread
    while k < norms.shape[0]:
        squares += norms[index(k)]
        k += threads
    squares = sum_over_block(squares, sums)
    if thread == 0:
        norm = math.sqrt(squares)
        totals[NORM] = norm
        totals[FACTOR] = min(1.0, longest / (norm + 1e-9))
    for i in range(STATISTICS):
        total, k = 0.0, thread
        while k < statistics.shape[0]:
            total += statistics[index(k), i]
            k += threads
        total = sum_over_block(total, sums)
        if thread == 0:
            totals[i] += total


# ---- steps uphill ---------------------------------------------------------------------------
#
# Only rows that lit, and none from the first gradient on that is not finite. A row's gradient is 0
# again behind a step.


@kernel
def adam(weights, gradient, means, squares, totals, rates, scale, keep1, keep2):
    """A step of Adam; scalars but ``scale`` as fastpg_adam_row of csrc/network/learner.h, float32.

    ``rates`` are its rate and epsilon.
    """
    if gradient.status[0] != 0:
        return
    factor = np.float32(totals[FACTOR])
    rate, epsilon = rates[0], rates[1]
    take1, take2 = np.float32(1) - keep1, np.float32(1) - keep2
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        if gradient.touched[row]:
            h = cuda.threadIdx.x
            while h < gradient.sums.shape[1]:
                at = index(row), index(h)
                slope = _slope(gradient, row, h, scale) * factor
                gradient.sums[at] = 0
                mean = times32(keep1, means[at]) + times32(take1, slope)
                square = times32(keep2, squares[at])
                square += times32(times32(take2, slope), slope)
                means[at], squares[at] = mean, square
                step = rate * mean / (np.float32(math.sqrt(square)) + epsilon)
                weights[at] += step
                h += cuda.blockDim.x


@kernel
def rmsprop(weights, gradient, squares, updated, scale, rate, decay, epsilon, updates):
    """A step of RMSProp, float32 but for ``scale``; ``updates`` is its number.

    A row that was left out for some updates, as its pixels never lit, has decayed as often; heads
    never are.
    """
    if gradient.status[0] != 0:
        return
    take, rows = np.float32(1) - decay, updated.shape[0]
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        if gradient.touched[row]:
            left_out = updates - np.int64(updated[row]) if row < rows else np.int64(1)
            kept = np.float32(math.pow(np.float64(decay), np.float64(left_out)))
            h = cuda.threadIdx.x
            while h < gradient.sums.shape[1]:
                at = index(row), index(h)
                slope = _slope(gradient, row, h, scale)
                gradient.sums[at] = 0
                square = times32(kept, squares[at])
                square += times32(times32(take, slope), slope)
                squares[at] = square
                step = rate * slope / (np.float32(math.sqrt(square)) + epsilon)
                weights[at] += step
                h += cuda.blockDim.x
            cuda.syncthreads()  # all have read when it was updated
            if cuda.threadIdx.x == 0 and row < rows:
                updated[row] = updates

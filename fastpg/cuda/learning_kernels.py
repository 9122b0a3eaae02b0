"""The kernels of :class:`fastpg.cuda.optimizer.DeviceOptimizer`, in the order of their launches.

``reset_stats``, ``set_progress``, ``advance_adam`` and ``reduce_norm`` have one block; the others
have ``BLOCKS`` blocks of ``THREADS`` threads.
"""

import math

import numpy as np

from fastpg.cuda.forward import forward
from fastpg.cuda.gradients import backward, loss_derivatives
from fastpg.cuda.network_kernels import THREADS, cells_per_side
from fastpg.kernels._cuda.blocks import sum_over_block
from fastpg.kernels._cuda.jit import counted, cuda, device, index, kernel, times32, times64
from fastpg.kernels._numba.scalar import rmsprop_weight
from fastpg.kernels.cuda_device import moving_average
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network._network import TILE_PIXELS
from fastpg.network.optimizer import STATS

STATISTICS = len(STATS)  # per sample
# Indices behind them in `totals`: the gradient's norm, and its clip factor.
NORM, FACTOR = STATISTICS, STATISTICS + 1
FIRST, UPDATES = 0, 1  # indices into `progress`: the minibatch's first sample, updates so far
IN_FLIGHT = 8  # rows that a thread loads at once


@kernel
def reset_stats(totals):
    """Set the sums of the statistics to 0."""
    if cuda.threadIdx.x < STATISTICS:
        totals[cuda.threadIdx.x] = 0.0


@kernel
def set_progress(progress, first, updates):
    """Set the next minibatch's first sample and the number of updates so far."""
    if cuda.threadIdx.x == 0:
        progress[FIRST], progress[UPDATES] = first, updates


@kernel
def advance_adam(progress, rates, size, rate, epsilon, keep1, keep2):
    """Count an update, move on to the next minibatch, compute Adam's bias-corrected rates."""
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
    """Add up the gradients of ``size`` samples of an order, one sample per block at a time."""
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
            loss_derivatives(net, buffer, slot, advantages, returns, objective, heads, statistics)
        cuda.syncthreads()
        backward(net, buffer, slot, hidden, heads, unit, gradient)
        cuda.syncthreads()
        i += cuda.gridDim.x


# ---- gradients of rows ----------------------------------------------------------------------


@kernel
def prefix_sum_columns(gradient, action_rows, inputs):
    """Turn differences down the columns of pixels into gradients; mark the rows that were lit.

    Rows ``action_rows`` to ``inputs``, those of past actions, belong to no column.
    """
    covers = cuda.shared.array(VIEW_SIDE, np.int32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    for column in range(cuda.blockIdx.x, action_rows // VIEW_SIDE, cuda.gridDim.x):
        first = column * VIEW_SIDE
        covered = False
        for y in range(thread, VIEW_SIDE, threads):
            covers[y] = gradient.cover[first + y]
            covered = covered or covers[y] != 0
            gradient.cover[first + y] = 0
        if cuda.syncthreads_or(np.int32(covered)):
            if thread == 0:
                for y in range(1, VIEW_SIDE):
                    covers[y] += covers[y - 1]
            h = thread
            while h < gradient.sums.shape[1]:
                _prefix_sum_column(gradient.sums, first, h)
                h += threads
            cuda.syncthreads()
        for y in range(thread, VIEW_SIDE, threads):
            gradient.touched[first + y] = covers[y] > 0
        cuda.syncthreads()
    for row in range(action_rows + cuda.grid(1), inputs, cuda.gridsize(1)):
        gradient.touched[row] = gradient.cover[row] > 0
        gradient.cover[row] = 0


@device
def _prefix_sum_column(sums, first, h):
    """Prefix sums down a column of pixels, of one hidden unit, in place."""
    rows = cuda.local.array(IN_FLIGHT, np.int64)
    total, begin = np.int64(0), first
    while begin < first + VIEW_SIDE:
        for i in range(IN_FLIGHT):
            rows[i] = sums[index(begin + i), index(h)]
        for i in range(IN_FLIGHT):
            total += rows[i]
            sums[index(begin + i), index(h)] = total
        begin += IN_FLIGHT


@device
def _to_float(gradient, row, h, scale):
    """Convert a fixed-point gradient to float32; ``scale`` includes the objective's."""
    return np.float32(np.float64(gradient.sums[index(row), index(h)]) * scale)


@kernel
def tie_mirrored(gradient, mirror_rows, inputs, rows):
    """Add the gradients of mirrored units, see fastpg/network/symmetry.py.

    Leaves out rows ``inputs`` to ``rows``, those of cells: they are reduced from these later.
    """
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        signed = np.int64(mirror_rows[row])
        mirror, sign = (signed, np.int64(1)) if signed >= 0 else (-1 - signed, np.int64(-1))
        if (row < inputs or row >= rows) and row <= mirror:
            lit = gradient.touched[row] | gradient.touched[mirror]
            if lit:
                for pair in range(cuda.threadIdx.x, gradient.sums.shape[1] // 2, cuda.blockDim.x):
                    _tie_pair(gradient.sums, row, mirror, 2 * pair, sign)
            cuda.syncthreads()  # all threads have read `touched`
            if cuda.threadIdx.x == 0:
                gradient.touched[row] = lit
                gradient.touched[mirror] = lit


@device
def _tie_pair(sums, row, mirror, h, sign):
    """Add the gradients of two mirrored units; ``h`` is the even one."""
    even = sums[row, h] + sign * sums[mirror, h + 1]
    odd = sums[row, h + 1] + sign * sums[mirror, h]
    sums[row, h], sums[row, h + 1] = even, odd
    sums[mirror, h + 1], sums[mirror, h] = sign * even, sign * odd


@kernel
def reduce_to_cells(gradient, block_sums, inputs, rows, cell, scale, share):
    """Reduce the pixels' gradients to those of their cells; sum all squares per block.

    Rows ``inputs`` to ``rows`` are those of cells. The squares are multiplied by ``share``: of
    mirrored units only one counts.
    """
    sums = cuda.shared.array(THREADS, np.float64)
    total = 0.0
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        if inputs <= row < rows:
            _reduce_cell(gradient, row - inputs, row, cell)
        if gradient.touched[row]:
            h = cuda.threadIdx.x
            while h < gradient.sums.shape[1]:
                slope = np.float64(_to_float(gradient, row, h, scale))
                total += times64(slope, slope)
                h += cuda.blockDim.x
    total = sum_over_block(total, sums)
    if cuda.threadIdx.x == 0:
        block_sums[cuda.blockIdx.x] = share * total


@device
def _reduce_cell(gradient, number, row, cell):
    """Write the gradient of cell ``number`` to its row, and whether any of its pixels was lit."""
    number, cell, across = counted(number), counted(cell), cells_per_side(cell)
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
    """Sum a hidden unit's gradients over the lit pixels of a cell."""
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
def reduce_norm(block_sums, statistics, totals, max_grad_norm):
    """Compute the gradient's norm and clip factor; add the blocks' statistics to the totals."""
    sums = cuda.shared.array(THREADS, np.float64)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    squares, k = 0.0, thread
    while k < block_sums.shape[0]:
        squares += block_sums[index(k)]
        k += threads
    squares = sum_over_block(squares, sums)
    if thread == 0:
        norm = math.sqrt(squares)
        totals[NORM] = norm
        totals[FACTOR] = min(1.0, max_grad_norm / (norm + 1e-9))
    for i in range(STATISTICS):
        total, k = 0.0, thread
        while k < statistics.shape[0]:
            total += statistics[index(k), i]
            k += threads
        total = sum_over_block(total, sums)
        if thread == 0:
            totals[i] += total


# ---- optimizer steps ------------------------------------------------------------------------
#
# Only rows that were lit are updated, and none once a gradient was not finite. A step sets the
# gradients that it used to 0.


@kernel
def adam_step(weights, gradient, means, squares, totals, rates, scale, keep1, keep2):
    """A step of Adam, as fastpg_adam_row of csrc/network/learner.h; float32 but for ``scale``.

    ``rates`` are the bias-corrected learning rate and epsilon.
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
                slope = _to_float(gradient, row, h, scale) * factor
                gradient.sums[at] = 0
                mean = moving_average(means[at], keep1, slope, take1)
                square = _mean_square(keep2, squares[at], take2, slope)
                means[at], squares[at] = mean, square
                weights[at] = rmsprop_weight(weights[at], square, mean, rate, epsilon)
                h += cuda.blockDim.x


@kernel
def rmsprop_step(weights, gradient, squares, updated, scale, rate, decay, epsilon, updates):
    """A step of RMSProp, number ``updates``; float32 but for ``scale``.

    A row whose pixels were not lit for some updates decays once for each of them. Heads are never
    left out.
    """
    if gradient.status[0] != 0:
        return
    take, rows = np.float32(1) - decay, updated.shape[0]
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        if gradient.touched[row]:
            missed = updates - np.int64(updated[row]) if row < rows else np.int64(1)
            keep = np.float32(math.pow(np.float64(decay), np.float64(missed)))
            h = cuda.threadIdx.x
            while h < gradient.sums.shape[1]:
                at = index(row), index(h)
                slope = _to_float(gradient, row, h, scale)
                gradient.sums[at] = 0
                square = _mean_square(keep, squares[at], take, slope)
                squares[at] = square
                weights[at] = rmsprop_weight(weights[at], square, slope, rate, epsilon)
                h += cuda.blockDim.x
            cuda.syncthreads()  # all threads have read `updated`
            if cuda.threadIdx.x == 0 and row < rows:
                updated[row] = updates


@device
def _mean_square(keep, square, take, slope):
    """``keep * square + take * slope * slope``, each product rounded."""
    return times32(keep, square) + times32(times32(take, slope), slope)

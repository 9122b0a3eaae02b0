"""The kernels of :class:`fastpg.device.optimizer.DeviceOptimizer`, in the order of their launches.

Those that set a few numbers, and :func:`judge`, have one block, all others ``BLOCKS`` blocks of
``THREADS``.
"""

import math

import numpy as np

from fastpg._training import TILE_PIXELS
from fastpg.device._forward import forward
from fastpg.device._gradients import backward, loss
from fastpg.device._network_kernels import THREADS, cells_across
from fastpg.kernels._cuda_jit import cuda, device, kernel, times32, times64
from fastpg.kernels.spec import VIEW_SIDE

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
    net, record, gradient, blocks, order, progress, size, advantages, returns, objective, unit
):
    """Add up the gradients of ``size`` entries of an order; a block has one at a time."""
    block = cuda.blockIdx.x
    hidden, heads = blocks.hidden[block], blocks.heads[block]
    statistics = blocks.statistics[block]
    if cuda.threadIdx.x == 0:
        for k in range(STATISTICS):
            statistics[k] = 0.0
    first = progress[FIRST]
    for i in range(first + block, first + size, cuda.gridDim.x):
        entry = np.int64(order[i])
        forward(net, record, entry, hidden, heads)
        if cuda.threadIdx.x == 0:
            loss(net, record, entry, advantages, returns, objective, heads, statistics)
        cuda.syncthreads()
        backward(net, record, entry, hidden, heads, unit, gradient)
        cuda.syncthreads()


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
            for h in range(thread, gradient.sums.shape[1], threads):
                _run_down(gradient.sums, first, h)
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
    total = np.int64(0)
    for begin in range(first, first + VIEW_SIDE, AT_ONCE):
        for i in range(AT_ONCE):
            part[i] = sums[begin + i, h]
        for i in range(AT_ONCE):
            total += part[i]
            sums[begin + i, h] = total


@device
def _slope(gradient, row, h, scale):
    """A gradient in float32, from fixed point; ``scale`` is that of the objective, too."""
    return np.float32(np.float64(gradient.sums[row, h]) * scale)


@kernel
def join(gradient, twins, inputs, rows):
    """Add the gradients of rows that are each other's ``twins``, see fastpg/mirror.py.

    Rows ``inputs`` to ``rows``, those of cells, come after: sums of what is joined here.
    """
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        given = np.int64(twins[row])
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
    total = 0.0
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        if inputs <= row < rows:
            _fold_cell(gradient, row - inputs, row, cell)
        if gradient.touched[row]:
            for h in range(cuda.threadIdx.x, gradient.sums.shape[1], cuda.blockDim.x):
                slope = np.float64(_slope(gradient, row, h, scale))
                total += times64(slope, slope)
    total = _block_sum(total)
    if cuda.threadIdx.x == 0:
        norms[cuda.blockIdx.x] = share * total


@device
def _fold_cell(gradient, number, row, cell):
    """The gradient of a cell's part, its row and number given, and whether a pixel of it lit."""
    across = cells_across(cell)
    left, top = number // across % across * cell, number % across * cell
    right, bottom = min(left + cell, VIEW_SIDE), min(top + cell, VIEW_SIDE)
    first = number // (across * across) * TILE_PIXELS
    lit = False
    for x in range(left, right):
        for y in range(top, bottom):
            lit = lit or gradient.touched[first + x * VIEW_SIDE + y] > 0
    if lit:
        for h in range(cuda.threadIdx.x, gradient.sums.shape[1], cuda.blockDim.x):
            total = np.int64(0)
            for x in range(left, right):
                for y in range(top, bottom):
                    pixel = first + x * VIEW_SIDE + y
                    if gradient.touched[pixel]:
                        total += gradient.sums[pixel, h]
            gradient.sums[row, h] = total
    if cuda.threadIdx.x == 0:
        gradient.touched[row] = lit
    cuda.syncthreads()


@device
def _block_sum(value):
    """Sum of float64 numbers of a block's threads, in their order; thread 0 gets it."""
    sums = cuda.shared.array(THREADS, np.float64)
    cuda.syncthreads()
    sums[cuda.threadIdx.x] = value
    cuda.syncthreads()
    total = 0.0
    if cuda.threadIdx.x == 0:
        for k in range(cuda.blockDim.x):
            total += sums[k]
    return total


@kernel
def judge(norms, statistics, totals, longest):
    """The gradient's norm, what a longer one than ``longest`` is cut by, sums for the log."""
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    squares = 0.0
    for k in range(thread, norms.shape[0], threads):
        squares += norms[k]
    squares = _block_sum(squares)
    if thread == 0:
        norm = math.sqrt(squares)
        totals[NORM] = norm
        totals[FACTOR] = min(1.0, longest / (norm + 1e-9))
    for i in range(STATISTICS):
        total = 0.0
        for k in range(thread, statistics.shape[0], threads):
            total += statistics[k, i]
        total = _block_sum(total)
        if thread == 0:
            totals[i] += total


# ---- steps uphill ---------------------------------------------------------------------------
#
# Only rows that lit, and none from the first gradient on that is not finite. A row's gradient is 0
# again behind a step.


@kernel
def adam(weights, gradient, means, squares, totals, rates, scale, keep1, keep2):
    """A step of Adam; scalars but ``scale`` as fastpg_adam_row of csrc/fastpg_learn.h, float32.

    ``rates`` are its rate and epsilon.
    """
    if gradient.status[0] != 0:
        return
    factor = np.float32(totals[FACTOR])
    rate, epsilon = rates[0], rates[1]
    take1, take2 = np.float32(1) - keep1, np.float32(1) - keep2
    for row in range(cuda.blockIdx.x, gradient.sums.shape[0], cuda.gridDim.x):
        if gradient.touched[row]:
            for h in range(cuda.threadIdx.x, gradient.sums.shape[1], cuda.blockDim.x):
                slope = _slope(gradient, row, h, scale) * factor
                gradient.sums[row, h] = 0
                mean = times32(keep1, means[row, h]) + times32(take1, slope)
                square = times32(keep2, squares[row, h])
                square += times32(times32(take2, slope), slope)
                means[row, h], squares[row, h] = mean, square
                step = rate * mean / (np.float32(math.sqrt(square)) + epsilon)
                weights[row, h] += step


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
            for h in range(cuda.threadIdx.x, gradient.sums.shape[1], cuda.blockDim.x):
                slope = _slope(gradient, row, h, scale)
                gradient.sums[row, h] = 0
                square = times32(kept, squares[row, h])
                square += times32(times32(take, slope), slope)
                squares[row, h] = square
                step = rate * slope / (np.float32(math.sqrt(square)) + epsilon)
                weights[row, h] += step
            cuda.syncthreads()  # all have read when it was updated
            if cuda.threadIdx.x == 0 and row < rows:
                updated[row] = updates

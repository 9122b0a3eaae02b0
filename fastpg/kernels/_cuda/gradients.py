"""Device functions of the network's gradients and matrix products, for all threads of a block.

Rules of :mod:`fastpg.kernels._cuda.blocks`. A block owns a part of dw1 or dw2 and goes through all
samples in order, so that nobody adds to the same number but one thread, in the order of the CPU
backends: the same bits as theirs, and no atomics.

``rows`` are the samples' probabilities or, where ``actions`` is None, the gradients of their
outputs.
"""

import numpy as np

from fastpg.kernels._cuda.blocks import sum_before
from fastpg.kernels._cuda.jit import (
    THREADS,
    TILE_DEPTH,
    TILE_THREADS,
    cuda,
    device,
    times32,
)
from fastpg.kernels._numba.scalar import ZERO, dlogit, relu

ROWS = 16  # of dw1 that a block of policy_backward has
ENTRIES = 8  # of the sparse samples that a thread looks at in one go
CHUNK = THREADS * ENTRIES
MICRO = 4  # rows and columns of a matrix product that a thread has
SUMS = MICRO * MICRO
TILE = MICRO * TILE_THREADS  # those that a block has


@device
def _d_output(b, a, rows, actions, advantages):
    """Derivative of the objective by output a of sample b."""
    if actions is None:
        return rows[b, a]
    return dlogit(advantages[b], rows[b, a], actions[b], a, rows.shape[1])


@device
def _d_hidden(b, h, hidden, rows, actions, advantages, w2):
    """Derivative by hidden unit h of sample b."""
    total = ZERO
    if hidden[b, h] > ZERO:
        for a in range(w2.shape[0]):
            total += times32(_d_output(b, a, rows, actions, advantages), w2[a, h])
    return total


@device
def second_layer(part, hidden, rows, actions, advantages, accumulate, dw2):
    """Part of dw2: a block's width of one row; parts of a row follow each other."""
    staged = cuda.shared.array(THREADS, np.float32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    samples, units = hidden.shape
    parts = (units + threads - 1) // threads
    a, h = part // parts, part % parts * threads + thread
    total = dw2[a, h] if accumulate and h < units else ZERO
    for first in range(0, samples, threads):
        count = min(threads, samples - first)
        cuda.syncthreads()
        if thread < count:
            staged[thread] = _d_output(first + thread, a, rows, actions, advantages)
        cuda.syncthreads()
        if h < units:
            for i in range(count):
                total += times32(staged[i], hidden[first + i, h])
    if h < units:
        dw2[a, h] = total


@device
def first_layer(
    part, indices, signs, offsets, hidden, rows, actions, advantages, w2, accumulate, dw1
):
    """Part of dw1: ROWS rows of a block's width; parts of the same rows follow each other.

    All samples' indices are looked through for the block's rows, CHUNK at a time: to sort them
    first would need memory.
    """
    sums = cuda.shared.array((ROWS, THREADS), np.float32)
    staged = cuda.shared.array(CHUNK, np.uint16)
    found = cuda.shared.array(CHUNK, np.uint16)
    owners = cuda.shared.array(CHUNK, np.int32)
    counts = cuda.shared.array(THREADS, np.int32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    samples, units = hidden.shape
    parts = (units + threads - 1) // threads
    first, h = part // parts * ROWS, part % parts * threads + thread
    size = min(ROWS, dw1.shape[0] - first)
    for r in range(size):
        sums[r, thread] = dw1[first + r, h] if accumulate and h < units else ZERO
    low, chunk = 0, threads * ENTRIES
    for begin in range(0, offsets[samples], chunk):
        end = min(begin + chunk, offsets[samples])
        for k in range(begin + thread, end, threads):
            staged[k - begin] = indices[k]
        cuda.syncthreads()
        high = _owner_of_last(end - 1, low, offsets)
        matches = _find(begin, end, first, size, low, high, offsets, staged, found, owners, counts)
        last, d_hidden = -1, ZERO
        if h < units:
            for m in range(matches):
                b, k = owners[m], found[m]
                if b != last:
                    d_hidden = _d_hidden(b, h, hidden, rows, actions, advantages, w2)
                    last = b
                sums[staged[k] - first, thread] += np.float32(signs[begin + k]) * d_hidden
        cuda.syncthreads()
        low = high
    if h < units:
        for r in range(size):
            dw1[first + r, h] = sums[r, thread]


@device
def _owner_of_last(k, low, offsets):
    """The sample that has entry k, known to be ``low`` or later."""
    while True:
        b = low + cuda.threadIdx.x
        passed = b < offsets.shape[0] - 1 and offsets[b + 1] <= k
        count = cuda.syncthreads_count(np.int32(passed))
        low += count
        if count < cuda.blockDim.x:
            return low


@device
def _find(begin, end, first, size, low, high, offsets, staged, found, owners, counts):
    """List the staged entries of rows first .. first + size - 1, in order, with their samples.

    Returns how many there are. The samples are among ``low`` .. ``high``.
    """
    mine = cuda.threadIdx.x * ENTRIES
    last = min(mine + ENTRIES, end - begin)
    count = 0
    for k in range(mine, last):
        count += first <= staged[k] < first + size
    position, total = sum_before(count, counts)
    for k in range(mine, last):
        if first <= staged[k] < first + size:
            found[position] = k
            owners[position] = _owner(begin + k, low, high, offsets)
            position += 1
    cuda.syncthreads()
    return total


@device
def _owner(k, low, high, offsets):
    """The sample of entry k, one of ``low`` .. ``high``."""
    while low < high:
        middle = (low + high) // 2
        if offsets[middle + 1] <= k:
            low = middle + 1
        else:
            high = middle
    return low


# ---- matrix products: dense inputs ----------------------------------------------------------
#
# A block has TILE rows and columns of the product, a thread MICRO of each, in registers. The inner
# dimension goes by in its order, TILE_DEPTH at a time, through shared memory.


@device
def _multiply(left, right, sums):
    """Add the product of two staged tiles (TILE_DEPTH, TILE) to a thread's sums."""
    x = cuda.local.array(MICRO, np.float32)
    y = cuda.local.array(MICRO, np.float32)
    row = cuda.threadIdx.x // TILE_THREADS * MICRO
    column = cuda.threadIdx.x % TILE_THREADS * MICRO
    for k in range(TILE_DEPTH):
        for i in range(MICRO):
            x[i], y[i] = left[k, row + i], right[k, column + i]
        for i in range(MICRO):
            for j in range(MICRO):
                sums[i * MICRO + j] += times32(x[i], y[j])


@device
def dense_hidden(part, x, w1, hidden):
    """Part of relu(x w1): a tile; tiles of the same samples follow each other."""
    left = cuda.shared.array((TILE_DEPTH, TILE), np.float32)
    right = cuda.shared.array((TILE_DEPTH, TILE), np.float32)
    sums = cuda.local.array(SUMS, np.float32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    (samples, inputs), units = x.shape, w1.shape[1]
    parts = (units + TILE - 1) // TILE
    top, edge = part // parts * TILE, part % parts * TILE
    for i in range(SUMS):
        sums[i] = ZERO
    for first in range(0, inputs, TILE_DEPTH):
        for i in range(thread, TILE_DEPTH * TILE, threads):
            k, b = i % TILE_DEPTH, i // TILE_DEPTH  # x's rows are contiguous in d
            inside = first + k < inputs and top + b < samples
            left[k, b] = x[top + b, first + k] if inside else ZERO
            k, h = i // TILE, i % TILE
            inside = first + k < inputs and edge + h < units
            right[k, h] = w1[first + k, edge + h] if inside else ZERO
        cuda.syncthreads()
        _multiply(left, right, sums)
        cuda.syncthreads()
    row = top + thread // TILE_THREADS * MICRO
    column = edge + thread % TILE_THREADS * MICRO
    for i in range(MICRO):
        for j in range(MICRO):
            if row + i < samples and column + j < units:
                hidden[row + i, column + j] = relu(sums[i * MICRO + j])


@device
def dense_first_layer(part, x, hidden, probabilities, actions, advantages, w2, accumulate, dw1):
    """Part of dw1 from dense inputs: a tile; tiles of the same inputs follow each other."""
    left = cuda.shared.array((TILE_DEPTH, TILE), np.float32)
    right = cuda.shared.array((TILE_DEPTH, TILE), np.float32)
    sums = cuda.local.array(SUMS, np.float32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    (samples, inputs), units = x.shape, hidden.shape[1]
    parts = (units + TILE - 1) // TILE
    top, edge = part // parts * TILE, part % parts * TILE
    row = top + thread // TILE_THREADS * MICRO
    column = edge + thread % TILE_THREADS * MICRO
    for i in range(MICRO):
        for j in range(MICRO):
            inside = accumulate and row + i < inputs and column + j < units
            sums[i * MICRO + j] = dw1[row + i, column + j] if inside else ZERO
    for first in range(0, samples, TILE_DEPTH):
        for i in range(thread, TILE_DEPTH * TILE, threads):
            b, at = first + i // TILE, i % TILE
            d, h = top + at, edge + at
            left[i // TILE, at] = x[b, d] if b < samples and d < inputs else ZERO
            right[i // TILE, at] = (
                _d_hidden(b, h, hidden, probabilities, actions, advantages, w2)
                if b < samples and h < units
                else ZERO
            )
        cuda.syncthreads()
        _multiply(left, right, sums)
        cuda.syncthreads()
    for i in range(MICRO):
        for j in range(MICRO):
            if row + i < inputs and column + j < units:
                dw1[row + i, column + j] = sums[i * MICRO + j]

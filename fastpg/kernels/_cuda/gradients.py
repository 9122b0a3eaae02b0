"""Device functions of the network's gradients and matrix products, for all threads of a block.

The rules of :mod:`fastpg.kernels._cuda.blocks` hold. The first argument is the number of the block
of dw1, dw2 or ``hidden`` that the thread block computes. It goes through all samples in order, and
one thread alone adds to an element, in the CPU backends' order: the same bits, and no atomics.

``outputs`` (B, A) are the samples' probabilities, or derivatives of the objective by the outputs
if ``actions`` is None.
"""

import numpy as np

from fastpg.kernels._cuda.blocks import sum_before
from fastpg.kernels._cuda.jit import PRODUCT_DEPTH, PRODUCT_THREADS, THREADS, cuda, device, times32
from fastpg.kernels._numba.scalar import ZERO, d_logit, relu

ROWS = 16  # rows of dw1 per block of policy_backward
ENTRIES = 8  # sparse entries that a thread reads at a time
CHUNK = THREADS * ENTRIES
MICRO = 4  # rows and columns of a matrix product per thread
SUMS = MICRO * MICRO
PRODUCT_SIDE = MICRO * PRODUCT_THREADS  # rows and columns of a matrix product per block


@device
def _d_output(b, a, outputs, actions, advantages):
    """Derivative of the objective by output a of sample b."""
    if actions is None:
        return outputs[b, a]
    return d_logit(advantages[b], outputs[b, a], actions[b], a, outputs.shape[1])


@device
def _d_hidden(b, h, hidden, outputs, actions, advantages, w2):
    """Derivative of the objective by hidden unit h of sample b."""
    total = ZERO
    if hidden[b, h] > ZERO:
        for a in range(w2.shape[0]):
            total += times32(_d_output(b, a, outputs, actions, advantages), w2[a, h])
    return total


@device
def second_layer(block, hidden, outputs, actions, advantages, accumulate, dw2):
    """A block of dw2: as many columns of one row as the thread block has threads."""
    staged = cuda.shared.array(THREADS, np.float32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    samples, units = hidden.shape
    blocks = (units + threads - 1) // threads  # of a row
    a, h = block // blocks, block % blocks * threads + thread
    total = dw2[a, h] if accumulate and h < units else ZERO
    for first in range(0, samples, threads):
        count = min(threads, samples - first)
        cuda.syncthreads()
        if thread < count:
            staged[thread] = _d_output(first + thread, a, outputs, actions, advantages)
        cuda.syncthreads()
        if h < units:
            for i in range(count):
                total += times32(staged[i], hidden[first + i, h])
    if h < units:
        dw2[a, h] = total


@device
def first_layer(
    block, indices, signs, offsets, hidden, outputs, actions, advantages, w2, accumulate, dw1
):
    """A block of dw1: ROWS rows, as many columns as the thread block has threads.

    All samples' indices are searched for the block's rows, CHUNK at a time. Sorting them first
    would need memory.
    """
    sums = cuda.shared.array((ROWS, THREADS), np.float32)
    staged = cuda.shared.array(CHUNK, np.uint16)
    found = cuda.shared.array(CHUNK, np.uint16)
    owners = cuda.shared.array(CHUNK, np.int32)
    counts = cuda.shared.array(THREADS, np.int32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    samples, units = hidden.shape
    blocks = (units + threads - 1) // threads  # of the same rows
    first, h = block // blocks * ROWS, block % blocks * threads + thread
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
                    d_hidden = _d_hidden(b, h, hidden, outputs, actions, advantages, w2)
                    last = b
                sums[staged[k] - first, thread] += np.float32(signs[begin + k]) * d_hidden
        cuda.syncthreads()
        low = high
    if h < units:
        for r in range(size):
            dw1[first + r, h] = sums[r, thread]


@device
def _owner_of_last(k, low, offsets):
    """The sample of entry k, which is ``low`` or later."""
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

    The samples are among ``low`` .. ``high``. Returns the number of entries.
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
    """The sample of entry k, by bisection of ``low`` .. ``high``."""
    while low < high:
        middle = (low + high) // 2
        if offsets[middle + 1] <= k:
            low = middle + 1
        else:
            high = middle
    return low


# ---- matrix products: dense inputs ----------------------------------------------------------
#
# A block computes PRODUCT_SIDE rows and columns of the product, a thread MICRO of each, in
# registers. The inner dimension is staged in shared memory, PRODUCT_DEPTH at a time, in its order.


@device
def _multiply(left, right, sums):
    """Add the product of two staged arrays (PRODUCT_DEPTH, PRODUCT_SIDE) to a thread's sums."""
    x = cuda.local.array(MICRO, np.float32)
    y = cuda.local.array(MICRO, np.float32)
    row = cuda.threadIdx.x // PRODUCT_THREADS * MICRO
    column = cuda.threadIdx.x % PRODUCT_THREADS * MICRO
    for k in range(PRODUCT_DEPTH):
        for i in range(MICRO):
            x[i], y[i] = left[k, row + i], right[k, column + i]
        for i in range(MICRO):
            for j in range(MICRO):
                sums[i * MICRO + j] += times32(x[i], y[j])


@device
def dense_hidden(block, x, w1, hidden):
    """A block of relu(x w1)."""
    left = cuda.shared.array((PRODUCT_DEPTH, PRODUCT_SIDE), np.float32)
    right = cuda.shared.array((PRODUCT_DEPTH, PRODUCT_SIDE), np.float32)
    sums = cuda.local.array(SUMS, np.float32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    (samples, inputs), units = x.shape, w1.shape[1]
    blocks = (units + PRODUCT_SIDE - 1) // PRODUCT_SIDE  # of the same rows
    top, edge = block // blocks * PRODUCT_SIDE, block % blocks * PRODUCT_SIDE
    for i in range(SUMS):
        sums[i] = ZERO
    for first in range(0, inputs, PRODUCT_DEPTH):
        for i in range(thread, PRODUCT_DEPTH * PRODUCT_SIDE, threads):
            k, b = i % PRODUCT_DEPTH, i // PRODUCT_DEPTH  # x's rows are contiguous in d
            inside = first + k < inputs and top + b < samples
            left[k, b] = x[top + b, first + k] if inside else ZERO
            k, h = i // PRODUCT_SIDE, i % PRODUCT_SIDE
            inside = first + k < inputs and edge + h < units
            right[k, h] = w1[first + k, edge + h] if inside else ZERO
        cuda.syncthreads()
        _multiply(left, right, sums)
        cuda.syncthreads()
    row = top + thread // PRODUCT_THREADS * MICRO
    column = edge + thread % PRODUCT_THREADS * MICRO
    for i in range(MICRO):
        for j in range(MICRO):
            if row + i < samples and column + j < units:
                hidden[row + i, column + j] = relu(sums[i * MICRO + j])


@device
def dense_first_layer(block, x, hidden, probabilities, actions, advantages, w2, accumulate, dw1):
    """A block of dw1 from dense inputs."""
    left = cuda.shared.array((PRODUCT_DEPTH, PRODUCT_SIDE), np.float32)
    right = cuda.shared.array((PRODUCT_DEPTH, PRODUCT_SIDE), np.float32)
    sums = cuda.local.array(SUMS, np.float32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    (samples, inputs), units = x.shape, hidden.shape[1]
    blocks = (units + PRODUCT_SIDE - 1) // PRODUCT_SIDE  # of the same rows
    top, edge = block // blocks * PRODUCT_SIDE, block % blocks * PRODUCT_SIDE
    row = top + thread // PRODUCT_THREADS * MICRO
    column = edge + thread % PRODUCT_THREADS * MICRO
    for i in range(MICRO):
        for j in range(MICRO):
            inside = accumulate and row + i < inputs and column + j < units
            sums[i * MICRO + j] = dw1[row + i, column + j] if inside else ZERO
    for first in range(0, samples, PRODUCT_DEPTH):
        for i in range(thread, PRODUCT_DEPTH * PRODUCT_SIDE, threads):
            b, at = first + i // PRODUCT_SIDE, i % PRODUCT_SIDE
            d, h = top + at, edge + at
            left[i // PRODUCT_SIDE, at] = x[b, d] if b < samples and d < inputs else ZERO
            right[i // PRODUCT_SIDE, at] = (
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

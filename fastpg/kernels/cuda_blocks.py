"""Device functions of the kernel table that all threads of a block call together.

As in :mod:`fastpg.kernels.cuda_device`, the first argument is the number of the thing to do, here
one for a block: a frame, a row, a segment, a sample. Blocks are one-dimensional, of at most
``THREADS`` threads, a multiple of eight. All threads of the block must call with equal arguments;
what one call reads, the block may overwrite after ``cuda.syncthreads()``.

Shared memory alone carries numbers from thread to thread, no instructions of warps: so all of it
runs in numba's simulator too.
"""

import math

import numpy as np

from fastpg.kernels._cuda_jit import THREADS, cuda, device, index, times32, times64
from fastpg.kernels._scalar import ZERO, relu, sigmoid
from fastpg.kernels.spec import FIRST_ROW, VIEW_PIXELS, VIEW_SIDE
from fastpg.kernels.spec import SUM_LANES as LANES

EQUAL, BEST = 256, 257  # cells behind the 256 of a histogram


# ---- pictures -------------------------------------------------------------------------------


@device
def preprocess(n, frames, find_background, views):
    """Frame n of :meth:`fastpg.kernels.ops.Backend.preprocess`."""
    values = cuda.shared.array(VIEW_PIXELS, np.uint8)
    for i in range(cuda.threadIdx.x, VIEW_PIXELS, cuda.blockDim.x):
        row, column = i // VIEW_SIDE, i % VIEW_SIDE
        values[i] = frames[n, FIRST_ROW + 2 * row, 2 * column, 0]
    cuda.syncthreads()
    _binarize(values, find_background, views[n])


@device
def preprocess_palette(n, frames, red, find_background, views):
    """Frame n of :meth:`fastpg.kernels.ops.Backend.preprocess_palette`."""
    values = cuda.shared.array(VIEW_PIXELS, np.uint8)
    for i in range(cuda.threadIdx.x, VIEW_PIXELS, cuda.blockDim.x):
        row, column = i // VIEW_SIDE, i % VIEW_SIDE
        values[i] = red[frames[n, FIRST_ROW + 2 * row, 2 * column]]
    cuda.syncthreads()
    _binarize(values, find_background, views[n])


@device
def _binarize(values, find_background, view):
    first, second = 144, 109
    if find_background:
        first = _background(values)
        second = first
    for i in range(cuda.threadIdx.x, VIEW_PIXELS, cuda.blockDim.x):
        value = values[i]
        view[i] = value != first and value != second and value != 0
    cuda.syncthreads()


@device
def _background(values):
    """The most frequent of the shared values, of equals the lowest.

    Additions of integers, so their order does not matter. Nearly always the first pixel's value
    has the majority; a histogram of it would be one cell on which all threads wait.
    """
    counts = cuda.shared.array(258, np.int32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    for i in range(thread, 258, threads):
        counts[i] = 0
    cuda.syncthreads()
    common, equal = values[0], 0
    for i in range(thread, VIEW_PIXELS, threads):
        equal += values[i] == common
    cuda.atomic.add(counts, EQUAL, equal)
    cuda.syncthreads()
    if counts[EQUAL] > VIEW_PIXELS // 2:
        return np.int32(common)
    for i in range(thread, VIEW_PIXELS, threads):
        cuda.atomic.add(counts, values[i], 1)
    cuda.syncthreads()
    for i in range(thread, 256, threads):
        cuda.atomic.max(counts, BEST, counts[i] * 256 + 255 - i)
    cuda.syncthreads()
    return np.int32(255 - counts[BEST] % 256)


# ---- sparse rows ----------------------------------------------------------------------------
#
# Views come as words, uint64 where their addresses and sizes allow it, else as their bytes.


@device
def sum_before(value, sums):
    """Sum of an integer over the block's threads before this one, and over all of them.

    ``sums`` is a shared array of integers, one a thread.
    """
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    sums[thread] = value
    cuda.syncthreads()
    step = 1
    while step < threads:
        other = sums[thread - step] if thread >= step else 0
        cuda.syncthreads()
        sums[thread] += other
        cuda.syncthreads()
        step *= 2
    before, total = sums[thread] - value, sums[threads - 1]
    cuda.syncthreads()
    return before, total


@device
def count_pixels(now, before):
    """Number of the row's pixels that differ; with None before, of those that are lit."""
    counts = cuda.shared.array(THREADS, np.int32)
    count = 0
    for i in range(cuda.threadIdx.x, now.shape[0], cuda.blockDim.x):
        count += cuda.popc(_lit(now, before, i))
    return sum_before(count, counts)[1]


@device
def write_pixels(now, before, base, start, indices, signs):
    """Write the row's pixels that :func:`count_pixels` counts, in order, from ``start`` on.

    Pixel d has the index base + d. Returns where the next row's begin; what has no room is left
    out.
    """
    counts = cuda.shared.array(THREADS, np.int32)
    size, words = now.itemsize, now.shape[0]
    for first in range(0, words, cuda.blockDim.x):
        i = first + cuda.threadIdx.x
        word = _lit(now, before, i) if i < words else np.uint64(0)
        skipped, total = sum_before(cuda.popc(word), counts)
        k = start + skipped
        while word != np.uint64(0) and k < indices.shape[0]:
            below = word - np.uint64(1)
            byte = cuda.popc(below & ~word) >> 3  # zeros below the lowest bit that is set
            indices[k] = base + i * size + byte
            signs[k] = 1 if (np.uint64(now[i]) >> np.uint64(8 * byte)) & np.uint64(1) else -1
            word &= below
            k += 1
        start += total
    return start


@device
def _lit(now, before, i):
    word = np.uint64(now[i])
    if before is not None:
        word ^= np.uint64(before[i])
    return word


# ---- returns --------------------------------------------------------------------------------


@device
def standardize(s, values, offsets, standardized):
    """Segment s of :meth:`fastpg.kernels.ops.Backend.standardize`.

    A partial sum a thread, joined by halves: not the order of the CPU backends, whose eight partial
    sums would keep eight threads busy.
    """
    begin, end = offsets[s], offsets[s + 1]
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    different = False
    for i in range(begin + thread, end, threads):
        different = different or values[i] != values[begin]
    if cuda.syncthreads_or(np.int32(different)) == 0:
        for i in range(begin + thread, end, threads):
            standardized[i] = ZERO
        return
    mean = _power_sum(values, begin, end, 0.0, False) / (end - begin)
    deviation = math.sqrt(_power_sum(values, begin, end, mean, True) / (end - begin))
    for i in range(begin + thread, end, threads):
        standardized[i] = (np.float64(values[i]) - mean) / deviation


@device
def _power_sum(values, begin, end, mean, squared):
    """Sum of ``values - mean``, or of its squares; all threads get it."""
    sums = cuda.shared.array(THREADS, np.float64)
    total, i = 0.0, begin + cuda.threadIdx.x
    while i < end:
        difference = np.float64(values[index(i)]) - mean
        total += times64(difference, difference) if squared else difference
        i += cuda.blockDim.x
    return sum_up(total, sums)


@device
def sum_up(value, sums):
    """Sum of a number of each of the block's threads, joined by halves; all get it.

    ``sums`` is a shared array of such numbers, one a thread.
    """
    thread, left = cuda.threadIdx.x, cuda.blockDim.x
    sums[thread] = value
    cuda.syncthreads()
    while left > 1:
        half = (left + 1) // 2
        if thread + half < left:
            sums[thread] += sums[thread + half]
        cuda.syncthreads()
        left = half
    total = sums[0]
    cuda.syncthreads()
    return total


# ---- the network's forward pass -------------------------------------------------------------


@device
def policy_forward(b, indices, signs, offsets, w1, w2, hidden, probabilities):
    """Sample b of :meth:`fastpg.kernels.ops.Backend.policy_forward`.

    A thread has a hidden unit, so that a row of w1 is read in one go. A product with a sign is
    exact, and may be fused with the sum.
    """
    begin, end = offsets[b], offsets[b + 1]
    for h in range(cuda.threadIdx.x, hidden.shape[1], cuda.blockDim.x):
        total, k = ZERO, begin
        while k + 4 <= end:  # four loads on their way at once
            r0, r1 = w1[indices[k], h], w1[indices[k + 1], h]
            r2, r3 = w1[indices[k + 2], h], w1[indices[k + 3], h]
            s0, s1 = np.float32(signs[k]), np.float32(signs[k + 1])
            s2, s3 = np.float32(signs[k + 2]), np.float32(signs[k + 3])
            total = (((total + s0 * r0) + s1 * r1) + s2 * r2) + s3 * r3
            k += 4
        while k < end:
            total += np.float32(signs[k]) * w1[indices[k], h]
            k += 1
        hidden[b, h] = relu(total)
    cuda.syncthreads()
    heads(hidden[b], w2, probabilities[b])


@device
def heads(hidden, w2, probabilities):
    """One sample's probabilities from its hidden layer, logits in the order of the CPU backends."""
    lanes = cuda.shared.array(THREADS, np.float32)
    thread, units, outputs = cuda.threadIdx.x, hidden.shape[0], w2.shape[0]
    lane = thread % LANES
    for first in range(0, outputs, cuda.blockDim.x // LANES):
        a = first + thread // LANES
        total = ZERO
        if a < outputs:
            for h in range(lane, units, LANES):
                total += times32(hidden[h], w2[a, h])
        lanes[thread] = total
        cuda.syncthreads()
        if lane == 0 and a < outputs:
            left, right = lanes[thread] + lanes[thread + 4], lanes[thread + 1] + lanes[thread + 5]
            left += lanes[thread + 2] + lanes[thread + 6]
            probabilities[a] = left + (right + (lanes[thread + 3] + lanes[thread + 7]))
        cuda.syncthreads()
    if outputs > 1:
        _softmax(probabilities)
    elif thread == 0:
        probabilities[0] = sigmoid(probabilities[0])


@device
def _softmax(logits):
    """In place. The exponentials are each thread's own, their sum runs in order in every thread."""
    terms = cuda.shared.array(THREADS, np.float64)
    thread, threads, outputs = cuda.threadIdx.x, cuda.blockDim.x, logits.shape[0]
    highest, total = -math.inf, 0.0
    for a in range(outputs):
        highest = max(highest, np.float64(logits[a]))
    for first in range(0, outputs, threads):
        a = first + thread
        if a < outputs:
            terms[thread] = math.exp(np.float64(logits[a]) - highest)
        cuda.syncthreads()
        for i in range(min(threads, outputs - first)):
            total += terms[i]
        cuda.syncthreads()
    for a in range(thread, outputs, threads):
        logits[a] = math.exp(np.float64(logits[a]) - highest) / total

"""Device functions of the kernel table that all threads of a block call together.

As in :mod:`fastpg.kernels.cuda_device`, the first argument is a number: of the frame, row, segment
or sample that the block computes. Blocks are one-dimensional, with at most ``THREADS`` threads, a
multiple of eight. All threads of the block must call with equal arguments. The block may overwrite
a call's inputs after ``cuda.syncthreads()``.

Threads exchange numbers through shared memory alone, without warp instructions, so that numba's
simulator can run all of this.
"""

import math

import numpy as np

from fastpg.kernels._cuda.jit import THREADS, counted, cuda, device, index, times32, times64
from fastpg.kernels._numba.scalar import ZERO, relu, sigmoid
from fastpg.kernels.geometry import FIRST_ROW, VIEW_PIXELS, VIEW_SIDE
from fastpg.kernels.spec import SUM_LANES as LANES

EQUAL, BEST = 256, 257  # two counters after the 256 of a histogram
WORDS, ROW_WORDS = VIEW_PIXELS // 4, VIEW_SIDE // 4  # 32-bit words of a view, and of its rows
# Masks: lowest bit, and low seven bits, of each byte.
EACH, LOW_BITS = np.uint32(0x01010101), np.uint32(0x7F7F7F7F)
PARTIAL_SUMS = 16  # partial sums per block sum
GATHERED = tuple(map(np.uint64, (0x0003000300030003, 0x0000000F0000000F, 0xFF)))


# ---- pictures -------------------------------------------------------------------------------
#
# A word holds four pixels, one per byte, the first in the lowest.


@device
def preprocess(n, frames, find_background, views, aligned=False):
    """Frame n of :meth:`fastpg.kernels.ops.Backend.preprocess`.

    ``aligned``: the views' addresses are multiples of four, so they are written as words.
    """
    _write_view(frames[n], None, find_background, views[n], aligned)


@device
def preprocess_palette(n, frames, red, find_background, views, aligned=False):
    """Frame n of :meth:`fastpg.kernels.ops.Backend.preprocess_palette`."""
    _write_view(frames[n], red, find_background, views[n], aligned)


@device
def _write_view(frame, red, find_background, view, aligned):
    """Stage the red values of a view's pixels in shared memory, then write the view."""
    values = cuda.shared.array(WORDS, np.uint32)
    i = cuda.threadIdx.x
    while i < WORDS:
        row, column = FIRST_ROW + 2 * (counted(i) // ROW_WORDS), 8 * (counted(i) % ROW_WORDS)
        word = np.uint32(0)
        for k in range(4):
            word |= _red(frame, red, row, column + 2 * k) << np.uint32(8 * k)
        values[i] = word
        i += cuda.blockDim.x
    cuda.syncthreads()
    _binarize(values, find_background, view, aligned)


@device
def _red(frame, red, row, column):
    """A pixel's red value in a frame of colours (210, 160, 3), or of palette indices (210, 160)."""
    if frame.ndim == 3:
        return np.uint32(frame[row, column, 0])
    return np.uint32(red[frame[row, column]])


@device
def _equal(word, value):
    """The highest bit of each byte of ``word`` that equals ``value``."""
    other = word ^ np.uint32(value * EACH)
    low = (other & LOW_BITS) + LOW_BITS
    return ~np.uint32(low | other | LOW_BITS)


@device
def _binarize(values, find_background, view, aligned):
    """Write a view from its shared red values."""
    words = view.view(np.uint32)
    first, second = np.uint32(144), np.uint32(109)
    if find_background:
        first = _background(values)
        second = first
    i = cuda.threadIdx.x
    while i < WORDS:
        word = values[i]
        dark = _equal(word, first) | _equal(word, second) | _equal(word, np.uint32(0))
        lit = (~np.uint32(dark) >> np.uint32(7)) & EACH
        if aligned:
            words[index(i)] = lit
        else:
            for k in range(4):
                view[index(4 * i + k)] = lit >> np.uint32(8 * k) & np.uint32(1)
        i += cuda.blockDim.x
    cuda.syncthreads()


@device
def _background(values):
    """The most frequent of the shared values; of equally frequent ones the lowest.

    Integer sums do not depend on their order. The first pixel's value is tried first, because it
    nearly always has the majority; in a histogram all threads would contend for that counter.
    """
    counts = cuda.shared.array(258, np.int32)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    i = thread
    while i < 258:
        counts[i] = 0
        i += threads
    cuda.syncthreads()
    common, equal, i = values[0] & np.uint32(255), 0, thread
    while i < WORDS:
        equal += cuda.popc(_equal(values[i], common))
        i += threads
    cuda.atomic.add(counts, EQUAL, equal)
    cuda.syncthreads()
    if counts[EQUAL] > VIEW_PIXELS // 2:
        return common
    i = thread
    while i < VIEW_PIXELS:
        value = values[i // 4] >> np.uint32(8 * (i % 4)) & np.uint32(255)
        cuda.atomic.add(counts, value, 1)
        i += threads
    cuda.syncthreads()
    i = thread
    while i < 256:
        cuda.atomic.max(counts, BEST, counts[i] * 256 + 255 - i)
        i += threads
    cuda.syncthreads()
    return np.uint32(255 - counts[BEST] % 256)


# ---- sparse rows ----------------------------------------------------------------------------
#
# Views are read as uint64 words if their addresses and sizes allow it, else as bytes. A first pass
# marks each row's non-zero pixels, one bit each. The second pass reads the marks, an eighth of the
# views' bytes.


@device
def sum_before(value, sums):
    """(sum over the block's threads before this one, sum over all of them) of an integer.

    ``sums`` is a shared array of integers, one per thread.
    """
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    sums[thread] = value
    cuda.syncthreads()
    step = 1
    while step < threads:
        other = sums[index(thread - step)] if thread >= step else 0
        cuda.syncthreads()
        sums[thread] += other
        cuda.syncthreads()
        step *= 2
    before, total = sums[thread] - value, sums[threads - 1]
    cuda.syncthreads()
    return before, total


@device
def mark_pixels(now, before, marks, first, last):
    """Mark the pixels in which a view differs from the previous one, or its lit pixels.

    After ``cuda.syncthreads()``, :func:`write_pixels` takes the same marks as uint64.

    Args:
        now: the view's words, uint64 or uint8.
        before: the previous view's words; None to mark the lit pixels.
        marks: marks of all rows, as bytes: one bit per pixel.
        first: index of the row's first byte of marks.
        last: index after its last one. Bytes that the row does not need become 0.

    Returns:
        The number of pixels that this thread marked.
    """
    count, i, size = 0, cuda.threadIdx.x, now.shape[0]
    while first + i < last:
        if now.itemsize == 8:
            word = _lit(now, before, i) if i < size else np.uint64(0)
            for k in range(3):  # gather the lowest bits of bytes, then of pairs, then of fours
                word = (word | word >> np.uint64(7 << k)) & GATHERED[k]
            mark = word
        else:
            mark = np.uint64(0)
            for k in range(min(8, size - 8 * i)):
                mark |= _lit(now, before, 8 * i + k) << np.uint64(k)
        marks[index(first + i)] = mark
        count += cuda.popc(mark)
        i += cuda.blockDim.x
    return count


@device
def _lit(now, before, i):
    word = np.uint64(now[index(i)])
    if before is not None:
        word ^= np.uint64(before[index(i)])
    return word


@device
def write_pixels(marks, first, last, second, now, start, indices, signs):
    """Write a row's marked pixels in order, as far as the capacity allows.

    Args:
        marks: marks of all rows, as uint64 words.
        first: index of the row's first word.
        last: index after its last word.
        second: (word, index): from this word of the row on, pixels count from this index.
        now: the row's pixels: the sign is -1 where one is 0. None: all signs are 1.
        start: index of the row's first entry in ``indices`` and ``signs``.
        indices: of all rows.
        signs: of all rows.
    """
    counts = cuda.shared.array(THREADS, np.int32)
    i, seen = cuda.threadIdx.x, first
    while seen < last:
        word = marks[index(first + i)] if first + i < last else np.uint64(0)
        skipped, total = sum_before(cuda.popc(word), counts)
        k = start + skipped
        while word != np.uint64(0) and k < indices.shape[0]:
            below = word - np.uint64(1)
            pixel = 64 * i + cuda.popc(below & ~word)  # zeros below the lowest set bit
            if i >= second[0]:
                pixel += second[1] - 64 * second[0]
            indices[index(k)] = pixel
            signs[index(k)] = -1 if now is not None and now[index(pixel)] == 0 else 1
            word &= below
            k += 1
        start += total
        i += cuda.blockDim.x
        seen += cuda.blockDim.x


# ---- returns --------------------------------------------------------------------------------


@device
def standardize(s, values, offsets, standardized):
    """Segment s of :meth:`fastpg.kernels.ops.Backend.standardize`.

    Each thread has a partial sum, and :func:`sum_over_block` adds those. The CPU backends' order,
    with eight partial sums, would keep only eight threads busy.
    """
    sums = cuda.shared.array(THREADS, np.float64)
    begin, end = offsets[s], offsets[s + 1]
    first, threads = begin + cuda.threadIdx.x, cuda.blockDim.x
    different, total, i = False, 0.0, first
    while i < end:
        value = values[index(i)]
        different = different or value != values[index(begin)]
        total += np.float64(value)
        i += threads
    if cuda.syncthreads_or(np.int32(different)) == 0:
        i = first
        while i < end:
            standardized[index(i)] = ZERO
            i += threads
        return
    mean = sum_over_block(total, sums) / (end - begin)
    total, i = 0.0, first
    while i < end:
        difference = np.float64(values[index(i)]) - mean
        total += times64(difference, difference)
        i += threads
    scale, i = 1.0 / math.sqrt(sum_over_block(total, sums) / (end - begin)), first
    while i < end:
        standardized[index(i)] = (np.float64(values[index(i)]) - mean) * scale
        i += threads


@device
def sum_over_block(value, sums):
    """Sum of one number per thread of the block; every thread gets it.

    Sixteen threads add every sixteenth number, then all threads add those sums: few dependent
    steps. ``sums`` is a shared array, one number per thread.
    """
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    sums[thread] = value
    cuda.syncthreads()
    total, k = 0.0, thread
    while thread < PARTIAL_SUMS and k < threads:
        total += sums[k]
        k += PARTIAL_SUMS
    cuda.syncthreads()
    if thread < PARTIAL_SUMS:
        sums[thread] = total
    cuda.syncthreads()
    total, k = 0.0, 0
    while k < PARTIAL_SUMS and k < threads:
        total += sums[k]
        k += 1
    cuda.syncthreads()
    return total


# ---- the network's forward pass -------------------------------------------------------------


@device
def policy_forward(b, indices, signs, offsets, w1, w2, hidden, probabilities):
    """Sample b of :meth:`fastpg.kernels.ops.Backend.policy_forward`.

    A thread computes one hidden unit at a time, so the block reads a row of w1 at once. A product
    with a sign is exact and may be fused with the sum.
    """
    begin, end = offsets[b], offsets[b + 1]
    h = cuda.threadIdx.x
    while h < hidden.shape[1]:
        total, k = ZERO, begin
        while k + 4 <= end:  # four loads in flight
            r0, r1 = _weight(w1, indices, k, h), _weight(w1, indices, k + 1, h)
            r2, r3 = _weight(w1, indices, k + 2, h), _weight(w1, indices, k + 3, h)
            total += np.float32(signs[index(k)]) * r0
            total += np.float32(signs[index(k + 1)]) * r1
            total += np.float32(signs[index(k + 2)]) * r2
            total += np.float32(signs[index(k + 3)]) * r3
            k += 4
        while k < end:
            total += np.float32(signs[index(k)]) * _weight(w1, indices, k, h)
            k += 1
        hidden[index(b), index(h)] = relu(total)
        h += cuda.blockDim.x
    cuda.syncthreads()
    heads(hidden[b], w2, probabilities[b])


@device
def _weight(w1, indices, k, h):
    return w1[index(indices[index(k)]), index(h)]


@device
def heads(hidden, w2, probabilities):
    """One sample's probabilities from its hidden units; logits in the CPU backends' order."""
    lanes = cuda.shared.array(THREADS, np.float32)
    thread, units, outputs = cuda.threadIdx.x, hidden.shape[0], w2.shape[0]
    lane = thread % LANES
    first = 0
    while first < outputs:
        a, h = first + thread // LANES, lane
        total = ZERO
        while a < outputs and h < units:
            total += times32(hidden[index(h)], w2[index(a), index(h)])
            h += LANES
        lanes[thread] = total
        cuda.syncthreads()
        if lane == 0 and a < outputs:
            left, right = lanes[thread] + lanes[thread + 4], lanes[thread + 1] + lanes[thread + 5]
            left += lanes[thread + 2] + lanes[thread + 6]
            probabilities[a] = left + (right + (lanes[thread + 3] + lanes[thread + 7]))
        cuda.syncthreads()
        first += cuda.blockDim.x // LANES
    if outputs > 1:
        _softmax(probabilities)
    elif thread == 0:
        probabilities[0] = sigmoid(probabilities[0])


@device
def _softmax(logits):
    """Softmax in place. Threads share the exponentials; each adds all of them in order."""
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

"""Example kernels, most of them with a bug that ``--check`` must find.

``python -m tests.gpu.ptx [OPTIONS] python -m tests.gpu.ptx.examples NAME`` runs one.
"""

import json
import sys

import numpy as np
from numba import cuda

THREADS = 64


@cuda.jit
def reverse(numbers, out, waits):
    """Reverse a block's numbers; correct only with a barrier."""
    shared = cuda.shared.array(THREADS, np.float32)
    i = cuda.threadIdx.x
    shared[i] = numbers[i]
    if waits:
        cuda.syncthreads()
    out[i] = shared[THREADS - 1 - i]


@cuda.jit
def tickets(count, out):
    """Number threads in the order of execution."""
    out[cuda.grid(1)] = cuda.atomic.add(count, 0, 1)


@cuda.jit
def beyond(out):
    """Write out of bounds, if there are too many threads."""
    out[cuda.grid(1)] = 1


@cuda.jit
def beyond_small(status, out):
    """Write out of bounds, into memory beside an array smaller than the written number."""
    if cuda.threadIdx.x == 0:
        out[THREADS + status[0]] = 1


@cuda.jit
def read_by_several(out):
    """Race: two threads read a number that one of them writes."""
    if cuda.threadIdx.x < 2:
        seen = out[2 + cuda.threadIdx.x] = out[0]
        if cuda.threadIdx.x == 1:
            out[0] = seen + 1


@cuda.jit
def shared_by_blocks(out):
    """Race: all blocks write the same number without an atomic function."""
    if cuda.threadIdx.x == 0:
        out[0] = cuda.blockIdx.x


@cuda.jit
def without_some(out):
    """Wait at a barrier for threads that have returned."""
    if cuda.threadIdx.x > THREADS // 2:
        return
    cuda.syncthreads()
    out[cuda.threadIdx.x] = 1


def numbers():
    """(THREADS,) float32 on the GPU: 0, 1, ..."""
    return cuda.to_device(np.arange(THREADS, dtype=np.float32))


def run_reverse(waits):
    out = cuda.device_array(THREADS, np.float32)
    reverse[1, THREADS](numbers(), out, waits)
    return out.copy_to_host().tolist()


def run_tickets():
    out = cuda.device_array(2 * THREADS, np.int64)
    tickets[2, THREADS](cuda.to_device(np.zeros(1, np.int64)), out)
    return out.copy_to_host().tolist()


def run(kernel, blocks):
    out = numbers()
    kernel[blocks, THREADS](out)
    return out.copy_to_host().tolist()


def run_beyond_small():
    out = cuda.device_array(THREADS, np.float64)
    beyond_small[1, THREADS](cuda.to_device(np.zeros(1, np.int32)), out)
    return out.copy_to_host().tolist()


def run_late():
    """Pinned memory before and after the host waits for an asynchronous copy to it."""
    stream, host = cuda.stream(), cuda.pinned_array(THREADS, np.float32)
    host[:] = -1
    numbers().copy_to_host(host, stream=stream)
    before = host.tolist()
    stream.synchronize()
    return [before, host.tolist()]


EXAMPLES = {
    "reverse": lambda: run_reverse(True),
    "race": lambda: run_reverse(False),
    "tickets": run_tickets,
    "beyond": lambda: run(beyond, 2),
    "beyond small": run_beyond_small,
    "read by several": lambda: run(read_by_several, 1),
    "shared by blocks": lambda: run(shared_by_blocks, 2),
    "without some": lambda: run(without_some, 1),
    "late": run_late,
}

if __name__ == "__main__":
    print(json.dumps(EXAMPLES[sys.argv[1]]()))

# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False
"""Extension module fastpg.network._network: the network on tiles and its learning.

- ``Pool``: threads that rollouts and learning share
- ``RolloutBuffer``: what a rollout wrote
- ``Network``: the weights; evaluates slots of a buffer and chooses actions
- ``Learner``: gradients of the weights, and optimizer steps

``Rollout`` in fastpg.rollouts._rollouts plays games with them. The arrays are documented in
csrc/network/tile_network.h. Arguments that would lead out of memory are checked here, all others in
fastpg/network/network.py. The contents of a buffer's arrays are trusted unless stated otherwise.
"""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from c_emulator cimport (
    FASTPG_MOST_THREADS, fastpg_pool_close, fastpg_pool_open, fastpg_pool_run, fastpg_pool_t,
    fastpg_task_t,
)
from c_network cimport (
    A26_VIEW_PIXELS, A26_VIEW_SIDE, FASTPG_LIST_SAMPLES, FASTPG_LOSS_SAMPLES, FASTPG_MOST_OUTPUTS,
    FASTPG_MOST_VIEWS, FASTPG_SHUFFLE_KEYS, FASTPG_TILES, FASTPG_UNITS, atomic_version_t,
    fastpg_adam_task, fastpg_backward_task, fastpg_batch_t, fastpg_choose, fastpg_clear_frame_sums,
    fastpg_evaluate, fastpg_forward_task, fastpg_frame_sums_t, fastpg_lay_out_lists,
    fastpg_lay_out_rows, fastpg_learner_t, fastpg_list_span_t, fastpg_list_task, fastpg_loss_task,
    fastpg_mark_task, fastpg_plan, fastpg_ppo_sums_t, fastpg_ppo_t, fastpg_prepare_task,
    fastpg_probabilities, fastpg_reduce_task, fastpg_rmsprop_task, fastpg_shuffle, fastpg_tile_view,
    fastpg_vectors,
)

import mmap
from contextlib import suppress

import numpy as np

VECTORS = fastpg_vectors().decode()  # the instruction set that the loops use on this machine
TILE_PIXELS = A26_VIEW_PIXELS
TILES = FASTPG_TILES
SHUFFLE_KEYS = FASTPG_SHUFFLE_KEYS
MOST_SLOTS, MOST_TILES = 2**31 - 1, 2**32 - 1  # in a buffer
_LINE = 64  # bytes of a cache line: rows of weights are aligned to it


def zeros(shape, dtype):
    """Return zeros, aligned to a cache line. Pages that nobody touches take no memory."""
    bytes_ = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(bytes_ + _LINE, np.uint8)
    skip = -raw.ctypes.data % _LINE
    return raw[skip:skip + bytes_].view(dtype).reshape(shape)


def scattered_zeros(shape, dtype):
    """Return zeros in small pages, for an array of which few rows will be touched.

    NumPy asks for huge pages: where a system grants them, each touched row takes 2 MB.
    """
    if not hasattr(mmap, "MADV_NOHUGEPAGE"):
        return zeros(shape, dtype)
    bytes_ = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = mmap.mmap(-1, bytes_, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel that has none
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, dtype).reshape(shape)


def shuffled(int64_t count, const uint32_t[::1] keys):
    """Return 0..count-1 (count,) int32 in the order that keys (SHUFFLE_KEYS,) uint32 define.

    Each number is computed by itself: csrc/network/shuffle.h.
    """
    if not 0 <= count <= 2 ** 31 or keys.shape[0] != FASTPG_SHUFFLE_KEYS:
        raise ValueError(
            f"count, keys: expected 0 to 2**31, ({FASTPG_SHUFFLE_KEYS},), "
            f"got {count}, ({keys.shape[0]},)")
    numbers = np.empty(count, np.int32)
    cdef int32_t[::1] numbers_view = numbers
    if count:
        fastpg_shuffle(<uint32_t>count, &keys[0], &numbers_view[0])
    return numbers


cdef class Pool:
    """Threads that rollouts and learning share."""

    def __cinit__(self, int threads):
        if not 1 <= threads <= FASTPG_MOST_THREADS:
            raise ValueError(f"threads: expected 1 to {FASTPG_MOST_THREADS}, got {threads}")
        self.threads = threads
        self.pool = <fastpg_pool_t *>calloc(1, sizeof(fastpg_pool_t))
        if self.pool == NULL:
            raise MemoryError
        failed = fastpg_pool_open(self.pool, threads)
        if failed:
            raise OSError(failed, f"threads: {threads} threads could not be started")

    def __dealloc__(self):
        if self.pool != NULL:
            fastpg_pool_close(self.pool)
            free(self.pool)

    cdef int run(self, fastpg_task_t task, void *context, int64_t count) except -1:
        cdef int failed
        with nogil:
            failed = fastpg_pool_run(self.pool, task, context, count)
        if failed:
            raise OSError(failed, "threads could not be started in a forked process")
        return 0


include "rollout_buffer.pxi"


cdef fastpg_frame_sums_t *allocate_frame_sums(int64_t count) except NULL:
    frame_sums = <fastpg_frame_sums_t *>calloc(count, sizeof(fastpg_frame_sums_t))
    if frame_sums == NULL:
        raise MemoryError
    return frame_sums


cdef class Network:
    """Weights of the hidden layer, in blocks of units, and of the heads. All are 0 at first."""

    def __cinit__(
        self, int64_t hidden, tuple views, bint difference, int64_t past_actions, int64_t actions,
        int64_t outputs, bint value, int64_t cell=0,
    ):
        cdef int64_t k
        if hidden < 1:
            raise ValueError(f"hidden: expected at least 1, got {hidden}")
        if not 1 <= len(views) <= FASTPG_MOST_VIEWS or [*views] != sorted(set(views)) or views[0]:
            raise ValueError(f"views: expected up to {FASTPG_MOST_VIEWS}, from 0 on, got {views}")
        if not (
            max(views) <= 32 and 0 <= past_actions <= 16 and 2 <= actions <= FASTPG_MOST_OUTPUTS
        ):
            raise ValueError(
                f"views, past_actions, actions: expected at most 32, 0..16, "
                f"2..{FASTPG_MOST_OUTPUTS}, got {views}, {past_actions}, {actions}")
        if outputs not in (1, actions) or (outputs == 1 and actions != 2):
            raise ValueError(f"outputs: expected {actions}, or 1 for 2 actions, got {outputs}")
        if difference and len(views) != 2:
            raise ValueError(f"views: expected 2 for their difference, got {views}")
        if not 0 <= cell <= A26_VIEW_SIDE:
            raise ValueError(f"cell: expected 0 to {A26_VIEW_SIDE}, got {cell}")
        self.n.blocks = (hidden + FASTPG_UNITS - 1) // FASTPG_UNITS
        self.n.views, self.n.difference = len(views), difference
        for k in range(self.n.views):
            self.n.lags[k] = views[k]
        self.n.past_actions, self.n.actions = past_actions, actions
        self.n.outputs, self.n.heads = outputs, outputs + value
        self.n.cell = cell
        fastpg_lay_out_rows(&self.n)
        self.n.version = 2
        self.frame_sums = allocate_frame_sums(self.n.blocks)
        self.w1 = scattered_zeros((self.n.blocks, self.n.weight_rows, FASTPG_UNITS), np.float32)
        self.w2 = zeros((self.n.blocks, self.n.heads, FASTPG_UNITS), np.float32)
        self.sum_versions = zeros((self.n.blocks, self.n.weight_rows - self.n.rows), np.uint32)
        cdef float[:, :, ::1] w1 = self.w1, w2 = self.w2
        cdef uint32_t[:, ::1] sum_versions = self.sum_versions
        self.n.w1, self.n.w2 = &w1[0, 0, 0], &w2[0, 0, 0]
        self.n.sum_versions = <atomic_version_t *>&sum_versions[0, 0]

    @property
    def rows(self):
        """Rows of the first layer: its inputs, then planes of cells."""
        return self.n.rows

    @property
    def inputs(self):
        """Rows that are inputs: planes of pixels, then (past_actions, actions)."""
        return self.n.first_cell_row

    cdef int64_t lookback(self):
        """Slots before its own that an input may look back at."""
        return max(self.n.lags[self.n.views - 1], self.n.past_actions)

    @property
    def heads(self):
        """Outputs, plus 1 with a value."""
        return self.n.heads

    def changed(self):
        """Tell that the weights have changed: cached sums over tiles are stale."""
        self.n.version += 2
        if self.n.version == 0:
            self.sum_versions[:] = 0
            self.n.version = 2

    def choose(
        self, RolloutBuffer buffer not None, int64_t slot, seed, stream, step, bint greedy=False,
    ):
        """Choose a slot's action; write it, its probability and the value to the buffer."""
        buffer.within(slot, self.lookback())
        fastpg_clear_frame_sums(&self.n, self.frame_sums)
        return fastpg_choose(&self.n, &buffer.r, slot, seed, stream, step, greedy, self.frame_sums)

    def evaluate(self, RolloutBuffer buffer not None, int64_t slot):
        """Return a slot's action probabilities (actions,) float32, and its value or None."""
        cdef float[19] heads
        buffer.within(slot, self.lookback())
        fastpg_clear_frame_sums(&self.n, self.frame_sums)
        fastpg_evaluate(&self.n, &buffer.r, slot, self.frame_sums, heads)
        fastpg_probabilities(heads, self.n.outputs)
        probabilities = [heads[k] for k in range(self.n.outputs)]
        if self.n.outputs == 1:
            probabilities = [1 - heads[0], heads[0]]
        value = heads[self.n.outputs] if self.n.heads > self.n.outputs else None
        return np.array(probabilities, np.float32), value

    def __dealloc__(self):
        free(self.frame_sums)


def check_mirror_rows(mirror_rows, rows, heads):
    """Raise ValueError unless rows mirror rows, heads mirror heads, and each is its mirror's."""
    of_rows, of_heads = mirror_rows[:rows], mirror_rows[rows:]
    of_heads = np.where(of_heads < 0, ~of_heads, of_heads)
    if (
        mirror_rows.shape != (rows + heads,)
        or ((of_rows < 0) | (of_rows >= rows)).any()
        or ((of_heads < rows) | (of_heads >= rows + heads)).any()
        or (of_rows[of_rows] != np.arange(rows)).any()
        or (of_heads[of_heads - rows] != np.arange(rows, rows + heads)).any()
    ):
        raise ValueError(
            f"mirror_rows: expected those of {rows} rows, then of {heads} heads, got {mirror_rows}")


cdef int64_t chunks_of(int64_t count, int64_t size):
    """Return how many chunks of ``size`` samples there are."""
    return (count + size - 1) // size


include "learner.pxi"

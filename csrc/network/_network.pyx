# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False
"""Extension module fastpg.network._network: the network on tiles, and its learning.

``Pool`` has the threads; ``RolloutBuffer`` is what was played, ``Network`` the weights, ``Learner``
changes them; ``Rollout`` in fastpg.rollouts._rollouts plays with them. Arrays that Python sees have the
meanings of csrc/network/tile_network.h. Arguments that would lead out of memory are refused here,
everything else in fastpg/network/network.py; what is in a buffer's arrays is trusted where nothing else is
said.
"""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastpg.emulator.c_emulator cimport (
    FASTPG_MOST_THREADS, fastpg_pool_close, fastpg_pool_open, fastpg_pool_run, fastpg_pool_t,
    fastpg_task_t,
)
from fastpg.network.c_network cimport (
    FASTPG_LIST_SAMPLES, FASTPG_LOSS_SAMPLES, FASTPG_MOST_OUTPUTS, FASTPG_MOST_VIEWS,
    FASTPG_SHUFFLE_KEYS, FASTPG_TILES, FASTPG_TILE_PIXELS, FASTPG_TILE_SIDE, FASTPG_UNITS,
    fastpg_adam_task, fastpg_backward_task, fastpg_batch_t, fastpg_choose, fastpg_evaluate,
    fastpg_fold_task, fastpg_forget_latest, fastpg_forward_task, fastpg_latest_t, fastpg_lay_out,
    fastpg_lay_spans, fastpg_learner_t, fastpg_list_task, fastpg_loss_task, fastpg_mark_task,
    fastpg_plan, fastpg_ppo_sums_t, fastpg_ppo_t, fastpg_prepare_task, fastpg_probabilities,
    fastpg_rmsprop_task, fastpg_shuffle, fastpg_span_t, fastpg_tile_view, fastpg_vectors, stamp_t,
)

import mmap
from contextlib import suppress

import numpy as np

VECTORS = fastpg_vectors().decode()  # instructions that this machine runs the compiled code with
TILE_PIXELS = FASTPG_TILE_PIXELS
TILES = FASTPG_TILES
SHUFFLE_KEYS = FASTPG_SHUFFLE_KEYS
MOST_SLOTS, MOST_TILES = 2**31 - 1, 2**32 - 1  # of a buffer
_LINE = 64  # bytes; rows of weights begin at one


def zeros(shape, dtype):
    """Zeros at the begin of a cache line; pages that nobody touches take no memory."""
    bytes_ = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(bytes_ + _LINE, np.uint8)
    skip = -raw.ctypes.data % _LINE
    return raw[skip:skip + bytes_].view(dtype).reshape(shape)


def scattered_zeros(shape, dtype):
    """Zeros of which few will be touched, here and there: in small pages.

    NumPy asks for huge ones: where a system grants them, a row that is touched takes 2 MB.
    """
    if not hasattr(mmap, "MADV_NOHUGEPAGE"):
        return zeros(shape, dtype)
    bytes_ = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = mmap.mmap(-1, bytes_, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel that has none
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, dtype).reshape(shape)


def shuffled(int64_t count, const uint32_t[::1] keys):
    """The numbers 0..count-1 (count,) int32 in the order of keys (SHUFFLE_KEYS,) uint32.

    Each place's number can be computed by itself: csrc/network/shuffle.h.
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


cdef class RolloutBuffer:
    """Room for slots and tiles; each array is an attribute of its own."""

    def __cinit__(self, int64_t slots, int64_t room):
        if not 0 < slots <= MOST_SLOTS or not 0 < room <= MOST_TILES:
            raise ValueError(
                f"slots, room: expected 1 to {MOST_SLOTS}, {MOST_TILES}, got {slots}, {room}")
        self.slots, self.room = slots, room
        self.tiles = zeros(room, np.uint16)
        self.tile_offsets = zeros(slots, np.uint32)
        self.tile_counts = zeros(slots, np.uint16)
        self.episode_steps = zeros(slots, np.uint8)
        self.actions = zeros(slots, np.uint8)
        self.dones = zeros(slots, np.uint8)
        self.rewards = zeros(slots, np.float32)
        self.action_probs = zeros(slots, np.float32)
        self.values = zeros(slots, np.float32)
        cdef uint16_t[::1] tiles = self.tiles, counts = self.tile_counts
        cdef uint32_t[::1] begins = self.tile_offsets
        cdef uint8_t[::1] ages = self.episode_steps, actions = self.actions, ends = self.dones
        cdef float[::1] rewards = self.rewards, chances = self.action_probs, values = self.values
        self.r.tiles, self.r.tile_offsets, self.r.tile_counts = &tiles[0], &begins[0], &counts[0]
        self.r.episode_steps, self.r.actions, self.r.dones = &ages[0], &actions[0], &ends[0]
        self.r.rewards, self.r.action_probs, self.r.values = &rewards[0], &chances[0], &values[0]

    cdef int within(self, int64_t slot, int64_t lookback) except -1:
        """Refuse an slot that is not in the buffer, or looks back at one that is not."""
        if not 0 <= slot < self.slots or slot < min(<int64_t>self.r.episode_steps[slot], lookback):
            raise IndexError(f"slot {slot}: not in the buffer, with all that it looks back at")
        return 0

    def observe(self, int64_t slot, int64_t tile, uint8_t age, const uint8_t[::1] view):
        """Write a view (6400,) of 0 and 1 down as an slot's frame; returns the next free tile."""
        if not 0 <= slot < self.slots or not 0 <= tile <= self.room - FASTPG_TILE_PIXELS:
            raise IndexError(f"slot {slot}, tile {tile}: not in the buffer")
        if view.shape[0] != FASTPG_TILE_PIXELS:
            raise ValueError(f"view: expected (6400,), got ({view.shape[0]},)")
        count = fastpg_tile_view(&view[0], self.r.tiles + tile)
        self.r.tile_offsets[slot] = <uint32_t>tile
        self.r.tile_counts[slot] = <uint16_t>count
        self.r.episode_steps[slot] = age
        return tile + count


cdef fastpg_latest_t *latest_of(int64_t count) except NULL:
    latest = <fastpg_latest_t *>calloc(count, sizeof(fastpg_latest_t))
    if latest == NULL:
        raise MemoryError
    return latest


cdef class Network:
    """Weights of the hidden layer's blocks and of the heads, zeros to begin with."""

    def __cinit__(
        self, int64_t hidden, tuple views, bint difference, int64_t recalled, int64_t actions,
        int64_t outputs, bint value, int64_t cell=0,
    ):
        cdef int64_t k
        if hidden < 1:
            raise ValueError(f"hidden: expected at least 1, got {hidden}")
        if not 1 <= len(views) <= FASTPG_MOST_VIEWS or [*views] != sorted(set(views)) or views[0]:
            raise ValueError(f"views: expected up to {FASTPG_MOST_VIEWS}, from 0 on, got {views}")
        if not (max(views) <= 32 and 0 <= recalled <= 16 and 2 <= actions <= FASTPG_MOST_OUTPUTS):
            raise ValueError(
                f"views, recalled, actions: expected at most 32, 0..16, 2..{FASTPG_MOST_OUTPUTS}, "
                f"got {views}, {recalled}, {actions}")
        if outputs not in (1, actions) or (outputs == 1 and actions != 2):
            raise ValueError(f"outputs: expected {actions}, or 1 for 2 actions, got {outputs}")
        if difference and len(views) != 2:
            raise ValueError(f"views: expected 2 for their difference, got {views}")
        if not 0 <= cell <= FASTPG_TILE_SIDE:
            raise ValueError(f"cell: expected 0 to {FASTPG_TILE_SIDE}, got {cell}")
        self.n.blocks = (hidden + FASTPG_UNITS - 1) // FASTPG_UNITS
        self.n.views, self.n.difference = len(views), difference
        for k in range(self.n.views):
            self.n.lags[k] = views[k]
        self.n.recalled, self.n.actions = recalled, actions
        self.n.outputs, self.n.heads = outputs, outputs + value
        self.n.cell = cell
        fastpg_lay_out(&self.n)
        self.n.version = 2
        self.latest = latest_of(self.n.blocks)
        self.w1 = scattered_zeros((self.n.blocks, self.n.places, FASTPG_UNITS), np.float32)
        self.w2 = zeros((self.n.blocks, self.n.heads, FASTPG_UNITS), np.float32)
        self.stamps = zeros((self.n.blocks, self.n.places - self.n.rows), np.uint32)
        cdef float[:, :, ::1] w1 = self.w1, w2 = self.w2
        cdef uint32_t[:, ::1] stamps = self.stamps
        self.n.w1, self.n.w2 = &w1[0, 0, 0], &w2[0, 0, 0]
        self.n.stamps = <stamp_t *>&stamps[0, 0]

    @property
    def rows(self):
        """Rows of the first layer's parts: those of its inputs, then planes of cells."""
        return self.n.rows

    @property
    def inputs(self):
        """Rows of the first layer: planes of pixels, then (recalled, actions)."""
        return self.n.cells

    cdef int64_t lookback(self):
        """Slots before its own that a choice may look back at."""
        return max(self.n.lags[self.n.views - 1], self.n.recalled)

    @property
    def heads(self):
        """Outputs, and one more with a value."""
        return self.n.heads

    def changed(self):
        """To be called after a change of weights: sums over tiles are made anew."""
        self.n.version += 2
        if self.n.version == 0:
            self.stamps[:] = 0
            self.n.version = 2

    def choose(
        self, RolloutBuffer buffer not None, int64_t slot, seed, stream, step, bint greedy=False,
    ):
        """Choose an slot's action, write it into the buffer with its chance and value."""
        buffer.within(slot, self.lookback())
        fastpg_forget_latest(&self.n, self.latest)
        return fastpg_choose(&self.n, &buffer.r, slot, seed, stream, step, greedy, self.latest)

    def evaluate(self, RolloutBuffer buffer not None, int64_t slot):
        """An slot's action probabilities (actions,) float32, and its value or None."""
        cdef float[19] heads
        buffer.within(slot, self.lookback())
        fastpg_forget_latest(&self.n, self.latest)
        fastpg_evaluate(&self.n, &buffer.r, slot, self.latest, heads)
        fastpg_probabilities(heads, self.n.outputs)
        probabilities = [heads[k] for k in range(self.n.outputs)]
        if self.n.outputs == 1:
            probabilities = [1 - heads[0], heads[0]]
        value = heads[self.n.outputs] if self.n.heads > self.n.outputs else None
        return np.array(probabilities, np.float32), value

    def __dealloc__(self):
        free(self.latest)


def check_twins(mirror_rows, rows, heads):
    """Refuse mirror_rows that lie in no layer, or in the other, or are not each other's."""
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


cdef int64_t pieces_of(int64_t count, int64_t size):
    """Of work, each of so many samples."""
    return (count + size - 1) // size


cdef class Learner:
    """Gradients of a network's weights, and steps along them."""

    cdef fastpg_learner_t l
    cdef fastpg_batch_t b
    cdef Network network
    cdef Pool pool
    cdef readonly object mean1, mean2, square1, square2, updated
    cdef readonly object gradient2  # as the weights
    cdef object touched    # (places,): numbers of the rows in this round, then of the sums
    cdef object gradients  # (blocks, places, units): theirs, in that order
    cdef object arrays, episode_slices, lists
    cdef int64_t most

    def __cinit__(
        self, Network network not None, Pool pool not None, int64_t most_samples,
        const int32_t[::1] mirror_rows=None,
    ):
        cdef int64_t blocks = network.n.blocks, rows = network.n.rows, places = network.n.places
        cdef int64_t heads = network.n.heads
        cdef int64_t pieces = pieces_of(most_samples, FASTPG_LOSS_SAMPLES)
        if most_samples < 1:
            raise ValueError(f"most_samples: expected at least 1, got {most_samples}")
        self.network, self.pool, self.most = network, pool, most_samples
        if mirror_rows is not None:
            check_twins(np.asarray(mirror_rows), rows, heads)
            self.l.mirror_rows = &mirror_rows[0]
        self.gradients = zeros((blocks, places, FASTPG_UNITS), np.float32)
        self.gradient2 = zeros((blocks, heads, FASTPG_UNITS), np.float32)
        self.mean1 = zeros((blocks, rows, FASTPG_UNITS), np.float32)
        self.mean2 = zeros((blocks, heads, FASTPG_UNITS), np.float32)
        self.square1 = zeros((blocks, rows, FASTPG_UNITS), np.float32)
        self.square2 = zeros((blocks, heads, FASTPG_UNITS), np.float32)
        self.updated = zeros((blocks, rows), np.uint32)
        marks = zeros(places + 8, np.uint8)  # they are looked through in words
        slots, norms = zeros(places, np.int32), zeros(blocks, np.float64)
        self.touched = zeros(places, np.int32)
        hidden = zeros((blocks, most_samples, FASTPG_UNITS), np.float32)
        parts = zeros((blocks, most_samples, heads), np.float32)
        gradients = zeros((most_samples, heads), np.float32)
        loss_sums = zeros((pieces, sizeof(fastpg_ppo_sums_t)), np.uint8)
        self.arrays = mirror_rows, marks, slots, norms, hidden, parts, gradients, loss_sums
        self.episode_slices, self.lists = zeros((1, sizeof(fastpg_span_t)), np.uint8), zeros(1, np.int32)
        self.l.net = &network.n
        cdef float[:, :, ::1] g1 = self.gradients, g2 = self.gradient2
        cdef float[:, :, ::1] m1 = self.mean1, m2 = self.mean2, s1 = self.square1, s2 = self.square2
        cdef uint32_t[:, ::1] updated = self.updated
        cdef uint8_t[::1] marks_view = marks
        cdef int32_t[::1] touched_view = self.touched, slots_view = slots
        cdef double[::1] norms_view = norms
        cdef float[:, :, ::1] hidden_view = hidden, parts_view = parts
        cdef float[:, ::1] gradients_view = gradients
        cdef uint8_t[:, ::1] loss_view = loss_sums
        self.l.g1, self.l.g2 = &g1[0, 0, 0], &g2[0, 0, 0]
        self.l.mean1, self.l.mean2 = &m1[0, 0, 0], &m2[0, 0, 0]
        self.l.square1, self.l.square2 = &s1[0, 0, 0], &s2[0, 0, 0]
        self.l.updated, self.l.marks = &updated[0, 0], &marks_view[0]
        self.l.rows, self.l.sums = &touched_view[0], &touched_view[rows]
        self.l.slots, self.l.norms = &slots_view[0], &norms_view[0]
        self.b.learner = &self.l
        self.b.hidden, self.b.parts = &hidden_view[0, 0, 0], &parts_view[0, 0, 0]
        self.b.gradients = &gradients_view[0, 0]
        self.b.loss_sums = <fastpg_ppo_sums_t *>&loss_view[0, 0]

    @property
    def gradient1(self):
        """(blocks, rows, units), of the last :meth:`gradient`; 0 of rows where nothing lit."""
        count = self.l.row_count
        gradients = np.zeros_like(self.square1)
        gradients[:, self.touched[:count]] = self.gradients[:, :count]
        return gradients

    @property
    def updates(self):
        """Steps taken so far."""
        return self.l.updates

    @updates.setter
    def updates(self, uint32_t updates):
        self.l.updates = updates

    def gradient(
        self, RolloutBuffer buffer not None, const int32_t[::1] samples, const float[::1] advantages,
        const float[::1] returns, double clip, double entropy, double value, float scale,
    ):
        """Add up the gradients of slots' objectives; see fastpg_batch_t.

        ``samples (B,)`` slots; ``advantages``, ``returns`` of all slots of the buffer.

        Returns:
            Sums over the samples: (entropy, divergence from the policy that played, how many ratios
            were clipped, squared errors of the value).
        """
        cdef int64_t begin = 0, left = samples.shape[0], pieces, k
        cdef double[4] sums
        cdef fastpg_span_t *episode_slices
        if advantages.shape[0] < buffer.slots or returns.shape[0] < buffer.slots:
            raise ValueError(
                f"advantages, returns: expected {buffer.slots}, one an slot, "
                f"got {advantages.shape[0]}, {returns.shape[0]}")
        for k in range(left):
            buffer.within(samples[k], self.network.lookback())
            if buffer.r.actions[samples[k]] >= self.network.n.actions:
                raise ValueError(
                    f"slot {samples[k]}: expected an action below {self.network.n.actions}, "
                    f"got {buffer.r.actions[samples[k]]}")
        memset(sums, 0, sizeof(sums))
        self.b.buffer, self.b.samples, self.b.count = &buffer.r, &samples[0], left
        self.plan()
        episode_slices = self.b.episode_slices
        self.pool.run(fastpg_prepare_task, &self.b, self.network.n.blocks)
        self.b.advantages, self.b.returns = &advantages[0], &returns[0]
        self.b.loss, self.b.scale = fastpg_ppo_t(clip, entropy, value), scale
        while left > 0:
            self.b.samples, self.b.count = &samples[begin], min(left, self.most)
            self.b.episode_slices = episode_slices + begin
            self.list_samples()
            pieces = pieces_of(self.b.count, FASTPG_LOSS_SAMPLES)
            self.pool.run(fastpg_forward_task, &self.b, self.network.n.blocks)
            self.pool.run(fastpg_loss_task, &self.b, pieces)
            self.pool.run(fastpg_backward_task, &self.b, self.network.n.blocks)
            for k in range(pieces):
                sums[0] += self.b.loss_sums[k].entropy
                sums[1] += self.b.loss_sums[k].divergence
                sums[2] += self.b.loss_sums[k].clipped
                sums[3] += self.b.loss_sums[k].value_error
            begin += self.b.count
            left -= self.b.count
        self.pool.run(fastpg_fold_task, &self.b, self.network.n.blocks)
        return sums[0], sums[1], sums[2], sums[3]

    cdef int plan(self) except -1:
        """Mark and list what a minibatch touches; its gradient is not there yet."""
        cdef uint8_t[:, ::1] episode_slices
        if len(self.episode_slices) < self.b.count:
            self.episode_slices = zeros((self.b.count, sizeof(fastpg_span_t)), np.uint8)
        episode_slices = self.episode_slices
        self.b.episode_slices = <fastpg_span_t *>&episode_slices[0, 0]
        memset(self.l.marks, 0, self.network.n.places)
        self.pool.run(fastpg_mark_task, &self.b, pieces_of(self.b.count, FASTPG_LIST_SAMPLES))
        fastpg_plan(&self.l)
        return 0

    cdef int list_samples(self) except -1:
        """What each of the samples at once stands for."""
        cdef int32_t[::1] lists
        cdef int64_t room
        if self.network.n.difference:
            return 0
        room = fastpg_lay_spans(&self.b)
        if len(self.lists) < room:
            self.lists = zeros(room + room // 2, np.int32)  # the next may have more of them
        lists = self.lists
        self.b.lists = &lists[0]
        self.pool.run(fastpg_list_task, &self.b, pieces_of(self.b.count, FASTPG_LIST_SAMPLES))
        return 0

    def norm(self):
        """The length of the gradient of all weights."""
        cdef double total = 0
        cdef int64_t block
        for block in range(self.network.n.blocks):
            total += self.l.norms[block]
        return sqrt(total)  # not ** 0.5, which is a complex number of NaN

    def adam(self, float learning_rate, float factor, float beta1, float beta2, float epsilon):
        """A step uphill of Adam, with the gradient times ``factor``."""
        self.b.learning_rate, self.b.factor = learning_rate, factor
        self.b.beta1, self.b.beta2, self.b.epsilon = beta1, beta2, epsilon
        self.step(fastpg_adam_task)

    def rmsprop(self, float learning_rate, float decay, float epsilon):
        """A step uphill of RMSProp."""
        self.b.learning_rate, self.b.factor = learning_rate, 1.0
        self.b.decay, self.b.epsilon = decay, epsilon
        self.step(fastpg_rmsprop_task)

    cdef int step(self, fastpg_task_t task) except -1:
        self.l.updates += 1
        try:
            self.pool.run(task, &self.b, self.network.n.blocks)
        finally:  # it has been taken, though threads may be missing
            self.network.changed()
        return 0

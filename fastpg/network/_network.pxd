"""The part of fastpg.network._network that other extension modules use."""

from libc.stdint cimport int64_t

from c_emulator cimport fastpg_pool_t, fastpg_task_t
from c_network cimport fastpg_frame_sums_t, fastpg_network_t, fastpg_buffer_t

cdef fastpg_frame_sums_t *allocate_frame_sums(int64_t count) except NULL


cdef class Pool:
    cdef fastpg_pool_t *pool
    cdef readonly int threads
    cdef int run(self, fastpg_task_t task, void *context, int64_t count) except -1


cdef class RolloutBuffer:
    cdef fastpg_buffer_t r
    cdef readonly object tiles, tile_offsets, tile_counts, episode_steps, actions, dones
    cdef readonly object rewards, action_probs, values
    cdef readonly int64_t slots, tile_capacity
    cdef int within(self, int64_t slot, int64_t lookback) except -1


cdef class Network:
    cdef fastpg_network_t n
    cdef readonly object w1, w2  # (blocks, weight_rows, UNITS), (blocks, heads, UNITS)
    cdef object sum_versions
    cdef fastpg_frame_sums_t *frame_sums
    cdef int64_t lookback(self)

# RolloutBuffer of fastpg.network._network: what a rollout wrote, a slot an agent step.

cdef class RolloutBuffer:
    """Arrays of ``slots`` steps and ``tile_capacity`` tiles; see fastpg_buffer_t."""

    def __cinit__(self, int64_t slots, int64_t tile_capacity):
        if not 0 < slots <= MOST_SLOTS or not 0 < tile_capacity <= MOST_TILES:
            raise ValueError(
                f"slots, tile_capacity: expected 1 to {MOST_SLOTS}, {MOST_TILES}, "
                f"got {slots}, {tile_capacity}")
        self.slots, self.tile_capacity = slots, tile_capacity
        self.tiles = zeros(tile_capacity, np.uint16)
        self.tile_offsets = zeros(slots, np.uint32)
        self.tile_counts = zeros(slots, np.uint16)
        self.episode_steps = zeros(slots, np.uint8)
        self.actions = zeros(slots, np.uint8)
        self.dones = zeros(slots, np.uint8)
        self.rewards = zeros(slots, np.float32)
        self.action_probs = zeros(slots, np.float32)
        self.values = zeros(slots, np.float32)
        cdef uint16_t[::1] tiles = self.tiles, tile_counts = self.tile_counts
        cdef uint32_t[::1] tile_offsets = self.tile_offsets
        cdef uint8_t[::1] episode_steps = self.episode_steps, actions = self.actions
        cdef uint8_t[::1] dones = self.dones
        cdef float[::1] rewards = self.rewards, action_probs = self.action_probs
        cdef float[::1] values = self.values
        self.r.tiles, self.r.tile_offsets = &tiles[0], &tile_offsets[0]
        self.r.tile_counts, self.r.episode_steps = &tile_counts[0], &episode_steps[0]
        self.r.actions, self.r.dones, self.r.rewards = &actions[0], &dones[0], &rewards[0]
        self.r.action_probs, self.r.values = &action_probs[0], &values[0]

    cdef int within(self, int64_t slot, int64_t lookback) except -1:
        """Raise IndexError if the slot, or one that it looks back at, is not in the buffer."""
        if not 0 <= slot < self.slots or slot < min(<int64_t>self.r.episode_steps[slot], lookback):
            raise IndexError(f"slot {slot}: not in the buffer, with all that it looks back at")
        return 0

    def observe(self, int64_t slot, int64_t tile, uint8_t episode_step, const uint8_t[::1] view):
        """Write a view (6400,) of 0 and 1 as a slot's frame; return the next free tile."""
        if not 0 <= slot < self.slots or not 0 <= tile <= self.tile_capacity - A26_VIEW_PIXELS:
            raise IndexError(f"slot {slot}, tile {tile}: not in the buffer")
        if view.shape[0] != A26_VIEW_PIXELS:
            raise ValueError(f"view: expected (6400,), got ({view.shape[0]},)")
        count = fastpg_tile_view(&view[0], self.r.tiles + tile)
        self.r.tile_offsets[slot] = <uint32_t>tile
        self.r.tile_counts[slot] = <uint16_t>count
        self.r.episode_steps[slot] = episode_step
        return tile + count

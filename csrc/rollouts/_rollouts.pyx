# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False
"""Extension module fastpg.rollouts._rollouts: games that a network plays into a buffer.

``Rollout`` plays them on the threads of a ``Pool``. The buffer's arrays are documented in
csrc/network/tile_network.h, the games in csrc/rollouts/rollout.h. Arguments that would lead out of
memory are checked here, all others in fastpg/rollouts/native.py.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from c_emulator cimport (
    a26_env_valid, a26_gym_reset, a26_gym_t, a26_seed_t, a26_sticky_threshold,
)
from fastpg.emulator._emulator cimport Cartridge, seed_of
from c_network cimport (
    A26_SCREEN_BYTES, A26_VIEW_PIXELS, FASTPG_TILES, atomic_flag_clear, fastpg_clear_frame_sums,
    fastpg_frame_sums_t, fastpg_game_t, fastpg_rollout_t, fastpg_rollout_task,
    fastpg_shift_lookback, fastpg_value_task,
)
from fastpg.network._network cimport Network, Pool, RolloutBuffer, allocate_frame_sums

import numpy as np

from fastpg.emulator._emulator import LAYOUT_VERSION
from fastpg.network._network import zeros

SLOT_ARRAYS = (
    "tile_offsets tile_counts episode_steps actions dones rewards action_probs values".split()
)


cdef class Rollout:
    """Games, and the rows of a buffer that a network plays them into."""

    cdef fastpg_rollout_t o
    cdef Cartridge cartridge
    cdef Network network
    cdef Pool pool
    cdef readonly RolloutBuffer buffer
    cdef fastpg_frame_sums_t *frame_sums
    cdef object red, pixels
    cdef int64_t lookback

    def __cinit__(
        self, Cartridge cartridge not None, Network network not None, Pool pool not None,
        int games, *, tuple frameskip, float repeat, int max_frames, int noop_max,
        const uint8_t[::1] red, bint find_background, uint64_t seed, tuple emulator_actions,
        bint whole_episodes, bint greedy=False,
    ):
        if len(emulator_actions) != network.n.actions:
            raise ValueError(
                f"emulator_actions: expected {network.n.actions}, got {len(emulator_actions)}")
        if not all(0 <= action < 18 for action in emulator_actions) or red.shape[0] != 256:
            raise ValueError(
                "emulator_actions, red: expected 0 to 17, (256,), "
                f"got {emulator_actions}, ({red.shape[0]},)")
        if games < 1:
            raise ValueError(f"games: expected at least 1, got {games}")
        self.o.game = <fastpg_game_t *>calloc(games, sizeof(fastpg_game_t))
        if self.o.game == NULL:
            raise MemoryError
        self.o.games = games
        self.frame_sums = allocate_frame_sums(games * network.n.blocks)
        cdef int64_t game
        for game in range(games):
            self.o.game[game].frame_sums = self.frame_sums + game * network.n.blocks
        self.cartridge, self.network, self.pool, self.red = cartridge, network, pool, red
        self.o.cartridge, self.o.power_on_state = &cartridge.c, &cartridge.power_on_state
        self.o.rules.skip_low, self.o.rules.skip_high = frameskip
        self.o.rules.sticky_threshold = a26_sticky_threshold(repeat)
        self.o.rules.max_frames, self.o.rules.noop_max = max_frames, noop_max
        self.o.red, self.o.find_background = &red[0], find_background
        self.o.seed, self.o.whole_episodes, self.o.greedy = seed, whole_episodes, greedy
        self.o.network = &network.n
        for k, action in enumerate(emulator_actions):
            self.o.emulator_action[k] = action
        self.pixels = zeros((pool.threads, A26_SCREEN_BYTES), np.uint8)
        cdef uint8_t[:, ::1] pixels = self.pixels
        self.o.pixels = &pixels[0, 0]
        self.lookback = network.lookback()
        atomic_flag_clear(&self.o.scheduler_lock)

    def __dealloc__(self):
        free(self.o.game)
        free(self.frame_sums)

    cdef fastpg_game_t *at(self, int64_t game) except NULL:
        if not 0 <= game < self.o.games:
            raise IndexError(f"game {game}: expected 0 to {self.o.games - 1}")
        return &self.o.game[game]

    # ---- games ------------------------------------------------------------------------------

    def seed(self, int64_t game, words):
        """Load the ROM, seed, and reset once, as a new environment does."""
        cdef a26_seed_t seed = seed_of(words)
        g = self.at(game)
        a26_gym_reset(
            &g.gym, self.o.cartridge, self.o.power_on_state, &self.o.rules, &seed, NULL)
        g.between_episodes = True
        g.stream, g.step = game, 0

    def state(self, int64_t game):
        """Return a game without its row, as bytes of this layout and machine."""
        g = self.at(game)
        head = np.array([LAYOUT_VERSION, g.stream, g.step, g.between_episodes], np.uint64)
        return head.tobytes() + PyBytes_FromStringAndSize(<char *>&g.gym, sizeof(g.gym))

    def restore(self, int64_t game, bytes state not None):
        """Restore what :meth:`state` returned.

        Raises:
            ValueError: another layout or size, or values that no console has.
        """
        cdef a26_gym_t gym
        g = self.at(game)
        if len(state) != 32 + sizeof(gym):
            raise ValueError(f"state: expected {32 + sizeof(gym)} bytes, got {len(state)}")
        layout, stream, step, between_episodes = np.frombuffer(state[:32], np.uint64).tolist()
        if layout != LAYOUT_VERSION:
            raise ValueError(f"state: expected one of layout {LAYOUT_VERSION}, got {layout}")
        memcpy(&gym, PyBytes_AS_STRING(state) + 32, sizeof(gym))
        if not a26_env_valid(&gym.env) or gym.past_frames < 0:
            raise ValueError("state: expected that of a console, got values that none has")
        g.stream, g.step, g.between_episodes = stream, step, bool(between_episodes)
        gym.env.sticky_threshold = self.o.rules.sticky_threshold
        gym.env.max_frames = self.o.rules.max_frames
        g.gym = gym

    def frames(self):
        """Return the frames that each game has emulated so far, (games,) int64."""
        return np.array([
            self.o.game[k].gym.past_frames + self.o.game[k].gym.env.frame_number
            for k in range(self.o.games)], np.int64)

    def episode_frames(self):
        """Return each game's frames since its reset, (games,) int64."""
        return np.array([
            self.o.game[k].gym.env.episode_frame_number for k in range(self.o.games)], np.int64)

    # ---- rows of the buffer -----------------------------------------------------------------

    cdef int64_t row_tiles(self) except -1:
        """Tiles of a game's row."""
        if self.buffer is None:
            raise RuntimeError("expected write_to() before")
        return self.buffer.tile_capacity // self.o.games

    def write_to(self, RolloutBuffer buffer not None):
        """Write to this buffer from now on. Each game gets an empty row of equal length."""
        cdef int64_t k, slots, tiles
        slots, tiles = buffer.slots // self.o.games, buffer.tile_capacity // self.o.games
        if slots < self.lookback + 2 or tiles < 2 * A26_VIEW_PIXELS:
            raise ValueError(
                f"buffer: expected capacity for a step of {self.o.games} games, "
                f"got {buffer.slots} slots, {buffer.tile_capacity} tiles")
        self.buffer = buffer
        self.o.buffer = &buffer.r
        for k in range(self.o.games):
            g = &self.o.game[k]
            g.begin, g.end = k * slots, (k + 1) * slots
            g.tile, g.tiles_end = k * tiles, (k + 1) * tiles
            g.slot = g.begin

    def move_to(self, RolloutBuffer buffer not None):
        """Copy the rows to another buffer with longer rows, and go on there."""
        cdef int64_t k, old_tiles = self.row_tiles()
        cdef int64_t slots = buffer.slots // self.o.games
        cdef int64_t tiles = buffer.tile_capacity // self.o.games
        old, old_slots = self.buffer, self.buffer.slots // self.o.games
        if slots < old_slots or tiles < old_tiles:
            raise ValueError(
                f"buffer: expected rows of at least {old_slots} slots, {old_tiles} tiles, as "
                f"before, got {slots}, {tiles}")
        for k in range(self.o.games):
            g = &self.o.game[k]
            used, used_tiles = g.slot + 1 - g.begin, g.tile - k * old_tiles
            for name in SLOT_ARRAYS:
                getattr(buffer, name)[k * slots:k * slots + used] = (
                    getattr(old, name)[g.begin:g.begin + used])
            buffer.tile_offsets[k * slots:k * slots + used] += np.uint32(k * (tiles - old_tiles))
            buffer.tiles[k * tiles:k * tiles + used_tiles] = (
                old.tiles[k * old_tiles:k * old_tiles + used_tiles])
            g.slot += k * slots - g.begin
            g.begin, g.end = k * slots, (k + 1) * slots
            g.tile, g.tiles_end = k * tiles + used_tiles, (k + 1) * tiles
        self.buffer = buffer
        self.o.buffer = &buffer.r

    def rows(self):
        """Return each game's (first slot, slot to act upon, end of the row), (games, 3) int64."""
        return np.array([
            (self.o.game[k].begin, self.o.game[k].slot, self.o.game[k].end)
            for k in range(self.o.games)], np.int64)

    def shift_lookback(self):
        """Empty all rows but for the slots that the next steps look back at."""
        cdef int64_t k, tiles = self.row_tiles()
        for k in range(self.o.games):
            g = &self.o.game[k]
            if g.between_episodes:
                g.slot, g.tile = g.begin + self.lookback, k * tiles
            elif g.slot < g.begin + self.lookback:
                raise RuntimeError(f"game {k}: expected shift_lookback() before its first steps")
            else:
                fastpg_shift_lookback(g, &self.buffer.r, self.lookback, k * tiles)

    def set_lookback_frames(self, int64_t game, tiles, tile_counts, episode_steps, actions):
        """Fill the begin of a game's row with the slots that its next steps look back at.

        ``tile_counts``, ``episode_steps``, ``actions`` (lookback + 1,): a slot each, the game's
        current frame last. ``tiles``: of all of them, one frame after the other.
        """
        cdef int64_t k, tile, most = self.row_tiles()
        g = self.at(game)
        lengths = {len(tile_counts), len(episode_steps), len(actions)}
        if lengths != {self.lookback + 1}:
            raise ValueError(
                f"tile_counts, episode_steps, actions: expected {self.lookback + 1} of each, "
                f"got {len(tile_counts)}, {len(episode_steps)}, {len(actions)}")
        tile = game * most
        if len(tiles) != tile_counts.sum() or len(tiles) > most:
            raise ValueError(
                f"tiles: expected {tile_counts.sum()}, at most {most}, got {len(tiles)}")
        if len(tiles) and tiles.max() >= FASTPG_TILES:
            raise ValueError(f"tiles: expected all below {FASTPG_TILES}, got {tiles.max()}")
        self.buffer.tiles[tile:tile + len(tiles)] = tiles
        for k in range(self.lookback + 1):
            self.buffer.tile_offsets[g.begin + k] = tile
            tile += int(tile_counts[k])
        self.buffer.tile_counts[g.begin:g.begin + self.lookback + 1] = tile_counts
        self.buffer.episode_steps[g.begin:g.begin + self.lookback + 1] = episode_steps
        self.buffer.actions[g.begin:g.begin + self.lookback + 1] = actions
        g.slot, g.tile = g.begin + self.lookback, tile

    # ---- playing ----------------------------------------------------------------------------

    def plan(self, int64_t game, uint64_t first, int64_t episodes, int64_t stride):
        """Play episodes first, first + stride, .. next, into an empty row."""
        cdef int64_t tiles = self.row_tiles()
        g = self.at(game)
        g.stream, g.episodes, g.stride = first, episodes, stride
        g.between_episodes = True
        g.slot, g.tile = g.begin, game * tiles

    def unfinished(self):
        """Return the games whose rows were too short for their episodes."""
        return [k for k in range(self.o.games) if self.o.game[k].episodes > 0]

    @property
    def threads(self):
        """Threads of the pool."""
        return self.pool.threads

    def play(self, int64_t slots=-1):
        """Play until all rows or episodes end, or rows have so many slots.

        Returns:
            The seconds that all threads together spent on choosing actions.
        """
        cdef int64_t k, stride
        cdef double seconds = 0
        self.row_tiles()
        stride = self.buffer.slots // self.o.games
        for k in range(self.o.games):
            g = &self.o.game[k]
            fastpg_clear_frame_sums(&self.network.n, g.frame_sums)
            g.end = g.begin + (stride if slots < 0 else min(stride, slots + 1))
        self.pool.run(fastpg_rollout_task, &self.o, self.pool.threads)
        for k in range(self.o.games):
            seconds += self.o.game[k].seconds_forward
            self.o.game[k].seconds_forward = 0
        return seconds

    def bootstrap_values(self):
        """Write the value of the frame that each game has come to."""
        self.row_tiles()
        if self.network.n.heads == self.network.n.outputs:
            raise RuntimeError("bootstrap_values: expected a network with a value")
        self.pool.run(fastpg_value_task, &self.o, self.o.games)

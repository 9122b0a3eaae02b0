# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False
"""Extension module fastpg.rollouts._rollouts: many games that a network on tiles plays into a buffer.

``Rollout`` plays them on the threads of a ``Pool``; slots are a buffer's, see
csrc/network/tile_network.h. Arguments that would lead out of memory are refused here, everything else in
fastpg/rollouts/native.py.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastpg.emulator.c_emulator cimport (
    a26_env_valid, a26_gym_reset, a26_gym_t,
    a26_seed_t, a26_sticky_least,
)
from fastpg.emulator._emulator cimport Cartridge, seed_of
from fastpg.network.c_network cimport (
    A2600_SCREEN_BYTES, FASTPG_TILES, FASTPG_TILE_PIXELS, atomic_flag_clear, fastpg_carry,
    fastpg_forget_latest, fastpg_game_t, fastpg_latest_t, fastpg_rollout_t, fastpg_rollout_task,
    fastpg_value_task,
)
from fastpg.network._network cimport Network, Pool, RolloutBuffer, latest_of

import numpy as np

from fastpg.emulator._emulator import LAYOUT_VERSION
from fastpg.network._network import zeros

SLOT_ARRAYS = (
    "tile_offsets tile_counts episode_steps actions dones rewards action_probs values".split()
)


cdef class Rollout:
    """Games that a network plays into a buffer."""

    cdef fastpg_rollout_t o
    cdef Cartridge cartridge
    cdef Network network
    cdef Pool pool
    cdef readonly RolloutBuffer buffer
    cdef fastpg_latest_t *latest
    cdef object red, pixels
    cdef int64_t lookback

    def __cinit__(
        self, Cartridge cartridge not None, Network network not None, Pool pool not None,
        int games, *, tuple frameskip, float repeat, int most_frames, int noop_max,
        const uint8_t[::1] red, bint find_background, uint64_t seed, tuple emulator_actions,
        bint whole, bint greedy=False,
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
        self.latest = latest_of(games * network.n.blocks)
        cdef int64_t game
        for game in range(games):
            self.o.game[game].latest = self.latest + game * network.n.blocks
        self.cartridge, self.network, self.pool, self.red = cartridge, network, pool, red
        self.o.cartridge, self.o.powered = &cartridge.c, &cartridge.powered
        self.o.rules.skip_low, self.o.rules.skip_high = frameskip
        self.o.rules.sticky_least = a26_sticky_least(repeat)
        self.o.rules.most_frames, self.o.rules.noop_max = most_frames, noop_max
        self.o.red, self.o.find_background = &red[0], find_background
        self.o.seed, self.o.whole, self.o.greedy = seed, whole, greedy
        self.o.network = &network.n
        for k, action in enumerate(emulator_actions):
            self.o.emulator_action[k] = action
        self.pixels = zeros((pool.threads, A2600_SCREEN_BYTES), np.uint8)
        cdef uint8_t[:, ::1] pixels = self.pixels
        self.o.pixels = &pixels[0, 0]
        self.lookback = network.lookback()
        atomic_flag_clear(&self.o.choosing)

    def __dealloc__(self):
        free(self.o.game)
        free(self.latest)

    cdef fastpg_game_t *at(self, int64_t game) except NULL:
        if not 0 <= game < self.o.games:
            raise IndexError(f"game {game}: expected 0 to {self.o.games - 1}")
        return &self.o.game[game]

    # ---- games ------------------------------------------------------------------------------

    def seed(self, int64_t game, words):
        """Load the ROM, seed, and reset once, as a new environment does."""
        cdef a26_seed_t seed = seed_of(words)
        g = self.at(game)
        a26_gym_reset(&g.gym, self.o.cartridge, self.o.powered, &self.o.rules, &seed, NULL)
        g.between = True
        g.stream, g.step = game, 0

    def state(self, int64_t game):
        """A game without its row, as bytes of this layout and machine."""
        g = self.at(game)
        head = np.array([LAYOUT_VERSION, g.stream, g.step, g.between], np.uint64).tobytes()
        return head + PyBytes_FromStringAndSize(<char *>&g.gym, sizeof(g.gym))

    def restore(self, int64_t game, bytes state not None):
        """Take over a :meth:`state`.

        Raises:
            ValueError: another layout or size, or values that no console has.
        """
        cdef a26_gym_t gym
        g = self.at(game)
        if len(state) != 32 + sizeof(gym):
            raise ValueError(f"state: expected {32 + sizeof(gym)} bytes, got {len(state)}")
        layout, stream, step, between = np.frombuffer(state[:32], np.uint64).tolist()
        if layout != LAYOUT_VERSION:
            raise ValueError(f"state: expected one of layout {LAYOUT_VERSION}, got {layout}")
        memcpy(&gym, PyBytes_AS_STRING(state) + 32, sizeof(gym))
        if not a26_env_valid(&gym.env) or gym.past_frames < 0:
            raise ValueError("state: expected that of a console, got values that none has")
        g.stream, g.step, g.between = stream, step, bool(between)
        gym.env.sticky_least = self.o.rules.sticky_least
        gym.env.most_frames = self.o.rules.most_frames
        g.gym = gym

    def frames(self):
        """Frames that each game has emulated in its life (games,) int64."""
        return np.array([
            self.o.game[k].gym.past_frames + self.o.game[k].gym.env.frame_number
            for k in range(self.o.games)], np.int64)

    def episode_frames(self):
        """Frames of each game's episode, without those of its reset (games,) int64."""
        return np.array([
            self.o.game[k].gym.env.episode_frame_number for k in range(self.o.games)], np.int64)

    # ---- playing ----------------------------------------------------------------------------

    cdef int64_t room(self) except -1:
        """Tiles of a game's row."""
        if self.buffer is None:
            raise RuntimeError("expected write_to() before")
        return self.buffer.room // self.o.games

    def write_to(self, RolloutBuffer buffer not None):
        """Where everything is written: a row of equal length a game, empty."""
        cdef int64_t k, slots, room
        slots, room = buffer.slots // self.o.games, buffer.room // self.o.games
        if slots < self.lookback + 2 or room < 2 * FASTPG_TILE_PIXELS:
            raise ValueError(
                f"buffer: expected room for a step of {self.o.games} games, "
                f"got {buffer.slots} slots, {buffer.room} tiles")
        self.buffer = buffer
        self.o.buffer = &buffer.r
        for k in range(self.o.games):
            g = &self.o.game[k]
            g.begin, g.end = k * slots, (k + 1) * slots
            g.tile, g.tiles_end = k * room, (k + 1) * room
            g.slot = g.begin

    def move_to(self, RolloutBuffer buffer not None):
        """Go on in another buffer with longer rows, which takes over what is in this one."""
        cdef int64_t k, slots = buffer.slots // self.o.games, room = buffer.room // self.o.games
        cdef int64_t old_room = self.room()
        old, old_entries = self.buffer, self.buffer.slots // self.o.games
        if slots < old_entries or room < old_room:
            raise ValueError(
                f"buffer: expected rows of at least {old_entries} slots, {old_room} tiles, as "
                f"before, got {slots}, {room}")
        for k in range(self.o.games):
            g = &self.o.game[k]
            used, tiles = g.slot + 1 - g.begin, g.tile - k * old_room
            for name in SLOT_ARRAYS:
                getattr(buffer, name)[k * slots:k * slots + used] = (
                    getattr(old, name)[g.begin:g.begin + used])
            buffer.tile_offsets[k * slots:k * slots + used] += np.uint32(k * (room - old_room))
            buffer.tiles[k * room:k * room + tiles] = old.tiles[k * old_room:k * old_room + tiles]
            g.slot += k * slots - g.begin
            g.begin, g.end = k * slots, (k + 1) * slots
            g.tile, g.tiles_end = k * room + tiles, (k + 1) * room
        self.buffer = buffer
        self.o.buffer = &buffer.r

    def rows(self):
        """Of each game: (first slot, slot to act upon, end of the row), (games, 3) int64."""
        return np.array([
            (self.o.game[k].begin, self.o.game[k].slot, self.o.game[k].end)
            for k in range(self.o.games)], np.int64)

    def plan(self, int64_t game, uint64_t first, int64_t episodes, int64_t stride):
        """Play episodes first, first + stride, .. next, into an empty row."""
        cdef int64_t room = self.room()
        g = self.at(game)
        g.stream, g.episodes, g.stride = first, episodes, stride
        g.between = True
        g.slot, g.tile = g.begin, game * room

    def unfinished(self):
        """Games whose rows were too short for their episodes."""
        return [k for k in range(self.o.games) if self.o.game[k].episodes > 0]

    def shift_lookback(self):
        """Empty all rows, but for what the next steps look back at."""
        cdef int64_t k, room = self.room()
        for k in range(self.o.games):
            g = &self.o.game[k]
            if g.between:
                g.slot, g.tile = g.begin + self.lookback, k * room
            elif g.slot < g.begin + self.lookback:
                raise RuntimeError(f"game {k}: expected shift_lookback() before its first steps")
            else:
                fastpg_carry(g, &self.buffer.r, self.lookback, k * room)

    def set_lookback_frames(self, int64_t game, tiles, counts, ages, actions):
        """Fill the begin of a game's row with the slots that its next steps look back at."""
        cdef int64_t k, tile, room = self.room()
        g = self.at(game)
        if len(counts) != self.lookback + 1 or len(ages) != len(counts) or len(actions) != len(counts):
            raise ValueError(
                f"counts, ages, actions: expected {self.lookback + 1} of each, "
                f"got {len(counts)}, {len(ages)}, {len(actions)}")
        tile = game * room
        if len(tiles) != counts.sum() or len(tiles) > room:
            raise ValueError(f"tiles: expected {counts.sum()}, at most {room}, got {len(tiles)}")
        if len(tiles) and tiles.max() >= FASTPG_TILES:
            raise ValueError(f"tiles: expected all below {FASTPG_TILES}, got {tiles.max()}")
        self.buffer.tiles[tile:tile + len(tiles)] = tiles
        for k in range(self.lookback + 1):
            self.buffer.tile_offsets[g.begin + k] = tile
            tile += int(counts[k])
        self.buffer.tile_counts[g.begin:g.begin + self.lookback + 1] = counts
        self.buffer.episode_steps[g.begin:g.begin + self.lookback + 1] = ages
        self.buffer.actions[g.begin:g.begin + self.lookback + 1] = actions
        g.slot, g.tile = g.begin + self.lookback, tile

    @property
    def threads(self):
        """Threads of the pool."""
        return self.pool.threads

    def play(self, int64_t slots=-1):
        """Play until rows or episodes end, or have so many slots.

        Returns:
            The seconds that threads spent choosing.
        """
        cdef int64_t k, stride
        cdef double seconds = 0
        self.room()
        stride = self.buffer.slots // self.o.games
        for k in range(self.o.games):
            g = &self.o.game[k]
            fastpg_forget_latest(&self.network.n, g.latest)
            g.end = g.begin + (stride if slots < 0 else min(stride, slots + 1))
        self.pool.run(fastpg_rollout_task, &self.o, self.pool.threads)
        for k in range(self.o.games):
            seconds += self.o.game[k].seconds_forward
            self.o.game[k].seconds_forward = 0
        return seconds

    def bootstrap_values(self):
        """Write the values of the frames that games have come to."""
        self.room()
        if self.network.n.heads == self.network.n.outputs:
            raise RuntimeError("bootstrap_values: expected a network with a value")
        self.pool.run(fastpg_value_task, &self.o, self.o.games)

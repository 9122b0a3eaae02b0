# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False
"""Extension module fastpg.emulator._emulator: the console of csrc/ for Python.

- ``Cartridge``: a ROM and what is known of its game
- ``Console``: one game on a cartridge
- ``Games``: many games, on threads

Each runs without the GIL, for one thread at a time; a second one gets a RuntimeError. Arguments
that would lead out of memory are checked here, all others in fastpg/emulator/emulator.py and
fastpg/envs/.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from c_emulator cimport (
    A2600_LAYOUT_VERSION, A26_GYM_LAYOUT_VERSION, A26_RAM_BYTES, A26_ROM_BYTES, A26_SCREEN_BYTES,
    FASTPG_MOST_THREADS, a2600_run_t, a2600_t, a26_env_t, a26_env_valid, a26_game_t, a26_gym_reset,
    a26_gym_step,
    a26_act_onto, a26_gym_t, a26_make_post_reset_state, a26_mt_seed, a26_over, a26_power_on,
    a26_reset_onto,
    a26_rules_t, a26_seed_t, a26_sticky_threshold, a26_truncated, a26_tv_act, a26_tv_look,
    a26_tv_make_eager, a26_tv_reset, a26_tv_t, fastpg_colours_t, fastpg_dqn_game_t,
    fastpg_find_same_rows, fastpg_pool_close, fastpg_pool_open, fastpg_pool_run, fastpg_pool_t,
    fastpg_reset_task, fastpg_show_gray, fastpg_show_rgb, fastpg_step_task, fastpg_task_t,
    fastpg_vector_t, tia_begin_picture, tia_complete, tia_picture_t,
)

from operator import index as integer

import numpy as np

cdef extern from *:
    """
    #include "cuda/device_games.h"
    """
    enum:
        FASTPG_DEVICE_ACTIONS
        FASTPG_DEVICE_SCRATCH_BYTES
    ctypedef struct fastpg_shared_t:
        a26_env_t power_on_state
        a2600_t post_reset_state
        a26_rules_t rules
        int32_t find_background
        uint32_t summaries
        a26_game_t game
        uint8_t has_post_reset_state
        uint8_t emulator_action[32]
        uint8_t red[256]
        uint8_t rom[4096]

cdef extern from *:
    """
    #ifndef FASTPG_HEADERS /* a hash of all headers; setup.py defines it */
    #define FASTPG_HEADERS ""
    #endif
    """
    const char *FASTPG_HEADERS

HEADERS = FASTPG_HEADERS.decode()
LAYOUT_VERSION = 100 * A26_GYM_LAYOUT_VERSION + A2600_LAYOUT_VERSION
MOST_THREADS = FASTPG_MOST_THREADS

cdef fastpg_colours_t COLOURS


def set_colours(const uint8_t[:, ::1] rgb, const uint8_t[::1] gray):
    """Set the palette of all pictures: rgb (256, 3), gray (256,)."""
    cdef int k
    for k in range(256):
        memcpy(COLOURS.rgb[k], &rgb[k, 0], 3)
        COLOURS.gray[k] = gray[k]
        COLOURS.red[k] = rgb[k, 0]


cdef a26_seed_t seed_of(object words) except *:
    """Convert (PCG64 state, increment, sticky seed) of fastpg.envs.seeds.seed_words."""
    cdef a26_seed_t seed
    memset(&seed, 0, sizeof(seed))
    state, increment, sticky = words
    seed.random.state[0] = state >> 64
    seed.random.state[1] = state & 0xFFFFFFFFFFFFFFFF
    seed.random.increment[0] = increment >> 64
    seed.random.increment[1] = increment & 0xFFFFFFFFFFFFFFFF
    seed.sticky = sticky
    return seed


def number_of(action):
    """Return the number of an ``ale_py.Action`` or of any integer."""
    try:
        return integer(getattr(action, "value", action))
    except TypeError:
        got = type(action).__name__
        raise TypeError(f"action: expected an integer or an Action, got {got}") from None


include "cartridge.pxi"


cdef class Console:
    """One game, with a television. Load a cartridge first."""

    cdef readonly Cartridge cartridge
    cdef a26_gym_t gym
    cdef a26_rules_t rules
    cdef a26_tv_t *tv
    cdef bint busy  # a thread is playing, without the GIL
    cdef readonly bint meddled  # its memory was changed from outside since the reset

    def __cinit__(self):
        self.tv = <a26_tv_t *>calloc(1, sizeof(a26_tv_t))
        if self.tv == NULL:
            raise MemoryError
        self.rules.skip_low, self.rules.skip_high = 1, 2

    def __dealloc__(self):
        free(self.tv)

    cdef int ready(self) except -1:
        """Raise RuntimeError if another thread is playing, or no ROM is loaded."""
        if self.busy:
            raise RuntimeError("another thread is using this emulator")
        if self.cartridge is None:
            raise RuntimeError("no ROM is loaded: call loadROM() first")
        return 0

    # ---- playing ---------------------------------------------------------------------------

    def set_rules(self, tuple frameskip, float repeat, int max_frames, int noop_max):
        """Set the frames a step, low <= n < high, and the rest of fastpg.envs.rules.Rules."""
        self.rules.skip_low, self.rules.skip_high = frameskip
        self.rules.sticky_threshold = a26_sticky_threshold(repeat)
        self.rules.max_frames = max_frames
        self.rules.noop_max = noop_max

    def load(self, Cartridge cartridge not None, uint32_t sticky_seed):
        """Load a ROM and start a game, like ALE's loadROM."""
        if self.busy:
            self.ready()
        self.cartridge = cartridge
        self.gym.env = cartridge.power_on_state
        self.gym.env.sticky_threshold = self.rules.sticky_threshold
        self.gym.env.max_frames = self.rules.max_frames
        a26_mt_seed(&self.gym.env.sticky, sticky_seed)
        self.reset_game()

    def reset_game(self):
        """Start a new game, like ALE's reset_game."""
        self.ready()
        self.busy = True
        with nogil:
            a26_tv_reset(self.tv, &self.gym.env, &self.cartridge.c)
        self.busy = self.meddled = False

    def act(self, action, float paddle_strength=1.0):
        """Play an action, 0 to 17 or an ``ale_py.Action``, for frame_skip frames.

        Returns:
            The reward.
        """
        cdef int32_t reward
        cdef uint32_t number
        if not isinstance(action, int):
            action = number_of(action)
        self.ready()
        if not 0 <= action < 18:
            raise ValueError(f"action: expected 0 to 17, got {action}")
        number = action
        if paddle_strength != 1.0:
            raise ValueError(f"paddle_strength: expected 1, got {paddle_strength}")
        self.busy = True
        with nogil:
            reward = a26_tv_act(
                self.tv, &self.gym.env, &self.cartridge.c, number, self.rules.skip_low)
        self.busy = False
        if self.gym.env.console.error:
            raise RuntimeError(f"the program has come to the unknown opcode ${self.stopped_by:02X}")
        return reward

    def begin_episode(self, seed):
        """Start an episode like AleGame.reset; ``seed``: its words, or None."""
        cdef a26_seed_t words
        cdef tia_picture_t picture
        cdef bint seeded = seed is not None
        self.ready()
        if seeded:
            words = seed_of(seed)
        self.busy = True
        with nogil:
            self.tv.front = 0
            self.tv.pending[0] = False
            tia_begin_picture(&picture, self.tv.picture[0], 0)
            a26_gym_reset(
                &self.gym, &self.cartridge.c, &self.cartridge.power_on_state, &self.rules,
                &words if seeded else NULL, &picture)
            tia_complete(&picture)
        self.busy = self.meddled = False

    def step_episode(self, uint32_t action, int32_t frames=0):
        """Play a step like AleGame.step; return the reward.

        Args:
            action: the emulator's number of it.
            frames: of the step; 0 draws their number as the rules say.
        """
        cdef int32_t reward
        cdef tia_picture_t picture
        self.ready()
        if action >= 18:
            raise ValueError(f"action: expected 0 to 17, got {action}")
        self.busy = True
        with nogil:
            self.tv.front = 0
            self.tv.pending[0] = False
            tia_begin_picture(&picture, self.tv.picture[0], 0)
            if frames > 0:
                reward = a26_act_onto(
                    &self.gym.env, &self.cartridge.c, action, frames, &picture)
            else:
                reward = a26_gym_step(&self.gym, &self.cartridge.c, &self.rules, action, &picture)
            tia_complete(&picture)
        self.busy = False
        return reward

    # ---- observations ----------------------------------------------------------------------

    cdef const uint8_t *look(self) except NULL:
        self.ready()
        return a26_tv_look(self.tv, &self.cartridge.c)

    def palette(self, uint8_t[:, ::1] out):
        """Write the picture (210, 160) of palette indices."""
        if out.shape[0] * out.shape[1] != A26_SCREEN_BYTES:
            raise ValueError("out: expected (210, 160)")
        memcpy(&out[0, 0], self.look(), A26_SCREEN_BYTES)

    def grayscale(self, uint8_t[:, ::1] out):
        """Write the picture (210, 160) of grey values."""
        cdef tia_picture_t picture
        if out.shape[0] * out.shape[1] != A26_SCREEN_BYTES:
            raise ValueError("out: expected (210, 160)")
        tia_begin_picture(&picture, <uint8_t *>self.look(), 0)
        fastpg_find_same_rows(&picture)
        fastpg_show_gray(&COLOURS, &picture, &out[0, 0])

    def rgb(self, uint8_t[:, :, ::1] out):
        """Write the picture (210, 160, 3)."""
        cdef tia_picture_t picture
        if out.shape[0] * out.shape[1] * out.shape[2] != 3 * A26_SCREEN_BYTES:
            raise ValueError("out: expected (210, 160, 3)")
        tia_begin_picture(&picture, <uint8_t *>self.look(), 0)
        fastpg_find_same_rows(&picture)
        fastpg_show_rgb(&COLOURS, &picture, &out[0, 0, 0])

    def ram(self, uint8_t[::1] out):
        """Write the RAM (128,)."""
        self.ready()
        if out.shape[0] != sizeof(self.gym.env.console.ram):
            raise ValueError("out: expected (128,)")
        memcpy(&out[0], self.gym.env.console.ram, sizeof(self.gym.env.console.ram))

    def poke(self, int index, uint8_t value):
        """Set a byte of the RAM. The program may then do what it never does by itself."""
        self.ready()
        if not 0 <= index < A26_RAM_BYTES:
            raise ValueError(f"index: expected 0 to 127, got {index}")
        a26_tv_make_eager(self.tv, &self.cartridge.c)
        self.meddled = True
        self.gym.env.console.ram[index] = value

    @property
    def terminated(self):
        """True if the game is over."""
        return bool(self.gym.env.terminal)

    @property
    def truncated(self):
        """True if the episode has reached its limit of frames."""
        return bool(a26_truncated(&self.gym.env))

    @property
    def over(self):
        """True if the episode is terminated or truncated."""
        return bool(a26_over(&self.gym.env))

    @property
    def stopped_by(self):
        """The opcode that has stopped the console for good, or None."""
        console = &self.gym.env.console
        return console.error_opcode if console.error else None

    @property
    def frame_number(self):
        """Frames since the load, resets excluded."""
        return self.gym.env.frame_number

    @property
    def episode_frame_number(self):
        """Frames since the reset."""
        return self.gym.env.episode_frame_number

    @property
    def emulated_frames(self):
        """Frames of all loads, resets excluded."""
        return self.gym.past_frames + self.gym.env.frame_number

    # ---- snapshots -------------------------------------------------------------------------

    def snapshot(self, bint generators=True, bint held=True):
        """Return the state without pictures, as bytes of this layout and machine.

        Args:
            generators: with the random generators; their bytes are 0 otherwise.
            held: with the action that sticks, the rules and past loads; 0 otherwise.
        """
        cdef a26_gym_t gym
        self.ready()
        gym = self.gym
        if not generators:
            memset(&gym.env.sticky, 0, sizeof(gym.env.sticky))
            memset(&gym.random, 0, sizeof(gym.random))
        if not held:
            gym.env.held = 0
            gym.env.sticky_threshold = 0
            gym.env.max_frames = 0
            gym.past_frames = 0
        return PyBytes_FromStringAndSize(<char *>&gym, sizeof(gym))

    def restore(self, bytes snapshot not None, bint generators, bint held, bint meddled=False):
        """Restore a snapshot. The picture stays as it is until the next frame.

        Args:
            snapshot: from :meth:`snapshot`.
            generators: restore the random generators too.
            held: restore the action that sticks, and the frames of past loads, too.
            meddled: ``meddled`` when the snapshot was taken.

        Raises:
            ValueError: another size, or values that no console has.
        """
        cdef a26_gym_t gym
        self.ready()
        if len(snapshot) != sizeof(gym):
            raise ValueError(f"snapshot: expected {sizeof(gym)} bytes, got {len(snapshot)}")
        memcpy(&gym, PyBytes_AS_STRING(snapshot), sizeof(gym))
        if not a26_env_valid(&gym.env) or gym.past_frames < 0:
            raise ValueError("snapshot: expected the state of a console, got values that none has")
        self.look()
        if meddled:
            a26_tv_make_eager(self.tv, &self.cartridge.c)
        self.meddled = meddled or self.meddled
        gym.env.sticky_threshold = self.rules.sticky_threshold
        gym.env.max_frames = self.rules.max_frames
        if not generators:
            gym.env.sticky = self.gym.env.sticky
            gym.random = self.gym.random
        if not held:
            gym.env.held = self.gym.env.held
            gym.past_frames = self.gym.past_frames
        self.gym = gym


SNAPSHOT_BYTES = sizeof(a26_gym_t)
SCRATCH_BYTES = FASTPG_DEVICE_SCRATCH_BYTES

# Indices of 64-bit words of a snapshot. The first two add up to a game's emulated frames.
FRAME_WORDS = (
    <uintptr_t>&(<a26_gym_t *>NULL).past_frames // 8,
    <uintptr_t>&(<a26_gym_t *>NULL).env.frame_number // 8,
)
EPISODE_FRAME_WORD = <uintptr_t>&(<a26_gym_t *>NULL).env.episode_frame_number // 8


def seed_bytes(words):
    """Convert (PCG64 state, increment, sticky seed) to the bytes that games on a GPU take."""
    cdef a26_seed_t seed = seed_of(words)
    return PyBytes_FromStringAndSize(<char *>&seed, sizeof(seed))


def put_under_rules(uint8_t[:, ::1] states, float repeat, int max_frames):
    """Set the rules of saved games, rows of SNAPSHOT_BYTES from anywhere.

    Returns:
        True if all of them can be played.
    """
    cdef Py_ssize_t i
    cdef a26_gym_t gym
    if states.shape[1] != sizeof(gym):
        return False
    for i in range(states.shape[0]):
        memcpy(&gym, &states[i, 0], sizeof(gym))
        if not a26_env_valid(&gym.env) or gym.past_frames < 0:
            return False
        gym.env.sticky_threshold = a26_sticky_threshold(repeat)
        gym.env.max_frames = max_frames
        memcpy(&states[i, 0], &gym, sizeof(gym))
    return True


include "games.pxi"

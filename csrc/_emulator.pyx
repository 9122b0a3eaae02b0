# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=False
"""Extension module fastpg._emulator: the console of csrc/ for Python.

``Cartridge`` is a ROM and how it is played, ``Console`` one game on it, ``Games`` many at once on
threads. Thin: arguments are checked in fastpg/emulator.py and fastpg/envs/.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from operator import index as integer

import numpy as np

cdef extern from "a26_tv.h" nogil:
    pass

cdef extern from "fastpg_vector.h" nogil:
    enum:
        A2600_LAYOUT_VERSION
        A2600_ROM_BYTES
        A2600_SCREEN_BYTES
        A2600_BAD_OPCODE
        FASTPG_MOST_THREADS
        FASTPG_INFOS

    ctypedef struct tia_picture_t:
        uint8_t like[210]
    ctypedef int32_t (*a2600_run_t)(a2600_t *, const uint8_t *, tia_picture_t *, uint32_t)
    ctypedef struct m6507_t:
        pass
    ctypedef struct a2600_t:
        uint8_t error
        uint8_t error_opcode
        uint8_t ram[128]
    ctypedef struct a26_mt_t:
        pass
    ctypedef struct a26_env_t:
        a2600_t console
        a26_mt_t sticky
        int32_t ohms[2]
        uint64_t sticky_least
        int32_t frame_number
        int32_t episode_frame_number
        int32_t most_frames
        int32_t score
        uint8_t held
        uint8_t terminal
    ctypedef struct a26_game_t:
        uint8_t paddles
        uint8_t swapped
        uint8_t reset_frames
        uint8_t pong
        uint8_t whole
    ctypedef struct a26_cartridge_t:
        const uint8_t *rom
        a2600_run_t run
        uint32_t summaries
        a26_game_t game
        const a2600_t *fresh
    ctypedef struct a26_pcg_t:
        uint64_t state[2]
        uint64_t increment[2]
        uint32_t spare
        uint32_t has_spare
    ctypedef struct a26_seed_t:
        a26_pcg_t random
        uint32_t sticky
    ctypedef struct a26_rules_t:
        int32_t skip_low
        int32_t skip_high
        int32_t noop_max
        int32_t most_frames
        uint64_t sticky_least
    ctypedef struct a26_gym_t:
        a26_env_t env
        a26_pcg_t random
        int64_t past_frames
    ctypedef struct fastpg_colours_t:
        uint8_t rgb[256][3]
        uint8_t gray[256]
        uint8_t red[256]
    ctypedef void (*fastpg_task_t)(void *, int64_t, int)
    ctypedef struct fastpg_dqn_game_t:
        pass
    ctypedef struct fastpg_pool_t:
        int threads
    ctypedef struct fastpg_vector_t:
        a26_cartridge_t cartridge
        const a26_env_t *powered
        a26_rules_t rules
        const fastpg_colours_t *colours
        int64_t games
        a26_gym_t *game
        int kind
        int autoreset
        int64_t bytes
        const uint8_t *emulator_action
        uint8_t *scratch
        fastpg_dqn_game_t *dqn
        uint8_t *stacks
        const int64_t *actions
        uint8_t *observations
        uint8_t *final_observations
        double *rewards
        uint8_t *terminations
        uint8_t *truncations
        int64_t *infos
        int64_t *final_infos
        const uint8_t *chosen
        const uint8_t *seeded
        const a26_seed_t *seeds

    void a26_mt_seed(a26_mt_t *, uint32_t)
    uint64_t a26_sticky_least(float)
    void a26_power_on(a26_env_t *, const a26_cartridge_t *)
    int a26_over(const a26_env_t *)
    int a26_truncated(const a26_env_t *)
    ctypedef struct a26_tv_t:
        uint8_t picture[2][33600]
        uint8_t pending[2]
        uint8_t front
    void a26_tv_reset(a26_tv_t *, a26_env_t *, const a26_cartridge_t *)
    int32_t a26_tv_act(a26_tv_t *, a26_env_t *, const a26_cartridge_t *, uint32_t, int32_t)
    const uint8_t *a26_tv_look(a26_tv_t *, const a26_cartridge_t *)
    void a26_tv_make_eager(a26_tv_t *, const a26_cartridge_t *)
    void a26_gym_reset(
        a26_gym_t *, const a26_cartridge_t *, const a26_env_t *, const a26_rules_t *,
        const a26_seed_t *, tia_picture_t *)
    int32_t a26_gym_step(
        a26_gym_t *, const a26_cartridge_t *, const a26_rules_t *, uint32_t, tia_picture_t *)
    void tia_begin_picture(tia_picture_t *, uint8_t *, int)
    void tia_complete(const tia_picture_t *)
    void fastpg_find_likes(tia_picture_t *)
    void a26_reset_onto(a26_env_t *, const a26_cartridge_t *, tia_picture_t *)
    void a26_make_fresh(a26_env_t *, const a26_cartridge_t *, a2600_t *)
    void fastpg_show_rgb(const fastpg_colours_t *, const tia_picture_t *, uint8_t *)
    void fastpg_show_gray(const fastpg_colours_t *, const tia_picture_t *, uint8_t *)
    int fastpg_pool_open(fastpg_pool_t *, int)
    void fastpg_pool_close(fastpg_pool_t *)
    int fastpg_pool_run(fastpg_pool_t *, fastpg_task_t, void *, int64_t)
    void fastpg_step_task(void *, int64_t, int)
    void fastpg_reset_task(void *, int64_t, int)

cdef extern from "rom_pong.h" nogil:  # generated by translate.py when the package is built
    int32_t a2600_run_pong(a2600_t *, const uint8_t *, tia_picture_t *, uint32_t)

LAYOUT_VERSION = A2600_LAYOUT_VERSION
TRANSLATIONS = ("pong",)
MOST_THREADS = FASTPG_MOST_THREADS

cdef fastpg_colours_t COLOURS


def set_colours(const uint8_t[:, ::1] rgb, const uint8_t[::1] gray):
    """Set what all pictures are coloured with: rgb (256, 3), gray (256,)."""
    cdef int k
    for k in range(256):
        memcpy(COLOURS.rgb[k], &rgb[k, 0], 3)
        COLOURS.gray[k] = gray[k]
        COLOURS.red[k] = rgb[k, 0]


cdef a26_seed_t seed_of(object words) except *:
    """(PCG64 state, its increment, sticky seed), as :func:`fastpg.envs.native_game.seed_words`."""
    cdef a26_seed_t seed
    memset(&seed, 0, sizeof(seed))
    state, increment, sticky = words
    seed.random.state[0] = state >> 64
    seed.random.state[1] = state & 0xFFFFFFFFFFFFFFFF
    seed.random.increment[0] = increment >> 64
    seed.random.increment[1] = increment & 0xFFFFFFFFFFFFFFFF
    seed.sticky = sticky
    return seed


cdef class Cartridge:
    """A ROM and how it is played. Shared by its consoles, and never changed."""

    cdef a26_cartridge_t c
    cdef a26_env_t powered
    cdef a2600_t _fresh
    cdef bytes _rom
    cdef readonly object error

    def __cinit__(
        self, bytes rom, *, bint paddles=False, bint swapped=False, int reset_frames=12,
        bint pong=False, bint whole=False, bint fresh=False, str translation=None,
        uint32_t summaries=0xFFFFFFFF,
    ):
        """``rom`` of 2048 or 4096 bytes; see a26_game_t; ``translation`` of TRANSLATIONS or None,
        ``summaries`` a bit per loop summary that it may use. ``fresh``: a new game always begins
        with the same state, which may be copied.

        ``error``: the opcode that stops the console before it can be played, or None.
        """
        cdef a26_env_t played
        self._rom = rom * (A2600_ROM_BYTES // len(rom))
        self.c.rom = <const uint8_t *>PyBytes_AS_STRING(self._rom)
        if translation == "pong":
            self.c.run = a2600_run_pong
        self.c.game.paddles = paddles
        self.c.game.swapped = swapped
        self.c.game.reset_frames = reset_frames
        self.c.game.pong = pong
        self.c.game.whole = whole
        self.c.summaries = summaries
        with nogil:
            a26_power_on(&self.powered, &self.c)
            if fresh:
                played = self.powered
                a26_make_fresh(&played, &self.c, &self._fresh)
                self.c.fresh = &self._fresh
            played = self.powered
            a26_reset_onto(&played, &self.c, NULL)
        self.error = played.console.error_opcode if played.console.error else None


cdef class Console:
    """One game, with a television. A cartridge has to be loaded before anything else is done."""

    cdef readonly Cartridge cartridge
    cdef a26_gym_t gym
    cdef a26_rules_t rules
    cdef a26_tv_t *tv

    def __cinit__(self):
        self.tv = <a26_tv_t *>calloc(1, sizeof(a26_tv_t))
        if self.tv == NULL:
            raise MemoryError
        self.rules.skip_low, self.rules.skip_high = 1, 2

    def __dealloc__(self):
        free(self.tv)

    # ---- playing ---------------------------------------------------------------------------

    def set_rules(self, tuple frameskip, float repeat, int most_frames, int noop_max):
        """Frames a step, (low, high), high excluded, and the rest as in fastpg.envs.rules.Rules."""
        self.rules.skip_low, self.rules.skip_high = frameskip
        self.rules.sticky_least = a26_sticky_least(repeat)
        self.rules.most_frames = most_frames
        self.rules.noop_max = noop_max

    def load(self, Cartridge cartridge not None, uint32_t sticky_seed):
        """As ALE's loadROM."""
        self.cartridge = cartridge
        self.gym.env = cartridge.powered
        self.gym.env.sticky_least = self.rules.sticky_least
        self.gym.env.most_frames = self.rules.most_frames
        a26_mt_seed(&self.gym.env.sticky, sticky_seed)
        self.reset_game()

    def reset_game(self):
        """Begin a new game."""
        if self.cartridge is None:
            raise RuntimeError("no ROM is loaded: call loadROM() first")
        with nogil:
            a26_tv_reset(self.tv, &self.gym.env, &self.cartridge.c)

    def act(self, action, float paddle_strength=1.0):
        """Play an action, 0 to 17 or an ``ale_py.Action``, for frame_skip frames: the reward."""
        cdef int32_t reward
        cdef int64_t number
        if isinstance(action, int):
            number = action
        else:
            number = integer(getattr(action, "value", action))
        if self.cartridge is None:
            raise RuntimeError("no ROM is loaded: call loadROM() first")
        if not 0 <= number < 18:
            raise ValueError(f"action: expected 0 to 17, got {number}")
        if paddle_strength != 1.0:
            raise ValueError(f"paddle_strength: expected 1, got {paddle_strength}")
        with nogil:
            reward = a26_tv_act(
                self.tv, &self.gym.env, &self.cartridge.c, <uint32_t>number, self.rules.skip_low)
        if self.gym.env.console.error:
            raise RuntimeError(f"the program has come to the unknown opcode ${self.stopped_by:02X}")
        return reward

    def begin_episode(self, seed):
        """As AleGame.reset; seed: words of it, or None."""
        cdef a26_seed_t words
        cdef tia_picture_t picture
        cdef bint seeded = seed is not None
        if seeded:
            words = seed_of(seed)
        with nogil:
            self.tv.front = 0
            self.tv.pending[0] = False
            tia_begin_picture(&picture, self.tv.picture[0], 0)
            a26_gym_reset(
                &self.gym, &self.cartridge.c, &self.cartridge.powered, &self.rules,
                &words if seeded else NULL, &picture)
            tia_complete(&picture)

    def step_episode(self, uint32_t action):
        """As AleGame.step, of an action as the emulator numbers it: the reward."""
        cdef int32_t reward
        cdef tia_picture_t picture
        with nogil:
            tia_begin_picture(&picture, self.tv.picture[0], 0)
            reward = a26_gym_step(&self.gym, &self.cartridge.c, &self.rules, action, &picture)
            tia_complete(&picture)
        return reward

    # ---- what is to be known ---------------------------------------------------------------

    cdef const uint8_t *look(self) noexcept nogil:
        return a26_tv_look(self.tv, &self.cartridge.c)

    def palette(self, uint8_t[:, ::1] out):
        """Write the picture (210, 160) of palette indices."""
        with nogil:
            memcpy(&out[0, 0], self.look(), A2600_SCREEN_BYTES)

    def grayscale(self, uint8_t[:, ::1] out):
        """Write the picture (210, 160) of grey values."""
        cdef tia_picture_t picture
        with nogil:
            tia_begin_picture(&picture, <uint8_t *>self.look(), 0)
            fastpg_find_likes(&picture)
            fastpg_show_gray(&COLOURS, &picture, &out[0, 0])

    def rgb(self, uint8_t[:, :, ::1] out):
        """Write the picture (210, 160, 3)."""
        cdef tia_picture_t picture
        with nogil:
            tia_begin_picture(&picture, <uint8_t *>self.look(), 0)
            fastpg_find_likes(&picture)
            fastpg_show_rgb(&COLOURS, &picture, &out[0, 0, 0])

    def ram(self, uint8_t[::1] out):
        """Write the memory (128,)."""
        memcpy(&out[0], self.gym.env.console.ram, 128)

    def poke(self, int index, uint8_t value):
        """Set a byte of the memory; the program may then do what it never did."""
        a26_tv_make_eager(self.tv, &self.cartridge.c)
        self.gym.env.console.ram[index] = value

    @property
    def terminated(self):
        """Whether the game has come to its end."""
        return bool(self.gym.env.terminal)

    @property
    def truncated(self):
        """Whether the episode has reached its largest number of frames."""
        return bool(a26_truncated(&self.gym.env))

    @property
    def over(self):
        """Either of both."""
        return bool(a26_over(&self.gym.env))

    @property
    def stopped_by(self):
        """The opcode that has stopped the console for good, or None."""
        console = &self.gym.env.console
        return console.error_opcode if console.error else None

    @property
    def frame_number(self):
        """Frames since the load, without those of resets."""
        return self.gym.env.frame_number

    @property
    def episode_frame_number(self):
        """Frames since the reset."""
        return self.gym.env.episode_frame_number

    @property
    def emulated_frames(self):
        """Frames of all loads by :meth:`begin_episode`."""
        return self.gym.past_frames + self.gym.env.frame_number

    # ---- keeping ---------------------------------------------------------------------------

    def snapshot(self):
        """Everything but pictures and rules, as bytes of this layout and machine."""
        return PyBytes_FromStringAndSize(<char *>&self.gym, sizeof(self.gym))

    def restore(self, bytes snapshot not None, bint generators, bint held):
        """Take over a snapshot, with its generators and the action that sticks if so wished.

        The picture stays as it is until the next frame.
        """
        cdef a26_gym_t gym
        if len(snapshot) != sizeof(gym):
            raise ValueError(f"snapshot: expected {sizeof(gym)} bytes, got {len(snapshot)}")
        memcpy(&gym, PyBytes_AS_STRING(snapshot), sizeof(gym))
        self.look()
        gym.env.sticky_least = self.rules.sticky_least
        gym.env.most_frames = self.rules.most_frames
        if not generators:
            gym.env.sticky = self.gym.env.sticky
            gym.random = self.gym.random
        if not held:
            gym.env.held = self.gym.env.held
        self.gym = gym


SNAPSHOT_BYTES = sizeof(a26_gym_t)


cdef class Games:
    """Many games on one cartridge, on threads of their own, between NumPy arrays."""

    cdef Cartridge cartridge
    cdef fastpg_vector_t v
    cdef fastpg_pool_t *pool
    cdef object arrays, observations  # what v points into

    def __cinit__(self, Cartridge cartridge not None, int games, int threads):
        self.cartridge = cartridge
        self.pool = <fastpg_pool_t *>calloc(1, sizeof(fastpg_pool_t))
        self.v.game = <a26_gym_t *>calloc(games, sizeof(a26_gym_t))
        self.v.scratch = <uint8_t *>calloc(2 * threads, A2600_SCREEN_BYTES)
        if self.pool == NULL or self.v.game == NULL or self.v.scratch == NULL:
            raise MemoryError
        self.v.games = games
        self.v.cartridge = cartridge.c
        self.v.powered = &cartridge.powered
        self.v.colours = &COLOURS
        failed = fastpg_pool_open(self.pool, threads)
        if failed:
            raise OSError(failed, f"num_threads: {threads} threads could not be started")

    def __dealloc__(self):
        self.close()
        free(self.pool)
        free(self.v.game)
        free(self.v.scratch)
        free(self.v.dqn)
        free(self.v.stacks)

    def close(self):
        """End the threads."""
        if self.pool != NULL and self.pool.threads > 0:
            fastpg_pool_close(self.pool)

    def set_rules(self, tuple frameskip, float repeat, int most_frames, int noop_max):
        """As Console.set_rules."""
        self.v.rules.skip_low, self.v.rules.skip_high = frameskip
        self.v.rules.sticky_least = a26_sticky_least(repeat)
        self.v.rules.most_frames = most_frames
        self.v.rules.noop_max = noop_max

    def connect(
        self, str kind, str autoreset, const uint8_t[::1] emulator_actions,
        const int64_t[::1] actions, uint8_t[:, ::1] observations,
        uint8_t[:, ::1] final_observations, double[::1] rewards, uint8_t[::1] terminations,
        uint8_t[::1] truncations, int64_t[:, ::1] infos, int64_t[:, ::1] final_infos,
    ):
        """Where everything goes, and what an observation is: arrays of a row a game."""
        self.arrays = (
            emulator_actions, actions, final_observations, rewards, terminations, truncations,
            infos, final_infos)
        self.v.kind = ("rgb", "grayscale", "palette", "ram", "pong80", "dqn").index(kind)
        self.v.autoreset = ("NextStep", "SameStep", "Disabled").index(autoreset)
        self.v.emulator_action = &emulator_actions[0]
        self.v.actions = &actions[0]
        self.v.bytes = observations.shape[1]
        if kind == "dqn":
            self.v.dqn = <fastpg_dqn_game_t *>calloc(self.v.games, sizeof(fastpg_dqn_game_t))
            self.v.stacks = <uint8_t *>calloc(self.v.games, self.v.bytes)
            if self.v.dqn == NULL or self.v.stacks == NULL:
                raise MemoryError
        self.write_to(observations)
        self.v.final_observations = &final_observations[0, 0]
        self.v.rewards = &rewards[0]
        self.v.terminations = &terminations[0]
        self.v.truncations = &truncations[0]
        self.v.infos = &infos[0, 0]
        self.v.final_infos = &final_infos[0, 0]

    def write_to(self, uint8_t[:, ::1] observations):
        """Where observations go from now on: (N, bytes) as before."""
        self.observations = observations
        self.v.observations = &observations[0, 0]

    def step(self):
        """One step of all games with the actions, in 0..len(emulator_actions)-1."""
        cdef int failed
        with nogil:
            failed = fastpg_pool_run(self.pool, fastpg_step_task, &self.v, self.v.games)
        if failed:
            raise OSError(failed, "threads could not be started in a forked process")

    def reset(self, seeds):
        """Reset games: a dict of game -> words of a seed, or None to let random numbers run on."""
        chosen = np.zeros(self.v.games, np.uint8)
        seeded = np.zeros(self.v.games, np.uint8)
        words = np.zeros(self.v.games * sizeof(a26_seed_t), np.uint8)
        cdef uint8_t[::1] chosen_view = chosen, seeded_view = seeded, words_view = words
        cdef a26_seed_t seed
        cdef int64_t i
        for i, of_game in seeds.items():
            chosen_view[i] = True
            if of_game is not None:
                seed = seed_of(of_game)
                seeded_view[i] = True
                memcpy(&words_view[i * sizeof(seed)], &seed, sizeof(seed))
        self.v.chosen = &chosen_view[0]
        self.v.seeded = &seeded_view[0]
        self.v.seeds = <const a26_seed_t *>&words_view[0]
        with nogil:
            failed = fastpg_pool_run(self.pool, fastpg_reset_task, &self.v, self.v.games)
        if failed:
            raise OSError(failed, "threads could not be started in a forked process")

# Games of fastpg.emulator._emulator: many games at once, on a pool of threads.

cdef class Games:
    """Many games on one cartridge, on threads of their own. Inputs and outputs are NumPy arrays."""

    cdef Cartridge cartridge
    cdef fastpg_vector_t v
    cdef fastpg_pool_t *pool
    cdef object arrays, observations  # keeps alive what v points into
    cdef bint busy, closed
    cdef int64_t most  # largest action

    def __cinit__(self, Cartridge cartridge not None, int games, int threads):
        self.cartridge = cartridge
        self.pool = <fastpg_pool_t *>calloc(1, sizeof(fastpg_pool_t))
        self.v.game = <a26_gym_t *>calloc(games, sizeof(a26_gym_t))
        self.v.scratch = <uint8_t *>calloc(2 * threads, A26_SCREEN_BYTES)
        if self.pool == NULL or self.v.game == NULL or self.v.scratch == NULL:
            raise MemoryError
        self.v.games = games
        self.v.cartridge = cartridge.c
        self.v.power_on_state = &cartridge.power_on_state
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

    cdef int ready(self) except -1:
        if self.busy:
            raise RuntimeError("another thread is in step(), reset() or close() of these games")
        if self.closed:
            raise RuntimeError("the games are closed")
        return 0

    cdef int run(self, fastpg_task_t task) except -1:
        cdef int failed
        self.busy = True
        with nogil:
            failed = fastpg_pool_run(self.pool, task, &self.v, self.v.games)
        self.busy = False
        if failed:
            raise OSError(failed, "threads could not be started in a forked process")
        return 0

    def close(self):
        """Stop the threads."""
        if self.pool != NULL and not self.closed:
            self.ready()
            self.closed = True
            fastpg_pool_close(self.pool)

    def set_rules(self, tuple frameskip, float repeat, int max_frames, int noop_max):
        """See Console.set_rules."""
        self.v.rules.skip_low, self.v.rules.skip_high = frameskip
        self.v.rules.sticky_threshold = a26_sticky_threshold(repeat)
        self.v.rules.max_frames = max_frames
        self.v.rules.noop_max = noop_max

    def connect(
        self, str kind, str autoreset, const uint8_t[::1] emulator_actions,
        const int64_t[::1] actions, uint8_t[:, ::1] observations,
        uint8_t[:, ::1] final_observations, double[::1] rewards, uint8_t[::1] terminations,
        uint8_t[::1] truncations, int64_t[:, ::1] infos, int64_t[:, ::1] final_infos,
    ):
        """Set the kind of observations and the arrays of inputs and outputs, a row per game."""
        self.arrays = (
            emulator_actions, actions, final_observations, rewards, terminations, truncations,
            infos, final_infos)
        self.v.kind = ("rgb", "grayscale", "palette", "ram", "pong80", "dqn").index(kind)
        self.v.autoreset = ("NextStep", "SameStep", "Disabled").index(autoreset)
        self.v.emulator_action = &emulator_actions[0]
        self.most = emulator_actions.shape[0] - 1
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
        """Write observations to this array (N, bytes) from now on."""
        self.ready()
        self.observations = observations
        self.v.observations = &observations[0, 0]

    def accepts(self, const int64_t[:] actions):
        """True if these are valid actions, one per game. NumPy's min and max take far longer."""
        cdef Py_ssize_t i
        cdef bint good = actions.shape[0] == self.v.games
        for i in range(actions.shape[0]):
            good = good and 0 <= actions[i] <= self.most
        return good

    def states(self, uint8_t[:, ::1] out):
        """Write the games' snapshots (N, SNAPSHOT_BYTES), as ``Console.snapshot`` makes them."""
        self.ready()
        if out.shape[0] != self.v.games or out.shape[1] != sizeof(a26_gym_t):
            raise ValueError(f"out: expected ({self.v.games}, {sizeof(a26_gym_t)})")
        memcpy(&out[0, 0], self.v.game, self.v.games * sizeof(a26_gym_t))

    def step(self):
        """Step all games with the actions, each 0..len(emulator_actions)-1."""
        self.ready()
        self.run(fastpg_step_task)

    def reset(self, seeds):
        """Reset games. ``seeds``: game -> words of a seed, or None to go on with its generators."""
        self.ready()
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
        self.run(fastpg_reset_task)

# Cartridge of fastpg.emulator._emulator: a ROM, and how it is played.

cdef class Cartridge:
    """A ROM and what is known of its game. Consoles share it and never change it."""

    def __cinit__(
        self, bytes rom, *, bint paddles=False, bint swapped=False, int reset_frames=12,
        bint pong=False, bint draws_all_lines=False, bint constant_reset=False,
        uintptr_t run=0, uint32_t summaries=0xFFFFFFFF,
    ):
        """Load a ROM.

        Args:
            rom: 2048 or 4096 bytes.
            paddles, swapped, reset_frames, pong, draws_all_lines: see a26_game_t.
            constant_reset: a reset always ends in the same state, so it may be copied.
            run: address of the ROM's translation, an a2600_run_t; 0 to interpret.
            summaries: a bit per loop summary that the translation may use.

        ``error``: the opcode that stops the console before it can be played, or None.
        """
        cdef a26_env_t played
        if len(rom) not in (A26_ROM_BYTES // 2, A26_ROM_BYTES):
            raise ValueError(f"rom: expected 2048 or 4096 bytes, got {len(rom)}")
        self._rom = rom * (A26_ROM_BYTES // len(rom))
        self.c.rom = <const uint8_t *>PyBytes_AS_STRING(self._rom)
        self.c.run = <a2600_run_t>run
        self.c.game.paddles = paddles
        self.c.game.swapped = swapped
        self.c.game.reset_frames = reset_frames
        self.c.game.pong = pong
        self.c.game.draws_all_lines = draws_all_lines
        self.c.summaries = summaries
        with nogil:
            a26_power_on(&self.power_on_state, &self.c)
            if constant_reset:
                played = self.power_on_state
                a26_make_post_reset_state(&played, &self.c, &self._post_reset_state)
                self.c.post_reset_state = &self._post_reset_state
            played = self.power_on_state
            a26_reset_onto(&played, &self.c, NULL)
        self.error = played.console.error_opcode if played.console.error else None

    def shared(
        self, tuple frameskip, float repeat, int max_frames, int noop_max, bytes actions,
        bint find_background=True,
    ):
        """Return what games on a GPU share, as the bytes of fastpg_shared_t.

        ``actions``: each action's number in the emulator. The rules as in ``Console.set_rules``.
        """
        cdef fastpg_shared_t shared
        cdef Py_ssize_t k
        memset(&shared, 0, sizeof(shared))
        if len(actions) > FASTPG_DEVICE_ACTIONS:
            most = FASTPG_DEVICE_ACTIONS
            raise ValueError(f"actions: expected at most {most}, got {len(actions)}")
        memcpy(&shared.power_on_state, &self.power_on_state, sizeof(self.power_on_state))
        if self.c.post_reset_state != NULL:
            memcpy(
                &shared.post_reset_state, self.c.post_reset_state,
                sizeof(shared.post_reset_state))
        shared.has_post_reset_state = self.c.post_reset_state != NULL
        shared.rules.skip_low, shared.rules.skip_high = frameskip
        shared.rules.sticky_threshold = a26_sticky_threshold(repeat)
        shared.rules.max_frames = max_frames
        shared.rules.noop_max = noop_max
        shared.find_background = find_background
        shared.summaries = self.c.summaries
        shared.game = self.c.game
        for k in range(len(actions)):
            shared.emulator_action[k] = actions[k]
        memcpy(shared.red, COLOURS.red, sizeof(shared.red))
        memcpy(shared.rom, self.c.rom, sizeof(shared.rom))
        return PyBytes_FromStringAndSize(<char *>&shared, sizeof(shared))

"""The console of csrc/ as a library for tests, built with cc and called through ctypes."""

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms

ROOT = Path(__file__).resolve().parents[2]
CSRC, C_TESTS = ROOT / "csrc", ROOT / "tests/proofs/c"
GAMES = ("pong", "breakout", "freeway", "space_invaders", "boxing")
# a26_game_t: paddles instead of joysticks, player A's is the second, frames with the reset switch
# held, is Pong, frames draw all lines
CONSOLES = {"pong": (1, 1, 12, 1, 1), "breakout": (1, 0, 12, 0, 0), "boxing": (0, 0, 8, 0, 0)}
JOYSTICKS = (0, 0, 12, 0, 0)
OK, BAD_OPCODE = 0, 1
ALL_SUMMARIES = 0xFFFFFFFF

HARNESS = """
#include "view_canvas.h"
{includes}
static a2600_run_t runs[] = {{0, {runs}}};
int state_bytes(void) {{ return sizeof(a26_env_t); }}
int cartridge_bytes(void) {{ return sizeof(a26_cartridge_t); }}
int canvas_bytes(void) {{ return sizeof(a26_canvas_t); }}
void cartridge(a26_cartridge_t *c, const uint8_t *rom, int run, uint32_t summaries,
               const uint8_t *game) {{
    a26_cartridge_t made = {{.rom = rom, .run = runs[run], .summaries = summaries}};
    A26_COPY(&made.game, game, sizeof(made.game));
    *c = made;
}}
void use_post_reset_state(const a26_env_t *e, a26_cartridge_t *c) {{
    static a2600_t state;
    a26_env_t other = *e;
    a26_act(&other, c, 3, 50, 0); /* from any moment of a game */
    a26_make_post_reset_state(&other, c, &state);
    c->post_reset_state = &state;
}}
void load(a26_env_t *e, const a26_cartridge_t *c, uint32_t seed, float sticky, uint8_t *screen) {{
    e->sticky_threshold = a26_sticky_threshold(sticky);
    a26_load(e, c, seed, screen);
}}
int act(a26_env_t *e, const a26_cartridge_t *c, int action, int skip, uint8_t *screen) {{
    return a26_act(e, c, action, skip, screen);
}}
int act_view(a26_env_t *e, const a26_cartridge_t *c, int action, int skip, const uint8_t *red,
             int find_background, a26_canvas_t *canvas, uint8_t *view) {{
    return a26_act_view(e, c, action, skip, red, find_background, canvas, view);
}}
void reset_game(a26_env_t *e, const a26_cartridge_t *c, uint8_t *screen) {{
    a26_reset_game(e, c, screen);
}}
void ram(const a26_env_t *e, uint8_t *out) {{ A26_COPY(out, e->console.ram, 128); }}
void poke(a26_env_t *e, int at, int value) {{ e->console.ram[at & 127] = (uint8_t)value; }}
int over(const a26_env_t *e) {{ return e->terminal; }}
int error(const a26_env_t *e) {{ return e->console.error; }}
int error_opcode(const a26_env_t *e) {{ return e->console.error_opcode; }}
int unfinished(const a26_env_t *e) {{ return e->console.unfinished; }}
int latches(const a26_env_t *e) {{ return e->console.tia.collisions; }}
void registers(const a26_env_t *e, int32_t *out) {{
    const m6507_t *r = &e->console.cpu;
    const int32_t all[7] = {{r->pc, r->a, r->x, r->y, r->sp, m6507_flags(r), e->console.cycle}};
    A26_COPY(out, all, sizeof all);
}}
/* One instruction from given registers (pc, a, x, y, sp, flags), at cycle 0 of a frame. */
void step(a26_env_t *e, const uint8_t *rom, int32_t *registers_in_out) {{
    a2600_t *s = &e->console;
    const int32_t *in = registers_in_out;
    s->cpu.pc = (uint16_t)in[0];
    s->cpu.a = (uint8_t)in[1], s->cpu.x = (uint8_t)in[2], s->cpu.y = (uint8_t)in[3];
    s->cpu.sp = (uint8_t)in[4];
    m6507_set_flags(&s->cpu, (uint8_t)in[5]);
    s->cycle = 0;
    s->frame_over = s->error = 0;
    a2600_interpret(s, rom, 0, 1);
    registers(e, registers_in_out);
}}
/* ADC (or SBC) of all a, m, carry with the D flag as given: results and flags. */
void arithmetic(int subtract, int decimal, uint8_t *results, uint8_t *flags) {{
    for (int k = 0; k < 131072; k++) {{
        m6507_t r = {{0}};
        r.a = (uint8_t)(k >> 8), r.c = (uint8_t)(k >> 16), r.d = (uint8_t)decimal;
        if (subtract)
            m6507_op_SBC(&r, (uint8_t)k);
        else
            m6507_op_ADC(&r, (uint8_t)k);
        results[k] = r.a;
        flags[k] = m6507_flags(&r);
    }}
}}
"""


class Library(NamedTuple):
    """The compiled harness, and each translation's number in it."""

    c: ctypes.CDLL
    runs: dict[str, int]


def translation(data: bytes, name: str, folder: Path, *flags: str) -> str:
    """Translate a ROM by csrc/translate/rom_to_c.py; returns the C source."""
    path = folder / f"{name}.rom"
    path.write_bytes(data)
    command = [sys.executable, CSRC / "translate" / "rom_to_c.py", path, name, *flags]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build(
    folder: Path, translations: dict[str, str] | None = None, optimize="-O1", flags=()
) -> Library:
    """Compile the harness with these translations (C sources by name) in a folder."""
    translations = translations or {}
    for name, text in translations.items():
        (folder / f"{name}.c").write_text(text)
    includes = "\n".join(f'#include "{name}.c"' for name in translations)
    runs = ", ".join(f"a2600_run_{name}" for name in translations)
    (folder / "core.c").write_text(HARNESS.format(includes=includes, runs=runs))
    warnings = ["-Wall", "-Wextra", "-Wno-unused-label", "-Wno-misleading-indentation", "-Werror"]
    options = ["-std=c11", optimize, "-fPIC", "-shared", *warnings, f"-I{CSRC}", f"-I{C_TESTS}"]
    options += flags
    subprocess.run(["cc", *options, "core.c", "-o", "core.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "core.so"))
    library.load.argtypes = [ctypes.c_void_p] * 2
    library.load.argtypes += [ctypes.c_uint32, ctypes.c_float, ctypes.c_void_p]
    library.cartridge.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int, ctypes.c_uint32]
    library.cartridge.argtypes += [ctypes.c_void_p]
    return Library(library, {name: k + 1 for k, name in enumerate(translations)})


def rom_bytes(game: str) -> bytes:
    """A game's ROM as 4096 bytes."""
    data = Path(roms.get_rom_path(game)).read_bytes()
    return data * (4096 // len(data))


def pointer(array):
    """The address of an array's data; 0 of None."""
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


class Core:
    """One environment of the C core. Its two screens take turns, as in the hardware."""

    def __init__(
        self,
        library,
        rom,
        console=JOYSTICKS,
        run=None,
        *,
        seed=0,
        sticky=0.0,
        summaries=True,
        constant_reset=False,
    ):
        """``run``: a translation, or None to interpret; ``constant_reset``: resets are copies."""
        self.c = library.c
        self.rom = np.frombuffer(rom, np.uint8).copy()
        assert self.rom.size == 4096
        self.game = np.array(console, np.uint8)
        self.state = np.zeros(self.c.state_bytes(), np.uint8)
        self.screens = [np.zeros((210, 160), np.uint8) for _ in range(2)]
        self.cartridge = np.zeros(self.c.cartridge_bytes(), np.uint8)
        self.canvas = np.zeros(self.c.canvas_bytes(), np.uint8)
        self.fixed = (pointer(self.state), pointer(self.cartridge))
        which = library.runs[run] if run else 0
        summaries = ALL_SUMMARIES if summaries else 0
        self.c.cartridge(self.fixed[1], pointer(self.rom), which, summaries, pointer(self.game))
        self.c.load(*self.fixed, seed, sticky, pointer(self.screens[0]))
        if constant_reset:
            self.c.use_post_reset_state(*self.fixed)

    @classmethod
    def of_game(cls, library, game, run=None, **options):
        """A console with a game of ale-py."""
        return cls(library, rom_bytes(game), CONSOLES.get(game, JOYSTICKS), run, **options)

    def act(self, action, skip=1, draw=True):
        """ALE's act; returns the reward. A continued frame is drawn where it began."""
        if not self.unfinished():
            self.screens.reverse()
        return self.c.act(*self.fixed, action, skip, pointer(self.screens[0] if draw else None))

    def act_view(self, action, skip, red, find_background):
        """Act, and return the last frame's view (80, 80); ``red``: (256,) uint8."""
        view = np.empty((80, 80), np.uint8)
        self.c.act_view(
            *self.fixed,
            action,
            skip,
            pointer(red),
            find_background,
            pointer(self.canvas),
            pointer(view),
        )
        return view

    def reset_game(self):
        self.c.reset_game(*self.fixed, pointer(self.screens[0]))

    def ram(self):
        out = np.empty(128, np.uint8)
        self.c.ram(pointer(self.state), pointer(out))
        return out

    def registers(self):
        """Return PC, A, X, Y, SP, the flags as PHP pushes them, and the cycle of the frame."""
        out = np.empty(7, np.int32)
        self.c.registers(pointer(self.state), pointer(out))
        return out

    def step(self, *registers):
        """Run one instruction from PC, A, X, Y, SP, flags; return registers() after it."""
        out = np.array([*registers, 0], np.int32)
        self.c.step(pointer(self.state), pointer(self.rom), pointer(out))
        return out

    def poke(self, at, value):
        self.c.poke(pointer(self.state), at, value)

    def over(self):
        return bool(self.c.over(pointer(self.state)))

    def error(self):
        return self.c.error(pointer(self.state))

    def error_opcode(self):
        return self.c.error_opcode(pointer(self.state))

    def unfinished(self):
        return bool(self.c.unfinished(pointer(self.state)))

    def latches(self):
        return self.c.latches(pointer(self.state))


def oracle(path, seed=0, sticky=0.0, skip=1):
    """ale-py with the ROM at a path. It knows the game by the file's name."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setInt("frame_skip", skip)
    ale.setFloat("repeat_action_probability", sticky)
    ale.loadROM(path)
    return ale


def held_actions(rng, actions):
    """Yield random actions, each held for a while as players do."""
    while True:
        yield from [actions[rng.integers(len(actions))]] * int(rng.integers(1, 9))


def following(ram, rng):
    """Mostly follow the ball (row at $B6; the paddle's at $B3), so that games of Pong last."""
    if rng.random() < 0.1:
        return int(rng.choice([0, 1, 3, 4, 11, 12]))
    return 3 if ram[0x33] > ram[0x36] else 4

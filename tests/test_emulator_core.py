"""The console in csrc/ in lockstep with ale-py: RAM, picture, reward and end after every frame."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ale_py import ALEInterface, LoggerMode, roms

from fastpg.envs.palette import PALETTE_RGB
from fastpg.kernels import reference

CSRC = Path(__file__).resolve().parents[1] / "csrc"
GAMES = ("pong", "breakout", "freeway", "space_invaders", "boxing")
# paddles instead of joysticks, player A's is the second, frames with the reset switch held, is Pong
CONSOLES = {"pong": (1, 1, 12, 1), "breakout": (1, 0, 12, 0), "boxing": (0, 0, 8, 0)}
JOYSTICKS = (0, 0, 12, 0)
ALL_SUMMARIES = 0xFFFFFFFF
RED = np.ascontiguousarray(PALETTE_RGB[:, 0])

pytestmark = [
    pytest.mark.skipif(not CSRC.is_dir(), reason="the C sources are not beside the tests"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]

HARNESS = """
#include "a26_view.h"
{includes}
static a2600_run_t runs[] = {{0, {runs}}};
int state_bytes(void) {{ return sizeof(a26_env_t); }}
int cartridge_bytes(void) {{ return sizeof(a26_cartridge_t); }}
void cartridge(a26_cartridge_t *c, const uint8_t *rom, int run, uint32_t summaries,
               const uint8_t *game) {{
    a26_cartridge_t made = {{
        rom, runs[run], summaries, {{game[0], game[1], game[2], game[3]}}, 0}};
    *c = made;
}}
void load(a26_env_t *e, const a26_cartridge_t *c, uint32_t seed, float sticky, uint8_t *screen) {{
    e->sticky_least = a26_sticky_least(sticky);
    a26_load(e, c, seed, screen);
}}
int act(a26_env_t *e, const a26_cartridge_t *c, int action, int skip, uint8_t *screen) {{
    return a26_act(e, c, action, skip, screen);
}}
int canvas_bytes(void) {{ return sizeof(a26_canvas_t); }}
int act_view(a26_env_t *e, const a26_cartridge_t *c, int action, int skip, const uint8_t *red,
             int find_background, a26_canvas_t *canvas, uint8_t *view) {{
    return a26_act_view(e, c, action, skip, red, find_background, canvas, view);
}}
void reset_game_view(a26_env_t *e, const a26_cartridge_t *c, const uint8_t *red,
                     int find_background, a26_canvas_t *canvas, uint8_t *view) {{
    a26_reset_game_view(e, c, red, find_background, canvas, view);
}}
void reset_game(a26_env_t *e, const a26_cartridge_t *c, uint8_t *screen) {{
    a26_reset_game(e, c, screen);
}}
void use_fresh(const a26_env_t *e, a26_cartridge_t *c) {{
    static a2600_t fresh;
    a26_env_t other = *e;
    a26_act(&other, c, 3, 50, 0); /* from wherever it is */
    a26_make_fresh(&other, c, &fresh);
    c->fresh = &fresh;
}}
void poke(a26_env_t *e, int address, int value) {{ e->console.ram[address & 127] = value; }}
void ram(const a26_env_t *e, uint8_t *out) {{ A26_COPY(out, e->console.ram, 128); }}
int over(const a26_env_t *e) {{ return e->terminal; }}
int error(const a26_env_t *e) {{ return e->console.error; }}
int latches(const a26_env_t *e) {{ return e->console.tia.collisions; }}
"""


def rom_bytes(game):
    data = Path(roms.get_rom_path(game)).read_bytes()
    return np.frombuffer(data * (4096 // len(data)), np.uint8).copy()


def build(folder, games, *flags):
    """The console and the translations of these games, as a library."""
    for game in games:
        command = [sys.executable, CSRC / "translate.py", roms.get_rom_path(game), game]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        (folder / f"{game}.c").write_text(text)
    includes = "\n".join(f'#include "{game}.c"' for game in games)
    runs = ", ".join(f"a2600_run_{game}" for game in games)
    (folder / "core.c").write_text(HARNESS.format(includes=includes, runs=runs))
    warnings = ["-Wall", "-Wextra", "-Wno-unused-label", "-Wno-misleading-indentation", "-Werror"]
    options = ["-std=c11", "-O1", "-fPIC", "-shared", *warnings, f"-I{CSRC}", *flags]
    subprocess.run(["cc", *options, "core.c", "-o", "core.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "core.so"))
    library.load.argtypes = [ctypes.c_void_p] * 2
    library.load.argtypes += [ctypes.c_uint32, ctypes.c_float, ctypes.c_void_p]
    library.cartridge.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int, ctypes.c_uint32]
    library.cartridge.argtypes += [ctypes.c_void_p]
    return library


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    return build(tmp_path_factory.mktemp("core"), GAMES)


@pytest.fixture(scope="module")
def portable_core(tmp_path_factory):
    """As on a machine without vector instructions or a compiler without GNU C's jumps to labels."""
    flags = ("-DA26_NO_VECTORS", "-DA26_NO_LABEL_VALUES")
    return build(tmp_path_factory.mktemp("portable"), (), *flags)


def pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


class Core:
    """One environment of the C core, with two screens in turn as the hardware has."""

    def __init__(self, core, game, run, seed=0, sticky=0.0, fresh=False, rom=None):
        self.library, self.rom = core, rom_bytes(game) if rom is None else rom
        self.state = np.zeros(core.state_bytes(), np.uint8)
        self.cartridge = np.zeros(core.cartridge_bytes(), np.uint8)
        self.screens = [np.zeros((210, 160), np.uint8) for _ in range(2)]
        self.fixed = (pointer(self.state), pointer(self.cartridge))
        self.canvas = None
        translation = 0 if run == "interpreted" else GAMES.index(game) + 1
        console = np.array(CONSOLES.get(game, JOYSTICKS), np.uint8)
        summaries = ALL_SUMMARIES if run == "summaries" else 0
        core.cartridge(self.fixed[1], pointer(self.rom), translation, summaries, pointer(console))
        core.load(*self.fixed, seed, sticky, pointer(self.screens[0]))
        if fresh:
            core.use_fresh(*self.fixed)

    def act(self, action, skip=1, draw=True):
        self.screens.reverse()
        return self.library.act(
            *self.fixed, action, skip, pointer(self.screens[0] if draw else None)
        )

    def act_view(self, action, skip, find_background):
        if self.canvas is None:
            self.canvas = np.zeros(self.library.canvas_bytes(), np.uint8)
        view = np.empty((80, 80), np.uint8)
        self.library.act_view(
            *self.fixed,
            action,
            skip,
            pointer(RED),
            find_background,
            pointer(self.canvas),
            pointer(view),
        )
        return view

    def poke(self, address, value):
        self.library.poke(self.fixed[0], address, value)

    def reset_game(self):
        self.library.reset_game(*self.fixed, pointer(self.screens[0]))

    def ram(self):
        out = np.empty(128, np.uint8)
        self.library.ram(pointer(self.state), pointer(out))
        return out

    def over(self):
        return bool(self.library.over(pointer(self.state)))

    def latches(self):
        return self.library.latches(pointer(self.state))


def oracle(game, seed=0, sticky=0.0, skip=1):
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setInt("frame_skip", skip)
    ale.setFloat("repeat_action_probability", sticky)
    ale.loadROM(roms.get_rom_path(game))
    return ale


def held_actions(rng, actions):
    """Actions held for a while, as players do."""
    while True:
        yield from [actions[rng.integers(len(actions))]] * int(rng.integers(1, 9))


def following(ram, rng):
    """Pong: mostly after the ball (its row is at $B6, the paddle's at $B3), so that games last."""
    if rng.random() < 0.1:
        return int(rng.choice([0, 1, 3, 4, 11, 12]))
    return 3 if ram[0x33] > ram[0x36] else 4


def lockstep(core, game, run, frames, *, sticky=0.0, skip=1, follow=False, seed=7):
    ale, mine = oracle(game, seed, sticky, skip), Core(core, game, run, seed, sticky)
    rng = np.random.default_rng(seed)
    actions = ale.getMinimalActionSet()
    chosen, by_number = held_actions(rng, actions), {a.value: a for a in actions}
    screen = np.empty((210, 160), np.uint8)
    np.testing.assert_array_equal(mine.ram(), ale.getRAM(), "after the load")
    for frame in range(0, frames, skip):
        action = next(chosen)
        if follow:
            action = by_number[following(mine.ram(), rng)]
        reward, expected = mine.act(action.value, skip), ale.act(action)
        ale.getScreen(screen)
        where = f"{game} frame {frame}"
        if game == "pong":
            assert (reward, mine.over()) == (expected, ale.game_over()), where
        np.testing.assert_array_equal(mine.ram(), ale.getRAM(), where)
        np.testing.assert_array_equal(mine.screens[0], screen, where)
        if ale.game_over():
            ale.reset_game()
            mine.reset_game()


@pytest.mark.parametrize("game", GAMES)
def test_interpreter(core, game):
    lockstep(core, game, "interpreted", 1500)


@pytest.mark.parametrize("game", GAMES[1:])
def test_translation(core, game):
    lockstep(core, game, "translated", 2500)


@pytest.mark.parametrize("game", GAMES)
def test_portable_code_draws_the_same(core, portable_core, game):
    ours, other = Core(core, game, "interpreted"), Core(portable_core, game, "interpreted")
    rng = np.random.default_rng(4)
    for frame in range(400):
        action, where = int(rng.integers(18)), f"frame {frame}"
        ours.act(action)
        other.act(action)
        np.testing.assert_array_equal(ours.ram(), other.ram(), where)
        np.testing.assert_array_equal(ours.screens[0], other.screens[0], where)


@pytest.mark.parametrize("run", ["translated", "summaries"])
def test_pong(core, run):
    lockstep(core, "pong", run, 6000)
    lockstep(core, "pong", run, 5000, follow=True, sticky=0.25)
    lockstep(core, "pong", run, 2000, sticky=0.25, skip=4)
    lockstep(core, "pong", run, 5400, sticky=0.25, skip=9)  # a game ends inside a step


def test_summaries_equal_the_plain_translation_in_any_order_of_pictures(core):
    fast, plain = Core(core, "pong", "summaries", fresh=True), Core(core, "pong", "translated")
    rng = np.random.default_rng(3)
    for frame in range(40_000):
        action, where = following(plain.ram(), rng), f"frame {frame}"
        draw = rng.random() < 0.3
        fast.act(action, draw=draw)
        plain.act(action)
        np.testing.assert_array_equal(fast.ram(), plain.ram(), where)
        assert fast.latches() == plain.latches(), where
        if draw:
            np.testing.assert_array_equal(fast.screens[0], plain.screens[0], where)
        if plain.over():
            fast.reset_game()
            plain.reset_game()
            np.testing.assert_array_equal(fast.screens[0], plain.screens[0], where)


def expect_views(seen, drawn, rng, actions, frames, *, recolour=False):
    """act_view of one environment against act of another on one screen, and the reference op."""
    view = np.empty((1, 6400), np.uint8)
    screen = np.zeros((1, 210, 160), np.uint8)
    for frame in range(frames):
        action, skip = int(rng.choice(actions)), int(rng.integers(1, 5))
        find = bool(rng.integers(2))
        if recolour and frame % 20 == 0:  # as Pong does when nobody has played for a while
            colour = int(rng.integers(256))
            seen.poke(0x8A, colour)
            drawn.poke(0x8A, colour)
        drawn.library.act(*drawn.fixed, action, skip, pointer(screen))
        got = seen.act_view(action, skip, find)
        reference.preprocess_palette(screen, RED, find, view)
        np.testing.assert_array_equal(got, view.reshape(80, 80), f"frame {frame}, find {find}")
        if frame % 400 == 399:
            drawn.reset_game()
            seen.reset_game()


@pytest.mark.parametrize("game", GAMES)
def test_views_equal_preprocessed_pictures(core, game):
    seen, drawn = Core(core, game, "summaries"), Core(core, game, "translated")
    actions = [a.value for a in oracle(game).getMinimalActionSet()]
    expect_views(seen, drawn, np.random.default_rng(5), actions, 900, recolour=game == "pong")


def short_frames():
    """A cartridge of our own: frames of 83 and of 211 lines in turn, each line differs."""
    code = "A902 8500 8502 8502 8502 A900 8500 A580 4980 8580 E681 2980 0950 AA"
    code += "8A 6581 8509 0A 850E 8502 CA D0F3 4C00F0"
    rom = np.zeros(4096, np.uint8)
    program = np.frombuffer(bytes.fromhex(code), np.uint8)
    rom[: program.size] = program
    rom[0xFFC:] = (0x00, 0xF0, 0x00, 0xF0)
    return rom


def test_views_of_frames_that_do_not_reach_all_lines(core):
    rom = short_frames()
    seen, drawn = (Core(core, "freeway", "interpreted", rom=rom) for _ in range(2))
    expect_views(seen, drawn, np.random.default_rng(6), [0], 200)

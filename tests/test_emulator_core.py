"""The console in csrc/ in lockstep with ale-py: RAM, picture, reward and end after every frame."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ale_py import ALEInterface, LoggerMode, roms

CSRC = Path(__file__).resolve().parents[1] / "csrc"
GAMES = ("pong", "breakout", "freeway", "space_invaders", "boxing")
# a26_game_t: paddles instead of joysticks, player A's is the second, frames with the reset switch
# held, is Pong, frames draw all lines
CONSOLES = {"pong": (1, 1, 12, 1, 1), "breakout": (1, 0, 12, 0, 0), "boxing": (0, 0, 8, 0, 0)}
JOYSTICKS = (0, 0, 12, 0, 0)

pytestmark = [
    pytest.mark.skipif(not CSRC.is_dir(), reason="the C sources are not beside the tests"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]

HARNESS = """
#include "a26_ale.h"
{includes}
static a2600_run_t runs[] = {{0, {runs}}};
int state_bytes(void) {{ return sizeof(a26_env_t); }}
void load(a26_env_t *e, const uint8_t *rom, int run, const uint8_t *game, uint32_t seed,
          float sticky, uint8_t *screen) {{
    a26_cartridge_t c = {{.rom = rom, .run = runs[run]}};
    A26_COPY(&c.game, game, sizeof(c.game));
    e->sticky_least = a26_sticky_least(sticky);
    a26_load(e, &c, seed, screen);
}}
int act(a26_env_t *e, const uint8_t *rom, int run, const uint8_t *game, int action, int skip,
        uint8_t *screen) {{
    a26_cartridge_t c = {{.rom = rom, .run = runs[run]}};
    A26_COPY(&c.game, game, sizeof(c.game));
    return a26_act(e, &c, action, skip, screen);
}}
void reset_game(a26_env_t *e, const uint8_t *rom, int run, const uint8_t *game, uint8_t *screen) {{
    a26_cartridge_t c = {{.rom = rom, .run = runs[run]}};
    A26_COPY(&c.game, game, sizeof(c.game));
    a26_reset_game(e, &c, screen);
}}
void ram(const a26_env_t *e, uint8_t *out) {{ A26_COPY(out, e->console.ram, 128); }}
int over(const a26_env_t *e) {{ return e->terminal; }}
int error(const a26_env_t *e) {{ return e->console.error; }}
int latches(const a26_env_t *e) {{ return e->console.tia.collisions; }}
"""


def rom_bytes(game):
    data = Path(roms.get_rom_path(game)).read_bytes()
    return np.frombuffer(data * (4096 // len(data)), np.uint8).copy()


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """The console, the translations of all games and Pong's without summaries, as a library."""
    folder = tmp_path_factory.mktemp("core")
    names = []
    for game in GAMES:
        for flags in ([], ["--plain"]) if game == "pong" else ([],):
            name = game + ("_plain" if flags else "")
            command = [sys.executable, CSRC / "translate.py", roms.get_rom_path(game), game, *flags]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            (folder / f"{name}.c").write_text(text)
            names.append(name)
    includes = "\n".join(f'#include "{name}.c"' for name in names)
    runs = ", ".join(f"a2600_run_{name}" for name in names)
    (folder / "core.c").write_text(HARNESS.format(includes=includes, runs=runs))
    warnings = ["-Wall", "-Wextra", "-Wno-unused-label", "-Wno-misleading-indentation", "-Werror"]
    options = ["-std=c11", "-O1", "-fPIC", "-shared", *warnings, f"-I{CSRC}"]
    subprocess.run(["cc", *options, "core.c", "-o", "core.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "core.so"))
    library.load.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int, ctypes.c_void_p]
    library.load.argtypes += [ctypes.c_uint32, ctypes.c_float, ctypes.c_void_p]
    return library, {name: k + 1 for k, name in enumerate(names)}


def pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


class Core:
    """One environment of the C core, with two screens in turn as the hardware has."""

    def __init__(self, core, game, run, seed=0, sticky=0.0):
        self.library, runs = core
        self.rom, self.run = rom_bytes(game), runs.get(run, 0)
        self.game = np.array(CONSOLES.get(game, JOYSTICKS), np.uint8)
        self.state = np.zeros(self.library.state_bytes(), np.uint8)
        self.screens = [np.zeros((210, 160), np.uint8) for _ in range(2)]
        self.fixed = (pointer(self.state), pointer(self.rom), self.run, pointer(self.game))
        self.library.load(*self.fixed, seed, sticky, pointer(self.screens[0]))

    def act(self, action, skip=1, draw=True):
        self.screens.reverse()
        return self.library.act(
            *self.fixed, action, skip, pointer(self.screens[0] if draw else None)
        )

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
    lockstep(core, game, None, 1500)


@pytest.mark.parametrize("game", GAMES[1:])
def test_translation(core, game):
    lockstep(core, game, game, 2500)


@pytest.mark.parametrize("run", ["pong", "pong_plain"])
def test_pong(core, run):
    lockstep(core, "pong", run, 6000)
    lockstep(core, "pong", run, 5000, follow=True, sticky=0.25)
    lockstep(core, "pong", run, 2000, sticky=0.25, skip=4)


def test_summaries_equal_the_plain_translation_without_a_picture(core):
    fast, plain = Core(core, "pong", "pong"), Core(core, "pong", "pong_plain")
    rng = np.random.default_rng(3)
    for frame in range(40_000):
        action = following(plain.ram(), rng)
        draw = frame % 3 == 0
        fast.act(action, draw=draw)
        plain.act(action)
        np.testing.assert_array_equal(fast.ram(), plain.ram(), f"frame {frame}")
        assert fast.latches() == plain.latches(), f"frame {frame}"
        if draw:
            np.testing.assert_array_equal(fast.screens[0], plain.screens[0], f"frame {frame}")
        if plain.over():
            fast.reset_game()
            plain.reset_game()

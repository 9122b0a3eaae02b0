"""The console in csrc/ in lockstep with ale-py: RAM, picture, reward and end after every frame."""

import numpy as np
import pytest
from ale_py import roms

from fastpg.emulator.palette import PALETTE_RGB
from fastpg.kernels import reference
from tests.support.emulator_core import GAMES, Core, following, held_actions, oracle, pointer

RED = np.ascontiguousarray(PALETTE_RGB[:, 0])


def lockstep(core, game, runs, frames, *, sticky=0.0, skip=1, follow=False, seed=7, **how):
    """Consoles, one for each of ``runs`` (a translation, or None: interpret), beside ale-py."""
    ale = oracle(roms.get_rom_path(game), seed, sticky, skip)
    consoles = [Core.of_game(core, game, run, seed=seed, sticky=sticky, **how) for run in runs]
    rng = np.random.default_rng(seed)
    actions = ale.getMinimalActionSet()
    chosen, by_number = held_actions(rng, actions), {a.value: a for a in actions}
    screen, ram = np.empty((210, 160), np.uint8), ale.getRAM()
    for frame in range(0, frames, skip):
        action = by_number[following(ram, rng)] if follow else next(chosen)
        expected, over = ale.act(action), ale.game_over()
        ale.getScreen(screen)
        ale.getRAM(ram)
        for mine, run in zip(consoles, runs, strict=True):
            where = f"{game} as {run}, frame {frame}"
            reward = mine.act(action.value, skip)
            assert np.array_equal(mine.ram(), ram), where
            assert np.array_equal(mine.screens[0], screen), where
            if game == "pong":
                assert (reward, mine.over()) == (expected, over), where
            if over:
                mine.reset_game()
        if over:
            ale.reset_game()
            ale.getRAM(ram)


@pytest.mark.parametrize("game", GAMES)
def test_interpreter_and_translation(core, game):
    # the others: longer than a round of Boxing or Freeway (two minutes and a bit)
    lockstep(core, game, [None, game], 20_000 if game == "pong" else 10_000)


@pytest.mark.parametrize("game", GAMES)
def test_portable_code_draws_the_same(core, portable, game):
    ours, other = Core.of_game(core, game), Core.of_game(portable, game)
    rng = np.random.default_rng(4)
    for frame in range(400):
        action, where = int(rng.integers(18)), f"frame {frame}"
        ours.act(action)
        other.act(action)
        np.testing.assert_array_equal(ours.ram(), other.ram(), where)
        np.testing.assert_array_equal(ours.screens[0], other.screens[0], where)


@pytest.mark.parametrize("summaries", [True, False])
def test_pong(core, summaries):
    how = {"summaries": summaries, "constant_reset": summaries}
    lockstep(core, "pong", ["pong"], 6000, **how)
    lockstep(core, "pong", ["pong"], 5000, follow=True, sticky=0.25, **how)
    lockstep(core, "pong", ["pong"], 2000, sticky=0.25, skip=4, **how)
    lockstep(core, "pong", ["pong"], 5400, sticky=0.25, skip=9, **how)  # games end inside steps


def test_summaries_equal_the_plain_translation_in_any_order_of_pictures(core):
    fast = Core.of_game(core, "pong", "pong", constant_reset=True)
    plain = Core.of_game(core, "pong", "pong", summaries=False)
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
        drawn.c.act(*drawn.fixed, action, skip, pointer(screen))
        got = seen.act_view(action, skip, RED, find)
        reference.preprocess_palette(screen, RED, find, view)
        np.testing.assert_array_equal(got, view.reshape(80, 80), f"frame {frame}, find {find}")
        if frame % 400 == 399:
            drawn.reset_game()
            seen.reset_game()


@pytest.mark.parametrize("game", GAMES)
def test_views_equal_preprocessed_pictures(core, game):
    seen, drawn = Core.of_game(core, game, game), Core.of_game(core, game, game, summaries=False)
    actions = [a.value for a in oracle(roms.get_rom_path(game)).getMinimalActionSet()]
    expect_views(seen, drawn, np.random.default_rng(5), actions, 900, recolour=game == "pong")


def short_frames():
    """A cartridge of our own: frames of 83 and of 211 lines in turn, each line differs."""
    code = "A902 8500 8502 8502 8502 A900 8500 A580 4980 8580 E681 2980 0950 AA"
    code += "8A 6581 8509 0A 850E 8502 CA D0F3 4C00F0"
    return bytes.fromhex(code).ljust(4092, b"\0") + bytes.fromhex("00f0 00f0")


def test_views_of_frames_that_do_not_reach_all_lines(core):
    rom = short_frames()
    seen, drawn = (Core(core, rom) for _ in range(2))
    expect_views(seen, drawn, np.random.default_rng(6), [0], 200)

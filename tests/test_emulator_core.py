"""The console in csrc/ in lockstep with ale-py: RAM, picture, reward and end after every frame."""

import numpy as np
import pytest
from ale_py import roms

from tests.emulator_core import GAMES, Core, following, held_actions, oracle


def lockstep(core, game, run, frames, *, sticky=0.0, skip=1, follow=False, seed=7):
    ale = oracle(roms.get_rom_path(game), seed, sticky, skip)
    mine = Core.of_game(core, game, run, seed=seed, sticky=sticky)
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
    fast, plain = (Core.of_game(core, "pong", run) for run in ("pong", "pong_plain"))
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

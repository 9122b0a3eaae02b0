"""80x80 views of real frames of Pong, also after the ROM has begun to cycle its colours."""

import numpy as np
import pytest
from ale_py import ALEInterface
from ale_py.roms import get_rom_path

from fastpg.envs import PALETTE_RGB, AleGame
from fastpg.envs.rules import rules
from fastpg.kernels import get_backend

KERNELS = get_backend("reference")
RED = np.ascontiguousarray(PALETTE_RGB[:, 0])


def frames_of(game):
    palette, rgb = np.zeros((210, 160), np.uint8), np.zeros((210, 160, 3), np.uint8)
    game.palette(palette)
    game.rgb(rgb)
    return palette, rgb


def backgrounds(palette):
    return [np.bincount(p[35:195].ravel(), minlength=256).argmax() for p in palette]


@pytest.fixture(scope="module")
def episode():
    """Frames (palette, rgb) of an episode and of the first steps of the next one."""
    game, rng = AleGame(rules("ALE/Pong-v5", frameskip=(1, 9))), np.random.default_rng(0)
    game.reset(6)
    shown, done = [frames_of(game)], False
    while not done:
        _, done, _ = game.step(int(rng.integers(6)))
        shown.append(frames_of(game))
    game.reset()
    for _ in range(10):
        shown.append(frames_of(game))
        game.step(0)
    palette, rgb = zip(*shown, strict=True)
    return np.stack(palette), np.stack(rgb)


def test_the_episode_has_both_backgrounds(episode):
    palette, rgb = episode
    assert set(backgrounds(palette)) == {34, 228}
    assert RED[[34, 228]].tolist() == [144, 109]
    np.testing.assert_array_equal(PALETTE_RGB[palette], rgb)


@pytest.mark.parametrize("find_background", [True, False])
def test_palette_and_rgb_frames_have_equal_views(episode, find_background):
    palette, rgb = episode
    views = KERNELS.preprocess(rgb, find_background)
    np.testing.assert_array_equal(KERNELS.preprocess_palette(palette, RED, find_background), views)
    assert views.any()


def test_the_background_found_is_that_of_the_constants(episode):
    palette, _ = episode
    found = KERNELS.preprocess_palette(palette, RED, True)
    constants = KERNELS.preprocess_palette(palette, RED, False)
    differing = np.flatnonzero((found != constants).any(axis=1))
    assert differing.size == 0, differing
    assert found.sum(axis=1).max() < 200


def test_views_when_the_colours_change():
    # Pong counts frames in RAM 8 and 9, starting at 327. After 65,536 it changes its colours every
    # 256 frames. An idle game is lost long before that, so the test sets the counter forward.
    ale = ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(get_rom_path("pong"))
    before, after = [], []
    for _ in range(200):
        ale.act(0)
    low, high = ale.getRAM()[8:10].tolist()
    assert 256 * high + low == 327 + 200
    ale.setRAM(9, 255)
    while len(after) < 2000 and not ale.game_over():
        ale.act(0)
        counted_through = ale.getRAM()[9] < 128
        (after if counted_through else before).append(ale.getScreen())
    assert len(after) == 2000
    before, after = np.stack(before), np.stack(after[::5])
    assert set(backgrounds(before)) == {34}
    assert len(set(backgrounds(after))) > 6
    before, after = (
        [KERNELS.preprocess_palette(p, RED, find).sum(axis=1) for find in (False, True)]
        for p in (before, after)
    )
    np.testing.assert_array_equal(*before)
    constants, found = after
    assert (constants > 5000).mean() > 0.9
    assert found.max() < 100

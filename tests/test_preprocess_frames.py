"""The 80x80 views on real pictures of Pong, until after its colours begin to change."""

import numpy as np
import pytest
from ale_py import ALEInterface
from ale_py.roms import get_rom_path

from fastpg.envs import PALETTE_RGB, AleGame
from fastpg.envs.rules import rules
from fastpg.kernels import get_backend

KERNELS = get_backend("reference")
RED = np.ascontiguousarray(PALETTE_RGB[:, 0])


def pictures(source):
    palette, rgb = np.zeros((210, 160), np.uint8), np.zeros((210, 160, 3), np.uint8)
    if isinstance(source, AleGame):
        source.screen(palette)
        source.rgb(rgb)
    else:
        source.getScreen(palette)
        source.getScreenRGB(rgb)
    return palette, rgb


@pytest.fixture(scope="module")
def episode():
    """(palette, rgb) of an episode and of the first steps of the next; frame skip 1 at first."""
    game, rng = AleGame(rules("ALE/Pong-v5", frameskip=(1, 9))), np.random.default_rng(0)
    game.reset(6)
    shown, ended = [pictures(game)], False
    while not ended:
        _, ended, _ = game.step(int(rng.integers(6)))
        shown.append(pictures(game))
    game.reset()
    for _ in range(10):
        shown.append(pictures(game))
        game.step(0)
    palette, rgb = zip(*shown, strict=True)
    return np.stack(palette), np.stack(rgb)


def test_the_episode_has_both_backgrounds(episode):
    palette, rgb = episode
    most = [np.bincount(p.ravel(), minlength=256).argmax() for p in palette]
    assert {34, 228} <= set(most) | set(np.unique(palette[0]))
    np.testing.assert_array_equal(PALETTE_RGB[palette], rgb)


@pytest.mark.parametrize("find_background", [True, False])
def test_palette_and_rgb_pictures_have_equal_views(episode, find_background):
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

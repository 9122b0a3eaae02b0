"""The "dqn" observation: the C function and the Python model equal ale-py's AtariVectorEnv."""

import ctypes
import shutil
import subprocess
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from ale_py import ALEInterface, LoggerMode, roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

from fastpg.envs import NativeVectorEnv
from tests.support.dqn_model import HEIGHT, SIDE, WIDTH, DqnVectorEnv, NoopGenerator, shrink

CSRC = Path(__file__).resolve().parents[2] / "csrc"
WHOLE = {"img_height": HEIGHT, "img_width": WIDTH}
GAMES = ("pong", "breakout", "seaquest", "enduro", "montezuma_revenge")

needs_compiler = pytest.mark.skipif(
    not CSRC.is_dir() or shutil.which("cc") is None, reason="needs a C compiler and the C sources"
)

HARNESS = """
#include "envs/dqn_picture.h"
/* Fills the stack with NaNs: a function that reads an uninitialized local gives wrong results. */
void dirty_stack(void) {
    volatile uint8_t junk[1 << 14];
    for (unsigned k = 0; k < sizeof junk; k++)
        junk[k] = 0xFF;
}
void one_or_two(const uint8_t *a, const uint8_t *b, const uint8_t *gray, uint8_t *out) {
    fastpg_gray84(a, b, gray, out);
}
void three(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *gray,
           uint8_t *out) {
    fastpg_gray84_of_three(a, b, c, gray, out);
}
"""


@pytest.fixture(scope="module", params=["-O1", "-O3"])
def gray84(request, tmp_path_factory):
    """The C function for one to three frames."""
    folder = tmp_path_factory.mktemp("dqn")
    (folder / "dqn.c").write_text(HARNESS)
    options = ["-std=c11", request.param, "-ffp-contract=off", "-fPIC", "-shared", f"-I{CSRC}"]
    options += ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *options, "dqn.c", "-o", "dqn.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "dqn.so"))

    def call(table, *frames):
        out = np.full((SIDE, SIDE), 255, np.uint8)
        arrays = [np.ascontiguousarray(a) for a in (*frames, table)] + [out]
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]
        if len(frames) == 1:
            pointers.insert(1, None)
        library.dirty_stack()
        (library.three if len(frames) == 3 else library.one_or_two)(*pointers)
        return out

    return call


@cache
def played(game, steps=40):
    """Last two frames of each step, grey of each index, and AtariVectorEnv's newest pictures."""
    rng = np.random.default_rng(8)
    env = AtariVectorEnv(game, 1, noop_max=0, use_fire_reset=False, num_threads=1)
    env.reset(seed=1)
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    ale.reset_game()
    table = np.zeros(256, np.uint8)
    pairs, shown = [], []
    for _ in range(steps):
        action = int(rng.integers(env.single_action_space.n))
        shown.append(env.step(np.array([action]))[0][0, -1])
        frames = []
        for _ in range(4):
            ale.act(ale.getMinimalActionSet()[action])
            frames.append(ale.getScreen().reshape(HEIGHT, WIDTH))
            table[frames[-1]] = ale.getScreenGrayscale().reshape(HEIGHT, WIDTH)
        pairs.append(frames[-2:])
        assert not ale.game_over()
    return pairs, table, shown


def random_pictures(rng, count):
    """Yield noise: of few colours, which makes ties frequent, and with rows that nearly repeat."""
    for k in range(count):
        colours = rng.integers(256, size=(256, 2, 4)[k % 3])
        picture = rng.choice(colours, (HEIGHT, WIDTH)).astype(np.uint8)
        if k % 2:
            for row in range(1, HEIGHT):
                changed = rng.integers(WIDTH, size=rng.choice([0, 0, 1, 3]))
                noise = picture[row, changed]
                picture[row] = picture[row - 1]
                picture[row, changed] = noise
        yield picture


def area(picture):
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


# ---- the picture


def test_reference_is_opencvs_area():
    for picture in random_pictures(np.random.default_rng(1), 60):
        np.testing.assert_array_equal(shrink(picture), area(picture))


@pytest.mark.parametrize("game", GAMES)
def test_reference_is_the_vector_environments_picture(game):
    pairs, table, shown = played(game)
    for (a, b), picture in zip(pairs, shown, strict=True):
        np.testing.assert_array_equal(shrink(np.maximum(table[a], table[b])), picture)


@needs_compiler
@pytest.mark.parametrize("game", GAMES)
def test_c_is_the_vector_environments_picture(gray84, game):
    pairs, table, shown = played(game)
    for (a, b), picture in zip(pairs, shown, strict=True):
        np.testing.assert_array_equal(gray84(table, a, b), picture)


@needs_compiler
@pytest.mark.parametrize("count", [1, 2, 3])
def test_c_is_opencvs_area_on_random_pictures(gray84, count):
    rng = np.random.default_rng(count)
    pictures = list(random_pictures(rng, 60))
    for k in range(len(pictures)):
        table = rng.integers(256, size=256).astype(np.uint8)
        frames = [pictures[(k + n * n) % len(pictures)] for n in range(count)]
        expected = area(np.maximum.reduce([table[f] for f in frames]))
        np.testing.assert_array_equal(gray84(table, *frames), expected)


@needs_compiler
def test_c_on_flat_and_extreme_pictures(gray84):
    identity = np.arange(256, dtype=np.uint8)
    for value in range(256):
        flat = np.full((HEIGHT, WIDTH), value, np.uint8)
        np.testing.assert_array_equal(gray84(identity, flat), area(flat))
    for odd in (0, 1):
        board = np.fromfunction(lambda y, x: ((x + y + odd) % 2) * 255, (HEIGHT, WIDTH))  # noqa: B023
        board = board.astype(np.uint8)
        np.testing.assert_array_equal(gray84(identity, board), area(board))


# ---- the state machine


def assert_same(ours, theirs, ended):
    """Compare results of reset or step; in "final_obs" only rows of ended episodes count."""
    *ours, our_info = ours
    *theirs, their_info = theirs
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)
    assert set(our_info) == set(their_info)
    for key, value in our_info.items():
        rows = ended if key == "final_obs" else slice(None)
        assert value.dtype == their_info[key].dtype
        assert np.array_equal(value[rows], their_info[key][rows]), key


def beside(game, steps, *, seed=0, num_envs=1, mode="NextStep", small=False, resets=0, **settings):
    """Play the model and AtariVectorEnv with equal actions and compare them.

    Args:
        resets: do a masked reset every so many steps; 0 for none.

    Returns:
        the number of frames played by each step that ended an episode.
    """
    rng = np.random.default_rng(seed)
    mine, size = ({}, {}) if small else ({"resize": np.copy}, WHOLE)
    theirs = AtariVectorEnv(game, num_envs, autoreset_mode=mode, num_threads=1, **size, **settings)
    ours = DqnVectorEnv(game, num_envs, mode == "SameStep", **mine, **settings)
    assert_same(ours.reset(seed), theirs.reset(seed=seed), [])
    ends = []
    for step in range(steps):
        if resets and step % resets == resets - 1:
            mask = rng.random(num_envs) < 0.5
            mask[rng.integers(num_envs)] = True
            new = int(rng.integers(1000)) if rng.random() < 0.5 else None
            result = theirs.reset(seed=new, options={"reset_mask": mask})
            assert_same(ours.reset(new, mask), result, [])
        actions = rng.integers(theirs.single_action_space.n, size=num_envs)
        result = ours.step(actions)
        assert_same(result, theirs.step(actions), list(ours.ends))
        ends += ours.ends.values()
    return ends


@pytest.mark.parametrize(("mode", "seed", "steps"), [("NextStep", 18, 785), ("SameStep", 23, 830)])
def test_whole_pong_episode(mode, seed, steps):
    assert beside("pong", steps, seed=seed, mode=mode, small=True)


@pytest.mark.parametrize("limit", [1, 4, 22, 23])
def test_pong_that_ends_in_each_frame_of_a_step(limit):
    """The limit counts frames from the reset on."""
    ends = beside("pong", limit // 2 + 4, seed=limit, max_num_frames_per_episode=limit, noop_max=9)
    assert len(ends) >= 2
    assert set(ends) == {(limit - 1) % 4 + 1}


SETTINGS = [
    {"frameskip": 1, "mode": "SameStep", "repeat_action_probability": 0.25},
    {"frameskip": 2, "noop_max": 7, "max_num_frames_per_episode": 301},
    {"frameskip": 3, "use_fire_reset": False, "stack_num": 1},
    {"frameskip": 5, "full_action_space": True, "max_num_frames_per_episode": 333},
    {"maxpool": False, "mode": "SameStep", "reward_clipping": False, "noop_max": 0},
    {"episodic_life": True},
    {"episodic_life": True, "mode": "SameStep"},
    {"life_loss_info": True},
    {"life_loss_info": True, "mode": "SameStep"},
    {"episodic_life": True, "life_loss_info": True, "max_num_frames_per_episode": 95},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_breakout_under_other_settings(settings):
    """Random play loses a life in about 100 frames and a game in about 600."""
    frames = 300 if {"episodic_life", "life_loss_info"} & set(settings) else 900
    steps = frames // settings.get("frameskip", 4)
    ends = beside("breakout", steps, seed=5, **settings)
    assert ends or "life_loss_info" in settings


@pytest.mark.parametrize(("game", "mode"), [("pong", "NextStep"), ("space_invaders", "SameStep")])
def test_masked_resets_with_and_without_seeds(game, mode):
    settings = {"max_num_frames_per_episode": 14, "repeat_action_probability": 0.25}
    assert beside(game, 20, num_envs=2, mode=mode, resets=5, **settings)


@pytest.mark.parametrize(
    ("limit", "settings"),
    [
        (489, {}),  # the last frame of the game
        (95, {"episodic_life": True}),  # the last frame of the first life
        (95, {"life_loss_info": True}),
    ],
)
def test_not_truncated_by_the_frame_that_terminates(limit, settings):
    assert beside(
        "breakout", limit // 4 + 3, noop_max=5, max_num_frames_per_episode=limit, **settings
    )


def test_game_without_a_fire_button():
    assert beside("freeway", 130, max_num_frames_per_episode=237)


@pytest.mark.parametrize("seed", [2501073, 9675904])
def test_noop_draws_that_are_rejected(seed):
    """Seeds, found by search, whose first word has a low product below 2**32 mod 2000."""
    beside("breakout", 1, seed=seed, noop_max=2000)


@pytest.mark.parametrize(
    ("seed", "frames", "ends"), [(2804, 3056, []), (4128, 3048, [4]), (1822, 3051, [1])]
)
def test_game_over_during_the_noops_or_soon_after(seed, frames, ends):
    """Without actions Pong ends after 3056 frames. These seeds draw about as many NOOPs."""
    assert NoopGenerator(seed).below(5000) == frames
    assert beside("pong", 2, seed=seed, noop_max=5000, small=True) == ends


def test_buffers_of_the_last_episode_are_forgotten():
    """The second draw ends the game within a first step that looks at no frame."""
    limited = {"max_num_frames_per_episode": 8, "noop_max": 5000}
    assert beside("pong", 4, seed=1850, **limited) == [4, 2]


def test_disabled_mode_is_refused():
    with pytest.raises(ValueError, match="autoreset_mode"):
        AtariVectorEnv("pong", 1, autoreset_mode="Disabled")


def test_colours_are_pooled_and_shrunk_one_by_one():
    whole, small = (
        AtariVectorEnv("pong", 1, grayscale=False, num_threads=1, **size) for size in (WHOLE, {})
    )
    whole.reset(seed=4), small.reset(seed=4)
    rng = np.random.default_rng(4)
    for _ in range(60):
        actions = rng.integers(6, size=1)
        a, b = whole.step(actions)[0][0, -1], small.step(actions)[0][0, -1]
        np.testing.assert_array_equal(np.dstack([shrink(a[..., c]) for c in range(3)]), b)


# ---- the native vector environment -----------------------------------------------------------


@pytest.mark.parametrize("frameskip", [4, 1, 2, 382, 3056])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("limit", [108_000, 90])
def test_native_observations_are_those_of_atari_vector_env(frameskip, mode, limit):
    """The games are equal with those defaults of ale-py off that draw random numbers."""
    if limit > 90 and frameskip < 4:
        pytest.skip("whole games take too long")
    common = {"frameskip": frameskip, "max_num_frames_per_episode": limit, "noop_max": 0}
    common |= {"repeat_action_probability": 0.0, "stack_num": 3}
    theirs = AtariVectorEnv(
        "pong",
        2,
        use_fire_reset=False,
        reward_clipping=False,
        autoreset_mode=AutoresetMode(mode),
        **common,
    )
    ours = NativeVectorEnv(
        "ALE/Pong-v5", 2, obs_type="dqn", autoreset_mode=mode, num_threads=1, **common
    )
    rng, ends = np.random.default_rng(7), 0
    shown, _ = ours.reset(seed=1)
    np.testing.assert_array_equal(shown, theirs.reset(seed=1)[0])
    assert ours.observation_space.contains(shown)
    for _ in range(max(6, 3600 // frameskip) if limit > 90 else 150):
        actions = rng.integers(6, size=2)
        mine, other = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine[:4], other[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        over = mine[2] | mine[3]
        ends += over.sum()
        if over.any() and mode == "SameStep":
            for i in np.flatnonzero(over):
                np.testing.assert_array_equal(mine[4]["final_obs"][i], other[4]["final_obs"][i])
    assert ends >= 2
    ours.close()

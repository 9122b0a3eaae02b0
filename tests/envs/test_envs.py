"""Rules, palette and games: AleGame and NativeGame equal Gymnasium's environments step for step."""

import subprocess
import sys
from functools import partial

import gymnasium
import numpy as np
import pytest
from ale_py import ALEInterface

from fastpg.emulator.palette import PALETTE_GRAY
from fastpg.envs import PALETTE_RGB, AleGame, NativeGame, Rules, WorkerPool
from fastpg.envs.rules import rules, training_rules
from fastpg.envs.sticky_actions import StickyActions
from fastpg.envs.vector_base import INFO_KEYS

PLAYED = [  # environment, steps for at least two episodes
    ("Pong-v0", {}, 3100),
    ("ALE/Pong-v5", {}, 2300),
    ("PongNoFrameskip-v4", {"frameskip": 4}, 2300),
    ("ALE/Breakout-v5", {}, 1200),
    # truncations, also within a frame skip
    ("Pong-v0", {"max_num_frames_per_episode": 103}, 400),
    ("ALE/Pong-v5", {"max_num_frames_per_episode": 90, "full_action_space": True}, 400),
]

KINDS = [AleGame, NativeGame]


def make(env_id, **kwargs):
    AleGame(Rules("pong"))  # silences ALE
    gymnasium.logger.min_level = gymnasium.logger.ERROR  # silences the warning about Pong-v0
    return gymnasium.make(env_id, disable_env_checker=True, **kwargs)


def look(game, kind="rgb"):
    shapes = {"rgb": (210, 160, 3), "palette": (210, 160), "grayscale": (210, 160), "ram": (128,)}
    out = np.zeros(shapes[kind], np.uint8)
    getattr(game, kind)(out)
    return out


def same_info(game, info):
    return all(info[k] == getattr(game, k) for k in INFO_KEYS)


# ---- rules -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "expected"),
    [
        ("Pong-v0", Rules("pong", (2, 5), 0.25)),
        ("Pong-v4", Rules("pong", (2, 5), 0.0)),
        ("PongNoFrameskip-v4", Rules("pong", 1, 0.0)),
        ("ALE/Pong-v5", Rules("pong", 4, 0.25)),
        ("fastpg/Pong-v5", Rules("pong", 4, 0.25)),
        ("ALE/SpaceInvaders-v5", Rules("space_invaders", 4, 0.25)),
    ],
)
def test_rules_are_those_registered(env_id, expected):
    assert rules(env_id) == expected


def test_rules_can_be_replaced():
    given = {
        "frameskip": (1, 3),
        "repeat_action_probability": 0.5,
        "max_num_frames_per_episode": 0,
        "full_action_space": True,
        "noop_max": 30,
    }
    assert rules("ALE/Pong-v5", **given) == Rules("pong", **given)
    assert Rules("pong", [2, 5]) == Rules("pong", (2, 5))
    for other in ({"frame_skip": 4}, {"game": None}):
        with pytest.raises(TypeError, match=f"^{next(iter(other))}: no such argument; rules are "):
            rules("ALE/Pong-v5", **other)


def test_training_rules_complete_no_frameskip():
    env_id = "PongNoFrameskip-v4"
    assert training_rules(env_id) == rules(env_id, frameskip=4, noop_max=30)
    assert training_rules(f"fastpg/{env_id}", frameskip=None) == training_rules(env_id)
    given = {"frameskip": 1, "noop_max": 0, "repeat_action_probability": 0.5}
    assert training_rules(env_id, **given) == rules(env_id, **given)
    for other in ("Pong-v0", "ALE/Pong-v5", "ALE/Breakout-v5"):
        assert training_rules(other) == rules(other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frameskip": 0}, "frameskip: expected .*, got 0"),
        ({"frameskip": (3, 3)}, r"frameskip: expected .*, got \(3, 3\)"),
        ({"frameskip": (2,)}, "frameskip: expected"),
        ({"frameskip": 2.0}, "frameskip: expected"),
        ({"repeat_action_probability": 1.5}, "repeat_action_probability: expected 0 to 1, got 1.5"),
        ({"max_num_frames_per_episode": -1}, "max_num_frames_per_episode: expected"),
        ({"full_action_space": 1}, "full_action_space: expected"),
        ({"noop_max": -1}, "noop_max: expected"),
    ],
)
def test_bad_rules(values, message):
    with pytest.raises(ValueError, match=message):
        rules("Pong-v0", **values)


def test_unknown_id_names_near_ones():
    with pytest.raises(ValueError, match=r"env_id: expected .*, got 'Pong-v5'; .*ALE/Pong-v5"):
        rules("Pong-v5")
    with pytest.raises(ValueError, match=r"env_id: expected .*, got 'CartPole-v1'"):
        rules("CartPole-v1")
    with pytest.raises(ValueError, match=r"game: expected .*, got 'no_game'"):
        AleGame(Rules("no_game"))


# ---- palette ---------------------------------------------------------------------------------


def colour_cartridge():
    """Return a ROM that shows each of the colours 0, 2, 4, .. on one line."""
    code = bytes.fromhex(
        "78 d8 a2ff 9a"  # SEI, CLD, stack to the top
        "a900 8596 858d 858e"  # the bytes of Pong's memory that ALE reads: mode and scores
        "a902 8500 8502 8502 8502 a900 8500"  # a frame: three lines of VSYNC,
        "a900 8501"  # blanking off,
        "a21f 8502 ca d0fb"  # 31 lines more, and the picture begins;
        "a000 8502 98 0a 8509 c8 c0e4 d0f5"  # 228 lines: background = 2 * line
        "4c0bf0"
    )
    return code.ljust(4092, b"\0") + bytes.fromhex("00f0 00f0")


def test_palette_is_that_of_ale(tmp_path):
    cartridge = tmp_path / "pong.bin"  # ALE knows games by their file's name
    cartridge.write_bytes(colour_cartridge())
    AleGame(Rules("pong"))  # silences ALE
    ale = ALEInterface()
    ale.loadROM(cartridge)
    ale.act(0)
    screen, rgb = ale.getScreen(), ale.getScreenRGB()
    assert set(np.unique(screen)) == set(range(0, 256, 2))
    np.testing.assert_array_equal(PALETTE_RGB[screen], rgb)
    np.testing.assert_array_equal(PALETTE_GRAY[screen], ale.getScreenGrayscale())
    assert not PALETTE_RGB[1::2].any()
    assert not PALETTE_RGB.flags.writeable


# ---- a game against Gymnasium ----------------------------------------------------------------


@pytest.mark.parametrize(("env_id", "kwargs", "steps"), PLAYED)
def test_games_are_gymnasiums_over_whole_episodes(env_id, kwargs, steps):
    env = make(env_id, **kwargs)
    kinds = KINDS if "Pong" in env_id else KINDS[:1]
    games = [kind(rules(env_id, **kwargs)) for kind in kinds]

    def same(picture, info):
        for game in games:
            np.testing.assert_array_equal(look(game), picture)
            assert info is None or same_info(game, info)

    picture, info = env.reset(seed=11)
    for game in games:
        game.reset(11)
        assert game.action_meanings == tuple(env.unwrapped.get_action_meanings())
    same(picture, info)
    actions = np.random.default_rng(5).integers(len(games[0].action_meanings), size=steps)
    ends = 0
    for action in actions:
        picture, *expected, info = env.step(action)
        for game in games:
            assert game.step(action) == tuple(expected)
        same(picture, info)
        if expected[1] or expected[2]:
            ends += 1
            picture, info = env.reset()
            for game in games:
                game.reset()
            same(picture, info)
    assert ends >= 2
    for game in games:
        np.testing.assert_array_equal(PALETTE_RGB[look(game, "palette")], look(game))
        np.testing.assert_array_equal(
            look(game, "grayscale"), env.unwrapped.ale.getScreenGrayscale()
        )
        np.testing.assert_array_equal(look(game, "ram"), env.unwrapped.ale.getRAM())


def draws(game):
    """Return the next random frame skips."""
    frames, state = [], game.state()
    for _ in range(40):
        before = game.frame_number
        game.step(0)
        frames.append(game.frame_number - before)
    game.restore(state)
    return frames


@pytest.mark.parametrize("kind", KINDS)
def test_seeds(kind):
    games = [kind(rules("Pong-v0")) for _ in range(2)]
    for game in games:
        game.reset()  # seeded from the system's entropy, as in Gymnasium
    first, second = (draws(game) for game in games)
    assert first != second
    games[0].reset()  # without a seed the random numbers run on
    assert draws(games[0]) == first
    for bad in (-1, 1.5, "1"):
        with pytest.raises(ValueError, match="seed: expected an int of at least 0"):
            games[0].reset(bad)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_use_of_a_game(kind):
    game = kind(rules("Pong-v0"))
    with pytest.raises(RuntimeError, match=r"expected reset\(\)"):
        game.step(0)
    with pytest.raises(RuntimeError, match=r"expected reset\(\)"):
        game.state()
    game.reset()
    for action in (-1, 6):
        with pytest.raises(ValueError, match=f"action: expected 0 to 5, got {action}"):
            game.step(action)


# ---- no-op starts against AtariPreprocessing -------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("limit", "steps"), [(108_000, 1500), (12, 12), (30, 60)])
def test_noop_starts_are_those_of_atari_preprocessing(kind, limit, steps):
    kwargs = {"max_num_frames_per_episode": limit}
    inner = make("PongNoFrameskip-v4", **kwargs)
    env = gymnasium.wrappers.AtariPreprocessing(inner, noop_max=30, frame_skip=4)
    game = kind(rules("PongNoFrameskip-v4", frameskip=4, noop_max=30, **kwargs))
    ale = env.unwrapped.ale

    def same():
        np.testing.assert_array_equal(look(game), ale.getScreenRGB())
        np.testing.assert_array_equal(look(game, "ram"), ale.getRAM())
        assert game.frame_number == ale.getFrameNumber()
        assert game.episode_frame_number == ale.getEpisodeFrameNumber()

    frames = set()
    for seed in (3, 4, None, None):
        env.reset(seed=seed)
        game.reset(seed)
        frames.add(game.episode_frame_number)
        same()
    assert len(frames) > 1
    rng = np.random.default_rng(0)
    for _ in range(steps):
        action = int(rng.integers(6))
        assert env.step(action)[1:4] == game.step(action)
        same()
        if game.terminated or game.truncated:
            env.reset()
            game.reset()
            same()


# ---- states ----------------------------------------------------------------------------------


class Player:
    """Plays whole episodes in a worker."""

    def __init__(self, kind, rules):
        self.game = kind(rules)

    def start(self, seed):
        self.game.reset(seed)

    def restore(self, state):
        self.game.restore(state)
        self.game.reset()

    def episode(self, key):
        game, rng, log = self.game, np.random.default_rng(key), []
        count = len(game.action_meanings)
        ended = False
        while not ended:
            reward, *ends = game.step(int(rng.integers(count)))
            ended = any(ends)
            log.append((reward, *ends, look(game, "ram").tobytes(), game.frame_number))
        return log, look(game).tobytes(), game.emulated_frames


@pytest.mark.parametrize(
    ("kind", "env_id", "kwargs"),
    [
        (AleGame, "Pong-v0", {"noop_max": 30}),
        (AleGame, "ALE/Breakout-v5", {}),
        (AleGame, "Pong-v0", {"max_num_frames_per_episode": 500}),
        (NativeGame, "Pong-v0", {"noop_max": 30}),
        (NativeGame, "Pong-v0", {"max_num_frames_per_episode": 500}),
    ],
)
def test_state_continues_bit_for_bit_in_another_process(kind, env_id, kwargs):
    played = rules(env_id, **kwargs)
    player = Player(kind, played)
    player.start(21)
    player.episode(0)
    state = player.game.state()
    player.game.reset()
    expected = [player.episode(1)]
    player.game.reset()
    expected.append(player.episode(2))
    with WorkerPool([partial(Player, kind, played)]) as pool:
        if not kwargs:  # another episode is in progress in that game
            pool.call("start", [(5,)])
            pool.call("episode", [(9,)])
        pool.call("restore", [(state,)])
        assert pool.call("episode", [(1,)]) == expected[:1]
        state = player.game.state()
        player.game.reset()
        pool.call("restore", [(state,)])
        assert pool.call("episode", [(3,)]) == [player.episode(3)]


@pytest.mark.parametrize(
    ("kind", "env_id", "kwargs"),
    [
        (AleGame, "Pong-v0", {"noop_max": 30}),
        (AleGame, "ALE/Breakout-v5", {"repeat_action_probability": 0.1}),
        (NativeGame, "Pong-v0", {"noop_max": 30}),
    ],
)
def test_state_within_an_episode(kind, env_id, kwargs):
    played = rules(env_id, **kwargs)
    rng = np.random.default_rng(0)
    straight, others = kind(played), [kind(played), kind(played)]
    straight.reset(seed=8)
    actions = rng.integers(0, len(straight.action_meanings), 600).tolist()
    state = straight.state()
    for t, action in enumerate(actions):
        if t % 60 == 0:  # the other copy continues
            others.reverse()
            others[0].restore(state)
        ended = straight.step(action)
        assert others[0].step(action) == ended
        for what in ("palette", "ram"):
            np.testing.assert_array_equal(look(others[0], what), look(straight, what))
        assert others[0].emulated_frames == straight.emulated_frames
        if any(ended[1:]):
            straight.reset()
            others[0].reset()
        if t % 60 == 59:
            state = others[0].state()


def test_sticky_actions_draw_as_the_standard_generator_does():
    # std::mt19937 seeded with 5489 starts with 3499211612, 581869302, 3890346734, 3586334585
    for probability, first, second in ((0.8147, "a", "b"), (0.8148, None, "b"), (0.95, None, None)):
        hold = StickyActions(probability, 5489)
        assert hold("a") == first
        assert hold("b") == second
    assert StickyActions(1.0, -1)("a") is None


def test_bad_states():
    game = AleGame(rules("ALE/Breakout-v5"))
    game.reset(1)
    state = game.state()
    for bad in (b"", b"\n", b"[1]\n", b"{}\nx", state.replace(b"fastpg-ale-game-1", b"other")):
        with pytest.raises(ValueError, match=r"state: expected .* of breakout.*, got other"):
            game.restore(bad)
    with pytest.raises(ValueError, match=r"state: expected .* of pong.*, got that of breakout"):
        AleGame(rules("Pong-v0")).restore(state)
    native = NativeGame(rules("Pong-v0"))
    native.reset(1)
    good = native.state()
    damaged = good[:-9] + bytes([good[-9] ^ 1]) + good[-8:]
    for bad in (b"", b"\n", b"[1]\n", b"{}\nx", state, good[:-1], damaged):
        with pytest.raises(ValueError, match=r"state: expected .* of pong .*, got other"):
            native.restore(bad)
    with pytest.raises(ValueError, match="game: expected pong, got 'breakout'"):
        NativeGame(rules("ALE/Breakout-v5"))


def test_importing_the_package_loads_nothing():
    code = (
        "import sys, fastpg.envs; print(dir(fastpg.envs));"
        "assert not {'numba', 'ale_py', 'gymnasium', 'numpy'} & set(sys.modules);"
        "fastpg.envs.AleGame, fastpg.envs.AleVectorEnv;"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

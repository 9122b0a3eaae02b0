"""What wrappers and libraries ask of an Atari environment: ale-py's is the model, step for step."""

import copy
import pickle
from contextlib import closing

import ale_py
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation, RecordEpisodeStatistics

import fastpg  # noqa: F401 (registers the environments)
from fastpg._registration import ALE_IDS
from fastpg.emulator import Emulator
from fastpg.envs import AleVectorEnv, NativeVectorEnv

gymnasium.register_envs(ale_py)
gymnasium.logger.min_level = gymnasium.logger.ERROR  # silences the warning about old ids
PAIRS = [pytest.param(ours, theirs, id=theirs) for ours, theirs in ALE_IDS.items()]


def pair(ours, theirs, **kwargs):
    return [gymnasium.make(name, disable_env_checker=True, **kwargs) for name in (ours, theirs)]


def compare(envs, steps=400, seed=3, look=None):
    """Play the same actions in both; assert that everything that comes back is the same."""
    rng = np.random.default_rng(seed)
    results = [env.reset(seed=seed) for env in envs]
    assert_same(results)
    for _ in range(steps):
        action = int(rng.integers(envs[0].action_space.n))
        results = [env.step(action) for env in envs]
        assert_same(results)
        if look is not None:
            assert_same([look(env) for env in envs])
        if results[0][2] or results[0][3] or rng.random() < 0.01:
            assert_same([env.reset() for env in envs])


def assert_same(results):
    """Tuples, arrays and infos of two environments are equal, types included."""
    ours, theirs = results
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same((ours[key], theirs[key]))
    elif isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for pair_ in zip(ours, theirs, strict=True):
            assert_same(pair_)
    elif isinstance(theirs, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert ours == theirs
        assert type(ours) is type(theirs) or isinstance(theirs, (int, np.integer))


# ---- plain environments -----------------------------------------------------------------------


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("obs_type", ["rgb", "grayscale", "ram"])
def test_games_are_the_same_step_for_step(ours, theirs, obs_type):
    compare(pair(ours, theirs, obs_type=obs_type), 150)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_random_numbers_are_the_same_and_shared_with_the_game(ours, theirs):
    """A wrapper that draws from np_random moves a random frame skip, in both alike."""
    envs = pair(ours, theirs)
    for seed in (0, 7, None):
        if seed is not None:
            assert_same([env.reset(seed=seed) for env in envs])
        for k in range(60):
            assert_same([env.step(k % 6) for env in envs])
            if k % 3 == 0:
                high = 5 + k
                assert_same([env.unwrapped.np_random.integers(1, high) for env in envs])
            if k % 7 == 0:
                assert_same([env.unwrapped.np_random.random(k) for env in envs])
            assert_same([env.unwrapped.np_random.bit_generator.state for env in envs])
    assert envs[0].unwrapped.np_random_seed == envs[1].unwrapped.np_random_seed == 7


def test_a_generator_of_ones_own():
    envs = pair("fastpg/Pong-v0", "Pong-v0")
    for env in envs:
        env.reset(seed=1)
        env.unwrapped.np_random = np.random.Generator(np.random.MT19937(5))
    for k in range(50):
        assert_same([env.step(k % 6) for env in envs])
    assert_same([env.unwrapped.np_random.random(3) for env in envs])


def test_seeds_are_told_after_a_seeded_reset_alone():
    envs = pair("fastpg/Pong-v5", "ALE/Pong-v5")
    for seed in (0, 3, 2**31, 2**63):
        assert_same([env.reset(seed=seed)[1] for env in envs])
        assert_same([env.unwrapped.seed_game(seed) for env in envs])
    assert "seeds" not in envs[0].reset()[1]


@pytest.mark.parametrize("full", [False, True])
def test_attributes_that_wrappers_read(full):
    ours, theirs = (e.unwrapped for e in pair("fastpg/Pong-v0", "Pong-v0", full_action_space=full))
    assert ours.get_keys_to_action() == theirs.get_keys_to_action()
    assert ours.get_action_meanings() == theirs.get_action_meanings()
    assert ours._action_set == theirs._action_set
    assert ours._frameskip == theirs._frameskip == (2, 5)
    names = ("_game", "_game_mode", "_game_difficulty", "_obs_type", "continuous", "sound_obs")
    for name in (*names, "continuous_action_threshold", "render_mode"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.metadata["render_fps"] == theirs.metadata["render_fps"]
    assert isinstance(ours.ale, Emulator)


def test_the_emulator_of_an_environment_can_be_played_too():
    envs = pair("fastpg/PongNoFrameskip-v4", "PongNoFrameskip-v4")

    def look(env):
        ale, gray = env.unwrapped.ale, np.zeros((210, 160), np.uint8)
        ale.getScreenGrayscale(gray)
        counts = ale.getFrameNumber(), ale.getEpisodeFrameNumber(), ale.lives()
        return gray, ale.getScreenRGB(), ale.getRAM(), ale.game_over(), counts

    for env in envs:
        env.reset(seed=2)
    for k in range(200):
        if k % 3:
            assert_same([env.step(k % 6) for env in envs])
        else:
            assert_same([env.unwrapped.ale.act(k % 6) for env in envs])
        assert_same([look(env) for env in envs])


@pytest.mark.parametrize("include_rng", [False, True])
def test_states_are_cloned_and_restored(include_rng):
    envs = [env.unwrapped for env in pair("fastpg/Pong-v5", "ALE/Pong-v5")]
    for env in envs:
        env.reset(seed=4)
    for k in range(30):
        assert_same([env.step(k % 6) for env in envs])
    states = [env.clone_state(include_rng=include_rng) for env in envs]
    for _ in range(2):
        for k in range(30):
            assert_same([env.step((3 * k) % 6) for env in envs])
        for env, state in zip(envs, states, strict=True):
            env.restore_state(state)
            assert env.clone_state(include_rng=include_rng) == state
            assert env.clone_state(include_rng=not include_rng) != state
    for state in states:
        same = [copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))]
        assert all(other == state and state.equals(other) for other in same)
        assert type(state)(state.serialize()) == state
        assert hash(state) != hash(same[1])  # of both: by identity
        assert state.getFrameNumber() == state.getEpisodeFrameNumber() == 120
        assert state.getCurrentMode() == state.getDifficulty() == 0
    assert states[0] != "another thing"


# ---- wrappers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"noop_max": 0}, {"grayscale_obs": False}, "lives"])
def test_atari_preprocessing(arguments):
    given = {"terminal_on_life_loss": True} if arguments == "lives" else arguments
    envs = pair("fastpg/PongNoFrameskip-v4", "PongNoFrameskip-v4")
    envs = [FrameStackObservation(AtariPreprocessing(env, **given), 4) for env in envs]
    compare(
        [RecordEpisodeStatistics(env) for env in envs],
        150,
        look=lambda env: env.observation_space.shape,
    )


def test_our_own_no_op_start_is_that_of_atari_preprocessing():
    ours = gymnasium.make("fastpg/PongNoFrameskip-v4", noop_max=30, frameskip=4, obs_type="ram")
    theirs = gymnasium.make("PongNoFrameskip-v4", obs_type="ram")
    wrapped = AtariPreprocessing(gymnasium.make("PongNoFrameskip-v4"), noop_max=30)
    for seed in (1, 2, None):
        _, info = ours.reset(seed=seed)
        _, expected = wrapped.reset(seed=seed)
        assert info["episode_frame_number"] == expected["episode_frame_number"] > 0
        for k in range(40):
            _, reward, *ends, _ = ours.step(k % 6)
            _, wanted, *others, _ = wrapped.step(k % 6)
            assert (reward, *ends) == (wanted, *others)
            np.testing.assert_array_equal(
                ours.unwrapped.ale.getRAM(), wrapped.unwrapped.ale.getRAM()
            )
    theirs.close()


def test_a_no_op_start_that_ends_the_episode_begins_again():
    """Seeded, the random numbers start over too, as those of the other environments do."""
    given = {"noop_max": 12, "max_num_frames_per_episode": 12, "obs_type": "ram"}
    one = gymnasium.make("fastpg/Pong-v0", **given)
    many = NativeVectorEnv("Pong-v0", 1, **given)
    for seed in [*range(40), None]:
        observation, info = one.reset(seed=seed)
        observations, infos = many.reset(seed=seed)
        np.testing.assert_array_equal(observation, observations[0])
        assert info["episode_frame_number"] == infos["episode_frame_number"][0]
    many.close()


def test_stable_baselines_wrappers():
    sb3 = pytest.importorskip("stable_baselines3.common.env_util")
    envs = [
        sb3.make_atari_env(n, 2, seed=1)
        for n in ("fastpg/PongNoFrameskip-v4", "PongNoFrameskip-v4")
    ]
    assert_same([env.reset() for env in envs])
    rng = np.random.default_rng(0)
    for _ in range(300):
        actions = rng.integers(6, size=2)
        ours, theirs = (env.step(actions) for env in envs)
        for a, b in zip(ours[:3], theirs[:3], strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(ours[3], theirs[3], strict=True):
            assert a.keys() == b.keys()


@pytest.mark.parametrize("name", ALE_IDS)
def test_gymnasium_s_checker(name):
    check_env(gymnasium.make(name).unwrapped)


def test_a_window_for_people():
    """gymnasium.make draws a window from rgb_array, as for every environment without its own."""
    env = gymnasium.make("fastpg/Pong-v5", render_mode="human")
    assert isinstance(env, gymnasium.wrappers.HumanRendering)
    assert env.unwrapped.render_mode == "rgb_array"


# ---- copies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make_copy", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_a_copy_is_an_environment_of_its_own(make_copy):
    arguments = {"obs_type": "ram", "frameskip": 3, "noop_max": 5, "render_mode": "rgb_array"}
    env = gymnasium.make("fastpg/Pong-v5", **arguments).unwrapped
    env.reset(seed=1)
    for k in range(10):
        env.step(k % 6)
    other = make_copy(env)
    assert other.ale is not env.ale
    assert other.rules == env.rules
    assert other.render_mode == "rgb_array"
    before = env.ale.getRAM()
    other.reset(seed=1)
    for k in range(10):
        other.step(k % 6)
    np.testing.assert_array_equal(other.ale.getRAM(), before)
    np.testing.assert_array_equal(env.ale.getRAM(), before)


# ---- vector environments ------------------------------------------------------------------------


@pytest.mark.parametrize("obs_type", ["rgb", "palette"])
@pytest.mark.parametrize("kind", [NativeVectorEnv, AleVectorEnv])
def test_vector_environments_show_their_games(kind, obs_type):
    envs = kind("ALE/Pong-v5", 3, num_threads=1, obs_type=obs_type, render_mode="rgb_array")
    single = gymnasium.make("fastpg/Pong-v5", render_mode="rgb_array")
    envs.reset(seed=5)
    single.reset(seed=5)
    for k in range(20):
        envs.step(np.full(3, k % 6))
        single.step(k % 6)
    pictures = envs.render()
    assert len(pictures) == 3
    np.testing.assert_array_equal(pictures[0], single.render())
    envs.close()
    plain = kind("ALE/Pong-v5", 2, num_threads=1)
    assert plain.render() is None
    plain.close()
    for given in ({"obs_type": "ram"}, {"obs_type": "grayscale"}):
        with pytest.raises(ValueError, match=r"^render_mode: needs obs_type rgb or palette, got"):
            kind("ALE/Pong-v5", 2, render_mode="rgb_array", **given)


def test_vector_environments_are_recorded(tmp_path):
    pytest.importorskip("moviepy")
    recorder = pytest.importorskip("gymnasium.wrappers.vector").RecordVideo
    envs = gymnasium.make_vec("fastpg/Pong-v5", num_envs=2, render_mode="rgb_array")
    with closing(
        recorder(envs, str(tmp_path), video_length=10, step_trigger=lambda step: step == 0)
    ) as r:
        r.reset(seed=0)
        for _ in range(12):
            r.step(r.action_space.sample())
    assert list(tmp_path.glob("*.mp4"))


# ---- arguments -----------------------------------------------------------------------------------

MAKERS = {
    "single": lambda **kwargs: gymnasium.make("fastpg/Pong-v5", **kwargs),
    "vector": lambda **kwargs: gymnasium.make_vec("fastpg/Pong-v5", num_envs=2, **kwargs),
    "ale vector": lambda **kwargs: AleVectorEnv("ALE/Pong-v5", 2, num_threads=1, **kwargs),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_options_of_ale_py_at_their_defaults_are_accepted(maker):
    given = {"mode": 0, "difficulty": np.int64(0), "continuous": False, "sound_obs": False}
    MAKERS[maker](**given, continuous_action_threshold=0.5).close()
    MAKERS[maker](**dict.fromkeys([*given, "continuous_action_threshold"])).close()


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", 1), ("mode", "0"), ("difficulty", 3), ("continuous", True), ("sound_obs", 1)],
)
def test_other_values_of_ale_py_s_options_are_refused(maker, name, value):
    for kind in (ValueError, RuntimeError, gymnasium.error.Error):
        with pytest.raises(kind, match=rf"{name}: expected .*, got {value!r}; ale-py plays others"):
            MAKERS[maker](**{name: value})


@pytest.mark.parametrize("maker", MAKERS)
def test_unknown_arguments_are_named(maker):
    with pytest.raises(TypeError, match=r"frame_skip: no such argument; rules are frameskip, "):
        MAKERS[maker](frame_skip=4)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"obs_type": "rbg"}, "obs_type: expected one of"),
        ({"obs_type": None}, "obs_type: expected one of"),
        ({"obs_type": ["rgb"]}, "obs_type: expected one of"),
        ({"render_mode": "ansi"}, "render_mode: expected None or 'rgb_array'"),
        ({"frameskip": 0}, "frameskip: expected"),
        ({"frameskip": (5, 2)}, "frameskip: expected"),
        ({"frameskip": (2, 5, 6)}, "frameskip: expected"),
        ({"frameskip": np.array([2, 5])}, "frameskip: expected"),
        ({"repeat_action_probability": "0.25"}, "repeat_action_probability: expected 0 to 1"),
        ({"repeat_action_probability": np.array([0.2])}, "repeat_action_probability: expected 0"),
        ({"full_action_space": 1}, "full_action_space: expected"),
    ],
)
def test_arguments_of_odd_types_are_named(maker, given, said):
    with pytest.raises(gymnasium.error.Error, match=said):
        MAKERS[maker](**given)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", np.array(5), np.array([5]), [5], (1, 2), b"1"])
def test_odd_seeds_of_a_game_are_refused_by_name(seed):
    env = gymnasium.make("fastpg/Pong-v5").unwrapped
    with pytest.raises(gymnasium.error.Error, match=r"(?i)^seed"):
        env.reset(seed=seed)


@pytest.mark.parametrize("maker", ["vector", "ale vector"])
@pytest.mark.parametrize(
    "seed",
    [
        -1,
        1.5,
        True,
        "ab",
        b"ab",
        np.array(5),
        [5],
        [1, 2, 3],
        [1, -2],
        [1, 2.0],
        [[1], [2]],
        {1, 2},
    ],
)
def test_odd_seeds_of_many_games_are_refused_by_name(maker, seed):
    with closing(MAKERS[maker]()) as envs, pytest.raises(ValueError, match=r"^seed: expected"):
        envs.reset(seed=seed)


@pytest.mark.parametrize("action", [-1, 6, 1.0, None, "a", np.array([1]), [1]])
def test_odd_actions_are_refused_by_name(action):
    env = gymnasium.make("fastpg/Pong-v5").unwrapped
    env.reset(seed=0)
    with pytest.raises((TypeError, ValueError), match=r"^action: expected"):
        env.step(action)


@pytest.mark.parametrize(
    "env_id", [None, 5, "", "fastpg/Pnog-v5", ["ALE/Pong-v5"], "ALE/Tetris-v5"]
)
@pytest.mark.parametrize("kind", [NativeVectorEnv, AleVectorEnv])
def test_odd_ids_are_refused_by_name(kind, env_id):
    if kind is AleVectorEnv and env_id == "ALE/Tetris-v5":
        pytest.skip("ale-py plays it")
    with pytest.raises(ValueError, match=r"^env_id: expected"):
        kind(env_id)

"""Environments on our own emulator: ids, threads and buffers. See also test_vector_envs.py."""

import copy
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from fastpg.envs import NativeEnv, NativeVectorEnv

IDS = {
    "fastpg/Pong-v0": "Pong-v0",
    "fastpg/Pong-v4": "Pong-v4",
    "fastpg/Pong-v5": "ALE/Pong-v5",
    "fastpg/PongNoFrameskip-v0": "PongNoFrameskip-v0",
    "fastpg/PongNoFrameskip-v4": "PongNoFrameskip-v4",
}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    # no warning about v0
    monkeypatch.setattr(gymnasium.logger, "min_level", gymnasium.logger.ERROR)


def log(env, steps, seed=3):
    observations, infos = env.reset(seed=seed)
    kept = [observations, infos["episode_frame_number"]]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        *result, infos = env.step(rng.integers(env.single_action_space.n, size=env.num_envs))
        kept += [*result, infos["frame_number"]]
    env.close()
    return kept


@pytest.mark.parametrize(
    "order",
    [
        "import fastpg, gymnasium",
        "import gymnasium, fastpg",
        "import fastpg, importlib.util; importlib.util.find_spec('gymnasium'); import gymnasium",
    ],
)
def test_ids_are_registered_whichever_is_imported_first(order):
    code = (
        f"{order}; ids = [i for i in gymnasium.registry if i.startswith('fastpg/')];"
        f"assert ids == {list(IDS)}, ids;"
        "assert gymnasium.__spec__.loader is gymnasium.__loader__;"
        "assert not [f for f in __import__('sys').meta_path if 'fastpg' in type(f).__module__];"
        "assert 'fastpg.envs' not in __import__('sys').modules;"
        "env = gymnasium.make_vec('fastpg/Pong-v5', num_envs=3, obs_type='ram');"
        "assert env.reset(seed=1)[0].shape == (3, 128)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("own", "of_ale"), IDS.items())
def test_ids_have_the_rules_of_ale(own, of_ale):
    vector = gymnasium.make_vec(own, num_envs=2, obs_type="ram", num_threads=1)
    assert isinstance(vector, NativeVectorEnv)
    single, theirs = (gymnasium.make(i, disable_env_checker=True) for i in (own, of_ale))
    assert isinstance(single.unwrapped, NativeEnv)
    assert single.observation_space == theirs.observation_space
    assert single.action_space == theirs.action_space
    np.testing.assert_array_equal(single.reset(seed=8)[0], theirs.reset(seed=8)[0])
    rows, _ = vector.reset(seed=8)
    for action in np.random.default_rng(2).integers(6, size=200).tolist():
        mine, other = single.step(action), theirs.step(action)
        np.testing.assert_array_equal(mine[0], other[0])
        assert mine[1:4] == other[1:4]
        rows, rewards, *_ = vector.step([action, 0])
        np.testing.assert_array_equal(rows[0], theirs.unwrapped.ale.getRAM())
        assert rewards[0] == other[1]
    vector.close()


def test_the_single_environment_passes_gymnasiums_checker():
    check_env(NativeEnv("ALE/Pong-v5", render_mode="rgb_array"))
    env = NativeEnv("Pong-v0", render_mode="rgb_array", obs_type="ram", noop_max=30)
    first, _ = env.reset(seed=1)
    assert env.observation_space.contains(first)
    assert env.get_action_meanings()[:3] == ["NOOP", "FIRE", "RIGHT"]
    assert env.render().shape == (210, 160, 3)
    for bad in (2.9, "3"):
        with pytest.raises(TypeError, match=r"^action: expected an integer, got (float|str)"):
            env.step(bad)
    for values, message in (
        ({"obs_type": "pong80"}, "obs_type: expected one of rgb, grayscale, palette, ram"),
        ({"render_mode": "human"}, "render_mode: expected None or 'rgb_array', got 'human'"),
        ({"env_id": "ALE/Boxing-v5"}, "env_id: expected an id of Pong, got 'ALE/Boxing-v5'"),
    ):
        with pytest.raises(ValueError, match=message):
            NativeEnv(**values)


@pytest.mark.parametrize("obs_type", ["palette", "dqn"])
def test_threads_change_nothing(obs_type):
    common = {"obs_type": obs_type, "noop_max": 5, "max_num_frames_per_episode": 60}
    expected = log(NativeVectorEnv("Pong-v0", 7, num_threads=1, **common), 40)
    for threads in (2, 5):
        got = log(NativeVectorEnv("Pong-v0", 7, num_threads=threads, **common), 40)
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_array_equal(a, b)


def _step_forked(env, sender):
    sender.send([env.step([2] * 4)[0].sum() for _ in range(5)])


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_continues_with_its_own_threads():
    env = NativeVectorEnv("ALE/Pong-v5", 4, num_threads=3, obs_type="pong80")
    env.reset(seed=1)
    env.step([0] * 4)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    child = context.Process(target=_step_forked, args=(env, sender))
    child.start()
    assert receiver.poll(30)
    sums = receiver.recv()
    child.join(10)
    assert child.exitcode == 0
    assert sums == [env.step([2] * 4)[0].sum() for _ in range(5)]
    env.close()


def test_held_observations_stay_and_dropped_ones_are_used_again():
    env = NativeVectorEnv("ALE/Pong-v5", 2, num_threads=1, obs_type="ram")
    held = [env.reset(seed=1)[0]]
    copies = [held[0].copy()]
    views = []
    for k in range(12):
        observations, *_ = env.step([k % 6, 3])
        if k % 3:
            held.append(observations)
        else:
            views.append(observations[1:])  # a view holds the array too
        copies.append(observations.copy())
    kept = iter(copies[1:])
    for k, expected in enumerate(kept):
        got = held[1 + k - (k // 3 + 1)] if k % 3 else views[k // 3]
        np.testing.assert_array_equal(got, expected if k % 3 else expected[1:])
    np.testing.assert_array_equal(held[0], copies[0])
    del held, views, observations, got
    places = {env.step([0, 0])[0].ctypes.data for _ in range(20)}
    assert len(places) <= 4
    env.close()


def test_a_masked_reset_leaves_the_other_observations():
    for obs_type in ("palette", "dqn"):
        env = NativeVectorEnv("ALE/Pong-v5", 3, num_threads=2, obs_type=obs_type)
        env.reset(seed=1)
        before, *_ = env.step([2, 3, 2])
        before = before.copy()
        mask = np.array([False, True, False])
        after, infos = env.reset(options={"reset_mask": mask})
        np.testing.assert_array_equal(after[~mask], before[~mask])
        assert (after[1] != before[1]).any()
        assert infos["_lives"].tolist() == mask.tolist()
        env.close()


def test_a_masked_reset_does_not_show_what_was_written_without_autoreset():
    env = NativeVectorEnv("ALE/Pong-v5", 2, obs_type="palette", autoreset_mode="Disabled")
    before, _ = env.reset(seed=1)
    kept = before.copy()
    before[:] = 7
    after, _ = env.reset(options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(after[1], kept[1])
    env.close()


def test_one_thread_at_a_time():
    env = NativeVectorEnv("ALE/Pong-v5", 16, obs_type="rgb", num_threads=2)
    env.reset(seed=1)

    def hammer(_):
        errors = 0
        for _ in range(60):
            try:
                env.step([0] * 16)
            except RuntimeError as error:
                errors += "another thread is in step()" in str(error)
        return errors

    with ThreadPoolExecutor(3) as pool:
        errors = sum(pool.map(hammer, range(3)))
    assert 0 < errors < 180
    env.close()


def test_wrong_use_of_the_compiled_games():
    games = NativeVectorEnv("ALE/Pong-v5", 2, obs_type="ram", num_threads=2)._games
    games.close()
    games.close()
    with pytest.raises(RuntimeError, match="the games are closed"):
        games.step()
    env = NativeVectorEnv("ALE/Pong-v5", 2)
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        copy.copy(env)
    for stack in (0, 2.5):
        with pytest.raises(
            ValueError, match=f"stack_num: expected an int of at least 1, got {stack}"
        ):
            NativeVectorEnv(stack_num=stack, obs_type="dqn")
    for seed in (1.5, "ab", [1.5, 2.7]):
        with pytest.raises(ValueError, match="seed: expected"):
            env.reset(seed=seed)


def test_an_environment_that_is_dropped_ends_its_threads():
    code = (
        "import threading, os; from fastpg.envs import NativeVectorEnv;"
        "count = lambda: len(os.listdir('/proc/self/task'));"
        "before = count();"
        "env = NativeVectorEnv(num_envs=4, num_threads=4, obs_type='ram'); env.reset(seed=1);"
        "assert count() == before + 3;"
        "del env; assert count() == before;"
        "env = NativeVectorEnv(num_envs=4, num_threads=4, obs_type='ram'); env.reset(seed=1)"
    )  # the second one still exists when the process exits, which must not hang
    if sys.platform != "linux":
        pytest.skip("counts threads in /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

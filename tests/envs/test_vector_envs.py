"""Both vector environments equal Gymnasium's SyncVectorEnv over its own environments."""

import os
import signal

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from fastpg.envs import PALETTE_RGB, AleVectorEnv, NativeVectorEnv, WorkerError
from fastpg.envs.vector_base import OBSERVATIONS
from fastpg.kernels import get_backend

MODES = list(AutoresetMode)
both = pytest.mark.parametrize("kind", [AleVectorEnv, NativeVectorEnv])


def sync(env_id, count, mode=AutoresetMode.NEXT_STEP, **kwargs):
    gymnasium.logger.min_level = gymnasium.logger.ERROR  # no warning about Pong-v0

    def one():
        return gymnasium.make(env_id, disable_env_checker=True, **kwargs)

    return SyncVectorEnv([one] * count, autoreset_mode=mode)


def assert_same(ours, theirs):
    """Compare values, types and keys, also within an info dictionary."""
    if isinstance(theirs, dict):
        # ale-py's environments also report the seeds that they derived
        assert set(ours) == {key for key in theirs if key.strip("_") != "seeds"}
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif theirs.dtype == object:
        for a, b in zip(ours, theirs, strict=True):
            assert (a is None) == (b is None)
            np.testing.assert_array_equal(a, b)
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def assert_same_step(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert_same(a, b)


def run_beside(all_ours, theirs, steps, seed):
    """Play all with equal actions, reset them where autoreset is off, and count the episodes."""
    expected = theirs.reset(seed=seed)
    for ours in all_ours:
        assert_same_step(ours.reset(seed=seed), expected)
    rng, ends = np.random.default_rng(2), 0
    for _ in range(steps):
        actions = rng.integers(theirs.single_action_space.n, size=theirs.num_envs)
        expected = theirs.step(actions)
        over = expected[2] | expected[3]
        ends += over.sum()
        resets = over.any() and all_ours[0].autoreset_mode is AutoresetMode.DISABLED
        options = {"reset_mask": over}
        after = theirs.reset(options=dict(options)) if resets else None
        for ours in all_ours:
            assert_same_step(ours.step(actions), expected)
            if resets:
                with pytest.raises(AssertionError, match="are over"):
                    ours.step(actions)
                assert_same_step(ours.reset(options=options), after)
    for ours in all_ours:
        ours.close()
    return ends


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_equal_to_gymnasium_through_episode_ends(mode):
    cases = [
        ([AleVectorEnv, NativeVectorEnv], "Pong-v0", {"max_num_frames_per_episode": 101}, 120),
        ([AleVectorEnv], "ALE/Breakout-v5", {}, 220),
    ]
    for kinds, env_id, kwargs, steps in cases:
        theirs = sync(env_id, 3, mode, **kwargs)
        all_ours = [
            kind(env_id, 3, autoreset_mode=mode, num_threads=threads, **kwargs)
            for kind in kinds
            for threads in (1, 2)
        ]
        for ours in all_ours:
            assert ours.metadata["autoreset_mode"] is mode
            for name in ("single_observation_space", "observation_space"):
                assert getattr(ours, name) == getattr(theirs, name)
            for name in ("single_action_space", "action_space"):
                assert getattr(ours, name) == getattr(theirs, name)
        assert run_beside(all_ours, theirs, steps, 17) >= 2
        theirs.close()


@pytest.mark.parametrize(
    ("env_id", "kwargs", "steps"),
    [
        ("Pong-v0", {}, 1750),
        ("ALE/Pong-v5", {}, 1300),
        # the games are those of ALE/Pong-v5 without sticky actions, so not to the end
        ("PongNoFrameskip-v4", {"frameskip": 4, "max_num_frames_per_episode": 402}, 250),
    ],
)
def test_whole_pong_episodes(env_id, kwargs, steps):
    theirs = sync(env_id, 2, **kwargs)
    all_ours = [
        kind(env_id, 2, num_threads=2, **kwargs) for kind in (AleVectorEnv, NativeVectorEnv)
    ]
    assert run_beside(all_ours, theirs, steps, [3, 40]) >= 2


@both
def test_masked_reset_with_seeds(kind):
    theirs, ours = sync("Pong-v0", 3), kind("Pong-v0", 3, num_threads=1)
    assert_same_step(ours.reset(seed=[5, 6, 7]), theirs.reset(seed=[5, 6, 7]))
    for mask in ([True, False, True], [False, True, False]):
        actions = np.array([1, 2, 3])
        for _ in range(20):
            assert_same_step(ours.step(actions), theirs.step(actions))
        options = {"reset_mask": np.array(mask)}
        results = ours.reset(seed=9, options=options), theirs.reset(seed=9, options={**options})
        assert_same_step(*results)
        assert_same_step(ours.step(actions), theirs.step(actions))
    ours.close()


@both
def test_observation_types_show_the_same_game(kind):
    kernels = get_backend("reference")
    seen, finals = {}, {}
    for obs_type in OBSERVATIONS:
        env = kind(
            "ALE/Pong-v5",
            2,
            num_threads=1,
            obs_type=obs_type,
            autoreset_mode="SameStep",
            max_num_frames_per_episode=400,
        )
        env.reset(seed=4)
        for _ in range(100):
            seen[obs_type], _, _, truncations, infos = env.step([2, 3])
        assert truncations.all()
        finals[obs_type] = np.stack(infos["final_obs"])
        assert env.observation_space.contains(seen[obs_type])
        env.close()
    for group in (seen, finals):
        np.testing.assert_array_equal(PALETTE_RGB[group["palette"]], group["rgb"])
        np.testing.assert_array_equal(kernels.preprocess(group["rgb"]), group["pong80"])
        assert group["pong80"].any()
    assert seen["ram"].shape == (2, 128)
    theirs = sync("ALE/Pong-v5", 2, obs_type="grayscale")
    ours = kind("ALE/Pong-v5", 2, num_threads=1, obs_type="grayscale")
    assert run_beside([ours], theirs, 50, 1) == 0


@both
def test_copy(kind):
    for copy in (True, False):
        env = kind("Pong-v0", 1, copy=copy, obs_type="palette")
        first, _ = env.reset(seed=1)
        kept = first.copy()
        for _ in range(20):
            last, *_ = env.step([0])
        assert (last is first) != copy
        assert np.array_equal(first, kept) == copy
        env.close()


@both
def test_wrong_use(kind):
    env = kind("Pong-v0", 2, num_threads=1)
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"expected reset\(\)"):
        env.step([0, 0])
    with pytest.raises(ValueError, match="seed: expected 2 of them, got 3"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="seed: expected ints of at least 0"):
        env.reset(seed=-1)
    for mask in (np.zeros(2, bool), np.ones(3, bool), np.ones(2, int)):
        with pytest.raises(ValueError, match=r"reset_mask: expected \(2,\) bool"):
            env.reset(options={"reset_mask": mask})
    env.reset(options={"reset_mask": np.array([False, True])})
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"games \[0\]"):
        env.step([0, 0])
    env.reset()
    for actions in ([0, 6], [-1, 0], [0], [[0, 0]], [0.0, 1.0], 1):
        with pytest.raises(ValueError, match=r"actions: expected \(2,\) integers of 0 to 5, got"):
            env.step(actions)
    env.close()
    env.close()
    for use in (env.reset, lambda: env.step([0, 0])):
        with pytest.raises(gymnasium.error.ClosedEnvironmentError):
            use()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_envs": 0}, "num_envs: expected an int of at least 1, got 0"),
        ({"num_threads": -1}, "num_threads: expected an int of at least 0, got -1"),
        ({"obs_type": "x"}, "obs_type: expected one of rgb, .*, got 'x'"),
        ({"frameskip": 0}, "frameskip: expected"),
        ({"autoreset_mode": "x"}, "autoreset_mode: expected one of NextStep, .*, got 'x'"),
    ],
)
@both
def test_bad_values(kind, values, message):
    with pytest.raises(ValueError, match=message):
        kind("Pong-v0", **values)


def test_bad_values_of_one():
    with pytest.raises(ValueError, match="backend: expected one of"):
        AleVectorEnv("Pong-v0", obs_type="pong80", backend="x")
    with pytest.raises(ValueError, match="env_id: expected an id of Pong, got 'ALE/Breakout-v5'"):
        NativeVectorEnv("ALE/Breakout-v5")


def test_a_killed_worker_is_an_error():
    env = AleVectorEnv("Pong-v0", 2, num_threads=2)
    env.reset(seed=1)
    os.kill(env._pool._workers.members[0].process.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"worker 0 of 2 died with exit code -9 \(SIGKILL\)"):
        env.step([0, 0])
    env.close()

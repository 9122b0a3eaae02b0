"""The scripts of examples/, run as users run them, at tiny sizes; their --help."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fastpg.kernels import get_backend

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL_PPO = "--games 2 --rollout 8 --minibatch 8 --epochs 1 --steps 32".split()
RUNS = {
    "own_kernel.py": (None, "--games 3 --steps 400".split()),
    "ppo_torch.py": ("torch", [*SMALL_PPO, "--hidden", "4"]),
    "ppo_stable_baselines3.py": ("stable_baselines3", SMALL_PPO),
}


def run(name, *words):
    """Run a script; return its output. Skip if a package that it needs is missing."""
    needs, _ = RUNS[name]
    if needs:
        pytest.importorskip(needs, exc_type=ImportError)
    ran = subprocess.run(
        [sys.executable, EXAMPLES / name, *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    return ran.stdout


def test_all_are_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_help_says_every_option(name):
    text = (EXAMPLES / name).read_text()
    options = re.findall(r'add_argument\("(--[a-z-]+)"', text)
    shown = run(name, "--help")
    assert len(options) > 3
    assert set(options) <= set(shown.split())


def test_own_kernel():
    name = "own_kernel.py"
    out = run(name, *RUNS[name][1])
    assert re.search(r"^1,200 decisions, mean [+-]0\.0000, deviation 1\.0000$", out, re.M)
    assert re.search(r"^ +\d+ points lost: mean weight -\d\.\d\d$", out, re.M)


def test_own_kernel_equals_numpy(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import own_kernel

    rng = np.random.default_rng(0)
    rewards = rng.choice(np.array([-1, 0, 0, 0, 1], np.float32), (50, 3))
    dones = rng.random((50, 3)) < 0.05
    returns, weights = np.empty_like(rewards), np.empty(150, np.float32)
    own_kernel.decision_weights(rewards, dones, 0.9, returns, np.array([0, 150]), weights)
    plain = get_backend("reference").discounted_returns(rewards, dones, 0.9, True).astype(float)
    plain -= plain.mean(axis=1, keepdims=True)
    expected = (plain - plain.mean()) / plain.std()
    np.testing.assert_allclose(weights.reshape(50, 3), expected, rtol=0, atol=1e-5)


def test_ppo_torch():
    name = "ppo_torch.py"
    out = run(name, *RUNS[name][1])
    last = r"^ +32 steps, +[\d,]+ a second, mean score of the last 0 episodes: none yet$"
    assert re.search(last, out, re.M)


def test_ppo_torch_sees_the_view_before(monkeypatch):
    pytest.importorskip("torch", exc_type=ImportError)
    monkeypatch.syspath_prepend(EXAMPLES)
    import ppo_torch
    import torch

    torch.manual_seed(0)
    agent, rng = ppo_torch.Agent(8), np.random.default_rng(0)
    now, before = (rng.random((2, 5, ppo_torch.VIEW)) < 0.004).astype(np.uint8)
    policy, values = agent(now, before)
    both = torch.from_numpy(np.concatenate([now, before], axis=1)).float()
    features = (both @ agent.pixels.weight).relu()
    torch.testing.assert_close(policy.logits, agent.policy(features).log_softmax(-1))
    torch.testing.assert_close(values, agent.value(features)[:, 0])
    games = ppo_torch.Games("fastpg/Pong-v5", 3, seed=0)
    seen = [games.now]
    for t in range(4):
        games.step(np.full(3, t % 3))
        np.testing.assert_array_equal(games.before, seen[-1])
        seen.append(games.now)
    assert any((one != other).any() for one, other in pairwise(seen))
    games.envs.close()


def test_stable_baselines3():
    name = "ppo_stable_baselines3.py"
    assert run(name, *RUNS[name][1]).endswith("32 agent steps, 0 episodes finished\n")


def test_stable_baselines3_adapter_equals_the_environment(monkeypatch):
    """The same observations and rewards; episodes' ends in Stable-Baselines3's form."""
    pytest.importorskip("stable_baselines3", exc_type=ImportError)
    import gymnasium

    monkeypatch.syspath_prepend(EXAMPLES)
    from ppo_stable_baselines3 import Games

    def make():
        return gymnasium.make_vec(
            "fastpg/Pong-v5",
            num_envs=2,
            obs_type="ram",
            autoreset_mode="SameStep",
            max_num_frames_per_episode=80,
        )

    games, plain = Games(make()), make()
    games.seed(7)
    np.testing.assert_array_equal(games.reset(), plain.reset(seed=7)[0])
    ends = 0
    for _ in range(60):
        actions = np.array([2, 3])
        observations, rewards, dones, each = games.step(actions)
        expected, expected_rewards, terminated, truncated, infos = plain.step(actions)
        np.testing.assert_array_equal(observations, expected)
        np.testing.assert_array_equal(rewards, expected_rewards)
        np.testing.assert_array_equal(dones, terminated | truncated)
        for i in range(2):
            if dones[i]:
                ends += 1
                last = infos["final_obs"][i]
                np.testing.assert_array_equal(each[i]["terminal_observation"], last)
                assert each[i]["TimeLimit.truncated"] == truncated[i]
            else:
                assert each[i] == {}
    assert ends >= 4
    games.close()
    plain.close()

"""Emulator frames per second of several ways to play Pong; each round is a fixed number of steps.

``extra_info["frames_per_second"]`` counts emulator frames (4 a step), of the fastest round.
"""

import gymnasium
import numpy as np
import pytest

from fastpg.emulator import Emulator, pong_rom
from fastpg.envs import AleGame, AleVectorEnv, NativeVectorEnv
from fastpg.envs.rules import rules

ENV_ID = "ALE/Pong-v5"
FRAMESKIP = 4
ENVS = 8
STEPS = 50
ROUNDS = 5


def measure(benchmark, function, frames):
    benchmark.pedantic(function, rounds=ROUNDS, warmup_rounds=1)
    if benchmark.stats:  # none with --benchmark-disable
        benchmark.extra_info["frames_per_second"] = round(frames / benchmark.stats.stats.min)
    benchmark.extra_info["frames_per_round"] = frames


def measure_vector(benchmark, env):
    """Steps of all games with action 0, through episode ends; closes the environment."""
    env.reset()
    actions = np.zeros(ENVS, np.int32)

    def steps():
        for _ in range(STEPS):
            env.step(actions)

    measure(benchmark, steps, STEPS * ENVS * FRAMESKIP)
    env.close()


@pytest.mark.benchmark(group="env")
def test_act_alone(benchmark):
    """Bare ``ALEInterface.act``: one game, one process, no picture taken."""
    game = AleGame(rules(ENV_ID))
    game.reset(0)
    act = game._ale.act

    def frames():
        game._ale.reset_game()
        for _ in range(1000):
            act(0)

    measure(benchmark, frames, 1000)


@pytest.mark.benchmark(group="env")
def test_our_act_alone(benchmark):
    """The same on our own emulator."""
    emulator = Emulator()
    emulator.setInt("random_seed", 0)
    emulator.loadROM(pong_rom())
    act = emulator.act

    def frames():
        emulator.reset_game()
        for _ in range(20_000):
            act(0)

    measure(benchmark, frames, 20_000)


@pytest.mark.benchmark(group="env")
@pytest.mark.parametrize("threads", [1, 0], ids=["one", "all"])
@pytest.mark.parametrize("obs_type", ["pong80", "palette", "rgb", "ram", "dqn"])
def test_native_vector_env(benchmark, obs_type, threads):
    env = NativeVectorEnv(ENV_ID, ENVS, num_threads=threads, obs_type=obs_type)
    measure_vector(benchmark, env)


@pytest.mark.benchmark(group="env")
@pytest.mark.parametrize("threads", [1, 0], ids=["inline", "workers"])
@pytest.mark.parametrize("obs_type", ["pong80", "palette", "rgb"])
def test_ale_vector_env(benchmark, obs_type, threads):
    env = AleVectorEnv(ENV_ID, ENVS, num_threads=threads, obs_type=obs_type)
    measure_vector(benchmark, env)


@pytest.mark.benchmark(group="env")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_gymnasium(benchmark, kind):
    """Gymnasium's vector environments over ale-py's single environment, RGB pictures."""

    def one():
        import ale_py

        gymnasium.register_envs(ale_py)
        return gymnasium.make(ENV_ID, disable_env_checker=True)

    if kind == "sync":
        env = gymnasium.vector.SyncVectorEnv([one] * ENVS)
    else:
        env = gymnasium.vector.AsyncVectorEnv([one] * ENVS, context="spawn")
    measure_vector(benchmark, env)


@pytest.mark.benchmark(group="env")
def test_ale_py_vector_env(benchmark):
    """ale-py's own vector environment (threads), 84x84 pictures of the last two frames' maximum."""
    from ale_py import AtariVectorEnv

    measure_vector(benchmark, AtariVectorEnv("pong", ENVS, frameskip=FRAMESKIP))


@pytest.mark.benchmark(group="env")
def test_envpool(benchmark):
    """EnvPool (threads), 84x84 pictures of the last two frames' maximum."""
    envpool = pytest.importorskip("envpool")
    env = envpool.make("Pong-v5", env_type="gymnasium", num_envs=ENVS, frame_skip=FRAMESKIP)
    measure_vector(benchmark, env)

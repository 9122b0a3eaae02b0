"""How many emulator frames per second do Pong's environments play? Ours beside other packages'.

Each round is a fixed number of ``step()`` calls with random actions, through episode ends.
``extra_info["frames_per_second"]`` counts emulator frames (4 per step) in the fastest round.
``pong80`` of :class:`~fastpg.envs.NativeVectorEnv` is the 80x80 view as ``step()`` returns it.
Training does not call ``step()``: ``end_to_end.py`` times it, from the emulator to the weights.
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
    """Time steps of all games; close the environment."""
    env.reset()
    actions = np.random.default_rng(0).integers(6, size=(STEPS, ENVS), dtype=np.int32)

    def steps():
        for row in actions:
            env.step(row)

    measure(benchmark, steps, STEPS * ENVS * FRAMESKIP)
    env.close()


@pytest.mark.benchmark(group="env")
def test_act_alone(benchmark):
    """``ALEInterface.act`` of one game, without reading its picture."""
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
    """``Emulator.act`` of one game, without reading its picture."""
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
    """Gymnasium's vector environments over ale-py's single one; RGB frames."""

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
    """ale-py's vector environment on threads; 84x84 pictures, each the maximum of two frames."""
    from ale_py import AtariVectorEnv

    measure_vector(benchmark, AtariVectorEnv("pong", ENVS, frameskip=FRAMESKIP))


@pytest.mark.benchmark(group="env")
def test_envpool(benchmark):
    """EnvPool on threads; 84x84 pictures, each the maximum of two frames."""
    envpool = pytest.importorskip("envpool")
    env = envpool.make("Pong-v5", env_type="gymnasium", num_envs=ENVS, frame_skip=FRAMESKIP)
    measure_vector(benchmark, env)

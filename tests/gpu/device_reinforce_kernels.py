"""The thin loop of REINFORCE with the cuda backend's kernels against the CPU's."""

from dataclasses import replace

import numpy as np
import pytest

from fastpg.algorithms.build import make_algorithm
from fastpg.algorithms.reinforce_kernels import ReinforceKernels
from fastpg.cli.resolve import resolve
from fastpg.config import preset
from fastpg.envs import NativeVectorEnv
from fastpg.kernels import get_backend
from fastpg.rollouts.returns import ReturnEstimator

pytestmark = pytest.mark.gpu
ROUNDS = 2


def make(backend, **changed):
    envs = NativeVectorEnv(
        "ALE/Pong-v5",
        2,
        num_threads=1,
        obs_type=changed.pop("obs_type", "palette"),
        max_num_frames_per_episode=120,
    )
    settings = {
        "actions": (3, 2),
        "outputs": 1,
        "hidden": 8,
        "input": "difference",
        "find_background": True,
        "learning_rate": 1e-3,
        "decay": 0.99,
        "seed": 3,
    }
    return ReinforceKernels(envs, get_backend(backend), ReturnEstimator(), **settings | changed)


def trained(algorithm, rounds=ROUNDS):
    played = []
    for _ in range(rounds):
        batch = algorithm.play()
        actions = [algorithm.kernels.to_host(step[-1]).tolist() for step in batch.batch[0]]
        played.append((batch.scores, batch.lengths, actions))
        algorithm.learn(batch)
    return played


@pytest.mark.parametrize(
    "changed",
    [{}, {"input": "stack", "outputs": 3, "actions": (0, 3, 2)}, {"obs_type": "rgb"}],
    ids=["difference", "stack", "rgb"],
)
def test_the_same_episodes_and_weights_as_on_the_cpu(changed):
    here, there = make("cython", **changed), make("cuda", **changed)
    assert trained(there) == trained(here)
    for name, tensor in here.tensors().items():
        np.testing.assert_array_equal(there.tensors()[name], tensor, err_msg=name)


def test_raw_frames():
    """Dense sums have another order: equal up to rounding."""
    here, there = (make(backend, input="raw", hidden=2) for backend in ("cython", "cuda"))
    assert trained(there, 1) == trained(here, 1)
    for name in ("w1", "w2"):
        np.testing.assert_allclose(there.tensors()[name], here.tensors()[name], rtol=0, atol=1e-4)


def test_a_resumed_run_is_the_uninterrupted_one():
    straight, first, second = (make("cuda") for _ in range(3))
    expected = trained(straight, 2)
    assert trained(first, 1) == expected[:1]
    second.restore(first.tensors())
    assert trained(second, 1) == expected[1:]
    for name, tensor in straight.tensors().items():
        np.testing.assert_array_equal(second.tensors()[name], tensor)


def test_the_option_of_the_command():
    config = replace(preset("pong"), backend="cuda", episodes_per_batch=2, hidden=4, threads=1)
    spec = resolve(config)
    spec = replace(spec, rules=replace(spec.rules, max_num_frames_per_episode=60))
    here, there = make_algorithm(replace(spec, backend="cython")), make_algorithm(spec)
    assert there.kernels.name == "cuda"
    assert trained(there, 1) == trained(here, 1)

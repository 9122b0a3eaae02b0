"""Kernels embedded in user code: NumPy arrays, ``@njit`` functions, Cython modules."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from numba import njit

from fastpg.kernels import get_backend, get_include, numba_cpu
from fastpg.kernels.spec import BY_NAME
from tests.support.cases import views_like_pong

H, A = 24, 3


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    w1 = rng.normal(size=(6400, H)).astype(np.float32)
    return w1, rng.normal(size=(A, H)).astype(np.float32)


@pytest.fixture
def expected(network):
    """Inputs, actions and returns of the reference, for the loops below."""
    reference = get_backend("reference")
    current, previous = views_like_pong(np.random.default_rng(1), 5)
    rows = reference.frame_difference(current, previous)
    _, probabilities = reference.policy_forward(*rows, *network)
    numbers = np.arange(5, dtype=np.uint64)
    actions = reference.sample_actions(
        probabilities, reference.counter_uniforms(numbers, numbers, 7)
    )
    rewards = actions.astype(np.float32)[:, None]
    returns = reference.discounted_returns(rewards, np.zeros((5, 1), bool), 0.9)
    return current, previous, numbers, actions, returns


def outputs():
    return (
        np.empty(500, np.uint16),
        np.empty(500, np.int8),
        np.empty(6, np.int64),
        np.empty((5, H), np.float32),
        np.empty((5, A), np.float32),
        np.empty(5, np.float32),
        np.empty(5, np.uint8),
        np.empty((5, 1), np.float32),
    )


def test_plain_arrays():
    from fastpg.kernels import discounted_returns, frame_difference, policy_forward

    rewards = np.array([[0.0], [0.0], [1.0]], np.float32)
    assert discounted_returns(rewards, rewards != 0, 0.5)[:, 0].tolist() == [0.25, 0.5, 1.0]
    rows = frame_difference(np.eye(3, dtype=np.uint8), np.zeros((3, 3), np.uint8))
    _, probabilities = policy_forward(
        *rows, np.ones((3, 4), np.float32), np.zeros((1, 4), np.float32)
    )
    assert probabilities.tolist() == [[0.5]] * 3


@njit
def my_steps(
    current, previous, numbers, w1, w2,
    indices, signs, offsets, hidden, probabilities, uniforms, actions, returns,
):  # fmt: skip
    numba_cpu.frame_difference(current, previous, indices, signs, offsets)
    numba_cpu.policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities)
    numba_cpu.counter_uniforms(numbers, numbers, 7, uniforms)
    numba_cpu.sample_actions(probabilities, uniforms, actions)
    rewards = actions.astype(np.float32).reshape(-1, 1)
    numba_cpu.discounted_returns(rewards, np.zeros((5, 1), np.bool_), 0.9, False, returns)


def test_loops_inside_a_users_njit_function(network, expected):
    current, previous, numbers, actions, returns = expected
    *others, got_actions, got_returns = outputs()
    my_steps(current, previous, numbers, *network, *others, got_actions, got_returns)
    np.testing.assert_array_equal(got_actions, actions)
    np.testing.assert_array_equal(got_returns, returns)


MY_MODULE = """
# cython: language_level=3
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t, uint64_t
from fastpg.kernels._cython cimport (
    c_counter_uniforms, c_discounted_returns, c_frame_difference, c_policy_forward,
    c_sample_actions,
)

def my_steps(
    const uint8_t[:, ::1] current, const uint8_t[:, ::1] previous, const uint64_t[::1] numbers,
    const float[:, ::1] w1, const float[:, ::1] w2, uint16_t[::1] indices, int8_t[::1] signs,
    int64_t[::1] offsets, float[:, ::1] hidden, float[:, ::1] probabilities,
    float[::1] uniforms, uint8_t[::1] actions, float[:, ::1] returns,
    float[:, ::1] rewards, const uint8_t[:, ::1] dones,
):
    cdef int64_t used
    cdef Py_ssize_t n
    with nogil:
        used = c_frame_difference(current, previous, indices, signs, offsets)
        c_policy_forward(indices, signs, offsets, w1, w2, hidden, probabilities)
        c_counter_uniforms(numbers, numbers, 7, uniforms)
        c_sample_actions(probabilities, uniforms, actions)
        for n in range(5):
            rewards[n, 0] = actions[n]
        c_discounted_returns(rewards, dones, 0.9, False, returns)
    return used
"""

MY_SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup

extension = Extension("my_module", ["my_module.pyx"])
setup(
    name="my-module",
    script_args=["build_ext", "--inplace"],
    ext_modules=cythonize([extension], include_path=[sys.argv.pop()]),
)
"""


def test_loops_cimported_by_a_users_cython_module(tmp_path, monkeypatch, network, expected):
    (tmp_path / "my_module.pyx").write_text(MY_MODULE)
    (tmp_path / "setup.py").write_text(MY_SETUP)
    command = [sys.executable, "setup.py", get_include()]
    environment = {**os.environ, "CFLAGS": "-O0"}
    built = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    monkeypatch.syspath_prepend(tmp_path)
    import my_module

    current, previous, numbers, actions, returns = expected
    *others, got_actions, got_returns = outputs()
    rewards, dones = np.zeros((5, 1), np.float32), np.zeros((5, 1), bool)
    used = my_module.my_steps(
        current, previous, numbers, *network, *others, got_actions, got_returns, rewards, dones
    )
    assert used == others[2][-1]
    np.testing.assert_array_equal(got_actions, actions)
    np.testing.assert_array_equal(got_returns, returns)


def test_every_loop_can_be_cimported():
    from fastpg.kernels import _cython

    assert sorted(_cython.__pyx_capi__) == sorted(f"c_{name}" for name in BY_NAME)


def another_thread_runs_during(call, seconds):
    """Whether another thread runs while ``call`` is repeated for at most ``seconds``.

    The switch interval is so long that Python never takes the GIL from this thread: the other one
    runs only if ``call`` releases it.
    """
    stop, counted = threading.Event(), [0]

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(1e-5)  # releases the GIL, which Python will not take away

    counter = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)
    try:
        counter.start()
        while not counted[0]:
            time.sleep(1e-3)
        before, end = counted[0], time.monotonic() + seconds
        while counted[0] == before and time.monotonic() < end:
            call()
        return counted[0] > before
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        counter.join()


@pytest.mark.parametrize("backend", ["numba", "cython"])
def test_loops_run_without_the_gil(backend):
    loop = get_backend(backend).loops.counter_uniforms
    numbers = np.zeros(1_000_000, np.uint64)
    uniforms = np.empty(numbers.size, np.float32)
    loop(numbers[:1], numbers[:1], np.uint64(0), uniforms[:1])  # compiles
    assert another_thread_runs_during(
        lambda: loop(numbers, numbers, np.uint64(0), uniforms), seconds=20
    )


def test_a_loop_with_the_gil_would_be_noticed():
    assert not another_thread_runs_during(lambda: sum(range(1_000_000)), seconds=0.5)

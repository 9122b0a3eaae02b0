"""The cuda backend: its ops in processes of their own, and its errors where it cannot run."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastpg.kernels import BackendUnavailable, get_backend

ROOT = Path(__file__).resolve().parents[2]
OPS = "tests/gpu/cuda_ops.py"
SIMULATOR = {"NUMBA_ENABLE_CUDASIM": "1"}


def in_a_process(*arguments, **environment):
    """Run Python; return the finished process with its output as text."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def run_tests(tests, **environment):
    """Run a file of tests in a process of its own."""
    return in_a_process("-m", "pytest", "-q", "-p", "no:cacheprovider", tests, **environment)


def passed(ran):
    """Fail with the output of :func:`run_tests` unless all tests passed."""
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]


def passes_on_the_gpu(tests):
    """Run a file of tests on the GPU; skip if there is none."""
    try:
        get_backend("cuda")
    except BackendUnavailable as error:
        pytest.skip(str(error))
    passed(run_tests(tests, NUMBA_ENABLE_CUDASIM="0"))


def test_ops_in_the_simulator():
    passed(run_tests(OPS, **SIMULATOR))


def test_ops_on_the_gpu():
    passes_on_the_gpu(OPS)


def test_a_backend_that_cannot_run_says_so_on_one_line():
    code = "from fastpg.kernels import get_backend; get_backend('cuda')"
    ran = in_a_process("-c", code, NUMBA_ENABLE_CUDASIM="0", NUMBA_DISABLE_CUDA="1")
    last = ran.stderr.strip().splitlines()[-1]
    assert ran.returncode == 1
    assert last.startswith("fastpg.kernels.BackendUnavailable: the cuda backend ")
    cure = "install NVIDIA's driver" if importlib.util.find_spec("numba_cuda") else "pip install"
    assert cure in last


def test_the_backend_can_be_pickled():
    code = (
        "import pickle; from fastpg.kernels import get_backend; b = get_backend('cuda');"
        "assert pickle.loads(pickle.dumps(b)) is b; print(b)"
    )
    ran = in_a_process("-c", code, **SIMULATOR)
    assert ran.stdout == "<fastpg.kernels backend 'cuda'>\n", ran.stderr


# ---- errors: one line with the reason and the cure ------------------------------------------

ERRORS = """
from types import SimpleNamespace
from fastpg.kernels import BackendUnavailable
from fastpg.kernels._cuda import jit

def failing(message):
    def fail(*_, **__):
        raise ImportError(message)
    return fail

jit.SIMULATED = False
{setup}
try:
    jit.require_device()
except BackendUnavailable as error:
    print(error)
"""
DRIVER = "jit.cuda = SimpleNamespace(get_current_device=failing({message!r}))"
DEVICE = (
    "jit.cuda = SimpleNamespace(get_current_device="
    "lambda: SimpleNamespace(compute_capability={capability}));"
    "jit.cuda_module = SimpleNamespace(compile_ptx={compiler});"
    "jit.version = lambda name: '1.2'"
)
WORKS = "lambda *_, cc: None"
INSTALL = (
    "pip install -e '.[cuda]' in a checkout, or pip install 'fastpg-rl[cuda]'; for CUDA 13 the "
    "extra is cuda13"
)
RELEASES = "numba-cuda 1.2, numba 1.2, numpy 1.2"


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        (
            DRIVER.format(
                message="Error at driver init:\n\nCUDA driver library cannot be found.\n:"
            ),
            "the cuda backend finds no NVIDIA driver (Error at driver init: CUDA driver library "
            "cannot be found): install NVIDIA's driver and do not set NUMBA_DISABLE_CUDA; "
            "NUMBA_ENABLE_CUDASIM=1 runs the ops of the kernel table, slowly, without a GPU",
        ),
        (
            DRIVER.format(message="Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)"),
            "the cuda backend finds no GPU (Call to cuInit results in CUDA_ERROR_NO_DEVICE (100)): "
            "check nvidia-smi and CUDA_VISIBLE_DEVICES; NUMBA_ENABLE_CUDASIM=1 runs the ops of the "
            "kernel table, slowly, without a GPU",
        ),
        (
            DRIVER.format(message="CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"),
            "the cuda backend finds a driver that does not fit (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH "
            "(803)): update NVIDIA's driver, or install the extra for the older CUDA",
        ),
        (
            DEVICE.format(capability="(6, 1)", compiler=WORKS),
            "the cuda backend needs compute capability 7.0, this GPU has 6.1: choose a newer one "
            "with CUDA_VISIBLE_DEVICES, or use the cython backend",
        ),
        (
            DEVICE.format(capability="(9, 0)", compiler="failing('libNVVM cannot be found.')"),
            f"the cuda backend cannot compile with {RELEASES} (libNVVM cannot be found): {INSTALL}",
        ),
        (DEVICE.format(capability="(9, 0)", compiler=WORKS), ""),
    ],
)
def test_what_is_missing_is_named_with_its_cure(setup, expected):
    ran = in_a_process("-c", ERRORS.format(setup=setup), **SIMULATOR)
    assert ran.stdout.strip() == expected, ran.stderr


def test_a_missing_package_is_named_with_its_cure():
    code = (
        "import importlib.util; importlib.util.find_spec = lambda *_: None\n"
        "import fastpg.kernels._cuda.jit"
    )
    ran = in_a_process("-c", code, NUMBA_ENABLE_CUDASIM="0")
    last = ran.stderr.strip().splitlines()[-1]
    assert last == (
        "fastpg.kernels.BackendUnavailable: the cuda backend needs the package numba-cuda: "
        + INSTALL
    )


def test_releases_that_do_not_go_together_are_named_with_the_cure():
    code = """
import importlib.metadata, importlib.util, sys
importlib.metadata.version = lambda name: "1.2"
importlib.util.find_spec = lambda *_: True
class Finder:
    def find_spec(name, *_):
        if name == "numba.cuda":
            raise AttributeError("module 'numba' has no attribute 'x'")
sys.meta_path.insert(0, Finder)
from fastpg.cuda import DevicePong
"""
    ran = in_a_process("-c", code, NUMBA_ENABLE_CUDASIM="0")
    last = ran.stderr.strip().splitlines()[-1]
    assert last == (
        f"fastpg.kernels.BackendUnavailable: the cuda backend cannot import {RELEASES} (module "
        f"'numba' has no attribute 'x'): {INSTALL}"
    )

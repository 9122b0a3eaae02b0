"""What fastpg.cuda says where it cannot run: one line with the cure."""

import subprocess

import pytest

from tests.gpu.test_cuda import ROOT, SIMULATOR, in_a_process

NO_GPU = {"NUMBA_ENABLE_CUDASIM": "0", "NUMBA_DISABLE_CUDA": "1"}
MAKE_GAMES = (
    "from fastpg.envs.rules import rules; from fastpg.cuda import DevicePong;"
    "DevicePong(rules('ALE/Pong-v5'), 4)"
)


def last_error_line(code, **environment):
    ran = in_a_process("-c", code, **environment)
    assert ran.returncode == 1
    return ran.stderr.strip().splitlines()[-1]


def test_without_a_gpu_one_line_says_so():
    last = last_error_line(MAKE_GAMES, **NO_GPU)
    assert last.startswith("fastpg.kernels.BackendUnavailable: the cuda backend ")


def test_in_the_simulator_one_line_says_so():
    last = last_error_line(MAKE_GAMES, **SIMULATOR)
    assert last.startswith("fastpg.kernels.BackendUnavailable: games on a GPU do not run in numba")
    assert last.endswith("unset NUMBA_ENABLE_CUDASIM")


def test_without_a_compiler_one_line_says_so():
    code = (
        "import sys; from fastpg.cuda import compiler; sys.modules['cuda.bindings'] = None;"
        "compiler.compile_sources((9, 0))"
    )
    last = last_error_line(code, **SIMULATOR)
    assert last.startswith(
        "fastpg.kernels.BackendUnavailable: games on a GPU need the compiler NVRTC ("
    )
    assert "pip install 'fastpg-rl[cuda]'" in last


@pytest.mark.parametrize(
    ("option", "name"), [("--device", "pong"), ("--device", "fast"), ("--backend", "pong")]
)
def test_training_without_a_gpu_says_so_on_one_line(option, name, tmp_path):
    words = [option, "cuda", "--preset", name, "--run-dir", str(tmp_path / "run")]
    ran = in_a_process("-m", "fastpg.train", *words, **NO_GPU)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"fastpg.train: {option} cuda: the cuda backend ")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_benchmarks_without_a_gpu_say_so_on_one_line():
    script, environment = str(ROOT / "benchmarks" / "gpu.sh"), {"PATH": "/usr/bin:/bin"}
    if subprocess.run(["/bin/sh", "-c", "nvidia-smi -L"], capture_output=True).returncode == 0:
        pytest.skip("there is a GPU")
    ran = subprocess.run(["/bin/sh", script], env=environment, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith("gpu.sh: no GPU here: ")
    assert ran.stderr.count("\n") == 1
    ran = in_a_process("-m", "benchmarks.gpu", **NO_GPU)
    assert ran.returncode == 1
    assert ran.stderr.startswith("benchmarks.gpu: the cuda backend ")
    assert ran.stderr.count("\n") == 1


def test_importing_needs_no_gpu():
    code = "import fastpg.cuda, sys; assert 'numba' not in sys.modules; dir(fastpg.cuda)"
    assert in_a_process("-c", code).returncode == 0

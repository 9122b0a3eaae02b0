"""Games on a GPU: in numba's simulator and on the device in processes of their own; memory."""

import subprocess
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from fastpg.cuda import bytes_needed, memory, most_environments, sources
from fastpg.emulator._emulator import SCRATCH_BYTES, SNAPSHOT_BYTES
from tests.gpu.test_cuda import ROOT, SIMULATOR, in_a_process, passed, passes_on_the_gpu

GAMES = "tests/gpu/device_games.py"


@pytest.mark.simulator(GAMES)
def test_games_in_the_simulator(simulator):
    passed(simulator())


def test_games_on_the_gpu():
    passes_on_the_gpu(GAMES)


def test_without_a_gpu_one_line_says_so():
    code = (
        "from fastpg.envs.rules import rules; from fastpg.cuda import DevicePong;"
        "DevicePong(rules('ALE/Pong-v5'), 4)"
    )
    ran = in_a_process("-c", code, NUMBA_ENABLE_CUDASIM="0", NUMBA_DISABLE_CUDA="1")
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("fastpg.kernels.BackendUnavailable: the cuda backend ")


def test_without_a_compiler_one_line_says_so():
    code = (
        "import sys; from fastpg.cuda import compiler; sys.modules['cuda.bindings'] = None;"
        "compiler.compile_sources((9, 0))"
    )
    ran = in_a_process("-c", code, **SIMULATOR)
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "fastpg.kernels.BackendUnavailable: games on a GPU need the compiler NVRTC ("
    )
    assert "pip install 'fastpg[cuda]'" in last


def test_importing_asks_for_no_gpu():
    code = "import fastpg.cuda, sys; assert 'numba' not in sys.modules; dir(fastpg.cuda)"
    assert in_a_process("-c", code).returncode == 0


# ---- the benchmark --------------------------------------------------------------------------


def test_the_benchmark_without_a_gpu_says_so_in_a_line():
    script, environment = str(ROOT / "benchmarks" / "gpu.sh"), {"PATH": "/usr/bin:/bin"}
    if subprocess.run(["/bin/sh", "-c", "nvidia-smi -L"], capture_output=True).returncode == 0:
        pytest.skip("there is a GPU")
    ran = subprocess.run(["/bin/sh", script], env=environment, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith("gpu.sh: no GPU here: ")
    assert ran.stderr.count("\n") == 1
    ran = in_a_process("-m", "benchmarks.gpu", NUMBA_ENABLE_CUDASIM="0", NUMBA_DISABLE_CUDA="1")
    assert ran.returncode == 1
    assert ran.stderr.startswith("benchmarks.gpu: the cuda backend ")
    assert ran.stderr.count("\n") == 1


def test_the_benchmark_runs_in_the_simulator(tmp_path):
    out = tmp_path / "results" / "simulator.md"
    options = ["--environments", "2", "3", "--steps", "2", "--seconds", "0", "--copy", "100"]
    options += ["--sizes", "--training", "--seeds", "0", "--out", str(out)]
    ran = in_a_process("-m", "benchmarks.gpu", *options, **SIMULATOR)
    assert ran.returncode == 0, ran.stderr
    assert out.with_suffix(".png").exists() == (find_spec("matplotlib") is not None)
    assert "| 2 | " in out.read_text()
    assert "Error" not in out.read_text()  # in a cell, where a row has failed
    assert "| 3 | " in ran.stdout


# ---- memory ---------------------------------------------------------------------------------


def test_sizes_are_those_of_the_documentation():
    assert (SNAPSHOT_BYTES, SCRATCH_BYTES) == (5552, 40000)
    for size in (SNAPSHOT_BYTES, SCRATCH_BYTES):
        assert f"{size:,}" in memory.__doc__
    assert bytes_needed(1, steps=10) == 5552 + 40000 + 64 + 10 * 806
    assert bytes_needed(1, steps=10, views=False) == 5552 + 64 + 10 * 6
    assert bytes_needed(7, fixed=100) == 100 + 7 * bytes_needed(1)


@pytest.mark.parametrize("steps", [1, 128])
@pytest.mark.parametrize("views", [False, True])
def test_the_largest_number_fits_and_one_more_does_not(steps, views):
    free, fixed = 80 << 30, 2 << 30
    most = most_environments(free, steps, views, fixed)
    memory.require_room(most, free, steps, views, fixed)
    with pytest.raises(MemoryError, match=f"^num_envs: {most + 1:,} environments .* {most:,} fit$"):
        memory.require_room(most + 1, free, steps, views, fixed)
    assert most_environments(fixed - 1, steps, views, fixed) == 0


def test_stacks_are_set_aside_for_all_threads():
    h100 = SimpleNamespace(MULTIPROCESSOR_COUNT=132, MAX_THREADS_PER_MULTIPROCESSOR=2048)
    fixed = memory.fixed_bytes(h100)
    assert fixed == 132 * 2048 * 2304 + (4 << 20)
    assert most_environments(80 << 30, fixed=fixed) > 65536


# ---- what is installed ----------------------------------------------------------------------


# and the headers
SOURCES = {"cuda/device_games.cu", "translate/rom_to_c.py", "translate/rom_disassembler.py"}


def files_below(folder):
    """Paths of all files below a folder, from it on."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()}


def test_a_wheel_has_the_sources_but_not_the_rom(tmp_path):
    if not (ROOT / "csrc").is_dir():
        pytest.skip("the C sources are not beside the tests")
    pytest.importorskip("setuptools", minversion="77")
    code = (
        "import runpy, sys; sys.argv = ['setup.py', '-q', 'build_py', '--build-lib', sys.argv[1]];"
        "runpy.run_path('setup.py')"
    )
    ran = in_a_process("-c", code, str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    headers = {name for name in files_below(ROOT / "csrc") if name.endswith(".h")}
    assert files_below(tmp_path / "fastpg" / "csrc") == SOURCES | headers


def test_an_installed_package_has_the_sources_but_not_the_rom():
    names = files_below(sources.folder())
    assert names >= SOURCES | {"cuda/device_games.h", "console/a2600.h"}
    assert sources.TRANSLATION not in names

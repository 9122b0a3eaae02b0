"""Kernels' compiled code on the CPU, tests/gpu/ptx: it runs, and its checks see what is wrong.

The tests of a GPU run there with ``python -m tests.gpu.ptx``, see CONTRIBUTING.md.
"""

import json
import platform
import shutil

import pytest

from tests.gpu import cuda_compiler
from tests.gpu.test_cuda import in_a_process

if why := cuda_compiler.missing():
    pytest.skip(why, allow_module_level=True)
if shutil.which("gcc") is None or platform.machine() != "x86_64":
    pytest.skip("needs gcc on x86-64", allow_module_level=True)

import sys

UPWARDS = [float(i) for i in range(64)]


def example(name, *options):
    command = "-m", "tests.gpu.ptx", *options, sys.executable, "-W", "ignore"
    return in_a_process(*command, "-m", "tests.gpu.ptx.examples", name)


def result(name, *options):
    ran = example(name, *options)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_what_is_right_passes(options):
    assert result("reverse", *options) == UPWARDS[::-1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("race", "what another thread"),
        ("shared by blocks", "writes what another thread writes"),
        ("beyond", "accesses memory that is not allocated"),
        ("beyond small", "accesses memory that is not allocated"),
        ("read by several", "what another thread"),
        ("without some", "is not at the barrier at which others wait"),
    ],
)
def test_what_is_wrong_ends_the_process(name, said):
    ran = example(name, "--check")
    assert ran.returncode == 128 + 6
    assert said in ran.stderr


def test_threads_come_in_an_order_of_the_seed():
    first, again, other = (result("tickets", "--order", seed) for seed in "112")
    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(128))


def counted(name, folder):
    """What the last launch of an example took."""
    file = folder / "tile_counts"
    result(name, "--counts", str(file))
    return json.loads(file.read_text().splitlines()[-1])


def test_instructions_and_accesses_are_counted(tmp_path):
    found = counted("reverse", tmp_path)
    warps, sectors = 2, 128 // 32  # of the block; of a warp's 32 numbers
    assert (found["blocks"], found["threads"]) == (1, 64)
    assert found["requests"] == found["shared"] == 2 * warps  # one read and one written
    assert found["transactions"] == 2 * warps * sectors
    assert found["bytes_read"] == found["bytes_written"] == 64 * 4
    assert found["instructions"] * 32 == found["thread_instructions"] > 0


def test_a_warp_takes_what_its_threads_take_together(tmp_path):
    found = counted("tickets", tmp_path)
    assert found["atomics"] == 128
    assert found["requests"] == 2 * 4  # of four warps: an addition, a result
    assert found["transactions"] == 4 * 1 + 4 * 8  # all add to one number; results have 8 bytes
    alone = counted("read by several", tmp_path)
    assert alone["instructions"] * 32 > alone["thread_instructions"]


def test_work_is_done_when_somebody_waits():
    assert result("late") == [[-1.0] * 64, UPWARDS]

"""The stand-in for a GPU, tests/gpu/ptx: it runs kernels, and its checks find their bugs."""

import json
import sys

import pytest

from tests.gpu.ptx import requirements
from tests.gpu.test_cuda import in_a_process

if why := requirements.missing():
    pytest.skip(why, allow_module_level=True)

UPWARDS = [float(i) for i in range(64)]


def example(name, *options):
    command = "-m", "tests.gpu.ptx", *options, sys.executable, "-W", "ignore"
    return in_a_process(*command, "-m", "tests.gpu.ptx.examples", name)


def result(name, *options):
    ran = example(name, *options)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_a_correct_kernel_passes(options):
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
def test_a_bug_ends_the_process(name, said):
    ran = example(name, "--check")
    assert ran.returncode == 128 + 6
    assert said in ran.stderr


def test_the_order_of_threads_depends_on_the_seed():
    first, again, other = (result("tickets", "--order", seed) for seed in "112")
    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(128))


def counted(name, folder):
    """Counts of the last launch of an example."""
    file = folder / "counts"
    result(name, "--counts", str(file))
    return json.loads(file.read_text().splitlines()[-1])


def test_instructions_and_accesses_are_counted(tmp_path):
    found = counted("reverse", tmp_path)
    warps, sectors = 2, 128 // 32  # of the block; of 32 numbers of four bytes
    assert (found["blocks"], found["threads"]) == (1, 64)
    assert found["requests"] == found["shared"] == 2 * warps  # a load and a store
    assert found["transactions"] == 2 * warps * sectors
    assert found["bytes_read"] == found["bytes_written"] == 64 * 4
    assert found["instructions"] * 32 == found["thread_instructions"] > 0


def test_accesses_of_a_warp_are_counted_together(tmp_path):
    found = counted("tickets", tmp_path)
    assert found["atomics"] == 128
    assert found["requests"] == 2 * 4  # of four warps: an atomic addition and a store
    assert found["transactions"] == 4 * 1 + 4 * 8  # all add to one number; results have eight bytes
    alone = counted("read by several", tmp_path)
    assert alone["instructions"] * 32 > alone["thread_instructions"]


def test_work_starts_when_the_host_waits():
    assert result("late") == [[-1.0] * 64, UPWARDS]


def test_an_unknown_release_of_numba_cuda_is_refused():
    assert requirements.unknown_release("0.30.4") == ""
    assert requirements.unknown_release("0.31.0").startswith("numba-cuda 0.31.0: the stand-in")
    code = (
        "import sys; from tests.gpu.ptx import __main__, requirements;"
        "requirements.version = lambda _: '9.9'; sys.argv = ['ptx', 'true']; __main__.main()"
    )
    ran = in_a_process("-c", code)
    assert ran.returncode == 1
    assert ran.stderr.startswith("tests.gpu.ptx: numba-cuda 9.9: ")
    assert ran.stderr.count("\n") == 1

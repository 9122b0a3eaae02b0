"""The cuda backend's kernels compiled to PTX, and assembled, without a GPU."""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastpg.kernels.spec import BY_NAME, OPS
from tests.gpu import cuda_compiler

if why := cuda_compiler.missing():
    pytest.skip(why, allow_module_level=True)

from numba import cuda, from_dtype, types
from numba.cuda import dispatcher

from fastpg.kernels._cuda import kernels
from fastpg.kernels._cuda.jit import OLDEST, SCAN_THREADS, THREADS, kernel, typed

SCALARS = {
    **dict.fromkeys(
        ("find_background", "aligned", "stacked", "cut_at_rewards", "accumulate"), types.boolean
    ),
    **dict.fromkeys(("gamma", "clip", "entropy_weight", "value_weight", "decay"), types.float64),
    **dict.fromkeys(("rate", "scale", "keep", "take", "epsilon"), types.float32),
    **dict.fromkeys(("keep1", "take1", "keep2", "take2"), types.float32),
    **dict.fromkeys(("blocks1", "blocks2", "words"), types.int64),
    "seed": types.uint64,
}
NAMES = [
    name
    for name, value in vars(kernels).items()
    if hasattr(value, "py_func") and not name.startswith("_")
]
FLAT = ("frame_difference_dense", "rmsprop_update", "adam_update")
DONES = ("discounted_returns", "generalized_advantages")  # training passes dones as bytes
VARIANTS = [
    (name, word) for name in NAMES for word in ("u8", "u1") if word == "u8" or name in DONES
]
# Kernels that round each product before a sum, as the CPU backends do. The sparse network's kernels
# may fuse them, as a product with a sign is exact.
UNFUSED = (
    "discounted_returns",
    "generalized_advantages",
    "standardize",
    "dense_hidden",
    "policy_backward_dense",
    "rmsprop_update",
    "adam_update",
)


def signature(name, word):
    """Types of a kernel's arguments, from the kernel table and the scalars' names."""
    declared = {a.name: a for op in OPS for a in (*op.inputs, *op.outputs)}
    if name in BY_NAME:
        op = BY_NAME[name]
        declared |= {a.name: a for a in (*op.inputs, *op.outputs)}
    found = []
    for parameter in inspect.signature(getattr(kernels, name).py_func).parameters:
        if parameter in SCALARS:
            found.append(SCALARS[parameter])
            continue
        if parameter == "marks":
            found.append(types.Array(types.uint64, 1, "C"))
            continue
        array = declared[parameter]
        dtype = from_dtype(np.dtype(array.dtype))
        if parameter == "dones" and word == "u1":
            dtype = types.uint8
        found.append(types.Array(dtype, 1 if name in FLAT else len(array.dims), "C"))
    return tuple(found)


@pytest.fixture(scope="module")
def ptx():
    """Compile a kernel for a compute capability; results are cached."""
    done = {}

    def compiled(name, word, capability):
        key = name, word, capability
        if key not in done:
            with (
                pytest.MonkeyPatch.context() as patch
            ):  # device functions ask the GPU that is there
                device = SimpleNamespace(compute_capability=capability)
                patch.setattr(dispatcher, "get_current_device", lambda: device)
                function, arguments = getattr(kernels, name).py_func, signature(name, word)
                done[key], _ = cuda.compile(
                    function, arguments, device=False, abi="numba", cc=capability
                )
        return done[key]

    return compiled


@pytest.mark.parametrize(("name", "word"), VARIANTS)
def test_kernels_compile_and_keep_their_numbers_in_registers(ptx, name, word):
    code = ptx(name, word, (9, 0))
    assert ".target sm_90" in code
    assert not re.search(r"\.local\s", code), "local memory: an array is not in registers"
    assert "call.uni" not in code, "a device function is not inlined"


@pytest.mark.parametrize("name", UNFUSED)
def test_products_are_rounded_before_they_are_added(ptx, name):
    assert not re.findall(r"fma\.rn.*", ptx(name, "u8", (9, 0)))


def test_a_fused_product_would_be_noticed(ptx):
    assert "fma.rn.f32" in ptx("policy_forward", "u8", (9, 0))  # products with signs are exact


def assembler():
    """Path of ptxas, in the wheel nvidia-cuda-nvcc or on the machine, or None."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).glob("**/bin/ptxas")):
            return str(path) if os.access(path, os.X_OK) else None
    return shutil.which("ptxas")


def assembled(code, target, folder):
    """Assemble PTX and return ptxas's report; skip if ptxas is older than the compiler."""
    (folder / "kernel.ptx").write_text(code)
    command = [assembler(), f"-arch={target}", "-v", "kernel.ptx", "-o", "kernel.cubin"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    report = ran.stdout + ran.stderr
    if "Unsupported .version" in report:
        pytest.skip("ptxas is older than the kernels' compiler")
    assert ran.returncode == 0, report
    return report


@pytest.mark.skipif(assembler() is None, reason="needs ptxas: pip install -e '.[cuda]'")
@pytest.mark.parametrize(("name", "word"), VARIANTS)
def test_kernels_assemble_without_spills(ptx, name, word, tmp_path):
    """Registers and shared memory must also suffice for the largest block."""
    report = assembled(ptx(name, word, (9, 0)), "sm_90", tmp_path)
    assert " 0 bytes spill stores, 0 bytes spill loads" in report
    registers = int(re.search(r"Used (\d+) registers", report)[1])
    shared = re.search(r"(\d+) bytes smem", report)
    threads = SCAN_THREADS if name == "sum_up" else THREADS
    assert registers * threads <= 65536
    assert shared is None or int(shared[1]) <= 48 * 1024


@pytest.mark.parametrize("name", ["policy_forward", "policy_backward"])
def test_kernels_compile_for_the_oldest_gpu(ptx, name):
    try:
        code = ptx(name, "u8", OLDEST)
    except Exception as error:
        if type(error).__name__ == "CCSupportError":  # CUDA 13 dropped Volta
            pytest.skip(str(error))
        raise
    assert ".target sm_70" in code


# ---- typed kernels --------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_typed_kernels_launch_by_the_types_of_the_first_arguments(monkeypatch):
    launched = []

    class Compiled:
        launch_config_sensitive = False

        def launch(self, arguments, blocks, threads, *_):
            launched.append((arguments, blocks, threads))

    def compiled(dispatcher, types):
        return dispatcher.overloads.setdefault(types, Compiled())

    def looked_at(*_):
        raise AssertionError("the arguments are looked at")

    monkeypatch.setattr(dispatcher.CUDADispatcher, "compile", compiled)
    monkeypatch.setattr(dispatcher.driver, "_to_core_stream", lambda stream: stream)

    @kernel
    def fill(array, value):
        array[0] = value

    own = typed(fill, np.zeros(3, np.float32), 4)
    assert list(own.overloads) == [(types.float32[::1], types.int64)]
    monkeypatch.setattr(dispatcher.CUDADispatcher, "typeof_pyval", looked_at)
    own[1, 2]("an array", 5)
    assert launched == [(("an array", 5), (1, 1, 1), (2, 1, 1))]

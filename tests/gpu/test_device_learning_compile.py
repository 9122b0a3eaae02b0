"""Compile and assemble the kernels of the network and its optimizer; needs no GPU."""

import inspect
import re
from types import SimpleNamespace

import pytest

from tests.gpu import cuda_compiler

if why := cuda_compiler.missing():
    pytest.skip(why, allow_module_level=True)

from numba import cuda, types
from numba.cuda import dispatcher

from fastpg.cuda import learning_kernels, memory, network_kernels, shuffle
from fastpg.cuda.buffer import Slots
from fastpg.cuda.network import Layers
from fastpg.cuda.optimizer import Blocks, Gradient
from fastpg.network._network import SHUFFLE_KEYS
from tests.gpu.test_cuda_compile import assembled, assembler

CAPABILITIES = [(8, 0), (9, 0)]
FLOATS, ROWS = types.float32[::1], types.float32[:, ::1]
INTS = types.int32[::1]
NET = types.NamedTuple((ROWS, ROWS, ROWS, INTS, types.boolean, *[types.int64] * 5), Layers)
BYTES = types.uint8[::1]
BUFFER = types.NamedTuple(
    (types.uint16[:, ::1], types.uint16[::1], *[BYTES] * 3, *[FLOATS] * 3, INTS, types.int64), Slots
)
DOUBLES = types.float64[::1]
GRADIENT = types.NamedTuple((types.int64[:, ::1], INTS, BYTES, INTS), Gradient)
BLOCKS = types.NamedTuple((ROWS, ROWS, types.float64[:, ::1]), Blocks)
ARGUMENTS = {
    "net": NET,
    "buffer": BUFFER,
    "gradient": GRADIENT,
    "blocks": BLOCKS,
    **dict.fromkeys(("order", "samples", "mirror_rows"), INTS),
    **dict.fromkeys(("weights", "means", "squares"), ROWS),
    **dict.fromkeys(("advantages", "returns", "rates"), FLOATS),
    **dict.fromkeys(("unit", "scale", "share", "max_grad_norm"), types.float64),
    **dict.fromkeys(("rate", "epsilon", "decay", "keep1", "keep2"), types.float32),
    "progress": types.int64[::1],
    **dict.fromkeys(("updates", "games", "steps", "lookback"), types.int64),
    **dict.fromkeys(("action_rows", "inputs", "rows", "cell", "first", "size"), types.int64),
    **dict.fromkeys(("block_sums", "totals"), DOUBLES),
    "statistics": types.float64[:, ::1],
    "updated": types.uint32[::1],
    "changed": BYTES,
    "objective": types.UniTuple(types.float64, 3),
    "keys": types.UniTuple(types.uint32, SHUFFLE_KEYS),
}
OTHERS = {"advance_adam": dict.fromkeys(("rate", "epsilon", "keep1", "keep2"), types.float64)}
KERNELS = {
    name: value
    for module in (network_kernels, learning_kernels, shuffle)
    for name, value in vars(module).items()
    if hasattr(value, "py_func") and value.py_func.__module__ == module.__name__
    if set(inspect.signature(value.py_func).parameters) <= set(ARGUMENTS)
    if "cuda" in value.py_func.__code__.co_names and not value.targetoptions["device"]
}
NAMES = [
    *("add_parts", "reset_stats", "set_progress", "advance_adam", "add_gradients"),
    *("prefix_sum_columns", "tie_mirrored", "reduce_to_cells", "reduce_norm"),
    *("adam_step", "rmsprop_step", "shuffle"),
]


def test_the_memory_estimate_knows_the_grid():
    assert memory._BLOCKS == network_kernels.BLOCKS


def test_no_kernel_is_missing_here():
    assert sorted(KERNELS) == sorted(NAMES)


@pytest.fixture(scope="module", params=CAPABILITIES, ids="sm_{0[0]}{0[1]}".format)
def capability(request):
    return request.param


@pytest.mark.skipif(assembler() is None, reason="needs ptxas: pip install -e '.[cuda]'")
@pytest.mark.parametrize("name", NAMES)
def test_kernels_assemble_without_spills(name, capability, tmp_path, monkeypatch):
    device = SimpleNamespace(compute_capability=capability)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
    function = KERNELS[name].py_func
    arguments = ARGUMENTS | OTHERS.get(name, {})
    signature = tuple(arguments[name] for name in inspect.signature(function).parameters)
    code, _ = cuda.compile(function, signature, device=False, abi="numba", cc=capability)
    target = "sm_{}{}".format(*capability)
    assert f".target {target}" in code
    assert not re.search(r"\.local\s", code), "local memory: an array is not in registers"
    called = set(re.findall(r"call\.uni[^;]*?(\w+),\s*\(", code))
    assert called <= {"__internal_accurate_pow"}, "a device function is not inlined"
    assert not called or name in ("rmsprop_step", "advance_adam")
    report = assembled(code, target, tmp_path)
    assert " 0 bytes spill stores, 0 bytes spill loads" in report
    registers = int(re.search(r"Used (\d+) registers", report)[1])
    print(f"\n{name}: registers {registers}")
    assert registers * network_kernels.THREADS <= 65536

"""Compile the rollout kernel and link it with the emulator; needs no GPU.

``pytest -s`` shows registers and stacks.
"""

import inspect
from types import SimpleNamespace

import pytest

from tests.gpu import cuda_compiler

if why := cuda_compiler.missing():
    pytest.skip(why, allow_module_level=True)

from numba import types
from numba.cuda import codegen, dispatcher

from fastpg.cuda import buffer_kernels, compiler, memory, rollout_kernels
from fastpg.kernels._cuda.jit import THREADS
from tests.gpu.test_device_emulator_compile import CAPABILITIES, REGISTERS, STACK, attributes
from tests.gpu.test_device_learning_compile import BUFFER, FLOATS, NET

BYTES, BYTE_ROWS, WORDS = types.uint8[::1], types.uint8[:, ::1], types.uint64[::1]
STATES = (BYTE_ROWS, BYTES, BYTE_ROWS, BYTE_ROWS)
KEYS = (WORDS, WORDS, BYTES, types.int64[::1])
ARRAYS = types.NamedTuple((*STATES, *KEYS, types.float32[:, ::1]), rollout_kernels.GameArrays)
ROLLOUT = (ARRAYS, NET, BUFFER, types.uint64, types.boolean, *[types.int64] * 3)
ARGUMENTS = {
    "games": types.int64,
    "first": types.int64,
    "second": types.int64,
    "rows": types.int64,
    "tiles": types.uint16[:, ::1],
    "tile_counts": types.uint16[::1],
    "episode_steps": types.uint8[::1],
    "actions": types.uint8[::1],
    "states": types.int64[:, ::1],
    "frames": types.int64[::1],
    "samples": types.int32[::1],
    "begins": types.int64[::1],
    "offsets": types.int64[::1],
    "values": FLOATS,
    "gathered": FLOATS,
    "rewards": FLOATS,
    "lost_point_weight": types.float32,
    "out": FLOATS,
}
BUFFER_KERNELS = {
    name: value
    for name, value in vars(buffer_kernels).items()
    if hasattr(value, "py_func") and not value.targetoptions.get("device")
}


@pytest.fixture(scope="module", params=CAPABILITIES, ids="sm_{0[0]}{0[1]}".format)
def capability(request):
    return request.param


@pytest.fixture
def current(capability, monkeypatch):
    """Pretend that there is a GPU, which device functions and the linker ask for."""
    device = SimpleNamespace(compute_capability=capability)
    context = SimpleNamespace(device=device)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
    monkeypatch.setattr(codegen, "devices", SimpleNamespace(get_context=lambda: context))
    return capability


def linked(function, signature, **options):
    """Registers and stack of a kernel, linked as its first launch on a GPU would."""
    kernel = dispatcher._Kernel(function, signature, **options)
    cubin = kernel.library.get_cubin().code
    about = attributes(cubin)[kernel.entry_name]
    registers, stack = about[REGISTERS], about[STACK]
    print(f"\n{function.__name__}: registers {registers}, stack {stack}, code {len(cubin)} bytes")
    return registers, stack


@pytest.mark.parametrize("lto", [False, True])
def test_the_rollout_links_with_the_emulator(current, monkeypatch, lto):
    compiled = compiler.compile_sources(current)
    monkeypatch.setattr("fastpg.cuda.functions.cubin_for", lambda _: compiled.cubin)
    function, signature = (
        rollout_kernels.rollout_kernel(current).py_func,
        (*ROLLOUT, types.boolean),
    )
    registers, stack = linked(function, signature, lto=lto, max_registers=compiler.MAX_REGISTERS)
    assert registers <= compiler.MAX_REGISTERS
    assert registers * rollout_kernels.THREADS_PER_BLOCK <= 65536
    assert stack <= memory.STACK_BYTES


@pytest.mark.parametrize("name", BUFFER_KERNELS)
def test_buffer_kernels_keep_their_numbers_in_registers(name, current):
    function = BUFFER_KERNELS[name].py_func
    signature = tuple(ARGUMENTS[name] for name in inspect.signature(function).parameters)
    registers, stack = linked(function, signature)
    assert registers * THREADS <= 65536
    assert stack == 0

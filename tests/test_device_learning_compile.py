"""The network's kernels and those of its learning through the real compilers: no GPU needed."""

import importlib.util
import inspect
import os
import re
import subprocess
from types import SimpleNamespace

import pytest

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
    pytest.skip("the simulator stands in for the compiler", allow_module_level=True)
if importlib.util.find_spec("numba_cuda") is None:
    pytest.skip("needs numba-cuda: pip install 'fastpg[cuda]'", allow_module_level=True)

from numba import cuda, types
from numba.cuda import dispatcher
from numba.cuda.cudadrv import nvvm

from fastpg.device import _network_kernels
from fastpg.device.network import Layers
from fastpg.device.record import Entries
from tests.test_cuda_compile import assembler

try:
    nvvm.NVVM()
except Exception as error:
    pytest.skip(f"needs NVVM: pip install 'fastpg[cuda]' ({error})", allow_module_level=True)

CAPABILITIES = [(8, 0), (9, 0)]
FLOATS, ROWS = types.float32[::1], types.float32[:, ::1]
INTS = types.int32[::1]
NET = types.NamedTuple(
    (ROWS, ROWS, ROWS, INTS, types.boolean, *[types.int64] * 5),
    Layers,
)
BYTES = types.uint8[::1]
RECORD = types.NamedTuple(
    (types.uint16[:, ::1], types.uint16[::1], *[BYTES] * 3, *[FLOATS] * 3, INTS, types.int64),
    Entries,
)
ARGUMENTS = {
    "net": NET,
    "record": RECORD,
    "chosen": INTS,
    "hidden": ROWS,
    "heads": ROWS,
}
KERNELS = {
    name: value
    for name, value in vars(_network_kernels).items()
    if hasattr(value, "py_func")
    and "net" in inspect.signature(value.py_func).parameters
    and not value.targetoptions.get("device")
}


@pytest.fixture(scope="module", params=CAPABILITIES, ids="sm_{0[0]}{0[1]}".format)
def capability(request):
    return request.param


@pytest.mark.skipif(assembler() is None, reason="needs ptxas: pip install 'fastpg[cuda]'")
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_assemble_without_spills(name, capability, tmp_path, monkeypatch):
    device = SimpleNamespace(compute_capability=capability)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
    function = KERNELS[name].py_func
    signature = tuple(ARGUMENTS[name] for name in inspect.signature(function).parameters)
    code, _ = cuda.compile(function, signature, device=False, abi="numba", cc=capability)
    target = "sm_{}{}".format(*capability)
    assert f".target {target}" in code
    assert not re.search(r"\.local\s", code), "memory of a thread: an array is not in registers"
    assert "call.uni" not in code, "a device function is not inlined"
    (tmp_path / "kernel.ptx").write_text(code)
    command = [assembler(), f"-arch={target}", "-v", "kernel.ptx", "-o", "kernel.cubin"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    report = ran.stdout + ran.stderr
    assert ran.returncode == 0, report
    assert " 0 bytes spill stores, 0 bytes spill loads" in report
    registers = int(re.search(r"Used (\d+) registers", report)[1])
    print(f"\n{name}: registers {registers}")
    assert registers * _network_kernels.THREADS <= 65536

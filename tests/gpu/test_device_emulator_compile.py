"""Compile and link the emulator for two GPU architectures; needs no GPU.

NVRTC, and nvcc where it is installed, compile it without a warning. nvJitLink links it into the
kernels, as numba does. ``pytest -s`` shows registers and spills.
"""

import re
import shutil
import struct
import subprocess
from types import SimpleNamespace

import pytest

from tests.gpu import cuda_compiler

if why := cuda_compiler.missing():
    pytest.skip(why, allow_module_level=True)

from numba import types
from numba.cuda import codegen, dispatcher

from fastpg.cuda import compiler, emulator_kernels, memory, sources
from fastpg.kernels import BackendUnavailable
from fastpg.system import c_sources

try:
    compiler._nvrtc()
except BackendUnavailable as error:
    pytest.skip(str(error), allow_module_level=True)

CAPABILITIES = [(8, 0), (9, 0)]
BYTES = lambda dims: types.Array(types.uint8, dims, "C")  # noqa: E731
SIGNATURES = {
    "begin": (BYTES(2), BYTES(1), BYTES(2), BYTES(2), BYTES(2)),
    "play": (BYTES(2), BYTES(1), BYTES(2), BYTES(2), types.float32[:, ::1], BYTES(2), BYTES(3)),
}
SPILL = re.compile(r"properties for (\S+)\n\D*(\d+) bytes stack frame, (\d+) bytes spill stores")
# Attributes in the section .nv.info of a cubin: pairs of a function and a number.
REGISTERS, STACK = 0x2F, 0x12


@pytest.fixture(scope="module", params=CAPABILITIES, ids="sm_{0[0]}{0[1]}".format)
def capability(request):
    return request.param


@pytest.fixture(scope="module")
def compiled(capability):
    return compiler.compile_sources(capability, "--ptxas-options=-v")


def assert_clean(log, name):
    """Assert no warning, and no function that spills many registers; print a report."""
    assert "warning" not in log, log
    assert "error" not in log, log
    report = SPILL.findall(log)
    assert len(report) > 20, log
    print(f"\n{name}: spill stores {sum(int(spilled) for *_, spilled in report)} bytes")
    for function, stack, spilled in report:
        if int(stack) or int(spilled):
            print(f"    {function}: stack {stack}, spill stores {spilled}")
        assert int(spilled) <= 4 * 64, f"{function}: a struct is held in registers?"


def test_nvrtc_compiles_without_a_warning(compiled, capability):
    assert_clean(compiled.log, f"NVRTC {capability}")


def test_nvcc_compiles_without_a_warning(capability, tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not installed")
    for name, text in sources.sources()[1].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    target = f"-arch=sm_{capability[0]}{capability[1]}"
    strict = ["--Werror", "all-warnings", "-Xptxas", "-v", "-cubin", target]
    entry = c_sources.folder() / sources.ENTRY
    command = [nvcc, *strict, *compiler.options(), f"-I{tmp_path}", entry, "-o", "device.cubin"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert_clean(ran.stdout + ran.stderr, f"nvcc {target}")


def test_a_warning_would_be_noticed(monkeypatch):
    entry, headers = sources.sources()
    spoilt = entry + "static __device__ int nobody_calls(void) { int unused = 1; return 2; }"
    monkeypatch.setattr(compiler, "sources", lambda: (spoilt, headers))
    assert "warning" in compiler.compile_sources((9, 0)).log


def test_a_compilation_error_has_the_compilers_log(monkeypatch):
    monkeypatch.setattr(compiler, "sources", lambda: ("int here = nowhere;", {}))
    with pytest.raises(RuntimeError, match=r"(?s)does not compile for sm_90.*nowhere"):
        compiler.compile_sources((9, 0))


def test_a_gpu_that_the_compiler_does_not_know():
    with pytest.raises(BackendUnavailable, match=r"^the compiler NVRTC does not know .* sm_32"):
        compiler.compile_sources((3, 2))


# ---- linked ---------------------------------------------------------------------------------


def section_table(cubin):
    """(name, type, offset, size, link) of each section of a 64-bit ELF file."""
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    entry, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    rows = [struct.unpack_from("<IIQQQQI", cubin, table + k * entry) for k in range(count)]
    texts = rows[names][4]
    return [(string(cubin, texts + r[0]), r[1], r[4], r[5], r[6]) for r in rows]


def string(cubin, begin):
    return cubin[begin : cubin.index(b"\0", begin)].decode()


def attributes(cubin):
    """{function: {attribute: number}} from a cubin's section .nv.info."""
    sections = section_table(cubin)
    symbols = next(s for s in sections if s[0] == ".symtab")
    texts = sections[symbols[4]][2]
    _, _, at, size, _ = next(s for s in sections if s[0] == ".nv.info")
    found, end = {}, at + size
    while at < end:
        form, attribute, length = struct.unpack_from("<BBH", cubin, at)
        if form == 4:  # the other forms have a value instead of a length
            if length == 8:
                symbol, value = struct.unpack_from("<II", cubin, at + 4)
                (name,) = struct.unpack_from("<I", cubin, symbols[2] + 24 * symbol)
                found.setdefault(string(cubin, texts + name), {})[attribute] = value
            at += length
        at += 4
    return found


@pytest.fixture
def linked(capability, compiled, monkeypatch):
    """Links a kernel as its first launch on a GPU would; returns (its attributes, the cubin)."""
    device = SimpleNamespace(compute_capability=capability)
    context = SimpleNamespace(device=device)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)
    monkeypatch.setattr(codegen, "devices", SimpleNamespace(get_context=lambda: context))
    monkeypatch.setattr("fastpg.cuda.functions.cubin_for", lambda _: compiled.cubin)

    def link(name, lto):
        function = getattr(emulator_kernels.kernels(capability), name).py_func
        kernel = dispatcher._Kernel(function, SIGNATURES[name], lto=lto)
        cubin = kernel.library.get_cubin().code
        return attributes(cubin)[kernel.entry_name], cubin

    return link


@pytest.mark.parametrize("lto", [False, True])
@pytest.mark.parametrize("name", SIGNATURES)
def test_kernels_link_with_the_emulator(linked, name, lto):
    about, cubin = linked(name, lto)
    print(f"\n{name}: registers {about[REGISTERS]}, stack {about[STACK]}, code {len(cubin)} bytes")
    assert about[REGISTERS] <= compiler.MAX_REGISTERS
    assert about[STACK] <= memory.STACK_BYTES


def test_no_kernel_is_missing_here(capability):
    assert set(vars(emulator_kernels.kernels(capability))) == set(SIGNATURES)


# ---- cache on disk --------------------------------------------------------------------------


@pytest.fixture
def compilations(monkeypatch, tmp_path):
    """Records compilations instead of compiling; the cache is an empty folder."""
    seen = []

    def compile_sources(capability):
        seen.append(capability)
        return compiler.Compiled(b"code %d" % capability[0], "")

    monkeypatch.setenv("FASTPG_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "compile_sources", compile_sources)
    compiler.cubin_for.cache_clear()
    yield seen
    compiler.cubin_for.cache_clear()


def test_code_is_cached_for_each_gpu_and_source(compilations, monkeypatch):
    for _ in range(2):
        assert compiler.cubin_for((8, 0)) == b"code 8"
        assert compiler.cubin_for((9, 0)) == b"code 9"
        compiler.cubin_for.cache_clear()
    assert compilations == [(8, 0), (9, 0)]
    entry, headers = sources.sources()
    monkeypatch.setattr(
        compiler, "sources", lambda: (entry, {**headers, "console/riot.h": "changed"})
    )
    compiler.cubin_for((9, 0))
    compiler.cubin_for.cache_clear()
    monkeypatch.setattr(compiler, "MAX_REGISTERS", 64)
    compiler.cubin_for((9, 0))
    assert compilations == [(8, 0), (9, 0), (9, 0), (9, 0)]


def test_a_cache_that_cannot_be_written_is_no_error(compilations, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FASTPG_CACHE_DIR", str(tmp_path / "file"))
    assert compiler.cubin_for((9, 0)) == b"code 9"

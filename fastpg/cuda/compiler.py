"""Compile the C sources for a GPU with NVRTC, once per GPU; the result is cached on disk."""

import os
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from fastpg.cuda.sources import DEFINES, ENTRY, sources
from fastpg.kernels import BackendUnavailable
from fastpg.kernels._cuda.jit import INSTALL

# Registers per thread: few enough that an H100 (132 multiprocessors with 65,536 registers each)
# holds 67,584 games at once.
MAX_REGISTERS = 128
# Relocatable, because the code is linked into numba's kernels later. Without fused multiply-add,
# because no CPU backend fuses.
OPTIONS = ("--relocatable-device-code=true", "--fmad=false", *DEFINES)


def options() -> tuple[str, ...]:
    """Compiler options without the GPU's architecture; NVRTC and nvcc take the same."""
    return (f"--maxrregcount={MAX_REGISTERS}", *OPTIONS)


class Compiled(NamedTuple):
    """A cubin to link, and the compiler's log."""

    cubin: bytes
    log: str


def _nvrtc() -> Any:
    """Return CUDA's bindings of NVRTC.

    Raises:
        BackendUnavailable: the library is missing; the message says what to install.
    """
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except Exception as error:  # the bindings raise a different type for each missing library
        message = " ".join(str(error).split())
        raise BackendUnavailable(
            f"games on a GPU need the compiler NVRTC ({message}): {INSTALL}"
        ) from error
    return nvrtc


def _encoded(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def compile_sources(capability: tuple[int, int], *more: str) -> Compiled:
    """Compile for a compute capability, with ``more`` options; no GPU is needed.

    Raises:
        BackendUnavailable: NVRTC is missing, or too old for this GPU.
        RuntimeError: the sources do not compile; the message contains the compiler's log.
    """
    nvrtc = _nvrtc()
    target = f"sm_{capability[0]}{capability[1]}"
    entry, headers = sources()
    names, texts = _encoded(list(headers)), _encoded(list(headers.values()))
    code, program = nvrtc.nvrtcCreateProgram(
        entry.encode(), ENTRY.encode(), len(names), texts, names
    )
    if code != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC cannot create a program: {code.name}")
    try:
        flags = _encoded([f"--gpu-architecture={target}", *options(), *more])
        (code,) = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
        log_bytes = _output(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
        log = log_bytes.rstrip(b"\0").decode(errors="replace")
        if code == nvrtc.nvrtcResult.NVRTC_ERROR_INVALID_OPTION:
            raise BackendUnavailable(
                f"the compiler NVRTC does not know this GPU's architecture {target}: update it, "
                f"{INSTALL}"
            )
        if code != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"{ENTRY} does not compile for {target}: {code.name}\n{log}")
        cubin = _output(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    return Compiled(cubin, log)


def _output(size_of: Any, copy: Any, program: Any) -> bytes:
    """Bytes that NVRTC writes into a buffer of the size it asks for."""
    _, size = size_of(program)
    # NVRTC writes into this bytes object. Two more bytes, because Python shares the objects of
    # lengths 0 and 1.
    buffer = bytes(size + 2)
    copy(program, buffer)
    return buffer[:size]


def cache_folder() -> Path:
    """Folder of compiled code: ``FASTPG_CACHE_DIR``, or ``fastpg`` in the user's cache."""
    given = os.environ.get("FASTPG_CACHE_DIR")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastpg"


def _cache_name(capability: tuple[int, int]) -> str:
    """File name with a digest of everything that the code depends on."""
    entry, headers = sources()
    version = _nvrtc().nvrtcVersion()[1:]
    digest = sha256(repr((entry, sorted(headers.items()), options(), version)).encode())
    return f"device-sm_{capability[0]}{capability[1]}-{digest.hexdigest()[:24]}.cubin"


@cache
def cubin_for(capability: tuple[int, int]) -> bytes:
    """Code for a compute capability: from the cache, or compiled and stored there.

    Raises:
        BackendUnavailable, RuntimeError: as :func:`compile_sources`.
    """
    path = cache_folder() / _cache_name(capability)
    try:
        return path.read_bytes()
    except OSError:
        code = compile_sources(capability).cubin
    with suppress(OSError):  # a folder that cannot be written to only costs time
        _write_atomically(path, code)
    return code


def _write_atomically(path: Path, code: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(code)
    os.replace(file.name, path)

"""The C sources to code for a GPU, by NVRTC; each GPU's once, then from a folder of the user's."""

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

# So few registers a thread that an H100 (132 multiprocessors of 65,536) holds 67,584 games at once.
MOST_REGISTERS = 128
# What numba's kernels call is linked later. Products are not fused with sums, which no CPU does.
OPTIONS = ("--relocatable-device-code=true", "--fmad=false", *DEFINES)


def options() -> tuple[str, ...]:
    """What the compiler is told, but for the GPU; nvcc takes the same."""
    return (f"--maxrregcount={MOST_REGISTERS}", *OPTIONS)


class Compiled(NamedTuple):
    """A cubin to link, and what the compiler said."""

    cubin: bytes
    log: str


def _nvrtc() -> Any:
    """CUDA's bindings of the compiler, once the library is known to be there.

    Raises:
        BackendUnavailable: it is not; the message says what to install.
    """
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except Exception as error:  # the bindings have one for each way in which a library is missing
        message = " ".join(str(error).split())
        raise BackendUnavailable(
            f"games on a GPU need the compiler NVRTC ({message}): {INSTALL}"
        ) from error
    return nvrtc


def _words(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def compile_sources(capability: tuple[int, int], *more: str) -> Compiled:
    """Compile for a compute capability, with ``more`` options; no GPU is needed.

    Raises:
        BackendUnavailable: NVRTC is missing, or too old for this GPU.
        RuntimeError: the sources do not compile; the message is the compiler's.
    """
    nvrtc = _nvrtc()
    target = f"sm_{capability[0]}{capability[1]}"
    entry, headers = sources()
    names, texts = _words(list(headers)), _words(list(headers.values()))
    code, program = nvrtc.nvrtcCreateProgram(
        entry.encode(), ENTRY.encode(), len(names), texts, names
    )
    if code != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"NVRTC takes no program: {code.name}")
    try:
        words = _words([f"--gpu-architecture={target}", *options(), *more])
        (code,) = nvrtc.nvrtcCompileProgram(program, len(words), words)
        said = _copied(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
        log = said.rstrip(b"\0").decode(errors="replace")
        if code == nvrtc.nvrtcResult.NVRTC_ERROR_INVALID_OPTION:
            raise BackendUnavailable(
                f"the compiler NVRTC knows no {target}, this GPU's: update it, {INSTALL}"
            )
        if code != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"{ENTRY} does not compile for {target}: {code.name}\n{log}")
        cubin = _copied(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    return Compiled(cubin, log)


def _copied(size_of: Any, copy: Any, program: Any) -> bytes:
    _, size = size_of(program)
    buffer = bytes(size + 2)  # is written to: Python shares bytes of lengths 0 and 1
    copy(program, buffer)
    return buffer[:size]


def cache_folder() -> Path:
    """Where compiled code is kept: ``FASTPG_CACHE_DIR``, or ``fastpg`` in the user's cache."""
    given = os.environ.get("FASTPG_CACHE_DIR")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastpg"


def _key(capability: tuple[int, int]) -> str:
    """All that the code depends on, as a file name."""
    entry, headers = sources()
    version = _nvrtc().nvrtcVersion()[1:]
    digest = sha256(repr((entry, sorted(headers.items()), options(), version)).encode())
    return f"device-sm_{capability[0]}{capability[1]}-{digest.hexdigest()[:24]}.cubin"


@cache
def cubin_for(capability: tuple[int, int]) -> bytes:
    """The code for a compute capability, compiled unless it was before.

    Raises:
        BackendUnavailable, RuntimeError: as :func:`compile_sources`.
    """
    path = cache_folder() / _key(capability)
    try:
        return path.read_bytes()
    except OSError:
        code = compile_sources(capability).cubin
    with suppress(OSError):  # a folder that cannot be written to costs time only
        _keep(path, code)
    return code


def _keep(path: Path, code: bytes) -> None:
    """Write a file that is whole or not there, whoever else writes it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(code)
    os.replace(file.name, path)

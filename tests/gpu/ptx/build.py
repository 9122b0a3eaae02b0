"""Build shared libraries for the CPU: the driver, and one for each linked kernel."""

import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from cuda.pathfinder import find_nvidia_header_directory

from tests.gpu.ptx.ptx_to_c import Unit

HERE = Path(__file__).parent
COMPILER = ("gcc", "-std=gnu11", "-fPIC", f"-I{HERE}")
# Without _FORTIFY_SOURCE, which some distributions set and which refuses longjmp to another stack.
DRIVER = ("-O2", "-U_FORTIFY_SOURCE", "-shared", "-Wl,-soname,libcuda.so.1")
DRIVER_SOURCES = ("driver.c", "work.c", "blocks.c", "memory.c", "counts.c")
# Fused only where PTX says so. A register holds values of any type, hence -fno-strict-aliasing. An
# unknown PTX instruction is an implicit function declaration: an error that names it.
KERNELS = ("-O1", "-mfma", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing", "-w")
KERNELS += ("-Werror=implicit-function-declaration",)


def folder() -> Path:
    """Return the folder of built files; each is named by a digest of what it is made from."""
    return Path(tempfile.gettempdir()) / f"fastpg-ptx-{os.getuid()}"


@cache
def _own_sources() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(HERE.glob("*.[chp]*")))


def _built(name: str, content: bytes, *command: str) -> Path:
    """Return the file that a command writes to its last argument, built unless it exists."""
    key = hashlib.sha256(repr(command).encode() + content + _own_sources()).hexdigest()[:20]
    path = folder() / key / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as own:
            made = Path(own, name)
            subprocess.run([*command, str(made)], input=content, check=True)
            os.replace(made, path)
    return path


def driver() -> Path:
    """Build ``libcuda.so.1``."""
    headers = f"-I{find_nvidia_header_directory('cudart')}"
    sources = [str(HERE / name) for name in DRIVER_SOURCES]
    return _built("libcuda.so.1", b"", *COMPILER, *DRIVER, headers, *sources, "-ldl", "-o")


def kernels(texts: list[bytes], *defined: str) -> Path:
    """Build a library of the kernels of some PTX texts, which can call each other's functions.

    Args:
        texts: PTX.
        defined: ``GPU_CHECK`` or ``GPU_COUNT``: instrument memory accesses and instructions.

    Raises:
        ValueError: PTX that the translator does not understand, or shared memory in two texts.
    """
    objects, sharing = [], 0
    for text in texts:
        name = hashlib.sha256(text).hexdigest()[:12]
        unit = Unit(text.decode(), name)
        how = (*COMPILER, *KERNELS, *[f"-D{name}" for name in defined], "-c", "-x", "c", "-", "-o")
        objects.append(str(_built("kernels.o", unit.translate().encode(), *how)))
        (folder() / f"{name}.ptx").write_bytes(text)  # error messages refer to its lines
        sharing += unit.has_shared_memory
    if sharing > 1:
        raise ValueError("shared memory in two PTX texts of one kernel is not supported")
    library = driver()
    linked = (*objects, str(library), f"-Wl,-rpath,{library.parent}", "-lm")
    return _built("kernels.so", b"", "gcc", "-shared", *linked, "-o")

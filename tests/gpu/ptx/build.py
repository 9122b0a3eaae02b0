"""Shared libraries for the CPU: the driver, and one for all that is linked to a kernel."""

import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from cuda.pathfinder import find_nvidia_header_directory

from tests.gpu.ptx.translate import Unit

HERE = Path(__file__).parent
COMPILER = ("gcc", "-std=gnu11", "-fPIC", f"-I{HERE}")
# longjmp goes to other stacks, which the checks of some distributions' gcc refuse
DRIVER = ("-O2", "-U_FORTIFY_SOURCE", "-shared", "-Wl,-soname,libcuda.so.1")
# products and sums are fused where PTX says so; registers hold anything; names may be missing
KERNELS = ("-O1", "-mfma", "-ffp-contract=off", "-fwrapv", "-fno-strict-aliasing", "-w")
KERNELS += ("-Werror=implicit-function-declaration",)


def folder() -> Path:
    """Where they are kept: each by all that it is made of."""
    return Path(tempfile.gettempdir()) / f"fastpg-ptx-{os.getuid()}"


@cache
def _own_sources() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(HERE.glob("*.[chp]*")))


def _made(name: str, content: bytes, *command: str) -> Path:
    """The file that a command writes, unless it was there; its last argument is to be the file."""
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
    """``libcuda.so.1``."""
    headers = f"-I{find_nvidia_header_directory('cudart')}"
    sources = [str(HERE / name) for name in ("driver.c", "blocks.c", "memory.c", "counts.c")]
    return _made("libcuda.so.1", b"", *COMPILER, *DRIVER, headers, *sources, "-ldl", "-o")


def kernels(texts: list[bytes], *defined: str) -> Path:
    """A library of the kernels of some texts of PTX, which see each other's functions.

    ``defined``: of ``GPU_CHECK`` and ``GPU_COUNT``, what each access and instruction also does.
    """
    objects, sharing = [], 0
    for text in texts:
        name = hashlib.sha256(text).hexdigest()[:12]
        unit = Unit(text.decode(), name)
        how = (*COMPILER, *KERNELS, *[f"-D{name}" for name in defined], "-c", "-x", "c", "-", "-o")
        objects.append(str(_made("kernels.o", unit.translate().encode(), *how)))
        (folder() / f"{name}.ptx").write_bytes(text)  # for who is told one of its lines
        sharing += unit.shares
    if sharing > 1:
        raise ValueError("memory of blocks in two texts of PTX of one kernel: not provided for")
    library = driver()
    linked = (*objects, str(library), f"-Wl,-rpath,{library.parent}", "-lm")
    return _made("kernels.so", b"", "gcc", "-shared", *linked, "-o")

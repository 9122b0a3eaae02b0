"""The translation of a ROM's code to C, compiled on this machine when it is first needed.

The package cannot bring it, because it contains the ROM, which must not be distributed. The
compiled library is kept in a cache folder, under a name that depends on all that it is made of.
Without a C compiler the ROM is interpreted: the same games, at a third of the speed.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from fastpg.system import c_sources
from fastpg.system.atomic_file import AtomicFile

#: Flags of the package's own extension modules: no -march, no contraction, no errno, no traps.
FLAGS = ("-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
_QUIET = ("-w", "-shared", "-fPIC", "-fvisibility=hidden")
_ENTRY = """
#include "translation.h"
__attribute__((visibility("default"))) const a2600_run_t fastpg_run = a2600_run_{name};
"""
#: Where an editable installation compiles it.
BESIDE = Path(__file__).resolve().parents[1] / "emulator" / "_translated"
_log = logging.getLogger("fastpg")  # without a handler of the user's, a line on standard error
_libraries: list[ctypes.CDLL] = []  # loaded ones, which must stay


class NotCompiled(RuntimeError):
    """The translation cannot be compiled; the message gives the reason."""


@cache
def run_address(name: str, rom: bytes, headers: str) -> int:
    """Return the address of a ROM's translation, an ``a2600_run_t``; 0 to interpret the ROM.

    Args:
        name: of the game.
        rom: its bytes.
        headers: :func:`fastpg.system.c_sources.digest` of those that the caller was compiled with.
    """
    try:
        if sys.platform == "win32":
            raise NotCompiled("translations need a Unix")
        if headers != c_sources.digest():
            raise NotCompiled("the C sources have changed: run pip install -e . again")
        path = _compiled(name, rom)
        _libraries.append(ctypes.CDLL(str(path.resolve())))
    except (RuntimeError, OSError, ValueError) as error:
        _log.warning(
            "fastpg: %s is interpreted, which gives the same games at a third of the speed: %s",
            name,
            error,
        )
        return 0
    return ctypes.c_void_p.in_dll(_libraries[-1], "fastpg_run").value or 0


def _compiled(name: str, rom: bytes) -> Path:
    """The library of a ROM's translation, which is compiled if there is none."""
    file = library_name(name, rom)
    if is_whole(BESIDE / file):
        return BESIDE / file
    path = cache_folder() / file
    if not is_whole(path):
        with _one_at_a_time(path):
            if not is_whole(path):
                compile_library(name, rom, path)
    return path


def library_name(name: str, rom: bytes) -> str:
    """Return the file name of a compiled translation, which depends on all that it is made of."""
    digest = hashlib.sha256(rom)
    for path in sorted(c_sources.folder().rglob("translate/*.py")):
        digest.update(path.read_bytes())
    of = c_sources.digest(), FLAGS, platform.machine(), sys.platform
    digest.update(repr(of).encode())
    return f"{name}-{digest.hexdigest()[:16]}.so"


def is_whole(library: Path) -> bool:
    """Return True if a compiled library is as it was written. Loading a part would be fatal."""
    try:
        return _digest_file(library).read_text() == _digest(library)
    except OSError:
        return False


def _digest_file(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _digest(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()


def cache_folder() -> Path:
    """Return the folder of compiled translations: ``FASTPG_CACHE_DIR``, or the user's cache."""
    own = os.environ.get("FASTPG_CACHE_DIR")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastpg"


def compile_library(name: str, rom: bytes, target: Path) -> None:
    """Translate a ROM and compile the translation.

    Raises:
        NotCompiled: there is no compiler, or it fails.
        OSError: the file cannot be written.
    """
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None:
        raise NotCompiled(
            f"there is no C compiler {compiler[0]}; install gcc or clang, or name one in CC"
        )
    _log.warning("fastpg: compiling %s once, for half a minute", name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with AtomicFile(target) as file, TemporaryDirectory() as folder:
        Path(folder, "translation.h").write_text(c_sources.translate(rom, name))
        Path(folder, "entry.c").write_text(_ENTRY.format(name=name))
        words = [*compiler, *FLAGS, *_QUIET, f"-I{c_sources.folder()}", f"-I{folder}"]
        words += [f"{folder}/entry.c", "-o", str(file.temporary)]
        try:
            subprocess.run(words, check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise NotCompiled(f"{compiler[0]} fails: {''.join(last)}") from None
    with AtomicFile(_digest_file(target)) as file:
        file.temporary.write_text(_digest(target))


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let other processes wait that want to compile the same file."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

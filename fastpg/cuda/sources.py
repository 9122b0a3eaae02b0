"""The C sources of the games on a GPU, as a compiler that has no files takes them."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from fastpg.emulator import roms

_PACKAGE = Path(__file__).resolve().parents[1]
ENTRY = "cuda/device_games.cu"
TRANSLATION = "rom_pong.h"
DEFINES = (f'-DFASTPG_DEVICE_TRANSLATION="{TRANSLATION}"', "-DFASTPG_DEVICE_RUN=a2600_run_pong")


def folder() -> Path:
    """Where the sources are: beside an installed package's modules, or in the checkout.

    Raises:
        RuntimeError: neither; the message says what to do.
    """
    for path in (_PACKAGE / "csrc", _PACKAGE.parent / "csrc"):
        if (path / ENTRY).is_file():
            return path
    raise RuntimeError(f"{ENTRY} is not in {_PACKAGE / 'csrc'}: install fastpg anew")


def _load(path: Path) -> ModuleType:
    """A Python file as a module, without its package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def translation() -> str:
    """Pong's ROM, which ale-py ships, as C.

    Made anew where it is needed: it comes from the ROM and must not be given away.

    Raises:
        RuntimeError: Pong's ROM is not there; the message says what to install.
    """
    found = folder() / "translate"
    sys.path.insert(0, str(found))  # for what the translator imports
    try:
        translate = _load(found / "rom_to_c.py").translate
    finally:
        sys.path.remove(str(found))
    return translate(roms.pong_rom().read_bytes(), roms.PONG.name)


@cache
def sources() -> tuple[str, dict[str, str]]:
    """The entry file, and everything that it may include by its name."""
    found = folder()
    paths = sorted(found.rglob("*.h"))
    headers = {path.relative_to(found).as_posix(): path.read_text() for path in paths}
    return (found / ENTRY).read_text(), {**headers, TRANSLATION: translation()}

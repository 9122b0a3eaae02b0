"""The C sources of the GPU's emulator, collected for a compiler without a file system."""

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
    """Return the folder of the sources: beside an installed package's modules, or in the checkout.

    Raises:
        RuntimeError: neither exists; the message has the cure.
    """
    for path in (_PACKAGE / "csrc", _PACKAGE.parent / "csrc"):
        if (path / ENTRY).is_file():
            return path
    raise RuntimeError(f"{ENTRY} is not in {_PACKAGE / 'csrc'}: reinstall fastpg")


def _load(path: Path) -> ModuleType:
    """Import a Python file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def translation() -> str:
    """Translate Pong's ROM, which ale-py ships, to C.

    Generated on the user's machine, because it contains the ROM, which must not be distributed.

    Raises:
        RuntimeError: Pong's ROM is missing; the message says what to install.
    """
    scripts = folder() / "translate"
    sys.path.insert(0, str(scripts))  # for the translator's imports
    try:
        translate = _load(scripts / "rom_to_c.py").translate
    finally:
        sys.path.remove(str(scripts))
    return translate(roms.pong_rom().read_bytes(), roms.PONG.name)


@cache
def sources() -> tuple[str, dict[str, str]]:
    """Return the text of the entry file, and {name: text} of everything that it may include."""
    found = folder()
    paths = sorted(found.rglob("*.h"))
    headers = {path.relative_to(found).as_posix(): path.read_text() for path in paths}
    return (found / ENTRY).read_text(), {**headers, TRANSLATION: translation()}

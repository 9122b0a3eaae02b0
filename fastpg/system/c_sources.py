"""Where the C sources are: code that contains a ROM is compiled on the user's machine."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).resolve().parents[1]
_PROBE = "console/a2600.h"


def folder() -> Path:
    """Return the folder of the sources: beside an installed package's modules, or in the checkout.

    Raises:
        RuntimeError: neither exists; the message has the cure.
    """
    for path in (_PACKAGE / "csrc", _PACKAGE.parent / "csrc"):
        if (path / _PROBE).is_file():
            return path
    raise RuntimeError(f"{_PROBE} is not in {_PACKAGE / 'csrc'}: reinstall fastpg")


def digest() -> str:
    """Return a hash of all headers. Libraries that share structs must be compiled from the same."""
    found, of_all = folder(), hashlib.sha256()
    for path in sorted(found.rglob("*.h")):
        of_all.update(path.relative_to(found).as_posix().encode() + b"\0" + path.read_bytes())
    return of_all.hexdigest()[:16]


def translate(rom: bytes, name: str) -> str:
    """Translate a ROM's code to C.

    Args:
        rom: 2048 or 4096 bytes.
        name: of the game.
    """
    scripts = folder() / "translate"
    sys.path.insert(0, str(scripts))  # for the translator's imports
    try:
        return _load(scripts / "rom_to_c.py").translate(rom, name)
    finally:
        sys.path.remove(str(scripts))


def _load(path: Path) -> ModuleType:
    """Import a Python file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

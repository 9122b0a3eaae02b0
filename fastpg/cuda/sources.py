"""The C sources of the GPU's emulator, collected for a compiler without a file system."""

from functools import cache

from fastpg.emulator import roms
from fastpg.system import c_sources

ENTRY = "cuda/device_games.cu"
TRANSLATION = "rom_pong.h"
DEFINES = (f'-DFASTPG_DEVICE_TRANSLATION="{TRANSLATION}"', "-DFASTPG_DEVICE_RUN=a2600_run_pong")


def translation() -> str:
    """Translate Pong's ROM, which ale-py ships, to C.

    Generated on the user's machine, because it contains the ROM, which must not be distributed.

    Raises:
        RuntimeError: Pong's ROM is missing; the message says what to install.
    """
    return c_sources.translate(roms.pong_rom().read_bytes(), roms.PONG.name)


@cache
def sources() -> tuple[str, dict[str, str]]:
    """Return the text of the entry file, and {name: text} of everything that it may include."""
    found = c_sources.folder()
    paths = sorted(found.rglob("*.h"))
    headers = {path.relative_to(found).as_posix(): path.read_text() for path in paths}
    return (found / ENTRY).read_text(), {**headers, TRANSLATION: translation()}

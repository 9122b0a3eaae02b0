"""The game ROMs: where ale-py keeps them, and what the emulator must know of each.

``setup.py`` loads this file on its own, so it imports nothing of the package.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

SIZES = (2048, 4096)


@dataclass(frozen=True)
class RomInfo:
    """What the emulator must know of a ROM besides its bytes."""

    name: str  #: name of the game in ``ale_py.roms``
    sha256: str  #: SHA-256 of the ROM, in hexadecimal
    paddles: bool = False  #: True for two paddles, False for two joysticks
    paddles_swapped: bool = False  #: True if the first player has the second paddle
    reset_frames: int = 12  #: frames for which the reset switch is held to start a game
    #: True if reward and end of a game are known (csrc/games/pong_reward_and_end.h).
    scored: bool = False
    draws_all_lines: bool = False  #: True if every frame draws all lines of the screen
    constant_reset: bool = False  #: True if a reset always leads to the same state
    #: True if the ROM's code is translated to C (fastpg/system/translation.py).
    translated: bool = False
    actions: tuple[int, ...] = tuple(range(18))  #: ALE's numbers of the actions that the game uses


PONG = RomInfo(
    "pong",
    "41623e3c26148f96cbe77d56512845d224a63c8fe5bf90e38527155e39ec96d3",
    paddles=True,
    paddles_swapped=True,
    scored=True,
    draws_all_lines=True,
    constant_reset=True,
    translated=True,
    actions=(0, 1, 3, 4, 11, 12),
)
UNKNOWN = RomInfo("", "")
_OTHERS = (
    RomInfo(
        "breakout",
        "376323f051c3c373c887fd83abead39d87d844ff283d435f4addbfc1710c6fd5",
        paddles=True,
        actions=(0, 1, 3, 4),
    ),
    RomInfo(
        "freeway",
        "3ef620234b98f22bfd7c06d2467bac9d208e763c9f4309452384d59a741ba893",
        actions=(0, 2, 5),
    ),
    RomInfo(
        "space_invaders",
        "7224b17462b992d67f4e06a3c85f269c9822b06df6015bf038b55f384ced0301",
        actions=(0, 1, 3, 4, 11, 12),
    ),
    RomInfo(
        "boxing", "462ab7dae012a175763c4ce88ac7a20d23e8fb68b7125e97c474e0696ed40d95", reset_frames=8
    ),
)
_KNOWN = {info.sha256: info for info in (PONG, *_OTHERS)}


def identify(rom: bytes) -> RomInfo:
    """Return what is known of a ROM; ``UNKNOWN``, with joysticks, if it is not listed here."""
    return _KNOWN.get(sha256(rom).hexdigest(), UNKNOWN)


def read(path: Path) -> bytes:
    """Read a ROM file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the ROM is not 2 KB or 4 KB; the message names the file and its size.
    """
    rom = Path(path).read_bytes()
    if len(rom) not in SIZES:
        raise ValueError(
            f"{path}: expected a ROM of 2048 or 4096 bytes (no bank switching), got {len(rom)}"
        )
    return rom


def pong_rom() -> Path:
    """Return the path of Pong's ROM in the installed ale-py.

    Raises:
        RuntimeError: ale-py is missing or has another Pong; the message says what to install.
    """
    cure = "install ale-py, which ships it: pip install 'ale-py>=0.11'"
    try:
        from ale_py import roms
    except ImportError as error:
        raise RuntimeError(f"Pong's ROM is needed, and ale-py is missing; {cure}") from error
    found = roms.get_rom_path(PONG.name)
    if found is None or not Path(found).is_file():
        raise RuntimeError(f"Pong's ROM is not in the installed ale-py; {cure}")
    if identify(Path(found).read_bytes()) is not PONG:
        raise RuntimeError(
            f"{found} is not the Pong that fastpg knows: expected SHA-256 {PONG.sha256}, got "
            f"{sha256(Path(found).read_bytes()).hexdigest()}; {cure}"
        )
    return Path(found)

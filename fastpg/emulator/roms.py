"""The game ROMs: where ale-py keeps them, and how each is played.

``setup.py`` loads this file by itself: it imports nothing of the package.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

SIZES = (2048, 4096)


@dataclass(frozen=True)
class Game:
    """What the emulator must know of a ROM beside its bytes.

    Attributes:
        name: as in ``ale_py.roms``.
        sha256: of the ROM.
        paddles: played with two paddles instead of two joysticks.
        swapped: the first player has the second paddle.
        reset_frames: how long a new game's reset switch is held.
        scored: its reward and its end are known (csrc/games/pong_reward_and_end.h).
        whole: every frame draws all lines.
        fresh: a new game always begins with the same state.
        translated: its code is translated to C when the package is built.
        actions: as ALE numbers them, those that the game knows.
    """

    name: str
    sha256: str
    paddles: bool = False
    swapped: bool = False
    reset_frames: int = 12
    scored: bool = False
    whole: bool = False
    fresh: bool = False
    translated: bool = False
    actions: tuple[int, ...] = tuple(range(18))


PONG = Game(
    "pong",
    "41623e3c26148f96cbe77d56512845d224a63c8fe5bf90e38527155e39ec96d3",
    paddles=True,
    swapped=True,
    scored=True,
    whole=True,
    fresh=True,
    translated=True,
    actions=(0, 1, 3, 4, 11, 12),
)
UNKNOWN = Game("", "")
_OTHERS = (
    Game(
        "breakout",
        "376323f051c3c373c887fd83abead39d87d844ff283d435f4addbfc1710c6fd5",
        paddles=True,
        actions=(0, 1, 3, 4),
    ),
    Game(
        "freeway",
        "3ef620234b98f22bfd7c06d2467bac9d208e763c9f4309452384d59a741ba893",
        actions=(0, 2, 5),
    ),
    Game(
        "space_invaders",
        "7224b17462b992d67f4e06a3c85f269c9822b06df6015bf038b55f384ced0301",
        actions=(0, 1, 3, 4, 11, 12),
    ),
    Game(
        "boxing",
        "462ab7dae012a175763c4ce88ac7a20d23e8fb68b7125e97c474e0696ed40d95",
        reset_frames=8,
    ),
)
_KNOWN = {game.sha256: game for game in (PONG, *_OTHERS)}


def identify(rom: bytes) -> Game:
    """The game of a ROM; ``UNKNOWN``, with joysticks, if it is none of those known here."""
    return _KNOWN.get(sha256(rom).hexdigest(), UNKNOWN)


def read(path: Path) -> bytes:
    """Bytes of a ROM file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not 2 KB or 4 KB; the message names the file and its size.
    """
    rom = Path(path).read_bytes()
    if len(rom) not in SIZES:
        raise ValueError(
            f"{path}: expected a ROM of 2048 or 4096 bytes (no bank switching), got {len(rom)}"
        )
    return rom


def pong_rom() -> Path:
    """Pong's ROM in ale-py.

    Raises:
        RuntimeError: ale-py is missing, or has another Pong; the message says what to install.
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

"""Our own Atari 2600, with the methods that agents call on ``ale_py.ALEInterface``.

>>> emulator = Emulator()
>>> emulator.setInt("random_seed", 1)
>>> emulator.loadROM(pong_rom())
>>> reward = emulator.act(3)

The same seeds and actions give the same game as there: memory, picture, reward, end, sticky
actions. Not here: sound, modes and difficulties other than 0, and reward, end and lives of other
games than Pong. Bad arguments raise instead of being ignored. Several emulators can run in as many
threads at once: :meth:`Emulator.act` releases the GIL.
"""

import struct
import sys
import warnings
import zlib
from os import PathLike, urandom
from pathlib import Path
from typing import Any

import numpy as np
from ale_py import Action

from fastpg.emulator import _emulator, roms
from fastpg.emulator._emulator import Cartridge, Console
from fastpg.emulator.palette import PALETTE_GRAY, PALETTE_RGB
from fastpg.emulator.roms import pong_rom as pong_rom

_emulator.set_colours(PALETTE_RGB, PALETTE_GRAY)

SCREEN = (210, 160)
RAM_SIZE = 128
MOST_SKIP = 1_000_000
_ACTIONS = tuple(Action(k) for k in range(18))
_SETTINGS: dict[type, dict[str, Any]] = {
    int: {"random_seed": -1, "frame_skip": 1, "max_num_frames_per_episode": 0},
    float: {"repeat_action_probability": 0.25},
    bool: {"sound": False, "display_screen": False, "color_averaging": False},
    str: {"rom_file": ""},
}
_STATE = struct.Struct("<8sII8sI")  # magic, layout, snapshot's size, ROM, checksum
_MAGIC = b"fastpg26" if sys.byteorder == "little" else b"fastpgbe"


class EmulatorState:
    """A console at one moment, made by :meth:`Emulator.cloneState`; it can be pickled."""

    def __init__(self, snapshot: bytes, rom: bytes, with_generators: bool, meddled: bool):
        self._snapshot, self._rom = snapshot, rom
        self._with_generators, self._meddled = with_generators, meddled

    def serialize(self) -> bytes:
        """Bytes that :meth:`from_bytes` takes; of this version's layout."""
        body = bytes([self._with_generators + 2 * self._meddled]) + self._snapshot
        head = (_MAGIC, _emulator.LAYOUT_VERSION, len(body), self._rom, zlib.crc32(body))
        return _STATE.pack(*head) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> "EmulatorState":
        """The state that :meth:`serialize` gave.

        Raises:
            ValueError: data is no such state, is damaged, or of another layout.
        """
        if not isinstance(data, bytes) or len(data) < _STATE.size or data[:8] != _MAGIC:
            raise ValueError("state: expected what EmulatorState.serialize() gave, got other bytes")
        _, layout, size, rom, checksum = _STATE.unpack_from(data)
        body = data[_STATE.size :]
        if layout != _emulator.LAYOUT_VERSION:
            expected = _emulator.LAYOUT_VERSION
            raise ValueError(f"state: expected one of layout {expected}, got layout {layout}")
        whole = len(body) == size == _emulator.SNAPSHOT_BYTES + 1
        if not whole or zlib.crc32(body) != checksum:
            raise ValueError("state: it is damaged (size or checksum)")
        return cls(body[1:], rom, bool(body[0] & 1), bool(body[0] & 2))

    def equals(self, other: "EmulatorState") -> bool:
        """Whether both are the same."""
        return self.serialize() == other.serialize()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EmulatorState) and self.equals(other)

    __hash__ = None  # type: ignore[assignment]


def cartridge(path: str | PathLike[str]) -> tuple[Cartridge, roms.Game, bytes]:
    """Return a ROM file as a cartridge, which game it is, and the begin of its checksum.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no 2 KB or 4 KB ROM, or its program cannot run.
    """
    rom = roms.read(Path(path))
    game = roms.identify(rom)
    made = Cartridge(
        rom,
        paddles=game.paddles,
        swapped=game.swapped,
        reset_frames=game.reset_frames,
        pong=game.scored,
        draws_all_lines=game.whole,
        constant_reset=game.fresh,
        translation=game.name if game.translated else None,
    )
    if made.error is not None:
        raise ValueError(f"{path}: its program stops at the unknown opcode ${made.error:02X}")
    return made, game, bytes.fromhex(game.sha256)[:8] or zlib.crc32(rom).to_bytes(8, "little")


class Emulator(Console):
    """A drop-in for the part of ``ale_py.ALEInterface`` that agents use.

    Settings take effect at :meth:`loadROM`, as there.
    """

    def __init__(self) -> None:
        self._settings = {kind: dict(values) for kind, values in _SETTINGS.items()}
        self._game: roms.Game | None = None
        self._rom = b""

    def __reduce__(self) -> Any:
        raise TypeError("an Emulator cannot be pickled or copied; cloneState() can be pickled")

    # ---- settings ---------------------------------------------------------------------------

    def _set(self, kind: type, key: str, value: Any) -> None:
        if key not in self._settings[kind]:
            known = ", ".join(self._settings[kind]) or "none"
            raise ValueError(f"key: expected one of {known}, got {key!r}")
        self._settings[kind][key] = kind(value)

    def _get(self, kind: type, key: str) -> Any:
        if key not in self._settings[kind]:
            known = ", ".join(self._settings[kind]) or "none"
            raise ValueError(f"key: expected one of {known}, got {key!r}")
        return self._settings[kind][key]

    def setInt(self, key: str, value: int) -> None:
        """Set random_seed (-1: any), frame_skip or max_num_frames_per_episode (0: no limit)."""
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{key}: expected an int, got {value!r}")
        least = {"frame_skip": 1, "max_num_frames_per_episode": 0}.get(key, -(2**31))
        most = MOST_SKIP if key == "frame_skip" else 2**31 - 1
        if not least <= value <= most:
            raise ValueError(f"{key}: expected an int of {least} to {most}, got {value}")
        self._set(int, key, value)

    def setFloat(self, key: str, value: float) -> None:
        """Set repeat_action_probability, 0 to 1."""
        if not isinstance(value, (int, float, np.floating, np.integer)):
            raise TypeError(f"{key}: expected a number, got {value!r}")
        if key == "repeat_action_probability" and not 0 <= value <= 1:
            raise ValueError(f"{key}: expected 0 to 1, got {value}")
        self._set(float, key, value)

    def setBool(self, key: str, value: bool) -> None:
        """Sound, display_screen and color_averaging can be set to False: they are not here."""
        if value and key in self._settings[bool]:
            raise ValueError(f"{key}: expected False (this emulator has none), got {value}")
        self._set(bool, key, value)

    def setString(self, key: str, value: str) -> None:
        """There is nothing to set but ``rom_file``, which :meth:`loadROM` sets."""
        self._set(str, key, value)

    def getInt(self, key: str) -> int:
        """A setting of :meth:`setInt`."""
        return self._get(int, key)

    def getFloat(self, key: str) -> float:
        """A setting of :meth:`setFloat`."""
        return self._get(float, key)

    def getBool(self, key: str) -> bool:
        """A setting of :meth:`setBool`."""
        return self._get(bool, key)

    def getString(self, key: str) -> str:
        """``rom_file``: the path that was loaded."""
        return self._get(str, key)

    # ---- playing ----------------------------------------------------------------------------

    def loadROM(self, path: str | PathLike[str]) -> None:
        """Load a 2 KB or 4 KB ROM and begin a game.

        Any other than Pong's is played with a warning, since its reward and end are not known; one
        that is not known at all has joysticks.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: another size, or a program that cannot run.
        """
        made, game, rom = cartridge(path)
        if not game.scored:
            what = f"{game.name} is" if game.name else "unknown ROM;"
            console = "paddles" if game.paddles else "joysticks"
            warnings.warn(
                f"{path}: {what} played with {console}, reward and end are not known",
                stacklevel=2,
            )
        ints, floats = self._settings[int], self._settings[float]
        skip = ints["frame_skip"]
        repeat = floats["repeat_action_probability"]
        self.set_rules((skip, skip + 1), repeat, ints["max_num_frames_per_episode"], 0)
        seed = ints["random_seed"]
        if seed == -1:
            seed = int.from_bytes(urandom(4), "little")
        self.load(made, seed & 0xFFFFFFFF)
        self._game, self._rom = game, rom
        self._settings[str]["rom_file"] = str(path)

    def game_over(self, with_truncation: bool = True) -> bool:
        """Whether the game is over, or was cut off at max_num_frames_per_episode."""
        return self.over if with_truncation else self.terminated

    def game_truncated(self) -> bool:
        """Whether the episode was cut off at max_num_frames_per_episode."""
        return self.truncated

    def lives(self) -> int:
        """0: Pong has none, and those of other games are not known."""
        return 0

    def getFrameNumber(self) -> int:
        """Frames since loadROM, without those of resets."""
        return self.frame_number

    def getEpisodeFrameNumber(self) -> int:
        """Frames since reset_game."""
        return self.episode_frame_number

    def getMinimalActionSet(self) -> list[Action]:
        """The actions that the game knows."""
        return [_ACTIONS[k] for k in self._loaded().actions]

    def getLegalActionSet(self) -> list[Action]:
        """All 18 actions."""
        return list(_ACTIONS)

    def getAvailableModes(self) -> list[int]:
        """[0]: the game as it starts."""
        return [0]

    def getAvailableDifficulties(self) -> list[int]:
        """[0]: the easy one."""
        return [0]

    def setMode(self, mode: int) -> None:
        """Only 0 is there."""
        if mode != 0:
            raise ValueError(f"mode: expected 0, got {mode}")

    def setDifficulty(self, difficulty: int) -> None:
        """Only 0 is there."""
        if difficulty != 0:
            raise ValueError(f"difficulty: expected 0, got {difficulty}")

    # ---- what is seen -----------------------------------------------------------------------

    def getScreenDims(self) -> tuple[int, int]:
        """(210, 160)."""
        return SCREEN

    def getScreen(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """The picture (210, 160) uint8 of palette indices: returned, or written into ``buffer``."""
        return self._seen(self.palette, SCREEN, buffer)

    def getScreenGrayscale(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """The picture (210, 160) uint8 in ALE's grey values."""
        return self._seen(self.grayscale, SCREEN, buffer)

    def getScreenRGB(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """The picture (210, 160, 3) uint8."""
        return self._seen(self.rgb, (*SCREEN, 3), buffer)

    def getRAMSize(self) -> int:
        """128."""
        return RAM_SIZE

    def getRAM(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """The console's memory (128,) uint8."""
        return self._seen(self.ram, (RAM_SIZE,), buffer)

    def setRAM(self, index: int, value: int) -> None:
        """Set byte ``index`` of the memory."""
        self._loaded()
        for name, number in (("index", index), ("value", value)):
            if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
                raise TypeError(f"{name}: expected an int, got {number!r}")
        if not 0 <= index < RAM_SIZE:
            raise ValueError(f"index: expected 0 to {RAM_SIZE - 1}, got {index}")
        if not 0 <= value <= 255:
            raise ValueError(f"value: expected 0 to 255, got {value}")
        self.poke(index, value)

    def _seen(self, write: Any, shape: tuple[int, ...], buffer: np.ndarray | None) -> Any:
        self._loaded()
        if buffer is None:
            made = np.empty(shape, np.uint8)
            write(made)
            return made
        if (
            not isinstance(buffer, np.ndarray)
            or buffer.shape != shape
            or buffer.dtype != np.uint8
            or not buffer.flags.c_contiguous
        ):
            got = f"{getattr(buffer, 'shape', type(buffer))} {getattr(buffer, 'dtype', '')}"
            raise ValueError(f"buffer: expected {shape} uint8, C-contiguous, got {got}")
        write(buffer)
        return None

    def _loaded(self) -> roms.Game:
        if self._game is None:
            raise RuntimeError("no ROM is loaded: call loadROM() first")
        return self._game

    # ---- keeping ----------------------------------------------------------------------------

    def cloneState(self, include_rng: bool = False) -> EmulatorState:
        """The console at this moment; with ``include_rng`` the sticky actions' generator too."""
        self._loaded()
        return EmulatorState(self.snapshot(), self._rom, bool(include_rng), self.meddled)

    def restoreState(self, state: EmulatorState) -> None:
        """Go on from a :meth:`cloneState` of the same ROM.

        As with ALE the picture stays until the next frame, and a sticky action goes on to be the
        one before this call, not the one before the clone.

        Raises:
            ValueError: the state is another ROM's, or what no console can be in.
        """
        self._loaded()
        if not isinstance(state, EmulatorState):
            raise TypeError(f"state: expected what cloneState() gave, got {state!r}")
        if state._rom != self._rom:
            raise ValueError("state: expected one of the loaded ROM, got another's")
        self.restore(state._snapshot, state._with_generators, False, state._meddled)

    def cloneSystemState(self) -> EmulatorState:
        """:meth:`cloneState` with the generator."""
        return self.cloneState(include_rng=True)

    def restoreSystemState(self, state: EmulatorState) -> None:
        """:meth:`restoreState`."""
        self.restoreState(state)

"""Our own Atari 2600, with the methods that agents call on ``ale_py.ALEInterface``.

>>> emulator = Emulator()
>>> emulator.setInt("random_seed", 1)
>>> emulator.loadROM(pong_rom())
>>> reward = emulator.act(3)

Equal seeds and actions give the same game as ale-py: memory, picture, reward, end and sticky
actions. Sound, modes and difficulties other than 0 are missing, and so are reward, end and lives of
games other than Pong. Wrong arguments raise errors instead of being ignored. Emulators can run in
several threads at once: :meth:`Emulator.act` releases the GIL.
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

from fastpg.emulator import _emulator
from fastpg.emulator._emulator import Cartridge, Console
from fastpg.emulator.palette import PALETTE_GRAY, PALETTE_RGB
from fastpg.emulator.roms import RomInfo, identify, read
from fastpg.emulator.roms import pong_rom as pong_rom
from fastpg.kernels.geometry import RAM_SIZE, SCREEN

_emulator.set_colours(PALETTE_RGB, PALETTE_GRAY)

_MOST_SKIP = 1_000_000
_ACTIONS = tuple(Action(k) for k in range(18))
_SETTINGS: dict[type, dict[str, Any]] = {
    int: {"random_seed": -1, "frame_skip": 1, "max_num_frames_per_episode": 0},
    float: {"repeat_action_probability": 0.25},
    bool: {"sound": False, "display_screen": False, "color_averaging": False},
    str: {"rom_file": ""},
}
_STATE = struct.Struct("<8sII8sI")  # magic, layout version, size of body, ROM, checksum of body
_MAGIC = b"fastpg26" if sys.byteorder == "little" else b"fastpgbe"


class EmulatorState:
    """The state of a console, returned by :meth:`Emulator.cloneState`. It can be pickled."""

    def __init__(self, snapshot: bytes, rom: bytes, with_generators: bool, meddled: bool):
        self._snapshot, self._rom = snapshot, rom
        self._with_generators, self._meddled = with_generators, meddled

    def serialize(self) -> bytes:
        """Return the state as bytes for :meth:`from_bytes` of the same layout version."""
        body = bytes([self._with_generators + 2 * self._meddled]) + self._snapshot
        head = (_MAGIC, _emulator.LAYOUT_VERSION, len(body), self._rom, zlib.crc32(body))
        return _STATE.pack(*head) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> "EmulatorState":
        """Return the state that :meth:`serialize` wrote.

        Raises:
            ValueError: ``data`` is no such state, is damaged, or has another layout version.
        """
        if not isinstance(data, bytes) or len(data) < _STATE.size or data[:8] != _MAGIC:
            raise ValueError(
                "state: expected bytes from EmulatorState.serialize(), got other bytes"
            )
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
        """Return True if both states are the same."""
        return self.serialize() == other.serialize()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EmulatorState) and self.equals(other)

    __hash__ = None  # type: ignore[assignment]


def load_cartridge(path: str | PathLike[str]) -> tuple[Cartridge, RomInfo, bytes]:
    """Load a ROM file.

    Returns:
        (cartridge, info, key): the ROM for a ``Console``, what is known of it, and 8 bytes that
        identify it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the ROM is not 2 KB or 4 KB, or its program cannot run.
    """
    rom = read(Path(path))
    info = identify(rom)
    cartridge = Cartridge(
        rom,
        paddles=info.paddles,
        swapped=info.paddles_swapped,
        reset_frames=info.reset_frames,
        pong=info.scored,
        draws_all_lines=info.draws_all_lines,
        constant_reset=info.constant_reset,
        translation=info.name if info.translated else None,
    )
    if cartridge.error is not None:
        raise ValueError(f"{path}: its program stops at the unknown opcode ${cartridge.error:02X}")
    key = bytes.fromhex(info.sha256)[:8] or zlib.crc32(rom).to_bytes(8, "little")
    return cartridge, info, key


def _check_int(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an int, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected an int of {least} to {most}, got {value}")


class Emulator(Console):
    """A drop-in replacement for the part of ``ale_py.ALEInterface`` that agents use.

    As in ale-py, settings take effect at :meth:`loadROM`.
    """

    def __init__(self) -> None:
        self._settings = {kind: dict(values) for kind, values in _SETTINGS.items()}
        self._info: RomInfo | None = None
        self._rom = b""

    def __reduce__(self) -> Any:
        raise TypeError("an Emulator cannot be pickled or copied; cloneState() can be pickled")

    # ---- settings ---------------------------------------------------------------------------

    def _set(self, kind: type, key: str, value: Any) -> None:
        self._get(kind, key)
        self._settings[kind][key] = kind(value)

    def _get(self, kind: type, key: str) -> Any:
        if key not in self._settings[kind]:
            raise ValueError(f"key: expected one of {', '.join(self._settings[kind])}, got {key!r}")
        return self._settings[kind][key]

    def setInt(self, key: str, value: int) -> None:
        """Set an integer setting.

        Args:
            key: ``"random_seed"`` (-1 takes one from the system), ``"frame_skip"`` (at least 1) or
                ``"max_num_frames_per_episode"`` (0 for no limit).
            value: the new value.

        Raises:
            TypeError: ``value`` is no int.
            ValueError: there is no such key, or ``value`` is out of its range.
        """
        least = {"frame_skip": 1, "max_num_frames_per_episode": 0}.get(key, -(2**31))
        _check_int(key, value, least, _MOST_SKIP if key == "frame_skip" else 2**31 - 1)
        self._set(int, key, value)

    def setFloat(self, key: str, value: float) -> None:
        """Set ``"repeat_action_probability"``, 0 to 1.

        Raises:
            TypeError: ``value`` is no number.
            ValueError: there is no such key, or ``value`` is out of its range.
        """
        if not isinstance(value, (int, float, np.floating, np.integer)):
            raise TypeError(f"{key}: expected a number, got {value!r}")
        if key == "repeat_action_probability" and not 0 <= value <= 1:
            raise ValueError(f"{key}: expected 0 to 1, got {value}")
        self._set(float, key, value)

    def setBool(self, key: str, value: bool) -> None:
        """Accept False for ``"sound"``, ``"display_screen"`` and ``"color_averaging"``.

        Raises:
            ValueError: there is no such key, or ``value`` is True: this emulator has none of them.
        """
        if value and key in self._settings[bool]:
            raise ValueError(f"{key}: expected False (this emulator has none), got {value}")
        self._set(bool, key, value)

    def setString(self, key: str, value: str) -> None:
        """Set ``"rom_file"``; :meth:`loadROM` overwrites it."""
        self._set(str, key, value)

    def getInt(self, key: str) -> int:
        """Return a setting of :meth:`setInt`."""
        return self._get(int, key)

    def getFloat(self, key: str) -> float:
        """Return a setting of :meth:`setFloat`."""
        return self._get(float, key)

    def getBool(self, key: str) -> bool:
        """Return a setting of :meth:`setBool`."""
        return self._get(bool, key)

    def getString(self, key: str) -> str:
        """Return ``"rom_file"``, the path of the loaded ROM."""
        return self._get(str, key)

    # ---- playing ----------------------------------------------------------------------------

    def loadROM(self, path: str | PathLike[str]) -> None:
        """Load a 2 KB or 4 KB ROM and start a game.

        ROMs other than Pong's cause a warning, because their reward and end are not known. An
        unknown ROM is played with joysticks.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the ROM has another size, or its program cannot run.
        """
        cartridge, info, rom = load_cartridge(path)
        if not info.scored:
            what = f"{info.name} is" if info.name else "unknown ROM;"
            controls = "paddles" if info.paddles else "joysticks"
            warnings.warn(
                f"{path}: {what} played with {controls}, reward and end are not known", stacklevel=2
            )
        ints, floats = self._settings[int], self._settings[float]
        skip = ints["frame_skip"]
        repeat = floats["repeat_action_probability"]
        self.set_rules((skip, skip + 1), repeat, ints["max_num_frames_per_episode"], 0)
        seed = ints["random_seed"]
        if seed == -1:
            seed = int.from_bytes(urandom(4), "little")
        self.load(cartridge, seed & 0xFFFFFFFF)
        self._info, self._rom = info, rom
        self._settings[str]["rom_file"] = str(path)

    def game_over(self, with_truncation: bool = True) -> bool:
        """Return True once the game is over or, with truncation, has reached its frame limit."""
        return self.over if with_truncation else self.terminated

    def game_truncated(self) -> bool:
        """Return True once the episode has reached ``max_num_frames_per_episode``."""
        return self.truncated

    def lives(self) -> int:
        """Return 0: Pong has no lives, and those of other games are not known."""
        return 0

    def getFrameNumber(self) -> int:
        """Return the number of frames since :meth:`loadROM`, without those of resets."""
        return self.frame_number

    def getEpisodeFrameNumber(self) -> int:
        """Return the number of frames since ``reset_game``."""
        return self.episode_frame_number

    def getMinimalActionSet(self) -> list[Action]:
        """Return the actions that the game uses."""
        return [_ACTIONS[k] for k in self._loaded().actions]

    def getLegalActionSet(self) -> list[Action]:
        """Return all 18 actions."""
        return list(_ACTIONS)

    def getAvailableModes(self) -> list[int]:
        """Return [0]: only the game's first mode."""
        return [0]

    def getAvailableDifficulties(self) -> list[int]:
        """Return [0]: only the easy difficulty."""
        return [0]

    def setMode(self, mode: int) -> None:
        """Accept mode 0; any other raises ValueError."""
        if mode != 0:
            raise ValueError(f"mode: expected 0, got {mode}")

    def setDifficulty(self, difficulty: int) -> None:
        """Accept difficulty 0; any other raises ValueError."""
        if difficulty != 0:
            raise ValueError(f"difficulty: expected 0, got {difficulty}")

    # ---- screen and memory ------------------------------------------------------------------

    def getScreenDims(self) -> tuple[int, int]:
        """Return (210, 160)."""
        return SCREEN

    def getScreen(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """Return the picture (210, 160) uint8 of palette indices, or write it to ``buffer``."""
        return self._read(self.palette, SCREEN, buffer)

    def getScreenGrayscale(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """Return the picture (210, 160) uint8 in ALE's grey values, or write it to ``buffer``."""
        return self._read(self.grayscale, SCREEN, buffer)

    def getScreenRGB(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """Return the picture (210, 160, 3) uint8 in RGB, or write it to ``buffer``."""
        return self._read(self.rgb, (*SCREEN, 3), buffer)

    def getRAMSize(self) -> int:
        """Return 128, the bytes of memory."""
        return RAM_SIZE

    def getRAM(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """Return the console's memory (128,) uint8, or write it to ``buffer``."""
        return self._read(self.ram, (RAM_SIZE,), buffer)

    def setRAM(self, index: int, value: int) -> None:
        """Set byte ``index`` (0 to 127) of the memory to ``value`` (0 to 255).

        Raises:
            TypeError: an argument is no int.
            ValueError: an argument is out of its range.
        """
        self._loaded()
        _check_int("index", index, 0, RAM_SIZE - 1)
        _check_int("value", value, 0, 255)
        self.poke(index, value)

    def _read(self, write: Any, shape: tuple[int, ...], buffer: np.ndarray | None) -> Any:
        self._loaded()
        if buffer is None:
            array = np.empty(shape, np.uint8)
            write(array)
            return array
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

    def _loaded(self) -> RomInfo:
        if self._info is None:
            raise RuntimeError("no ROM is loaded: call loadROM() first")
        return self._info

    # ---- states -----------------------------------------------------------------------------

    def cloneState(self, include_rng: bool = False) -> EmulatorState:
        """Return the state of the console, with the generator of sticky actions if asked for."""
        self._loaded()
        return EmulatorState(self.snapshot(), self._rom, bool(include_rng), self.meddled)

    def restoreState(self, state: EmulatorState) -> None:
        """Continue from a :meth:`cloneState` of the same ROM.

        As in ALE, the picture stays until the next frame, and the action that may stick is the last
        one before this call, not the last one before the clone.

        Raises:
            TypeError: ``state`` is no ``EmulatorState``.
            ValueError: the state is of another ROM, or no console can be in it.
        """
        self._loaded()
        if not isinstance(state, EmulatorState):
            raise TypeError(f"state: expected a state from cloneState(), got {state!r}")
        if state._rom != self._rom:
            raise ValueError("state: expected one of the loaded ROM, got another's")
        self.restore(state._snapshot, state._with_generators, False, state._meddled)

    def cloneSystemState(self) -> EmulatorState:
        """Return :meth:`cloneState` with the generator of sticky actions."""
        return self.cloneState(include_rng=True)

    def restoreSystemState(self, state: EmulatorState) -> None:
        """Do the same as :meth:`restoreState`."""
        self.restoreState(state)

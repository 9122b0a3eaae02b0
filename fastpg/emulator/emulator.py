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
from fastpg.emulator.state import EmulatorError, EmulatorState
from fastpg.kernels.geometry import RAM_SIZE, SCREEN
from fastpg.system.atomic_file import AtomicFile
from fastpg.system.extras import missing_extra
from fastpg.system.translation import run_address

_emulator.set_colours(PALETTE_RGB, PALETTE_GRAY)

_MOST_SKIP = 1_000_000
_ACTIONS = tuple(Action(k) for k in range(18))
_SETTINGS: dict[type, dict[str, Any]] = {
    int: {"random_seed": -1, "frame_skip": 1, "max_num_frames_per_episode": 0},
    float: {"repeat_action_probability": 0.25},
    bool: {"sound": False, "display_screen": False, "color_averaging": False},
    str: {"rom_file": ""},
}


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
        run=run_address(info.name, rom, _emulator.HEADERS) if info.translated else 0,
    )
    if cartridge.error is not None:
        raise ValueError(f"{path}: its program stops at the unknown opcode ${cartridge.error:02X}")
    key = bytes.fromhex(info.sha256)[:8] or zlib.crc32(rom).to_bytes(8, "little")
    return cartridge, info, key


def _check_int(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an int, got {value!r}")
    if not least <= value <= most:
        raise EmulatorError(f"{name}: expected an int of {least} to {most}, got {value}")


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
            raise EmulatorError(
                f"key: expected one of {', '.join(self._settings[kind])}, got {key!r}"
            )
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
            raise EmulatorError(f"{key}: expected 0 to 1, got {value}")
        self._set(float, key, value)

    def setBool(self, key: str, value: bool) -> None:
        """Accept False for ``"sound"``, ``"display_screen"`` and ``"color_averaging"``.

        Raises:
            ValueError: there is no such key, or ``value`` is True: this emulator has none of them.
        """
        if value and key in self._settings[bool]:
            raise EmulatorError(f"{key}: expected False (this emulator has none), got {value}")
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

    @staticmethod
    def isSupportedROM(path: str | PathLike[str]) -> str | None:
        """Return the name of a ROM's game, ``"pong"``, if its rewards and ends are known.

        Raises:
            RuntimeError: there is no such file.
        """
        if not Path(path).is_file():
            raise EmulatorError(f"path: expected a ROM's file, got {path}, which does not exist")
        info = identify(Path(path).read_bytes())
        return info.name if info.scored else None

    @staticmethod
    def setLoggerMode(mode: Any) -> None:
        """Accept any mode: this emulator logs nothing."""

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
            raise EmulatorError(f"mode: expected 0, got {mode}")

    def setDifficulty(self, difficulty: int) -> None:
        """Accept difficulty 0; any other raises ValueError."""
        if difficulty != 0:
            raise EmulatorError(f"difficulty: expected 0, got {difficulty}")

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

    def saveScreenPNG(self, path: str | PathLike[str]) -> None:
        """Write the picture to a PNG file.

        Raises:
            ImportError: the extra [video] is not installed.
            OSError: the file cannot be written.
        """
        try:
            from PIL import Image
        except ImportError:
            raise ImportError(f"saveScreenPNG: {missing_extra('video')}") from None
        with AtomicFile(Path(path)) as file:
            Image.fromarray(np.asarray(self.getScreenRGB())).save(file.temporary, "PNG")

    def getAudioSize(self) -> int:
        """Raise RuntimeError: this emulator has no sound."""
        raise RuntimeError("getAudioSize: this emulator has no sound; ale-py's has")

    def getAudio(self, buffer: np.ndarray | None = None) -> np.ndarray | None:
        """Raise RuntimeError: this emulator has no sound."""
        raise RuntimeError("getAudio: this emulator has no sound; ale-py's has")

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
            raise EmulatorError(f"buffer: expected {shape} uint8, C-contiguous, got {got}")
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
        return EmulatorState._of(self, self._rom, bool(include_rng))

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
            raise EmulatorError("state: expected one of the loaded ROM, got another's")
        self.restore(state._snapshot, state._with_generators, False, state._meddled)

    def cloneSystemState(self) -> EmulatorState:
        """Return :meth:`cloneState` with the generator of sticky actions."""
        return self.cloneState(include_rng=True)

    def restoreSystemState(self, state: EmulatorState) -> None:
        """Do the same as :meth:`restoreState`."""
        self.restoreState(state)

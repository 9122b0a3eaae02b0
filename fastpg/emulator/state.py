"""Saved states of our own emulator, with the methods of ``ale_py.ALEState``."""

import struct
import sys
import zlib
from typing import Any

from fastpg.emulator import _emulator
from fastpg.emulator._emulator import Console

_STATE = struct.Struct("<8sII8sI")  # magic, layout version, size of body, ROM, checksum of body
_MAGIC = b"fastpg26" if sys.byteorder == "little" else b"fastpgbe"


class EmulatorError(ValueError, RuntimeError):
    """An argument has a wrong value; the message names it. ale-py raises RuntimeError."""


class EmulatorState:
    """The state of a console, as :meth:`Emulator.cloneState` returns it.

    States are equal if they are of the same ROM and have the same memory, registers, counters and
    generator. One without a generator equals none that has one. Like ale-py's, equal states have
    different hashes. A state can be pickled and copied, and ``EmulatorState(state.serialize())`` is
    equal to it.

    Args:
        data: from :meth:`serialize`.

    Raises:
        ValueError: ``data`` is no such state, is damaged, or has another layout version.
    """

    def __init__(self, data: bytes):
        if not isinstance(data, bytes) or len(data) < _STATE.size or data[:8] != _MAGIC:
            raise ValueError(
                "state: expected bytes from EmulatorState.serialize(), got other bytes"
            )
        _, layout, size, self._rom, checksum = _STATE.unpack_from(data)
        body = data[_STATE.size :]
        if layout != _emulator.LAYOUT_VERSION:
            expected = _emulator.LAYOUT_VERSION
            raise ValueError(f"state: expected one of layout {expected}, got layout {layout}")
        whole = len(body) == size == _emulator.SNAPSHOT_BYTES + 1
        if not whole or zlib.crc32(body) != checksum:
            raise ValueError("state: it is damaged (size or checksum)")
        self._data, self._snapshot = data, body[1:]
        self._with_generators, self._meddled = bool(body[0] & 1), bool(body[0] & 2)

    @classmethod
    def _of(cls, console: Console, rom: bytes, generators: bool) -> "EmulatorState":
        body = bytes([generators + 2 * console.meddled]) + console.snapshot(generators, False)
        head = (_MAGIC, _emulator.LAYOUT_VERSION, len(body), rom, zlib.crc32(body))
        return cls(_STATE.pack(*head) + body)

    def serialize(self) -> bytes:
        """Return the state as bytes, for states of the same layout version."""
        return self._data

    def __reduce__(self) -> Any:
        return EmulatorState, (self._data,)

    def equals(self, other: "EmulatorState") -> bool:
        """Return True if both states are the same."""
        return self == other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EmulatorState):
            return NotImplemented
        return self._content == other._content

    @property
    def _content(self) -> tuple[bytes, bool, bytes]:
        return self._rom, self._with_generators, self._snapshot

    __hash__ = object.__hash__  # of ale-py's states too

    def _count(self, word: int) -> int:
        return int.from_bytes(self._snapshot[8 * word : 8 * word + 8], sys.byteorder)

    def getFrameNumber(self) -> int:
        """Return :meth:`Emulator.getFrameNumber` of the state."""
        return self._count(_emulator.FRAME_WORDS[1])

    def getEpisodeFrameNumber(self) -> int:
        """Return :meth:`Emulator.getEpisodeFrameNumber` of the state."""
        return self._count(_emulator.EPISODE_FRAME_WORD)

    def getDifficulty(self) -> int:
        """Return 0: the only difficulty that this emulator plays."""
        return 0

    def getCurrentMode(self) -> int:
        """Return 0: the only mode that this emulator plays."""
        return 0

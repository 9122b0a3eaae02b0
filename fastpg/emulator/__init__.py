"""Our own Atari 2600: ``Emulator`` with the interface of ale-py, the ROMs and the colours."""

from fastpg.emulator.emulator import Emulator as Emulator
from fastpg.emulator.roms import pong_rom as pong_rom
from fastpg.emulator.state import EmulatorState as EmulatorState

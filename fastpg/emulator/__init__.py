"""An Atari 2600 of our own: ``Emulator`` with ale-py's interface, the ROMs, the colours."""

from fastpg.emulator.emulator import Emulator as Emulator
from fastpg.emulator.emulator import EmulatorState as EmulatorState
from fastpg.emulator.roms import pong_rom as pong_rom

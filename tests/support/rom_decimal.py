"""All operands of decimal ADC and SBC, on the console of csrc/ and on ale-py.

One ROM works off 32 pairs of operands a frame. The test pokes which: accumulator, first operand,
carry and operation; results and flags lie in RAM after the frame.
"""

import random
from pathlib import Path

import numpy as np

from tests.support.emulator_core import Core, oracle
from tests.support.rom_generator import VSYNC, Program

ACCUMULATOR, OPERAND, CARRY, SUBTRACT = 0x80, 0x81, 0x82, 0x83
RESULTS, PAIRS = 0xA0, 32  # result and flags of each pair


def decimal_rom() -> bytes:
    """Build the ROM."""
    g = Program(random.Random(0))
    g.begin()
    g.label("frame")
    g.store(VSYNC, 2)
    g.lines(3)
    g.store(VSYNC, 0)  # ends the frame: the test reads and pokes here
    g.load("X", 0)
    g.label("pair")
    g.op("LDA", "ZP", SUBTRACT)
    g.op("BNE", "REL", "subtract")
    for op in ("ADC", "SBC"):
        if op == "SBC":
            g.label("subtract")
        g.op("LDA", "ZP", CARRY)
        g.op("LSR", "ACC")
        g.op("SED")
        g.op("LDA", "ZP", ACCUMULATOR)
        g.op(op, "ZP", OPERAND)
        g.op("PHP")
        g.op("CLD")
        if op == "ADC":
            g.op("JMP", "ABS", "keep")
    g.label("keep")
    g.op("STA", "ZPX", RESULTS)
    g.op("PLA")
    g.op("STA", "ZPX", RESULTS + 1)
    g.op("INC", "ZP", OPERAND)
    for _ in range(2):
        g.op("INX")
    g.op("CPX", "IMM", 2 * PAIRS)
    g.op("BNE", "REL", "pair")
    g.lines(220)
    g.op("JMP", "ABS", "frame")
    return g.rom()


def compare_decimal(library, folder: Path, accumulators=range(256)) -> tuple[int, int]:
    """Pairs of operands compared, with both carries and operations, and how many differ."""
    path = folder / "pong.bin"
    path.write_bytes(decimal_rom())
    core, ale = Core(library, path.read_bytes()), oracle(str(path))
    noop = ale.getLegalActionSet()[0]
    kept = slice(RESULTS - 0x80, RESULTS - 0x80 + 2 * PAIRS)
    done = differ = 0
    for subtract in (0, 1):
        for carry in (0, 1):
            for a in accumulators:
                for first in range(0, 256, PAIRS):
                    for at, value in enumerate((a, first, carry, subtract)):
                        core.poke(at, value)
                        ale.setRAM(at, value)
                    core.act(0, draw=False)
                    ale.act(noop)
                    mine, theirs = core.ram(), ale.getRAM()
                    assert mine[1] == theirs[1] == (first + PAIRS) % 256  # all pairs are done
                    unequal = (mine[kept] != theirs[kept]).reshape(PAIRS, 2).any(1)
                    differ += int(np.count_nonzero(unequal))
                    done += PAIRS
    return done, differ

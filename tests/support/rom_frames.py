"""Families of test ROMs about frames: their limits, their ends, and programs gone wild.

What is abnormal here begins when the test pokes RAM $80, after the load.
"""

from tests.support.rom_assembler import OPCODES
from tests.support.rom_generator import VSYNC, WSYNC, Program, family
from tests.support.rom_tia import COLOURS, random_write, show_objects

KINDS = ("lines", "pause", "long", "wait", "wait and write", "pulse", "vsync", "draw", "read")
CELL = range(0xA0, 0xB0)
_WEIGHTS = {"lines": 8, "pause": 3, "long": 1, "wait": 1, "wait and write": 1, "pulse": 2}


def _loop(g: Program, count_cell, body):
    g.op("LDX", "ZP", count_cell)
    again = g.label()
    body()
    g.op("DEX")
    g.op("BNE", "REL", again)


def piece(g: Program, kind):
    """A part of an abnormal frame. RAM cells set its length."""
    rng = g.rng
    cell = rng.choice(CELL)
    if kind == "lines":

        def line():
            g.store(rng.choice((*COLOURS, 0x1B, 0x0E)), register="X")
            if rng.random() < 0.8:
                g.store(WSYNC)

        _loop(g, cell, line)
    elif kind == "pause":
        _loop(g, cell, lambda: None)
    elif kind == "long":  # more than 25,000 instructions without a write

        def inner():
            again = g.label()
            g.op("DEY")
            g.op("BNE", "REL", again)

        g.op("LDA", "ZP", cell)
        g.op("AND", "IMM", rng.choice((0x0F, 0x3F, 0xFF)))
        g.store(0x9C)
        _loop(g, 0x9C, inner)
    elif kind.startswith("wait"):  # until the test pokes another value
        again = g.label()
        g.op("LDA", "ZP", cell)
        if kind == "wait and write":
            g.store(rng.choice(COLOURS))
        g.op("AND", "IMM", 0x03)
        g.op("BEQ", "REL", again)
    elif kind == "pulse":
        g.store(VSYNC, 2)
        g.delay(rng.choice((0, *range(2, 20), *range(60, 90))))
        if rng.random() < 0.3:
            g.store(VSYNC, 2)
            g.delay(rng.choice((70, 71, 72, 73, 74, 75, 76)))
        g.store(VSYNC, 0)
    elif kind == "vsync":
        g.op("LDA", "ZP", cell)
        g.store(VSYNC | rng.choice((0, 0x40)))
    elif kind == "draw":
        for _ in range(rng.randrange(1, 6)):
            random_write(g, range(0x04, 0x2D))
    else:
        g.op("LDA", "ZP", rng.randrange(8))
        g.store(0x90)
        g.op("LDA", "ABS", rng.choice((0x284, 0x285)))
        g.store(0x91)


@family(weight=30)
def frames(rng, seed):
    """Short, long, alternating and endless frames, odd VSYNC pulses, the limits of a frame."""
    g = Program(rng)
    g.begin()
    show_objects(g)
    if seed % 2:
        g.op("LDA", "IMM", rng.randrange(256))
        g.op("STA", "ABS", 0x294 + rng.randrange(4))
    g.wait_for_flag()
    g.label("abnormal")
    if rng.random() < 0.8:
        g.store(VSYNC, 2)
        piece(g, rng.choice(("lines", "pause", "pause")))
        g.store(VSYNC, 0)
    g.op("INC", "ZP", 0x81)
    weights = [_WEIGHTS.get(kind, 2) for kind in KINDS]
    for _ in range(rng.randrange(2, 9)):
        for kind in rng.choices(KINDS, weights, k=rng.randrange(1, 3)):
            piece(g, kind)
    g.op("JMP", "ABS", "abnormal")
    return g.rom(), {"cells": tuple(CELL), "pokes": 6, "flag": True, "frames": 30}


@family(weight=0)  # a few in a hundred differ: run by name only
def wild(rng, seed):
    """Random opcodes and operands, run from anywhere. Jumps stay in the ROM.

    Still open: what ale-py shows to the right of the beam in a line that a frame's end cuts off (up
    to three pixels more; black ones after HMOVE), and some loops of code at the TIA's addresses.
    """
    g = Program(rng)
    leaving = {
        code for code, (op, _) in OPCODES.items() if op in ("BRK", "JMP", "JSR", "RTS", "RTI")
    }
    plain = sorted(set(OPCODES) - leaving)
    for at in range(0x1000):
        g.bytes[at] = rng.choice(plain)
    for at in [*range(0x180, 0xF00, rng.choice((64, 200))), 0xFC0]:
        place = at + rng.randrange(0x20)
        high = rng.choice([page for page in range(0xF1, 0xFF) if page in plain])
        g.bytes[place : place + 3] = (rng.choice((0x4C, 0x20)), rng.choice(plain), high)
    g.words.clear()
    g.word(0xFFC, 0xFFD, "reset")
    g.begin()
    if seed % 2:
        show_objects(g)
    g.wait_for_flag()
    g.label("abnormal")
    for _ in range(rng.randrange(20)):
        random_write(g, range(0x04, 0x2D))
    return super(Program, g).rom(), {"flag": True, "frames": 20, "pokes": 10}

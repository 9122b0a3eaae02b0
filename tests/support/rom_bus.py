"""Families of test ROMs about the bus, the RIOT, and code in RAM."""

from tests.support.rom_assembler import CODES, LENGTHS, OPCODES
from tests.support.rom_cpu import PLAIN, SHOWN, WRITABLE, framed, operation, read_target, value
from tests.support.rom_generator import DATA_PAGE, Program, family

READS = ("LDA", "LDX", "LDY", "BIT", "LAX", "EOR", "ORA", "ADC", "CMP", "NOP")
READING = [c for c in PLAIN if OPCODES[c][0] in READS and OPCODES[c][1] not in ("IMM", "IMP")]
CHANGING = [c for c in PLAIN if OPCODES[c][0] in ("INC", "DEC", "ROL", "SLO", "DCP") and c != 0x2A]


class Log:
    """Stores results in RAM, one after the other."""

    def __init__(self, g: Program, begin=0x98, end=0xF0):
        self.g, self.at, self.end = g, begin, end

    def room(self):
        return self.at + 3 < self.end

    def keep(self, register="A"):
        self.g.store(self.at, register=register)
        self.at += 1

    def keep_flags(self):
        self.g.op("PHP")
        self.g.op("PLA")
        self.keep()


@family(weight=15)
def bus(rng, seed):
    """Undriven bits of reads in every mode, from every TIA address and its mirrors."""
    g = Program(rng)
    g.begin()
    g.begin_frame(jitter=seed % 2 == 0, top=rng.randrange(100))
    for register in rng.sample((*SHOWN, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F), 6):
        g.store(register, rng.randrange(256))
    g.wsync()
    log = Log(g)
    while log.room() and g.room(200):
        kind = rng.random()
        mirror = rng.choice((0, 0, 0x40, 0x100, 0x200, 0x300, 0x700, 0xE00, 0x8000, 0xA300))
        if kind < 0.8:
            code = rng.choice(READING)
            zero_page = OPCODES[code][1] in ("ZP", "ZPX", "ZPY")
            address = rng.randrange(0x40) | (mirror & 0x7F if zero_page else mirror)
            operation(g, code, address)
            op = OPCODES[code][0]
            if op in ("BIT", "CMP", "NOP"):
                log.keep_flags()
            else:
                log.keep("X" if op == "LDX" else "Y" if op == "LDY" else "A")
        elif kind < 0.9:
            operation(g, rng.choice(CHANGING), rng.choice(SHOWN))
            log.keep_flags()
        else:  # pointers that are in the TIA or the RIOT themselves
            cell = rng.choice((rng.randrange(0x10), 0x7F, 0xFF))
            index = rng.randrange(256)
            if rng.random() < 0.5:
                g.load("X", index)
                g.op("LDA", "IZX", (cell - index) & 255)
            else:
                g.load("Y", index)
                g.op("LDA", "IZY", cell)
            log.keep()
    g.end_frame()
    return g.rom(), {"cells": (0xA0,), "pokes": 1}


@family(weight=20)
def timer(rng, seed):
    """The timer: all dividers and mirrors, reads before and after it has run out, TIMINT."""
    g = Program(rng)
    g.begin()
    g.begin_frame(jitter=rng.random() < 0.5)
    log = Log(g)
    while log.room() and g.room(235):
        kind = rng.random()
        mirror = rng.choice((0, 0x60, 0x100, 0xC00, 0x2000))
        if kind < 0.25:
            g.load("A", rng.choice((value(rng), rng.randrange(6))))
            divider = rng.choice((0, 0, 1, 1, 2, 3))
            low = 0x14 if rng.random() < 0.9 else rng.choice((0x04, 0x10, 0x00, 0x1C))
            g.op("STA", "ABS", 0x280 | low | divider | mirror)
        elif kind < 0.6:
            g.op("LDA", "ABS", 0x284 | rng.choice((0, 0, 0, 1, 1, 2, 3, 8, 16, 18)) | mirror)
            log.keep()
        elif kind < 0.7:
            g.op(rng.choice(("INC", "LSR", "DEC")), "ABS", 0x280 | rng.randrange(0x20))
            log.keep_flags()
        elif kind < 0.8:
            g.delay(rng.randrange(2, 40))
        else:
            count = rng.randrange(1, 256)
            g.load("X", count)
            again = g.label()
            g.op("DEX")
            g.op("BNE", "REL", again)
            g.cycles += 5 * count
    g.end_frame()
    return g.rom(), {"cells": (0xA0,), "pokes": 1, "frames": 24}


@family(weight=8)
def ports(rng, seed):
    """Joystick, switches, triggers with their latches and the dump, direction registers."""
    g = Program(rng)
    g.begin()
    g.begin_frame(jitter=True, top=rng.randrange(60))
    log = Log(g)
    while log.room() and g.room(200):
        kind = rng.random()
        if kind < 0.3:
            g.op("LDA", "ABS", 0x280 | rng.randrange(4) | rng.choice((0, 8, 0x60, 0x2000)))
            log.keep()
        elif kind < 0.6:
            g.op("LDA", rng.choice(("ZP", "ABS")), 0x08 + rng.randrange(8))
            log.keep()
        elif kind < 0.8:
            g.op("LDA", "ZP", rng.choice(WRITABLE))
            g.op("STA", "ABS", 0x280 | rng.randrange(4) | rng.choice((0, 8, 0x10)))
        else:
            g.store(0x01, rng.choice((0, 0x40, 0x80, 0xC0, 0x42, 0x02)))
            g.delay(rng.randrange(2, 60))
    g.store(0x01, rng.choice((0, 0x40)))
    g.end_frame()
    return g.rom(), {"cells": (0xA0,), "pokes": 1}


@family(weight=15)
def code_in_ram(rng, seed):
    """Subroutines copied to RAM and run there; their operands change from frame to frame."""
    g = Program(rng)
    base, code, operands = 0xA4, bytearray(), []
    while len(code) < 0x30:
        opcode = rng.choice(PLAIN)
        op, mode = OPCODES[opcode]
        if mode in ("IMP", "ACC"):
            code.append(opcode)
        elif mode == "IMM":
            operands.append(base + len(code) + 1)
            code += bytes((opcode, value(rng)))
        elif mode in ("ZP", "ABS") and op in READS:
            target = read_target(rng, mode == "ZP")
            code.append(opcode)
            code += target.to_bytes(LENGTHS.get(mode, 2) - 1, "little")
        elif mode == "ZP":
            code += bytes((opcode, rng.choice((*SHOWN, *range(0x81, 0x8D), *range(0xE0, 0xF0)))))
    code += bytes((CODES["BNE", "REL"], 1, CODES["INX", "IMP"], CODES["RTS", "IMP"]))
    for k, byte in enumerate(code):
        g.bytes[DATA_PAGE + k] = byte
    g.begin()
    g.begin_frame(jitter=True, top=rng.randrange(80))
    g.load("X", len(code) - 1)
    again = g.label()
    g.op("LDA", "ABX", g.origin + DATA_PAGE)
    g.op("LDY", "ZP", 0x80)
    g.op("BNE", "REL", "keep")  # after the first poke of an operand the copy stays
    g.op("STA", "ZPX", base)
    g.label("keep")
    g.op("DEX")
    g.op("BPL", "REL", again)
    g.cycles += 14 * (len(code) - 1)
    for _ in range(rng.randrange(1, 12)):
        g.op("JSR", "ABS", base | rng.choice((0, 0x100, 0x400, 0x2000)))
        g.cycles += 60
        for register in "AXY":
            g.store(rng.choice(range(0xE0, 0xF0)), register=register)
        g.store(rng.choice(SHOWN))
    g.end_frame()
    return g.rom(), {"cells": tuple(operands) or (0xA0,), "pokes": 12, "flag": True}


@family(weight=5)
def mirrors(rng, seed):
    """Reads of the whole address space."""
    g = Program(rng)

    def snippet(g):
        operation(g, rng.choice(READING), None if rng.random() < 0.3 else rng.randrange(0x10000))
        g.store(rng.choice((*WRITABLE, *SHOWN)), register=rng.choice("AXY"))

    def zero_page_too(g):
        code = rng.choice(READING)
        zero_page = OPCODES[code][1] in ("ZP", "ZPX", "ZPY")
        operation(g, code, rng.randrange(0x100) if zero_page else rng.randrange(0x10000))
        g.store(rng.choice((*WRITABLE, *SHOWN)), register=rng.choice("AXY"))

    framed(g, zero_page_too if seed % 2 else snippet)
    return g.rom(), {}

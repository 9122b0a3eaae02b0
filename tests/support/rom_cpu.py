"""Families of test ROMs about the CPU."""

from tests.support.rom_assembler import CHANGES, OPCODES, STORES
from tests.support.rom_generator import DATA_PAGE, RESERVED, Program, family

FLOW = {"BRK", "JMP", "JSR", "RTS", "RTI", "PHA", "PHP", "PLA", "PLP", "TXS"}
PLAIN = [code for code, (op, mode) in OPCODES.items() if op not in FLOW and mode != "REL"]
BRANCHES = [op for op, mode in OPCODES.values() if mode == "REL"]
# $F0-$F8 hold pointers and counters, $F9-$FF the stack
WRITABLE = [a for a in range(0x80, 0xF0) if a not in RESERVED]
SHOWN = (0x06, 0x07, 0x08, 0x09, 0x0D, 0x0E, 0x0F)  # TIA registers that show a value
EDGES = (0x00, 0x01, 0x09, 0x0F, 0x10, 0x7F, 0x80, 0x81, 0x99, 0x9A, 0xF0, 0xFE, 0xFF)


def value(rng):
    """A byte, often at an edge."""
    return rng.choice(EDGES) if rng.random() < 0.4 else rng.randrange(256)


def ram_mirror(rng, address):
    """A random mirror of a RAM address."""
    return address | rng.choice((0, 0x100, 0x400, 0x500, 0x800, 0xC00, 0x2000, 0xE100))


def read_target(rng, zero_page):
    """An address worth reading."""
    kind = rng.random()
    if kind < 0.55:
        address = rng.choice(WRITABLE)
        return address if zero_page else ram_mirror(rng, address)
    if kind < 0.75 or zero_page:
        address = rng.randrange(0x10 if rng.random() < 0.7 else 0x80)
        return (
            address if zero_page else address | rng.choice((0, 0x100, 0x200, 0x300, 0xE00, 0x8000))
        )
    if kind < 0.85:
        return 0x280 | rng.randrange(0x20) | rng.choice((0, 0x60, 0x500, 0xC00, 0x4000))
    return rng.choice((0x1000, 0x3000, 0xF000)) | rng.randrange(0x1000)


def write_target(rng, zero_page):
    """An address to write that cannot disturb the frame."""
    kind = rng.random()
    if kind < 0.65:
        address = rng.choice(WRITABLE)
        return address if zero_page else ram_mirror(rng, address)
    if kind < 0.85 or zero_page:
        address = rng.choice(SHOWN) | rng.choice((0, 0x40))
        return address if zero_page else address | rng.choice((0, 0x100, 0x200, 0x300, 0xE00))
    if kind < 0.9:
        return 0x280 | rng.randrange(0x20) | rng.choice((0, 0x500, 0x4000))
    return rng.choice((0x1000, 0xF000)) | rng.randrange(0x1000)


def operation(g: Program, code, target=None):
    """One instruction of any addressing mode, its registers and pointers set up for a target."""
    rng = g.rng
    op, mode = OPCODES[code]
    if mode in ("IMP", "ACC"):
        g.op(op, mode, code=code)
        return
    if mode == "IMM":
        g.op(op, mode, value(rng), code=code)
        return
    if target is None:
        pick = write_target if op in STORES or op in CHANGES else read_target
        target = pick(rng, mode in ("ZP", "ZPX", "ZPY"))
    if mode in ("ZP", "ABS"):
        g.op(op, mode, target, code=code)
        return
    index = rng.randrange(256)
    if mode in ("IZX", "IZY"):
        cell = rng.choice((0xF0, 0xF2, 0xF4, 0xF6))
        base = target if mode == "IZX" else (target - index) & 0xFFFF
        g.store(cell, base & 255, "Y")
        g.store(cell + 1, base >> 8, "Y")
        operand = (cell - index) & 255 if mode == "IZX" else cell
    else:
        operand = (target - index) & (0xFF if mode in ("ZPX", "ZPY") else 0xFFFF)
    g.load("X" if mode in ("ZPX", "ABX", "IZX") else "Y", index)
    g.op(op, mode, operand, code=code)


def log(g: Program):
    """Store a part of the CPU's state where the comparison sees it."""
    rng = g.rng
    kind = rng.random()
    if kind < 0.3:
        g.store(rng.choice(WRITABLE), register=rng.choice("AXY"))
    elif kind < 0.6:
        g.op("PHP")
        g.op("PLA")
        g.store(rng.choice(WRITABLE))
    else:
        g.store(rng.choice(SHOWN), register=rng.choice("AXY"))


def branch(g: Program):
    """A branch over a few instructions, or around a loop of them."""
    rng = g.rng
    if rng.random() < 0.6:
        end = f"branch {g.at:03X}"
        g.op(rng.choice(BRANCHES), "REL", end)
        least = g.cycles
        for _ in range(rng.randrange(4)):
            operation(g, rng.choice(PLAIN))
        g.cycles = least
        g.label(end)
        return
    turns = rng.randrange(1, 9)
    g.store(0xF8, turns)
    again, before = g.label(), g.cycles
    for _ in range(rng.randrange(1, 5)):
        operation(g, rng.choice(PLAIN))
    g.op("DEC", "ZP", 0xF8)
    g.op("BNE", "REL", again)
    g.cycles += (turns - 1) * (g.cycles - before)


def call(g: Program):
    """Pushes and pulls, a subroutine, a BRK, or a jump through a pointer."""
    rng = g.rng
    kind = rng.random()
    if kind < 0.3:
        g.op("LDA", "ZP", rng.choice(WRITABLE))
        g.op(rng.choice(("PHA", "PHP")))
        g.op(rng.choice(("PLA", "PLP")))
    elif kind < 0.6:
        g.op("JSR", "ABS", f"routine {rng.randrange(4)}")
    elif kind < 0.8:
        g.op("BRK")
        g.byte(rng.randrange(256))
    else:
        target = f"jump {g.at:03X}"
        if rng.random() < 0.5:
            g.op("JMP", "ABS", target)
        else:
            g.op("JMP", "IND", jump_pointer(g, target))
        for _ in range(rng.randrange(4)):
            g.byte(rng.randrange(256))
        g.label(target)


def jump_pointer(g: Program, target):
    """A pointer to a label in the data page, once in its last byte: that one wraps."""
    used = len(g.words) - 2
    if used == 0:
        g.word(DATA_PAGE + 0xFF, DATA_PAGE, target)
        return g.origin + DATA_PAGE + 0xFF
    at = DATA_PAGE + 2 * used
    g.word(at, at + 1, target)
    return g.origin + at


def routines(g: Program):
    """The subroutines of call()."""
    for name in (*(f"routine {k}" for k in range(4)), "break"):
        g.label(name)
        for _ in range(g.rng.randrange(1, 4)):
            operation(g, g.rng.choice(PLAIN))
        g.op("RTI" if name == "break" else "RTS")


def framed(g: Program, snippet, margin=0x180):
    """A frame filled with snippets."""
    g.begin()
    g.begin_frame(jitter=g.rng.random() < 0.7, top=g.rng.randrange(60))
    while g.room(g.rng.randrange(80, 200), margin):
        snippet(g)
    g.end_frame()


@family(weight=40)
def cpu(rng, seed):
    """Every opcode in every addressing mode, branches, calls; results to RAM and picture."""
    g = Program(rng)

    def snippet(g):
        kind = rng.random()
        if kind < 0.55:
            operation(g, rng.choice(PLAIN))
        elif kind < 0.65:
            branch(g)
        elif kind < 0.72:
            call(g)
        elif kind < 0.78:
            g.load(rng.choice("AXY"), value(rng))
        else:
            log(g)

    framed(g, snippet)
    routines(g)
    return g.rom(), {}


@family(weight=15)
def decimal(rng, seed):
    """ADC, SBC, RRA, ISC and compares, decimal or not, on operands that change every frame."""
    g = Program(rng)
    codes = [c for c in PLAIN if OPCODES[c][0] in ("ADC", "SBC", "RRA", "ISC", "CMP", "DCP", "AXS")]

    def snippet(g):
        g.op(rng.choice(("SED", "SED", "CLD")))
        g.op(rng.choice(("SEC", "CLC", "NOP")))
        g.op("LDA", "ZP", rng.choice(WRITABLE))
        operation(g, rng.choice(codes))
        log(g)

    framed(g, snippet)
    return g.rom(), {"pokes": 60}


@family(weight=20)
def stack(rng, seed):
    """The stack anywhere: in RAM, in the TIA's registers, across the edge between them."""
    g = Program(rng)

    def snippet(g):
        kind = rng.random()
        g.op("LDA", "ZP", rng.choice(WRITABLE))
        if kind < 0.35:  # pushes to registers of the TIA whose effect is visible
            g.load("X", rng.choice((*SHOWN, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F)))
            g.op("TXS")
            g.op(rng.choice(("PHA", "PHP")))
        elif kind < 0.6:  # pulls from the TIA's read registers
            g.load("X", rng.randrange(0x80))
            g.op("TXS")
            g.op(rng.choice(("PLA", "PLP")))
            log_without_stack(g)
        elif kind < 0.68:  # from the last bytes of RAM on into the TIA, one or two at a time
            g.op("STA", "ZP", 0xFF)
            g.load("X", rng.choice((0xFE, 0xFF)))
            g.op("TXS")
            g.op(rng.choice(("PLA", "PLP")))
            log_without_stack(g)
            g.op(rng.choice(("PLA", "PLP")))
        elif kind < 0.75:
            g.load("X", rng.choice((0x07, 0x08, 0x0E, 0x1E, 0x1F, 0x47)))
            g.op("TXS")
            target = f"called {g.at:03X}"
            g.op("JSR", "ABS", target)
            g.label(target)
        else:
            g.load("X", rng.choice([a for a in WRITABLE if a > 0x9A]))
            g.op("TXS")
            for _ in range(rng.randrange(1, 4)):
                g.op(rng.choice(("PHA", "PHP", "PLA", "PLP")))
            call_in_ram(g)
        log_without_stack(g)

    g.begin()
    g.begin_frame(jitter=True, top=rng.randrange(50))
    g.store(0x1B, 0x5A)
    g.store(0x06, 0x3C)
    while g.room(120, 0x100):
        snippet(g)
    g.end_frame()
    g.label("routine 0")
    g.op("TSX")
    g.store(0x90, register="X")  # below the reach of the stack
    g.op("RTS")
    return g.rom(), {}


def log_without_stack(g: Program):
    g.store(g.rng.choice((*WRITABLE, *SHOWN)), register=g.rng.choice("AXY"))


def call_in_ram(g: Program):
    """A subroutine or a BRK; the stack pointer has been moved a little."""
    g.load("X", g.rng.choice([a for a in WRITABLE if a > 0x9A]))
    g.op("TXS")
    if g.rng.random() < 0.5:
        g.op("JSR", "ABS", "routine 0")
    else:
        g.op("BRK")
        g.byte(0xEA)
    g.op("TSX")
    g.store(g.rng.choice(WRITABLE), register="X")

"""Families of test ROMs about the TIA."""

from tests.support.rom_generator import Program, family

COLOURS = tuple(range(0x06, 0x0A))
NUSIZ, CTRLPF, REFP, PF = (0x04, 0x05), (0x0A,), (0x0B, 0x0C), (0x0D, 0x0E, 0x0F)
RESP, RESM, RESBL = (0x10, 0x11), (0x12, 0x13), (0x14,)
GRP, ENABLE = (0x1B, 0x1C), (0x1D, 0x1E, 0x1F)
MOTION, VDEL, RESMP = tuple(range(0x20, 0x25)), (0x25, 0x26, 0x27), (0x28, 0x29)
HMOVE, HMCLR, CXCLR, VBLANK = (0x2A,), (0x2B,), (0x2C,), (0x01,)
SUBSETS = {
    "players": (*NUSIZ, *REFP, *RESP, *GRP, *VDEL),
    "missiles": (*NUSIZ, *RESM, *RESMP, *ENABLE, *RESP, *RESBL),
    "playfield": (*PF, *CTRLPF, *COLOURS, *GRP),
    "motion": (*MOTION, *HMOVE, *HMOVE, *HMCLR, *RESP, *RESM, *RESBL, *NUSIZ),
    "input_spec": (*VBLANK, *CXCLR, *ENABLE, *GRP, *PF, *COLOURS),
    "all": tuple(r for r in range(0x40) if r not in (0x00, 0x02)),
}
READS = range(0x08)


def byte(rng):
    """A byte with any number of bits set, equally likely."""
    kind = rng.randrange(4)
    if kind == 0:
        return 1 << rng.randrange(8)
    if kind == 1:
        return rng.choice((0, 0xFF))
    return rng.randrange(256)


def show_objects(g: Program):
    """Colours, and all objects visible somewhere."""
    rng = g.rng
    for register in COLOURS:
        g.store(register, rng.randrange(256))
    for register in (*NUSIZ, *CTRLPF, *REFP, *PF, *GRP):
        g.store(register, byte(rng))
    for register in ENABLE:
        g.store(register, rng.choice((0, 2, 2)))
    for register in MOTION:
        g.store(register, rng.randrange(256))


def random_write(g: Program, registers):
    """A store to one of the registers, of a number or of a RAM byte that changes between frames."""
    rng = g.rng
    register = rng.choice(registers) | (0x40 if rng.random() < 0.1 else 0)
    name = rng.choice("AXY")
    if rng.random() < 0.6:
        g.store(register, byte(rng), name)
    elif rng.random() < 0.7:
        g.op("LD" + name, "ZP", rng.randrange(0xA0, 0xF0))
        g.store(register, register=name)
    else:
        g.store(register, register=name)


def collision_read(g: Program):
    """Store a collision register in RAM, where the comparison sees it."""
    g.op("LDA", "ZP", g.rng.choice(READS))
    g.store(g.rng.randrange(0xA1, 0xF0))


@family(weight=70)
def tia(rng, seed):
    """Random writes to a subset of the registers at random cycles; collisions read to RAM."""
    registers = list(SUBSETS.values())[seed % len(SUBSETS)]
    g = Program(rng)
    g.begin()
    g.begin_frame(jitter=rng.random() < 0.8, top=rng.randrange(1, 70))
    if rng.random() < 0.8:
        show_objects(g)
    lined = rng.random() < 0.5
    loops = rng.choice((1, 1, 2, 3))
    g.store(0xF8, loops)
    before, again = g.cycles, "body"
    g.label(again)
    while g.room(30 + 120 // loops, 0x40):
        kind = rng.random()
        if kind < 0.75:
            random_write(g, registers)
        elif kind < 0.85:
            collision_read(g)
        elif kind < 0.9 and lined:
            g.wsync()
        else:
            g.delay(rng.randrange(2, 30))
    g.op("DEC", "ZP", 0xF8)
    g.op("BEQ", "REL", "out")
    g.op("JMP", "ABS", again)
    g.label("out")
    g.cycles += (loops - 1) * (g.cycles - before)
    g.end_frame()
    return g.rom(), {"frames": 12}


def aligned_wait(g: Program, cycle):
    """Wait for a cycle of the next line: a following store of 3 cycles ends at cycle + 3."""
    g.wsync()
    if cycle > 1:
        g.delay(cycle)


@family(weight=40)
def motion(rng, seed):
    """HMOVE at each cycle of a line, then a position reset at each distance."""
    g = Program(rng)
    g.begin()
    g.begin_frame(jitter=True, top=rng.randrange(30, 60))
    show_objects(g)
    for register in (*ENABLE, *GRP):
        g.store(register, 0xFF)
    near = seed % 2 == 0
    while g.room(180, 0x60):
        for register in rng.sample(MOTION, rng.randrange(3)):
            g.store(register, rng.randrange(256))
        if rng.random() < 0.7:
            aligned_wait(g, rng.choice((0, *range(2, 76))))
        g.store(HMOVE[0])
        distance = rng.randrange(9) if near else rng.randrange(74)
        if distance != 1:
            g.delay(distance)
        g.store(rng.choice((*RESP, *RESM, *RESBL, *RESM, *RESBL)))
        if rng.random() < 0.3:
            g.store(rng.choice((*RESP, *RESM, *RESBL, *NUSIZ, *RESMP)))
        if rng.random() < 0.3:
            collision_read(g)
    g.end_frame()
    return g.rom(), {"frames": 12}


@family(weight=15)
def cosmic_ark(rng, seed):
    """HMM0 from 7 to 6 around 21 cycles after HMOVE, then writes that end the effect."""
    g = Program(rng)
    g.begin()
    g.begin_frame(jitter=seed % 3 == 0, top=rng.randrange(36, 60))
    show_objects(g)
    g.store(0x1D, 2)
    while g.room(180, 0x80):
        g.store(0x22, rng.choice((0x70, 0x70, 0x7F, 0x60)))
        g.load("A", rng.choice((0x60, 0x60, 0x60, 0x00, 0x50, 0x70)))
        if rng.random() < 0.8:
            aligned_wait(g, rng.choice((0, *range(2, 40))))
        g.store(HMOVE[0])
        distance = rng.choice((18, 18, 18, 18, 17, 19, 15, 21))  # and 3 of the store
        g.delay(distance)
        g.store(0x22)
        g.lines(rng.randrange(1, 12), "Y")
        for _ in range(rng.randrange(3)):
            random_write(g, (*RESM, *NUSIZ, 0x28, 0x1D, *MOTION, *HMCLR))
        g.lines(rng.randrange(1, 9), "Y")
    g.end_frame()
    return g.rom(), {"frames": 12}


@family(weight=15)
def copies(rng, seed):
    """RESP0/1 in and around each copy of a player, NUSIZ changed in the line, missile locks."""
    g = Program(rng)
    g.begin()
    g.begin_frame(jitter=True, top=rng.randrange(36, 60))
    show_objects(g)
    player = seed % 2
    while g.room(190, 0x60):
        g.store(NUSIZ[player], rng.randrange(64))
        g.store(GRP[player], rng.choice((0xFF, 0x81, byte(rng))))
        if rng.random() < 0.6:
            aligned_wait(g, rng.choice((0, *range(2, 76))))
        g.store(RESP[player])
        for _ in range(rng.randrange(4)):
            g.delay(rng.choice((0, 2, 3, 4, 5, 6, 7, 12, 20, 30)))
            target = rng.choice((RESP[player], RESP[player], NUSIZ[player], RESMP[player]))
            g.store(target, None if rng.random() < 0.7 else rng.randrange(64))
        if rng.random() < 0.5:
            g.lines(rng.randrange(1, 3), "Y")
        if rng.random() < 0.4:
            collision_read(g)
    g.end_frame()
    return g.rom(), {"frames": 12}

"""Random test ROMs by family and seed: the frame around them, and the list of families.

ale-py runs any 4 KB file named pong.bin. It wants RAM $96 clear after the load, $8D and $8E away
from 21 (Pong's score), and about 262 lines a frame while it finds out the television standard; a
ROM that does abnormal things waits for the test to poke RAM $80, which happens after the load.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from tests.support.rom_assembler import Assembler

VSYNC, WSYNC = 0x00, 0x02
DATA_PAGE = 0xE00  # offset of random bytes, for reads and for jump pointers
CODE_END = 0xD80
CELLS = tuple(range(0xA0, 0xF0))  # RAM that the test changes between frames
RESERVED = (0x8D, 0x8E, 0x96)  # ale-py reads these
JITTER_CELL = 0xA0


class Rom(NamedTuple):
    """A generated ROM and how to run it."""

    family: str
    seed: int
    data: bytes
    frames: int
    cells: tuple[int, ...] = CELLS  # RAM addresses to poke between frames
    pokes: int = 24  # how many each time
    flag: bool = False  # poke RAM $80 := 1 after the load


class Program(Assembler):
    """A ROM that draws frames of about 262 lines around a body."""

    def __init__(self, rng: random.Random):
        super().__init__()
        self.rng = rng
        for at in range(DATA_PAGE, 0x1000):
            self.bytes[at] = rng.randrange(256)
        self.word(0xFFC, 0xFFD, "reset")
        self.word(0xFFE, 0xFFF, "break")

    def begin(self):
        """Code after the reset: clear all RAM and registers."""
        self.label("reset")
        self.op("CLD")
        self.load("X", 0xFF)
        self.op("TXS")
        self.load("A", 0)
        again = self.label()
        self.op("STA", "ZPX", 0)
        self.op("DEX")
        self.op("BNE", "REL", again)

    def begin_frame(self, jitter=False, top=0):
        """Code of VSYNC, of a pause that the test may change between frames, and of blank lines."""
        self.label("frame")
        self.cycles = 0
        self.store(VSYNC, 2)
        self.lines(3)
        self.store(VSYNC, 0)
        if jitter:
            self.op("LDA", "ZP", JITTER_CELL)
            self.op("AND", "IMM", 0x7F)
            self.op("TAX")
            again = self.label()
            self.op("DEX")
            self.op("BPL", "REL", again)
        if top:
            self.lines(top)

    def end_frame(self, total=254):
        """Lines up to the frame's end, and the RAM values that ale-py expects.

        ``cycles`` is the least that the body takes: an ordinary frame reaches the last visible
        line, 244, since a shorter one would show what frames before the comparison drew.
        """
        self.op("CLD")
        self.load("X", 0xFF)
        self.op("TXS")
        self.load("A", 0)
        for address in RESERVED:
            self.store(address)
        lines = total - self.cycles // 76
        if lines > 0:
            self.lines(lines)
        self.op("JMP", "ABS", "frame")

    def room(self, lines=230, margin=0):
        """Return whether the frame has time and the ROM space for more."""
        return self.cycles < lines * 76 and self.at < CODE_END - margin

    def wait_for_flag(self, label="abnormal"):
        """Play ordinary frames until the test pokes RAM $80; then run the code at the label."""
        self.begin_frame()
        self.op("LDA", "ZP", 0x80)
        skip = f"{label} not yet"
        self.op("BEQ", "REL", skip)
        self.op("JMP", "ABS", label)
        self.label(skip)
        self.end_frame()

    def rom(self):
        """Return the finished bytes. BRK returns at once unless the family defines it."""
        if "break" not in self.labels:
            self.label("break")
            self.op("RTI")
        assert self.at <= DATA_PAGE, hex(self.at)
        return super().rom()


FAMILIES: dict[str, tuple[int, Callable[[random.Random, int], Rom]]] = {}


def family(weight: int):
    """Register a family of ROMs by its function's name; ``weight``: its share of the ROMs."""

    def register(make):
        FAMILIES[make.__name__] = (weight, make)
        return make

    return register


def make_rom(name: str, seed: int) -> Rom:
    """Make the ROM of a family and a seed; equal seeds give equal ROMs."""
    _, make = FAMILIES[name]
    rng = random.Random(f"{name} {seed}")
    data, options = make(rng, seed)
    assert len(data) == 4096
    return Rom(name, seed, data, **{"frames": 16} | options)


def names(count: int) -> list[str]:
    """Return the families of ``count`` ROMs by their weights, in a fixed mixed order."""
    total = sum(weight for weight, _ in FAMILIES.values())
    chosen: list[str] = []
    done = {name: 0 for name, (weight, _) in FAMILIES.items() if weight}
    for k in range(1, count + 1):
        behind = {name: FAMILIES[name][0] * k / total - n for name, n in done.items()}
        name = max(behind, key=lambda n: behind[n])
        done[name] += 1
        chosen.append(name)
    return chosen

"""A small 6502 assembler for generated test ROMs, with an opcode table of its own.

An instruction is an operation, a mode and an operand: ``rom.op("LDA", "ZPX", 0x80)``. Operands may
be labels. Cycles are summed up, so a generator knows when a frame is full.
"""

# operation, then pairs of mode and opcode
_TABLE = """
ADC IMM 69 ZP 65 ZPX 75 ABS 6D ABX 7D ABY 79 IZX 61 IZY 71
AND IMM 29 ZP 25 ZPX 35 ABS 2D ABX 3D ABY 39 IZX 21 IZY 31
ASL ACC 0A ZP 06 ZPX 16 ABS 0E ABX 1E
BCC REL 90
BCS REL B0
BEQ REL F0
BIT ZP 24 ABS 2C
BMI REL 30
BNE REL D0
BPL REL 10
BRK IMP 00
BVC REL 50
BVS REL 70
CLC IMP 18
CLD IMP D8
CLI IMP 58
CLV IMP B8
CMP IMM C9 ZP C5 ZPX D5 ABS CD ABX DD ABY D9 IZX C1 IZY D1
CPX IMM E0 ZP E4 ABS EC
CPY IMM C0 ZP C4 ABS CC
DEC ZP C6 ZPX D6 ABS CE ABX DE
DEX IMP CA
DEY IMP 88
EOR IMM 49 ZP 45 ZPX 55 ABS 4D ABX 5D ABY 59 IZX 41 IZY 51
INC ZP E6 ZPX F6 ABS EE ABX FE
INX IMP E8
INY IMP C8
JMP ABS 4C IND 6C
JSR ABS 20
LDA IMM A9 ZP A5 ZPX B5 ABS AD ABX BD ABY B9 IZX A1 IZY B1
LDX IMM A2 ZP A6 ZPY B6 ABS AE ABY BE
LDY IMM A0 ZP A4 ZPX B4 ABS AC ABX BC
LSR ACC 4A ZP 46 ZPX 56 ABS 4E ABX 5E
NOP IMP EA
ORA IMM 09 ZP 05 ZPX 15 ABS 0D ABX 1D ABY 19 IZX 01 IZY 11
PHA IMP 48
PHP IMP 08
PLA IMP 68
PLP IMP 28
ROL ACC 2A ZP 26 ZPX 36 ABS 2E ABX 3E
ROR ACC 6A ZP 66 ZPX 76 ABS 6E ABX 7E
RTI IMP 40
RTS IMP 60
SBC IMM E9 ZP E5 ZPX F5 ABS ED ABX FD ABY F9 IZX E1 IZY F1
SEC IMP 38
SED IMP F8
SEI IMP 78
STA ZP 85 ZPX 95 ABS 8D ABX 9D ABY 99 IZX 81 IZY 91
STX ZP 86 ZPY 96 ABS 8E
STY ZP 84 ZPX 94 ABS 8C
TAX IMP AA
TAY IMP A8
TSX IMP BA
TXA IMP 8A
TXS IMP 9A
TYA IMP 98
"""
# Undocumented. A mode may have several codes.
_UNDOCUMENTED = """
NOP IMP 1A IMP 3A IMP 5A IMP 7A IMP DA IMP FA
NOP IMM 80 IMM 82 IMM 89 IMM C2 IMM E2 ZP 04 ZP 44 ZP 64
NOP ZPX 14 ZPX 34 ZPX 54 ZPX 74 ZPX D4 ZPX F4 ABS 0C
NOP ABX 1C ABX 3C ABX 5C ABX 7C ABX DC ABX FC
LAX ZP A7 ZPY B7 ABS AF ABY BF IZX A3 IZY B3
SAX ZP 87 ZPY 97 ABS 8F IZX 83
DCP ZP C7 ZPX D7 ABS CF ABX DF ABY DB IZX C3 IZY D3
ISC ZP E7 ZPX F7 ABS EF ABX FF ABY FB IZX E3 IZY F3
SLO ZP 07 ZPX 17 ABS 0F ABX 1F ABY 1B IZX 03 IZY 13
RLA ZP 27 ZPX 37 ABS 2F ABX 3F ABY 3B IZX 23 IZY 33
SRE ZP 47 ZPX 57 ABS 4F ABX 5F ABY 5B IZX 43 IZY 53
RRA ZP 67 ZPX 77 ABS 6F ABX 7F ABY 7B IZX 63 IZY 73
ANC IMM 0B IMM 2B
ALR IMM 4B
AXS IMM CB
SBC IMM EB
"""


def _rows(text):
    for line in text.split("\n"):
        words = line.split()
        for mode, code in zip(words[1::2], words[2::2], strict=True):
            yield int(code, 16), words[0], mode


DOCUMENTED = {code: (op, mode) for code, op, mode in _rows(_TABLE)}
UNDOCUMENTED = {code: (op, mode) for code, op, mode in _rows(_UNDOCUMENTED)}
OPCODES = DOCUMENTED | UNDOCUMENTED
CODES = {(op, mode): code for code, (op, mode) in reversed(OPCODES.items())}

STORES = {"STA", "STX", "STY", "SAX"}
CHANGES = {"ASL", "LSR", "ROL", "ROR", "INC", "DEC", "DCP", "ISC", "SLO", "RLA", "SRE", "RRA"}
LENGTHS = {"IMP": 1, "ACC": 1, "ABS": 3, "ABX": 3, "ABY": 3, "IND": 3}
_READ = {"IMP": 2, "ACC": 2, "IMM": 2, "REL": 2, "ZP": 3, "ZPX": 4, "ZPY": 4}
_READ |= {"ABS": 4, "ABX": 4, "ABY": 4, "IZX": 6, "IZY": 5}
_CYCLES = {"BRK": 7, "JSR": 6, "RTS": 6, "RTI": 6, "PHA": 3, "PHP": 3, "PLA": 4, "PLP": 4}


def cycles(op, mode):
    """Cycles of an instruction, without page crossings and taken branches."""
    if op == "JMP":
        return 5 if mode == "IND" else 3
    if op in _CYCLES:
        return _CYCLES[op]
    if mode in ("IMP", "ACC"):
        return 2
    more = mode in ("ABX", "ABY", "IZY")
    if op in CHANGES:
        return _READ[mode] + 2 + more
    return _READ[mode] + (more and op in STORES)


class Assembler:
    """4 KB of ROM at $F000, filled from the start."""

    def __init__(self, fill=0xEA, origin=0xF000):
        self.bytes = bytearray([fill] * 4096)
        self.origin = origin
        self.at = 0
        self.cycles = 0
        self.labels = {}
        self.fixups = []
        self.words = []

    def label(self, name=None):
        """Define a label here; return its name, a new one if none is given."""
        name = name or f"label {len(self.labels)} at {self.at:03X}"
        self.labels[name] = self.origin + self.at
        return name

    def byte(self, value):
        self.bytes[self.at] = value & 255
        self.at += 1

    def op(self, op, mode="IMP", operand=0, code=None):
        """Add an instruction; the operand is a number or a label."""
        self.byte(CODES[op, mode] if code is None else code)
        self.cycles += cycles(op, mode)
        if isinstance(operand, str):
            self.fixups.append((self.at, mode, operand))
            operand = 0
        length = LENGTHS.get(mode, 2)
        if length > 1:
            self.byte(operand)
        if length > 2:
            self.byte(operand >> 8)

    def load(self, register, value):
        """Add LDA, LDX or LDY of a number."""
        self.op("LD" + register, "IMM", value)

    def store(self, address, value=None, register="A"):
        """Store a register; load a value into it first, if one is given."""
        if value is not None:
            self.load(register, value)
        self.op("ST" + register, "ZP" if address < 256 else "ABS", address)

    def wsync(self):
        """Wait for the end of the line."""
        self.op("STA", "ZP", 2)
        self.cycles = -(-self.cycles // 76) * 76

    def delay(self, count):
        """Spend 0 or at least 2 cycles, without effect on registers or flags."""
        assert count != 1
        if count % 2:
            self.op("NOP", "ZP", 0x80, code=0x04)
            count -= 3
        for _ in range(count // 2):
            self.op("NOP")

    def lines(self, count, register="X"):
        """Wait for this many ends of lines, 1 to 255."""
        self.load(register, count)
        again = self.label()
        self.op("STA", "ZP", 2)
        self.op("DE" + register)
        self.op("BNE", "REL", again)
        self.cycles = -(-self.cycles // 76) * 76 + 76 * (count - 1)

    def word(self, low_at, high_at, label):
        """Write a label's address to two bytes of the ROM."""
        self.words.append((low_at, high_at, label))

    def rom(self):
        """Return the finished bytes."""
        for low_at, high_at, name in self.words:
            self.bytes[low_at] = self.labels[name] & 255
            self.bytes[high_at] = self.labels[name] >> 8
        for at, mode, name in self.fixups:
            target = self.labels[name]
            if mode == "REL":
                distance = target - (self.origin + at + 1)
                assert -128 <= distance < 128, (name, distance)
                self.bytes[at] = distance & 255
            else:
                self.bytes[at] = target & 255
                if LENGTHS.get(mode, 2) == 3:
                    self.bytes[at + 1] = target >> 8
        return bytes(self.bytes)

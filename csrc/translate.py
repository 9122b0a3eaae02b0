"""Translate an Atari 2600 ROM's code to C: ``python translate.py ROM NAME > NAME.c``.

Recursive descent from the reset and BRK vectors: fall-through, both ways of a branch, targets of
JMP and JSR, return addresses. Every instruction becomes a few calls of the functions that the
interpreter uses, with addresses, operands and cycles as constants; the C compiler does the rest.
What is not found ahead of time (a computed jump to somewhere else, code in RAM) is left to the
interpreter, instruction by instruction, until it comes back to an entry.

Imports nothing but the standard library: the package's build runs it.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESET_VECTOR, BREAK_VECTOR = 0xFFC, 0xFFE
LENGTHS = {"IMP": 1, "ACC": 1, "ABS": 3, "ABX": 3, "ABY": 3, "IND": 3}
BRANCHES = {"BCC", "BCS", "BEQ", "BNE", "BMI", "BPL", "BVC", "BVS"}
ENDS = {"RTS", "RTI", "JMP", "BRK"}
MOST_RETURNS = 6  # that a return compares with before it looks its address up

# Where computed jumps go, found by tracing the oracle-checked interpreter. A wrong or missing
# entry costs time only.
COMPUTED_JUMPS = {"pong": (0x19E, 0x386, 0x3A0, 0x3F5)}

# Loops that a header knows in closed form: offset of the head -> macro. Each has its bit in the run
# function's `summaries`; with 0 it is the plain translation, which they are compared with.
SUMMARIES = {
    "pong": {
        0x58B: "A2600_SUMMARY_PONG_SCORE",
        0x5B8: "A2600_SUMMARY_PONG_EMPTY_LINES",
        0x5E0: "A2600_SUMMARY_PONG_KERNEL",
    }
}
SUMMARY_HEADERS = {"pong": ("a26_pong_kernel.h", "a26_pong_score.h")}
SUMMARY_LOCALS = {"pong": ("pong_plan_t plan = {{~0ull, ~0ull}};", "int score_quiet = 0;")}


def opcode_table():
    """The opcodes of m6507.h: code -> (operation, mode, cycles, access)."""
    text = (HERE / "m6507.h").read_text()
    found = re.findall(r"X\(0x(\w\w), (\w+), (\w+), (\d), (\w)\)", text)
    return {int(code, 16): (op, mode, int(n), access) for code, op, mode, n, access in found}


class Rom:
    """A ROM's bytes, its instructions and where control may enter."""

    def __init__(self, data, extra_entries=()):
        if len(data) not in (2048, 4096):
            raise ValueError(f"ROM: expected 2048 or 4096 bytes, got {len(data)}")
        self.bytes = bytes(data) * (4096 // len(data))
        self.opcodes = opcode_table()
        self.page = self.word(RESET_VECTOR) & 0xF000  # the mirror that the program runs in
        self.code = {}  # offset -> (opcode, operand)
        self.targets, self.entries = set(), set()
        if self.page & 0x1000:  # else it does not begin in the ROM
            self._walk([self.word(RESET_VECTOR) & 0xFFF, *extra_entries])

    def word(self, at):
        """A little-endian word, wrapping within the ROM."""
        return self.bytes[at & 0xFFF] | self.bytes[(at + 1) & 0xFFF] << 8

    def _walk(self, starts):
        todo = list(starts)
        self.entries.update(starts)
        while todo:
            at = todo.pop()
            while at not in self.code:
                opcode = self.bytes[at]
                if opcode not in self.opcodes:
                    break
                op, mode, _, _ = self.opcodes[opcode]
                length = LENGTHS.get(mode, 2)
                if at + length >= 4096:
                    break  # the interpreter knows what lies beyond
                operand = self.bytes[at + 1] if length == 2 else self.word(at + 1)
                self.code[at] = (opcode, operand)
                following = at + length
                todo += self._leads_to(at, op, mode, operand, following)
                if op in ENDS:
                    break
                at = following

    def _leads_to(self, at, op, mode, operand, following):
        """Offsets that an instruction may go to, beside the following one."""
        if op in BRANCHES:
            target = self.branch_target(following, operand)
            if not 0 <= target < 4096:
                return []
            self.targets.add(target)
            return [target]
        if op == "JSR" or (op == "JMP" and mode == "ABS"):
            if not self.inside(operand):
                return []
            target = operand & 0xFFF
            self.targets.add(target)
            if op == "JSR":
                self.entries.add(following)
                return [target, following]
            return [target]
        if op == "BRK":
            handler = self.word(BREAK_VECTOR)
            found = [at + 2] if at + 2 < 4096 else []
            if self.inside(handler):
                found.append(handler & 0xFFF)
            self.entries.update(found)
            return found
        if op in ("STA", "STX", "STY", "SAX") and self.is_vsync(mode, operand):
            self.entries.add(following)  # a frame may end there
        return []

    def call_target(self, at):
        """Offset of the subroutine that an instruction calls, or None."""
        opcode, operand = self.code[at]
        op = self.opcodes[opcode][0]
        target = operand if op == "JSR" else self.word(BREAK_VECTOR) if op == "BRK" else None
        return target & 0xFFF if target is not None and self.inside(target) else None

    def returns(self):
        """Where each RTS and RTI most likely leads: its offset -> offsets.

        That is to the callers of what reaches it without another return. A hint: it is compared
        with what was pulled.
        """
        found = {}
        for target in sorted({self.call_target(at) for at in self.code} - {None}):
            back = [at for at in sorted(self.code) if self.call_target(at) == target]
            after = [at + (3 if self.bytes[at] == 0x20 else 2) for at in back]
            for end in self._ends_of(target):
                found.setdefault(end, []).extend(a for a in after if a in self.code)
        return found

    def _ends_of(self, start):
        """The RTS and RTI that a subroutine reaches; calls within it are taken to return."""
        seen, todo, ends = set(), [start], []
        while todo:
            at = todo.pop()
            if at in seen or at not in self.code:
                continue
            seen.add(at)
            opcode, operand = self.code[at]
            op, mode, _, _ = self.opcodes[opcode]
            following = at + LENGTHS.get(mode, 2)
            if op in ("RTS", "RTI"):
                ends.append(at)
            elif op == "BRK":
                todo.append(at + 2)
            elif op == "JMP":
                if mode == "ABS" and self.inside(operand):
                    todo.append(operand & 0xFFF)
            else:
                todo.append(following)
                if op in BRANCHES:
                    todo.append(self.branch_target(following, operand))
        return sorted(ends)

    def inside(self, address):
        """Whether an address is this ROM in the mirror that the program runs in."""
        return address & 0xF000 == self.page

    @staticmethod
    def branch_target(following, operand):
        """Offset of a branch's target; outside of 0..4095 it leaves the ROM."""
        return following + (operand ^ 0x80) - 0x80

    @staticmethod
    def is_vsync(mode, operand):
        """Whether a store's constant address is VSYNC or one of its mirrors."""
        return mode in ("ZP", "ABS") and operand & 0x1080 == 0 and operand & 0x3F == 0


class Translator:
    """Writes the C function of one ROM."""

    def __init__(self, rom, name):
        self.rom, self.name = rom, name
        self.summaries = SUMMARIES.get(name, {})
        self.headers = SUMMARY_HEADERS.get(name, ())
        self.locals = SUMMARY_LOCALS.get(name, ())
        self.returns = rom.returns()
        self.lines = []

    def emit(self, *lines):
        """Append lines."""
        self.lines += lines

    def source(self):
        """The whole C file."""
        rom, name = self.rom, self.name
        labels = (rom.targets | rom.entries) & set(rom.code)
        entries = sorted(rom.entries & set(rom.code))
        self.emit(
            f"/* Generated by translate.py from the ROM {name}: {len(rom.code)} instructions. */",
            '#include "a2600_translated.h"',
            *(f'#include "{header}"' for header in self.headers),
            "",
            f"A26_TABLE {'uint8_t' if len(entries) < 256 else 'uint16_t'} entry_{name}[4096] = {{",
            *self.entry_table(entries),
            "};",
            "",
            f"A26_SLOW int32_t a2600_run_{name}(",
            "    a2600_t *s, const uint8_t *rom, tia_picture_t *picture, uint32_t summaries) {",
            "    m6507_t r = s->cpu;",
            "    int32_t cycle = s->cycle;",
            "    uint16_t address, base;",
            "    uint8_t value;",
            *(f"    {line}" for line in self.locals),
            "    (void)address, (void)base, (void)value, (void)rom, (void)summaries;",
            "dispatch: /* through a dense table: a jump, not a search */",
            f"    switch ((r.pc & 0xF000) == 0x{rom.page:X} ? entry_{name}[r.pc & 0xFFF] : 0) {{",
        )
        self.emit(*(f"    case {n + 1}: goto L{at:03X};" for n, at in enumerate(entries)))
        self.emit("    default: A2600_LEAVE(A2600_UNKNOWN_PC)", "    }")
        order = sorted(rom.code)
        for at in order:
            if at in labels:
                self.emit(f"L{at:03X}:")
            if at in self.summaries:
                self.emit(f"    {self.summaries[at]}")
            self.waiting_loop(at)
            self.dividing_loop(at)
            self.instruction(at)
            opcode, _ = rom.code[at]
            op, mode, _, _ = rom.opcodes[opcode]
            following = at + LENGTHS.get(mode, 2)
            if op in ENDS or op == "JSR":
                continue
            if following not in rom.code:
                self.emit(f"    {self.leave(rom.page | following)}")
            elif following != self.next_in(order, at):
                labels.add(following)
                self.emit(f"    goto L{following:03X};")
        # labels that were wanted late (overlapping instructions): emit them in a second pass
        self.emit("}", "")
        return self.lines, labels

    @staticmethod
    def entry_table(entries):
        """Lines of a table: the number of the entry at each offset, 0 for none."""
        numbers = {at: n + 1 for n, at in enumerate(entries)}
        for row in range(0, 4096, 32):
            yield "    " + " ".join(f"{numbers.get(at, 0)}," for at in range(row, row + 32))

    @staticmethod
    def next_in(order, at):
        """The instruction that is written below this one."""
        place = order.index(at) + 1
        return order[place] if place < len(order) else None

    def jump(self, target, at, bus=0):
        """Go to an offset, giving up on frames that run too long where it is backwards."""
        check = "A2600_CHECK_LIMIT " if target <= at else ""
        if target in self.rom.code:
            return f"{check}goto L{target:03X};"
        return self.leave((self.rom.page + target) & 0xFFFF, bus)

    @staticmethod
    def leave(address, bus=0):
        """Go to where no code is known; ``bus``: the last byte on the bus, for non-ROM code."""
        return f"r.pc = 0x{address:04X}; A2600_JUMPED(0x{bus:02X}) A2600_LEAVE(A2600_UNKNOWN_PC)"

    def waiting_loop(self, at):
        """Where a loop begins that does nothing but wait: go to its last turn."""
        rom = self.rom
        opcode, operand = rom.code[at]
        op, mode, cycles, _ = rom.opcodes[opcode]
        branch = at + LENGTHS.get(mode, 2)
        if branch not in rom.code:
            return
        condition, turn = rom.opcodes[rom.code[branch][0]][0], branch + 2
        if condition not in BRANCHES or rom.branch_target(turn, rom.code[branch][1]) != at:
            return
        cycles += 3 + ((turn ^ at) & 0xF00 != 0)
        timer = mode == "ABS" and operand & 0x1285 == 0x284
        if timer and condition == "BNE" and op in ("LDA", "LDX", "LDY"):
            self.emit(f"    cycle = a2600_idle(&s->riot, cycle, {cycles}); A2600_CHECK_LIMIT")
        elif op in ("DEX", "DEY") and condition in ("BNE", "BPL"):
            reg = f"r.{op[2].lower()}"
            turns = f"{reg} - 1" if condition == "BNE" else f"{reg} <= 128 ? {reg} : 0"
            self.emit(f"    A2600_COUNT_DOWN({reg}, {turns}, {cycles}) A2600_CHECK_LIMIT")

    def dividing_loop(self, at):
        """Where a loop begins that subtracts until it borrows: go to its last turn."""
        rom, subtraction, step, cycles = self.rom, at, "", 0
        op = rom.opcodes[rom.code[at][0]][0]
        if op in ("INX", "INY", "DEX", "DEY"):
            reg, sign = f"r.{op[2].lower()}", "+" if op[:2] == "IN" else "-"
            step, cycles, subtraction = f"{reg} = (uint8_t)({reg} {sign} turns_);", 2, at + 1
        branch = subtraction + 2
        if not {subtraction, branch} <= rom.code.keys():
            return
        opcode, by = rom.code[subtraction]
        turn = branch + 2
        if (
            rom.opcodes[opcode][:2] == ("SBC", "IMM")
            and by
            and rom.opcodes[rom.code[branch][0]][0] == "BCS"
            and rom.branch_target(turn, rom.code[branch][1]) == at
        ):
            cycles += 2 + 3 + ((turn ^ at) & 0xF00 != 0)
            self.emit(f"    A2600_DIVIDE({by}, {cycles}, {step}) A2600_CHECK_LIMIT")

    def instruction(self, at):
        """Write one instruction."""
        rom = self.rom
        opcode, operand = rom.code[at]
        op, mode, cycles, access = rom.opcodes[opcode]
        following = at + LENGTHS.get(mode, 2)
        self.emit(f"    cycle += {cycles};")
        if op in BRANCHES:
            target = rom.branch_target(following, operand)
            crossing = (following ^ target) & 0xFF00 != 0
            self.emit(
                f"    if (M6507_TAKEN_{op}(&r)) {{ cycle += {2 if crossing else 1}; "
                f"{self.jump(target, at, operand)} }}"
            )
        elif access == "S":
            self.special(at, op, mode, operand, following)
        elif access == "N":
            self.emit(f"    m6507_op_{op}(&r);")
        elif mode == "IMM":
            self.emit(f"    m6507_op_{op}(&r, 0x{operand:02X});")
        else:
            self.memory(at, op, mode, operand, access, following)

    def special(self, at, op, mode, operand, following):
        """Jumps, the stack, and shifts of the accumulator."""
        page = self.rom.page
        if mode == "ACC":
            self.emit(f"    r.a = m6507_op_{op}(&r, r.a);")
        elif op == "PHA":
            self.emit(f"    value = r.a; A2600_PUSH_VALUE(0x{page | following:04X})")
        elif op == "PHP":
            self.emit(f"    A2600_PUSH_FLAGS(0x{page | following:04X})")
        elif op == "PLA":
            self.emit("    m6507_op_LDA(&r, A2600_PULL(0x68));")
        elif op == "PLP":
            self.emit("    m6507_set_flags(&r, A2600_PULL(0x28));")
        elif op == "JMP" and mode == "IND":
            self.emit(
                f"    base = 0x{operand:04X}; A2600_JUMP_INDIRECT A2600_CHECK_LIMIT goto dispatch;"
            )
        elif op == "JMP":
            if self.rom.inside(operand):
                self.emit("    " + self.jump(operand & 0xFFF, at))
            else:
                self.emit(f"    {self.leave(operand, operand >> 8)}")
        elif op == "JSR":
            back = page | (following - 1)
            self.emit(f"    A2600_CALL(0x{back:04X})", f"    {self.call(operand)}")
        elif op == "RTS":
            self.emit("    A2600_DO_RTS A2600_CHECK_LIMIT", *self.back(at))
        elif op == "RTI":
            self.emit("    A2600_DO_RTI A2600_CHECK_LIMIT", *self.back(at))
        elif op == "BRK":
            back = page + at + 2 & 0xFFFF
            self.emit(
                f"    A2600_CALL(0x{back:04X}) A2600_CALL_PUSH(m6507_flags(&r)) r.i = 1;",
                f"    {self.call(self.rom.word(BREAK_VECTOR))}",
            )
        else:
            raise AssertionError(op)

    def back(self, at):
        """Lines that go on after a return: branches to likely places are predicted best."""
        for target in self.returns.get(at, ())[:MOST_RETURNS]:
            yield f"    if (r.pc == 0x{self.rom.page | target:04X}) goto L{target:03X};"
        yield "    goto dispatch;"

    def call(self, address):
        """Go to a subroutine."""
        if self.rom.inside(address):
            return self.jump(address & 0xFFF, 0xFFF)
        return self.leave(address, address >> 8)

    def memory(self, at, op, mode, operand, access, following):
        """Loads, stores, read-modify-writes."""
        constant = operand if mode in ("ZP", "ABS") else None
        if constant is not None:
            self.emit(f"    address = 0x{operand:04X};")
            read = self.constant_read(operand, mode)
            write = self.constant_write(operand)
        else:
            read, write = self.indexed(mode, operand, access)
        if access == "R":
            self.emit(f"    m6507_op_{op}(&r, {read});")
            return
        if access == "W":
            self.emit(f"    value = m6507_op_{op}(&r);")
        else:
            self.emit(f"    value = {read};", f"    value = m6507_op_{op}(&r, value);")
        after = self.rom.page | following
        if write == "A2600_STORE":
            write = f"A2600_STORE(0x{after:04X})"
        self.emit(f"    {write}")
        if self.rom.is_vsync(mode, operand):  # it may have ended the frame
            self.emit(
                "    if (A26_UNLIKELY(s->frame_over)) {",
                f"        r.pc = 0x{after:04X}; A2600_LEAVE(A2600_FRAME_OVER) }}",
            )

    def constant_read(self, address, mode):
        """Expression of a read at a known address."""
        noise = address & 0xFF if mode == "ZP" else address >> 8
        if address & 0x1000:
            return f"0x{self.rom.bytes[address & 0xFFF]:02X}"
        if address & 0x80 and not address & 0x200:
            return f"s->ram[0x{address & 0x7F:02X}]"
        if address & 0x80:
            return f"riot_read(&s->riot, 0x{address:04X}, cycle)"
        return (
            f"tia_read(&s->tia, 0x{address & 15:X}, 0x{noise:02X}, cycle, s->frame_start_cycle, "
            "picture)"
        )

    @staticmethod
    def constant_write(address):
        """Statement of a write of ``value`` to a known address."""
        if address & 0x1000:
            return ";"
        if address & 0x80:
            if address & 0x200:
                return f"riot_write(&s->riot, 0x{address:04X}, value, cycle);"
            return f"s->ram[0x{address & 0x7F:02X}] = value;"
        register = address & 0x3F
        if register == 2:
            return "A2600_WAIT_FOR_LINE"
        if register == 0:
            return "cycle = a2600_write_tia(s, 0, value, cycle, picture);"
        return f"tia_write(&s->tia, 0x{register:02X}, value, cycle, picture);"

    def indexed(self, mode, operand, access):
        """Statements for the address; returns the read and the write."""
        index = "r.y" if mode in ("ZPY", "ABY", "IZY") else "r.x"
        if mode in ("ZPX", "ZPY"):
            self.emit(f"    address = (uint8_t)(0x{operand:02X} + {index});")
            noise = f"0x{operand:02X}"
        elif mode in ("ABX", "ABY"):
            self.emit(f"    address = (uint16_t)(0x{operand:04X} + {index});")
            if access == "R" and operand & 0xFF:
                self.emit(f"    cycle += (0x{operand & 0xFF:02X} + {index}) >> 8;")
            noise = f"0x{operand >> 8:02X}"
            if operand & 0x1000 and (operand & 0x1FFF) + 255 <= 0x1FFF:
                return "rom[address & 0xFFF]", ";"
            if operand < 0x40:
                return f"A2600_READ_NEAR_INPUTS(address, {noise})", "A2600_STORE"
        else:
            pointer = f"0x{operand:02X}" if mode == "IZY" else f"(uint8_t)(0x{operand:02X} + r.x)"
            self.emit(f"    value = {pointer};")
            if mode == "IZY" and operand >= 0x80 and operand < 0xFF:
                at = operand & 0x7F
                self.emit(
                    f"    base = (uint16_t)(s->ram[0x{at:02X}] | s->ram[0x{at + 1:02X}] << 8);"
                )
            else:
                self.emit(f"    A2600_POINTER_AT(value, 0x{operand:02X})")
            self.emit(
                "    address = base;" if mode == "IZX" else "    address = (uint16_t)(base + r.y);"
            )
            if mode == "IZY" and access == "R":
                self.emit("    cycle += ((base ^ address) >> 8) & 1;")
            noise = "base >> 8"
        return f"A2600_READ(address, {noise})", "A2600_STORE"


def translate(data, name):
    """C source of the ROM's translation."""
    rom = Rom(data, COMPUTED_JUMPS.get(name, ()))
    lines, labels = Translator(rom, name).source()
    # an instruction that overlaps another may need a label that was not known when it was written
    missing = sorted(at for at in labels if f"L{at:03X}:" not in lines)
    if missing:
        rom.targets.update(missing)
        lines, _ = Translator(rom, name).source()
    return "\n".join(lines)


if __name__ == "__main__":
    print(translate(Path(sys.argv[1]).read_bytes(), sys.argv[2]))

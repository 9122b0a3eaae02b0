"""Disassemble an Atari 2600 ROM: its instructions, and where control may enter.

Found by recursive descent from the reset and BRK vectors: fall-through, both ways of a branch,
targets of JMP and JSR, return addresses. rom_to_c.py turns the result into C.
"""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESET_VECTOR, BREAK_VECTOR = 0xFFC, 0xFFE
LENGTHS = {"IMP": 1, "ACC": 1, "ABS": 3, "ABX": 3, "ABY": 3, "IND": 3}
BRANCHES = {"BCC", "BCS", "BEQ", "BNE", "BMI", "BPL", "BVC", "BVS"}
ENDS = {"RTS", "RTI", "JMP", "BRK"}


def opcode_table():
    """Read the opcodes of console/m6507.h: code -> (operation, mode, cycles, access)."""
    text = (HERE.parent / "console" / "m6507.h").read_text()
    found = re.findall(r"X\(0x(\w\w), (\w+), (\w+), (\d), (\w)\)", text)
    return {int(code, 16): (op, mode, int(n), access) for code, op, mode, n, access in found}


class Rom:
    """A ROM's bytes and its code.

    Attributes:
        code: offset -> (opcode, operand)
        targets: offsets that branches and jumps lead to
        entries: offsets where control may enter from outside: vectors, returns, ends of frames
    """

    def __init__(self, data, extra_entries=()):
        if len(data) not in (2048, 4096):
            raise ValueError(f"ROM: expected 2048 or 4096 bytes, got {len(data)}")
        self.bytes = bytes(data) * (4096 // len(data))
        self.opcodes = opcode_table()
        self.page = self.word(RESET_VECTOR) & 0xF000  # the mirror of the ROM that runs
        self.code = {}
        self.targets, self.entries = set(), set()
        if self.page & 0x1000:  # else the program does not start in the ROM
            self._walk([self.word(RESET_VECTOR) & 0xFFF, *extra_entries])

    def word(self, at):
        """Return a little-endian word; it may wrap around the end of the ROM."""
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
                    break  # left to the interpreter
                operand = self.bytes[at + 1] if length == 2 else self.word(at + 1)
                self.code[at] = (opcode, operand)
                following = at + length
                todo += self._leads_to(at, op, mode, operand, following)
                if op in ENDS:
                    break
                at = following

    def _leads_to(self, at, op, mode, operand, following):
        """Return the offsets that an instruction may lead to, besides the following one."""
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
        """Return the offset of the subroutine that an instruction calls, or None."""
        opcode, operand = self.code[at]
        op = self.opcodes[opcode][0]
        target = operand if op == "JSR" else self.word(BREAK_VECTOR) if op == "BRK" else None
        return target & 0xFFF if target is not None and self.inside(target) else None

    def returns(self):
        """Return where each RTS and RTI most likely leads: its offset -> offsets.

        That is to the callers of the code that reaches it without another return. It is only a
        hint: the translation compares it with the pulled address.
        """
        found = {}
        for target in sorted({self.call_target(at) for at in self.code} - {None}):
            back = [at for at in sorted(self.code) if self.call_target(at) == target]
            after = [at + (3 if self.bytes[at] == 0x20 else 2) for at in back]
            for end in self._ends_of(target):
                found.setdefault(end, []).extend(a for a in after if a in self.code)
        return found

    def _ends_of(self, start):
        """Return the RTS and RTI that a subroutine reaches; calls within it return."""
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
        """Return whether an address is in the mirror of the ROM that the program runs in."""
        return address & 0xF000 == self.page

    @staticmethod
    def branch_target(following, operand):
        """Return the offset of a branch's target; outside of 0..4095 it leaves the ROM."""
        return following + (operand ^ 0x80) - 0x80

    @staticmethod
    def is_vsync(mode, operand):
        """Return whether a store goes to VSYNC or one of its mirrors."""
        return mode in ("ZP", "ABS") and operand & 0x1080 == 0 and operand & 0x3F == 0

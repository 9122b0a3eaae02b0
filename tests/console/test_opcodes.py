"""The CPU of csrc/ in isolation: against py65, against decimal formulas, and with every opcode."""

import random

import numpy as np
import pytest

from tests.support.emulator_core import BAD_OPCODE, OK, Core, pointer
from tests.support.rom_assembler import DOCUMENTED, OPCODES

mpu6502 = pytest.importorskip("py65.devices.mpu6502")

STATES = 40  # random ones for each opcode
MISCOUNTED = {0xCE: 3}  # cycles that py65 1.2 lacks: DEC abs takes 6 in the 6502's data sheet
DECIMAL, UNSEEN = 0x08, 0x30  # the D flag; bits of the flags that no register has


class Bus:
    """What py65 sees as memory: the ROM and the RAM with their mirrors; all else is noted."""

    def __init__(self, rom, ram):
        self.rom, self.ram = rom, ram
        self.elsewhere = False

    def __getitem__(self, address):
        if isinstance(address, slice):
            return [self[k] for k in range(address.start, address.stop)]
        if address & 0x1000:
            return int(self.rom[address & 0xFFF])
        if address & 0x280 == 0x80:
            return int(self.ram[address & 0x7F])
        self.elsewhere = True
        return 0

    def __setitem__(self, address, value):
        if address & 0x1000:
            return
        if address & 0x280 == 0x80:
            self.ram[address & 0x7F] = value
        else:
            self.elsewhere = True


def random_state(rng, code):
    """Registers with an instruction in ROM; its operand and its pointers mostly lead to RAM."""
    rom = np.frombuffer(bytearray(rng.randbytes(4096)), np.uint8)
    ram = np.frombuffer(bytearray(rng.randbytes(128)), np.uint8)
    at = rng.choice((rng.randrange(0xFF8), 0x0FD, 0x0FE, 0x0FF, 0x7FE))
    op, mode = DOCUMENTED[code]
    operand = rng.randrange(0x80, 0x100) if mode != "REL" else rng.randrange(256)
    high = rng.choice((0x00, 0x01, 0x10, 0xF0, 0x1F, 0xF7)) if op != "JMP" else rng.randrange(256)
    rom[at : at + 3] = (code, operand, high)
    ram[1::2] = rng.choice((0x00, 0x01, 0x10, 0x1F, 0xF7))
    registers = [rng.randrange(256) for _ in range(3)]
    stack = rng.randrange(0x83, 0xFD)
    flags = rng.randrange(256) & ~DECIMAL | UNSEEN
    return rom, ram, [0xF000 | at, *registers, stack, flags]


@pytest.mark.parametrize("code", sorted(DOCUMENTED), ids=lambda c: f"{c:02X}-{DOCUMENTED[c][0]}")
def test_documented_opcodes_equal_py65(interpreter, code):
    rng = random.Random(code)
    core = Core(interpreter, bytes(4096))
    compared = 0
    for _ in range(20 * STATES):
        rom, ram, before = random_state(rng, code)
        bus = Bus(rom, ram.copy())
        mpu = mpu6502.MPU(memory=bus, pc=before[0])
        mpu.a, mpu.x, mpu.y, mpu.sp, mpu.p = before[1:]
        mpu.step()
        if bus.elsewhere:
            continue
        core.rom[:] = rom
        for k, value in enumerate(ram):
            core.poke(k, int(value))
        after = core.step(*before)
        cycles = mpu.processorCycles + MISCOUNTED.get(code, 0)
        expected = [mpu.pc, mpu.a, mpu.x, mpu.y, mpu.sp, mpu.p | UNSEEN, cycles]
        assert after.tolist() == expected, f"from {before}"
        np.testing.assert_array_equal(core.ram(), bus.ram)
        compared += 1
        if compared == STATES:
            break
    assert compared == STATES


def decimal_table(subtract):
    """Accumulator and flags for all carry, a, m: the rules that ale-py was seen to follow."""
    carry, a, m = np.meshgrid(np.arange(2), np.arange(256), np.arange(256), indexing="ij")
    tens_a, tens_m = ((v // 16 * 10 + v % 16) % 256 for v in (a, m))
    if subtract:
        total = tens_a - tens_m - (1 - carry)
        total = np.where(total < 0, total + 100, total)
        low = (256 + total) % 256
        result = np.where(total < 0, (low // 16 * 10 + low % 16) % 256, 0)
        digits = total % 100
        result = np.where(total < 0, result, digits // 10 * 16 + digits % 10)
        carried = a - m - (1 - carry) >= 0
    else:
        total = tens_a + tens_m + carry
        digits = total % 256 % 100
        result = digits // 10 * 16 + digits % 10
        carried = total > 99
    sign_changes = (a >= 128) != (result >= 128)
    overflow = sign_changes & ((result >= 128) != (m >= 128))
    flags = UNSEEN + DECIMAL + carried + 2 * (result == 0) + 64 * overflow + 128 * (result >= 128)
    return result.ravel(), flags.ravel()


def binary_table(subtract):
    """The same for binary arithmetic, from signed and unsigned sums."""
    carry, a, m = np.meshgrid(np.arange(2), np.arange(256), np.arange(256), indexing="ij")
    signed_a, signed_m = ((v + 128) % 256 - 128 for v in (a, m))
    total = a - m - (1 - carry) if subtract else a + m + carry
    signed = signed_a - signed_m - (1 - carry) if subtract else signed_a + signed_m + carry
    result = total % 256
    carried = total >= 0 if subtract else total > 255
    overflow = (signed < -128) | (signed > 127)
    flags = UNSEEN + carried + 2 * (result == 0) + 64 * overflow + 128 * (result >= 128)
    return result.ravel(), flags.ravel()


@pytest.mark.parametrize("subtract", [0, 1], ids=["ADC", "SBC"])
@pytest.mark.parametrize("decimal", [0, 1], ids=["binary", "decimal"])
def test_arithmetic_of_all_operands(interpreter, subtract, decimal):
    results, flags = np.empty((2, 131072), np.uint8)
    interpreter.c.arithmetic(subtract, decimal, pointer(results), pointer(flags))
    expected = (decimal_table if decimal else binary_table)(subtract)
    np.testing.assert_array_equal(results, expected[0])
    np.testing.assert_array_equal(flags, expected[1])


@pytest.fixture(scope="module")
def only_nops(interpreter):
    """A console with a ROM of NOPs: its load plays long frames, so that it is done once."""
    core = Core(interpreter, bytes([0xEA]) * 4096)
    return core, core.state.copy()


@pytest.mark.parametrize("code", range(256))
def test_every_opcode_runs_or_ends_in_the_error_state(only_nops, code):
    rng, (core, loaded) = random.Random(code), only_nops
    for _ in range(20):
        core.state[:], core.rom[:] = loaded, 0xEA
        at = rng.randrange(0x1000)
        core.rom[at] = code
        before = [0xF000 | at, *(rng.randrange(256) for _ in range(4)), rng.randrange(256) | UNSEEN]
        after = core.step(*before)
        if code in OPCODES:
            assert core.error() == OK
            assert after[6] >= 2
            continue
        assert (core.error(), core.error_opcode()) == (BAD_OPCODE, code)
        assert after.tolist() == [*before, 0]  # the CPU stands where it was
        ram, screen = core.ram(), core.screens[1].copy()
        assert core.act(3) == 0  # and nothing moves any more
        assert core.registers().tolist() == after.tolist()
        np.testing.assert_array_equal(core.ram(), ram)
        np.testing.assert_array_equal(core.screens[0], screen)
    if code not in OPCODES:
        core.rom[:] = 0xEA
        core.reset_game()
        assert core.error() == OK

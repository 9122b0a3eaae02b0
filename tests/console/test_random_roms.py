"""Random test ROMs: a part of what tests/proofs/random_roms.py runs, and translations of some of
them.
"""

import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tests.proofs.random_roms import WARM_UP, compare, pokes, replay, save
from tests.support.emulator_core import CSRC, Core, build, translation
from tests.support.rom_decimal import compare_decimal
from tests.support.rom_generator import FAMILIES, VSYNC, Program, Rom, make_rom, names

pytestmark = pytest.mark.skipif(not CSRC.is_dir(), reason="the C sources are not beside the tests")

FIRST_SEED = 100_000  # others than the long run's


def plan(count):
    seeds = Counter()
    for family in names(count):
        yield family, FIRST_SEED + seeds[family]
        seeds[family] += 1


@pytest.mark.parametrize("family", [name for name, (weight, _) in FAMILIES.items() if weight])
def test_random_roms(interpreter, tmp_path, family):
    for name, seed in plan(140):
        if name == family:
            result = compare(make_rom(name, seed), interpreter, tmp_path)
            assert result.difference is None, f"{name} {seed}: {result.difference}"
            assert result.frames > WARM_UP


def run_in_riot(start):
    """A ROM that runs code at the RIOT's addresses until a BRK, then keeps TIMINT."""
    g = Program(random.Random(0))
    g.begin()
    g.wait_for_flag()
    g.label("abnormal")
    g.store(VSYNC, 2)
    g.lines(3)
    g.store(VSYNC, 0)
    start(g)
    g.label("break")
    g.op("LDA", "ABS", 0x285)
    g.store(0xB0)
    g.load("X", 0xFF)
    g.op("TXS")
    g.lines(250)
    g.op("JMP", "ABS", "abnormal")
    return Rom("riot", 0, g.rom(), 8, (0xA0,), 1, True)


def return_to_timer(g):
    for byte in (0x02, 0x86):
        g.load("A", byte)
        g.op("PHA")
    g.op("RTS")


def test_brk_and_rts_read_the_timer_on_their_way(interpreter, tmp_path):
    for start in (lambda g: g.op("JMP", "ABS", 0x283), return_to_timer):
        result = compare(run_in_riot(start), interpreter, tmp_path)
        assert result == (8, None)


def test_decimal_arithmetic(interpreter, tmp_path):
    done, differ = compare_decimal(interpreter, tmp_path, (0x00, 0x09, 0x5A, 0x99, 0xA0, 0xFF))
    assert (done, differ) == (4 * 6 * 256, 0)


def test_a_difference_is_found_saved_and_replayed(interpreter, tmp_path, monkeypatch, capsys):
    rom = make_rom("cpu", 0)
    assert make_rom("cpu", 0) == rom
    poke = Core.poke
    with monkeypatch.context() as patch:  # a console whose RAM takes wrong values
        patch.setattr(Core, "poke", lambda core, at, value: poke(core, at, value ^ 1))
        found = compare(rom, interpreter, tmp_path).difference
        assert found["frame"] == 2
        path = save(rom, found, tmp_path / "found")
        assert replay(path, interpreter, tmp_path) == 1
        assert '"ram"' in capsys.readouterr().out
    assert replay(path, interpreter, tmp_path) == 0
    assert "no difference" in capsys.readouterr().out


TRANSLATED = ("cpu", "stack", "timer", "bus", "code_in_ram", "tia", "motion", "frames")


def test_translations_of_random_roms_equal_the_interpreter(tmp_path):
    roms = {name: make_rom(name, FIRST_SEED) for name in TRANSLATED}
    sources = {name: translation(rom.data, name, tmp_path) for name, rom in roms.items()}
    calls = "-DA26_FN=static __attribute__((unused))"  # inline, they take minutes to compile
    library = build(tmp_path, sources, "-O0", [calls])
    for name, rom in roms.items():
        plain, translated = Core(library, rom.data), Core(library, rom.data, run=name)
        rng = random.Random(name)
        for frame in range(25):
            action = rng.randrange(18)
            plain.act(action)
            translated.act(action)
            where = f"{name} frame {frame}"
            np.testing.assert_array_equal(translated.ram(), plain.ram(), where)
            np.testing.assert_array_equal(translated.screens[0], plain.screens[0], where)
            assert translated.latches() == plain.latches(), where
            np.testing.assert_array_equal(translated.registers(), plain.registers(), where)
            changes = pokes(rom, rng)
            if rom.flag and frame == WARM_UP:
                changes[0x80] = 1
            for address, value in changes.items():
                plain.poke(address & 127, value)
                translated.poke(address & 127, value)


@pytest.mark.parametrize("size", [0, 1, 2047, 4095, 4097, 8192])
def test_a_rom_of_a_wrong_size_is_refused(tmp_path, size):
    (tmp_path / "rom.bin").write_bytes(bytes(size))
    command = [sys.executable, CSRC / "translate" / "rom_to_c.py", tmp_path / "rom.bin", "rom"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "expected 2048 or 4096 bytes" in done.stderr

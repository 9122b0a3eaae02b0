"""The translation of Pong's ROM: compiled once, kept, and done without where it cannot be made."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastpg.emulator import _emulator, pong_rom
from fastpg.system import translation

PLAY = """
import sys
from pathlib import Path
from fastpg.system import translation
translation.BESIDE = Path("/nowhere")
from fastpg.emulator import Emulator, pong_rom
game = Emulator()
game.setInt("random_seed", 1)
game.loadROM(pong_rom())
rewards = [game.act((0, 3, 4)[k // 7 % 3]) for k in range(3000)]
print(sum(rewards), game.getRAM().tobytes().hex(), game.getScreen().tobytes().hex()[20000:20100])
"""


@pytest.fixture(scope="module")
def library():
    """The compiled translation of this installation."""
    rom = pong_rom().read_bytes()
    assert translation.run_address("pong", rom, _emulator.HEADERS)
    name = translation.library_name("pong", rom)
    found = [f / name for f in (translation.BESIDE, translation.cache_folder())]
    return next(path for path in found if path.is_file())


@pytest.fixture
def compiler(tmp_path, library):
    """A compiler that takes a moment, and copies what another has compiled. It counts its runs."""
    script = tmp_path / "cc"
    script.write_text(
        f"#!{sys.executable}\nimport shutil, sys, time\n"
        f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\ntime.sleep(0.3)\n"
        f"shutil.copy({str(library)!r}, sys.argv[sys.argv.index('-o') + 1])\n"
    )
    script.chmod(0o755)
    return str(script)


def play(tmp_path, compiler):
    """Play in a process of its own; return its output and its errors."""
    environment = {**os.environ, "CC": compiler, "FASTPG_CACHE_DIR": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, "-c", PLAY], env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout, ran.stderr


def test_it_is_compiled_once(tmp_path, compiler):
    out, err = play(tmp_path, compiler)
    assert err == "fastpg: compiling pong once, for half a minute\n"
    assert play(tmp_path, compiler) == (out, "")
    assert (tmp_path / "runs").read_text() == "x"
    assert len(list((tmp_path / "cache").glob("pong-*.so"))) == 1


def test_processes_that_need_it_at_once_wait_for_one(tmp_path, compiler):
    with ThreadPoolExecutor(4) as threads:
        answers = [*threads.map(lambda _: play(tmp_path, compiler), range(4))]
    assert len({out for out, _ in answers}) == 1
    assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.parametrize(
    ("script", "said", "lines"),
    [
        (None, "there is no C compiler", 1),
        ("#!/bin/sh\necho 'x.c:1: error: no' >&2\nexit 1\n", "fails: x.c:1: error: no", 2),
    ],
)
def test_without_a_compiler_the_game_is_the_same(tmp_path, compiler, script, said, lines):
    expected, _ = play(tmp_path, compiler)
    shutil.rmtree(tmp_path / "cache")
    other = tmp_path / "other"
    if script:
        other.write_text(script)
        other.chmod(0o755)
    out, err = play(tmp_path, str(other))
    assert out == expected
    assert err.count("\n") == lines
    assert "pong is interpreted, which gives the same games at a third of the speed: " in err
    assert said in err
    assert not list(tmp_path.glob("cache/*.so"))


def test_a_cache_that_cannot_be_written_is_a_line(tmp_path, compiler):
    expected, _ = play(tmp_path, compiler)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("")  # a file where the folder would be
    out, err = play(tmp_path, compiler)
    assert out == expected
    assert "pong is interpreted" in err


@pytest.mark.parametrize("length", [0, 1000, -1])
def test_a_damaged_library_is_compiled_again(tmp_path, compiler, length):
    expected, _ = play(tmp_path, compiler)
    (file,) = (tmp_path / "cache").glob("*.so")
    file.write_bytes(file.read_bytes()[:length])
    out, err = play(tmp_path, compiler)
    assert out == expected
    assert err == "fastpg: compiling pong once, for half a minute\n"
    assert play(tmp_path, compiler) == (expected, "")


def test_a_translation_from_other_headers_is_not_used(caplog):
    """It would have other structs in memory."""
    assert translation.run_address("pong", pong_rom().read_bytes(), "another") == 0
    assert "the C sources have changed: run pip install -e . again" in caplog.text


def test_its_name_depends_on_all_that_it_is_made_of(monkeypatch):
    rom = pong_rom().read_bytes()
    names = {translation.library_name("pong", rom), translation.library_name("pong", rom[::-1])}
    monkeypatch.setattr(translation, "FLAGS", ("-O1",))
    names.add(translation.library_name("pong", rom))
    assert len(names) == 3

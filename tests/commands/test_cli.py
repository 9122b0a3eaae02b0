"""The command fastpg: its subcommands, --version, and a --help that imports nothing heavy."""

import subprocess
import sys
import tomllib
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

import fastpg
from fastpg.cli import main
from fastpg.emulator._emulator import LAYOUT_VERSION
from fastpg.network._network import VECTORS
from fastpg.train import command


def python(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60)


def test_help_lists_the_commands_and_is_light():
    answer = python("-X", "importtime", "-m", "fastpg", "--help")
    assert answer.returncode == 0
    assert max(map(len, answer.stdout.splitlines())) <= 80
    for name in main.COMMANDS:
        assert f"\n  {name} " in answer.stdout
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in answer.stderr.splitlines()}
    assert loaded.isdisjoint({"numpy", "numba", "tyro", "rich", "gymnasium", "ale_py"})


def test_no_words_are_help_and_a_mistake(capsys):
    assert main.main([]) == 2
    assert "usage: fastpg" in capsys.readouterr().out


def test_version(capsys):
    assert main.main(["--version"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"fastpg {fastpg.__version__}\n")
    words = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert f"{VECTORS} (chosen at run time)" in out
    assert words["emulator"].startswith(f"layout      {LAYOUT_VERSION} ")
    assert "to run on (" in words["threads"]
    assert any(word in words["CUDA"] for word in ("device", "driver"))


def test_vectors_are_what_the_processor_has():
    flags = Path("/proc/cpuinfo")
    if not flags.exists() or VECTORS == "plain":
        pytest.skip("a build or machine without choice")
    has = flags.read_text()
    assert ("AVX-512" if "avx512f" in has else "AVX2") == VECTORS


def test_an_unknown_command(capsys):
    assert main.main(["trian"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "fastpg: no command 'trian'; near is train; --help lists them\n"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_commands_are_there_and_pass_their_exit_code_on(name, capsys):
    assert main.main([name, "--help"]) == 0
    assert f"fastpg.{name}" in capsys.readouterr().out
    assert main.main([name, "--no-such-option"]) == 2
    assert capsys.readouterr().err.startswith(f"fastpg.{name}: ")


def test_the_words_after_the_command_are_its_own(capsys):
    assert main.main(["evaluate", "--episodes", "0"]) == 2
    assert "--episodes: expected 1 to" in capsys.readouterr().err


def test_training_counts_its_start_up_from_the_import(monkeypatch):
    given = []
    monkeypatch.setattr("fastpg.train.main", lambda argv, started: given.append((argv, started)))
    command(["--seed", "1"])
    assert given == [(["--seed", "1"], fastpg.IMPORTED)]


def test_the_console_script_is_this():
    path = Path(__file__).parents[2] / "pyproject.toml"
    if not path.exists():
        pytest.skip("no source tree")
    module, _, name = tomllib.loads(path.read_text())["project"]["scripts"]["fastpg"].partition(":")
    assert getattr(import_module(module), name) is main.main


def test_as_a_module():
    answer = python("-m", "fastpg", "evaluate", "--episodes", "0")
    assert answer.returncode == 2
    assert answer.stderr.startswith("fastpg.evaluate: --episodes")


@pytest.mark.parametrize("name", main.COMMANDS)
def test_help_of_a_command_fills_the_lines_of_a_terminal(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main.main([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    inside = [line.strip("│").rstrip() for line in lines]  # tyro may draw a box
    assert sum(line.startswith(" " * 10) for line in inside) > 7
    for line, after in pairwise(inside):
        if line.startswith(" " * 10) and after.startswith(" " * 10):  # two lines of one explanation
            word = after.split()[0]
            assert len(line) + 1 + len(word) > 78, f"{line!r} has room for {word!r}"


def test_a_misspelt_switch_names_a_near_one(capsys):
    assert main.main(["watch", "--wndow"]) == 2
    assert capsys.readouterr().err == (
        "fastpg.watch: Unrecognized options: --wndow; near is --window; --help explains every "
        "option\n"
    )

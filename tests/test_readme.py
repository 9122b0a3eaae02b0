"""What the README prints works: its Python, and the options of its training commands."""

import re
import shlex
from pathlib import Path

import pytest

from fastpg.command_line import parse as parse_words
from fastpg.report import ReportConfig
from fastpg.train import parse, resolve_rules
from fastpg.watch import WatchConfig

README = (Path(__file__).parents[1] / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
COMMANDS = re.findall(r"^    python -m fastpg\.train (?!--help|--resume)([^#\n]*)", README, re.M)
COMMANDS += re.findall(r"`for s in .* python -m fastpg\.train ([^;`]*)", README)


@pytest.mark.parametrize("code", SNIPPETS, ids=lambda code: code.splitlines()[-1])
def test_snippet(code):
    names = {}
    exec(code, names)
    if "returns" in names:
        assert names["returns"].shape == names["rewards"].shape
        assert names["hidden"].shape == (8, 200)
    elif "envs" in names:
        assert names["observations"].shape == (64, 6400)
        names["envs"].close()
    else:
        assert names["picture"].shape == (210, 160, 3)


@pytest.mark.parametrize("command", COMMANDS, ids=str.strip)
def test_training_command(command):
    config, _ = parse(shlex.split(command.replace("$s", "0")))
    resolve_rules(config)


def test_all_are_found():
    assert (len(SNIPPETS), len(COMMANDS)) == (3, 6)


SHOWING = re.findall(r"^    python -m fastpg\.(watch|report) ([^#\n]*)", README, re.M)


@pytest.mark.parametrize(("command", "words"), SHOWING)
def test_showing_command(command, words):
    kind = {"watch": WatchConfig, "report": ReportConfig}[command]
    config = parse_words(kind, shlex.split(words), command)
    assert "runs/" in str(config.run if command == "watch" else config.runs)


def test_all_showing_commands_are_found():
    assert [command for command, _ in SHOWING] == ["watch", "watch", "watch", "report"]

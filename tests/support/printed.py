"""Checks of the commands that the README and the pages of docs/ print for readers to run."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

from fastpg.cli import main
from fastpg.cli.options import parse
from fastpg.cli.resolve import resolve
from fastpg.cli.train_options import parse_training
from fastpg.convert import ConvertConfig
from fastpg.evaluate import EvaluateConfig
from fastpg.kernels import BackendUnavailable
from fastpg.report import ReportConfig
from fastpg.watch import WatchConfig

ROOT = Path(__file__).parents[2]
_KINDS = {
    "evaluate": EvaluateConfig,
    "convert": ConvertConfig,
    "watch": WatchConfig,
    "report": ReportConfig,
}


def blocks(text, language):
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def check_training(words):
    """Check that the words of ``fastpg train`` are valid settings."""
    if "--resume" in words:  # the other settings come from the run's checkpoint
        assert words[0] == "--resume"
        assert set(words[2::2]) <= {"--run-dir", "--episodes"}
        return
    config, _ = parse_training(words)
    with suppress(BackendUnavailable):  # there may be no GPU here, which is the last check
        resolve(config)


def check_command(command):
    """Check the words after ``fastpg``."""
    name, *words = shlex.split(command, comments=True)
    if name == "train":
        check_training(words)
    elif name in _KINDS:
        config = parse(_KINDS[name], words, name)
        assert name != "report" or config.runs  # the report needs one
    else:
        assert main.main([name, *words]) == 0


def check_script(path, words):
    """Check that a script of the repository exists and has the options that it is called with."""
    text = (ROOT / path).read_text()
    own = words[: words.index("--")] if "--" in words else words
    check_training(words[len(own) + 1 :])  # the options that it passes on
    for word in own:
        if word.startswith("--"):
            assert f'"{word}"' in text, word

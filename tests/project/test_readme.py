"""What the README prints works: its Python, and the options of its training commands."""

import re
import shlex

import pytest

from fastpg.evaluation.policy import load_pretrained
from tests.support.printed import ROOT, blocks, check_command, check_training

README = (ROOT / "README.md").read_text()
SNIPPETS = blocks(README, "python")
COMMANDS = re.findall(r"^    python -m fastpg\.train (?!--help|--resume)([^#\n]*)", README, re.M)
COMMANDS += re.findall(r"`for s in .* python -m fastpg\.train ([^;`]*)", README)
FASTPG = re.findall(r"^    fastpg ([^#\n]*)", README, re.M)


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
    check_training(shlex.split(command.replace("$s", "0")))


@pytest.mark.parametrize("command", FASTPG, ids=str.strip)
def test_command(command):
    check_command(command)


def test_the_pretrained_score_is_the_one_that_its_file_states():
    saved = load_pretrained()
    stated = saved.state["evaluation"]
    low, high = stated["confidence_interval"]
    text = " ".join(README.split())
    assert f"`{saved.state['trained_by']}`" in text
    assert (
        f"under `{stated['env']}` is {stated['mean_score']:+.2f} (95 % confidence interval "
        f"{low:+.2f} to {high:+.2f} by Student's t, {stated['episodes']:,} episodes"
    ) in text


def test_all_are_found():
    assert (len(SNIPPETS), len(COMMANDS), len(FASTPG)) == (3, 8, 11)

"""What the README prints works: its Python, its commands, its paths; its figures are measured."""

import re

import numpy as np
import pytest

from fastpg.evaluation.policy import load_pretrained
from tests.support.printed import ROOT, blocks, check_command

README = (ROOT / "README.md").read_text()
SNIPPETS = blocks(README, "python")
SHELL = blocks(README, "sh")
FASTPG = [line.removeprefix("fastpg ") for line in "".join(SHELL[2:]).splitlines()]


def rows(text):
    """The rows of all Markdown tables: lists of cells, without emphasis."""
    lines = re.findall(r"^\| *(.*?) *\|$", text.replace("**", ""), re.M)
    return [re.split(r" *\| *", line) for line in lines]


def test_snippet():
    (code,) = SNIPPETS
    names = {}
    exec(code, names)
    try:
        assert names["observations"].shape == (64, 6400)
        assert names["observations"].dtype == np.uint8
        assert names["picture"].shape == (210, 160, 3)
        assert names["returns"].shape == names["rewards"].shape
        np.testing.assert_array_equal(names["returns"], names["same"])
    finally:
        names["envs"].close()


def test_the_first_two_blocks_set_up_train_and_test():
    """.ci/run adds options to the first as printed, and runs the second as printed."""
    train, test = SHELL[:2]
    set_up = "python3 -m venv .venv && .venv/bin/pip install -e"
    assert train == f"{set_up} . && .venv/bin/python -m fastpg.train\n"
    assert test == f"{set_up} '.[test]' && .venv/bin/python -m pytest\n"


@pytest.mark.parametrize("command", FASTPG)
def test_command(command):
    check_command(command)


def test_all_commands_are_found():
    assert [command.split()[0] for command in FASTPG].count("train") == 9
    assert len(FASTPG) == 16


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


def test_results_are_those_of_the_page():
    measured = rows((ROOT / "docs" / "results.md").read_text())
    found = [row for row in rows(README) if row[0].startswith("`") and len(row) == 5]
    assert len(found) == 3
    for rules, preset, *figures in found:
        (full,) = [
            row
            for row in measured
            if row[:2] == [preset.strip("`"), rules.split("`")[1]] and row[3] == "+18"
        ]
        assert figures == [full[4], full[6], full[8]]


def test_speeds_are_those_of_the_page():
    measured = {tuple(row[1:4]) for row in rows((ROOT / "docs" / "benchmarks.md").read_text())}
    found = [tuple(row[1:]) for row in rows(README) if re.match(r"[\d,]+$", row[-2])]
    assert len(found) == 5
    assert set(found) <= measured


def test_figures_of_the_pitch_are_those_of_the_tables():
    results, speeds = README.partition("## Results")[2].split("## Speed")
    seconds = re.search(r"^- \*\*([\d.]+) seconds\*\* .*`--preset (\w+)`", README, re.M)
    assert re.search(rf"`{seconds[2]}` \| [^|]*\| {seconds[1]} \(", results)
    times = float(re.search(r"^- \*\*(\d+) times\*\* .*NumPy loop", README, re.M)[1])
    assert round(float(re.search(r"NumPy loop.* \| ([\d.]+) \(", speeds)[1])) == times


def test_length():
    assert len(README.splitlines()) <= 150


def test_paths_exist():
    named = set(re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", README))
    assert len(named) > 15
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []

"""The evaluation command: its text, its --json, and clear errors."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial

import numpy as np
import pytest

from fastpg import checkpoint
from fastpg.envs.rules import rules
from fastpg.evaluate import main
from fastpg.evaluation.episodes import Evaluation
from fastpg.evaluation.policy import load_pretrained
from fastpg.evaluation.summary import summary


def said(capsys, *words):
    """Run the command and return its JSON object."""
    assert main([*map(str, words), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_both_emulators_give_equal_scores_for_the_same_seed(capsys):
    words = ["--episodes", 2, "--seed", 3, "--threads", 2]
    ours = said(capsys, *words)
    reference = said(capsys, *words, "--emulator", "ale")
    assert (ours.pop("emulator"), reference.pop("emulator")) == ("native", "ale")
    assert ours.pop("seconds") > 0
    assert reference.pop("seconds") > 0
    assert ours == reference
    assert ours["env"] == "PongNoFrameskip-v4"
    assert ours["mean_score"] == np.mean(ours["scores"]) > 10


def test_settings_reach_the_games(capsys):
    base = said(capsys, "--episodes", 2)
    greedy = said(capsys, "--episodes", 2, "--greedy", "--seed", 9)
    sticky = said(capsys, "--episodes", 2, "--env", "ALE/Pong-v5")
    seeded = said(capsys, "--episodes", 2, "--seed", 9)
    assert len({tuple(run["lengths"]) for run in (base, greedy, sticky, seeded)}) == 4
    assert base["rules"]["noop_max"] == 30
    assert sticky["rules"]["repeat_action_probability"] == 0.25
    assert said(capsys, "--episodes", 3)["scores"][:2] == base["scores"]


def test_a_run_a_folder_or_a_file(capsys, tmp_path):
    saved = load_pretrained()
    checkpoint.save(tmp_path, 7, saved.tensors, saved.state)
    (file,) = checkpoint.checkpoints(tmp_path)
    results = [said(capsys, path, "--episodes", 1) for path in (tmp_path, file.parent, file)]
    assert {run["update"] for run in results} == {7}
    assert len({tuple(run["lengths"]) for run in results}) == 1


def test_text_fits_the_terminal(capsys, monkeypatch):
    assert main(["--episodes", "3", "--env", "PongNoFrameskip-v4"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert max(map(len, lines)) <= 80
    assert "\r" not in captured.out
    assert any("95 % confidence interval" in line for line in lines)
    assert any(line.startswith("games ") and " won, " in line for line in lines)
    assert lines[-1].count("#")


def test_figures():
    """Worked by hand: three games of 1, 2 and 3 minutes."""
    won, lost = np.array([21.0, 5.0, 10.0]), np.array([3.0, 21.0, 10.0])
    played = Evaluation(won, lost, np.array([1, 2, 3]), np.array([3600, 7200, 10800]))
    figures = summary(played, rules("Pong-v0"))
    assert figures["mean_score"] == pytest.approx((18 - 16 + 0) / 3)
    assert (figures["wins"], figures["losses"], figures["draws"]) == (1, 1, 1)
    assert figures["points_won_per_minute"] == 6
    assert figures["points_lost_per_minute"] == pytest.approx(34 / 6)
    assert figures["agent_steps"] == 6
    assert summary(played, rules("ALE/Breakout-v5"))["wins"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: No such file or directory; RUN is a run's folder"),
        (["."], "no checkpoint in checkpoints; RUN is"),
        (["a-file"], "a-file: empty file; RUN is"),
        (["--episodes", "0"], "--episodes: expected 1 to"),
        (["--seed", "-1"], "--seed: expected 0 to"),
        (["--threads", "0"], "--threads: expected at least 1"),
        (["--env", "ALE/Pnog-v5"], "ALE/Pong-v5"),
        (["--env", "ALE/Breakout-v5"], "a policy of 3 actions, breakout needs 4"),
        (["--env", "ALE/Breakout-v5", "--emulator", "native"], "it plays Pong only"),
        (["--emulator", "stella"], "--emulator"),
        (["--episods", "3"], "near is --episodes; --help"),
        (["one", "two"], "two"),
    ],
)
def test_wrong_words_end_with_one_clear_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fastpg.evaluate: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def start(*words, stderr=subprocess.PIPE):
    """Start the command in a process of its own, with signals as in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "fastpg.evaluate", *words],
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("words", [[], ["--emulator", "ale", "--threads", "2"]])
def test_a_terminal_shows_progress_and_interrupt_ends_it_with_one_line(words):
    ours, theirs = os.openpty()
    process = start("--episodes", "100000", *words, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b" of 100,000 episodes" not in shown:
        shown += os.read(ours, 1000)
    os.killpg(process.pid, signal.SIGINT)  # like a terminal, to the worker processes too
    with suppress(OSError):  # a closed terminal raises this
        while more := os.read(ours, 1000):
            shown += more
    os.close(ours)
    with process.stdout:
        assert process.stdout.read() == b""
    assert process.wait(60) == 130
    *_, line, end = shown.replace(b"\r\n", b"\n").split(b"\n")
    assert line.split(b"\r")[-1] == b"fastpg.evaluate: interrupted"
    assert end == b""


def test_a_closed_pipe_is_no_error():
    process = start("--episodes", "1")
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert err == b""

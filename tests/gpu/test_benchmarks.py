"""benchmarks/gpu_training.py, on the CPU with the same algorithms; benchmarks/gpu.py."""

import math
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks import gpu_training
from fastpg.config import preset
from tests.gpu.ptx import requirements
from tests.gpu.test_cuda import in_a_process

SMALL = {"num_envs": 2, "steps_per_update": 8, "minibatch": 16, "epochs": 1, "hidden": 2}


def test_a_row_for_each_number_of_environments():
    lines, rates = gpu_training.training_table([1, 2], 0, "cpu")
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        [f"| {name}", str(size)] for name in rates for size in (1, 2)
    ]
    for points in rates.values():
        assert [size for size, _ in points] == [1, 2]
        assert all(rate > 0 and math.isfinite(rate) for _, rate in points)


def test_a_size_that_does_not_fit_has_the_error_in_its_row(monkeypatch):
    def refused(config):
        raise MemoryError(f"num_envs: {config.num_envs} do not fit")

    monkeypatch.setattr(gpu_training, "prepared", refused)
    lines, rates = gpu_training.training_table([5], 0, "cpu")
    assert lines[-1] == "| PPO | 5 | MemoryError: num_envs: 5 do not fit | | | |"
    assert rates == {"the article's": [], "PPO": []}


@pytest.mark.parametrize(("score", "rounds"), [(-21, 2), (21, 3)])
def test_training_ends_with_the_score_or_the_steps(score, rounds, monkeypatch):
    config = replace(preset("fast"), device="cpu", **SMALL, agent_steps=3 * 16)
    said = []
    result = gpu_training.seconds_to(score, config, episodes=1, every=2, progress=said.append)
    seconds, steps, played, found = result
    assert (steps, played) == (16 * rounds, rounds)
    assert (seconds is None) == (score == 21)
    assert -21 <= found < 0
    assert len(said) == 1


def test_lines_have_the_recipe_and_each_seed(monkeypatch):
    took = {0: (1.5, 10, 3, 18.2), 1: (None, 99, 9, -3.0), 2: (2.5, 20, 4, 19.0)}
    monkeypatch.setattr(gpu_training, "warm_up", lambda config: None)
    monkeypatch.setattr(gpu_training, "seconds_to", lambda score, config: took[config.seed])
    lines = gpu_training.score_lines(18, 3, "cpu", {"epochs": 7})
    assert "--epochs 7" in lines[0]
    assert "- seed 0: 1.50 s, 10 agent steps, 3 rounds; then +18.2" in lines
    assert "- seed 1: never, 99 agent steps, 9 rounds; then -3.0" in lines
    assert lines[-1].startswith("Median 2.00 s (2 of 3 seeds); ")


class Scripted:
    """An algorithm with given actions, (rounds, steps, games)."""

    def __init__(self, actions):
        self.actions, self.learned, self.collector = actions, 0, self

    def play(self):
        return self.learned

    def rows(self, name, steps):
        assert name == "actions"
        return self.actions[self.learned][:steps]

    def learn(self, played):
        assert played == self.learned
        self.learned += 1


def test_runs_diverge_where_their_actions_first_differ(monkeypatch):
    config = replace(preset("fast"), **SMALL)
    actions = np.random.default_rng(0).integers(0, 3, (2, 4, 8, 2))
    actions[1] = actions[0]
    actions[1, 2, 5, 1] = actions[1, 2, 6, 0] = actions[1, 3] = 3
    runs = (Scripted(actions[0]), None), (Scripted(actions[1]), None)
    for rounds, found in ((2, None), (4, (2, 5, 1))):
        for run, _ in runs:
            run.learned = 0
        given = iter(runs)
        monkeypatch.setattr(gpu_training, "prepared", lambda _: next(given))  # noqa: B023
        assert gpu_training.divergence(config, config, rounds) == found


def test_lines_have_the_divergence_of_each_seed(monkeypatch):
    where = {0: None, 1: (2, 5, 1)}
    monkeypatch.setattr(
        gpu_training, "divergence", lambda config, other, rounds: where[config.seed]
    )
    lines = gpu_training.divergence_lines(2, "cpu", 7)
    assert "32 games of 256 steps" in lines[0]
    assert lines[2:] == ["- seed 0: in none of 7 rounds", "- seed 1: in round 3, step 6, game 2"]


def test_equal_runs_never_diverge():
    config = replace(preset("fast"), **SMALL)
    assert gpu_training.divergence(config, config, 3) is None
    assert gpu_training.divergence(config, replace(config, seed=1), 3)[0] == 0


def test_the_gpu_benchmark_writes_a_report(tmp_path):
    if why := requirements.missing():
        pytest.skip(why)
    out = tmp_path / "results" / "report.md"
    options = ["--environments", "2", "3", "--steps", "2", "--seconds", "0", "--copy", "100"]
    options += ["--sizes", "--training", "--seeds", "0", "--out", str(out)]
    command = "tests.gpu.ptx", sys.executable, "-m", "benchmarks.gpu"
    ran = in_a_process("-m", *command, *options)
    assert ran.returncode == 0, ran.stderr
    assert out.with_suffix(".png").exists() == (find_spec("matplotlib") is not None)
    assert "| 2 | " in out.read_text()
    assert "Error" not in out.read_text()  # in the row of a size that failed
    assert "| 3 | " in ran.stdout

"""The benchmark of training on a GPU, its parts on the CPU: they are the same algorithms."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import gpu_training
from fastpg.config import preset

SMALL = {"num_envs": 2, "steps_per_update": 8, "minibatch": 16, "epochs": 1, "hidden": 2}


def test_a_row_for_each_number_of_environments():
    lines, rates = gpu_training.training_table([1, 2], 0, "cpu")
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        [f"| {name}", str(size)] for name in rates for size in (1, 2)
    ]
    for points in rates.values():
        assert [size for size, _ in points] == [1, 2]
        assert all(rate > 0 and math.isfinite(rate) for _, rate in points)


def test_what_does_not_fit_is_said(monkeypatch):
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


def test_lines_say_the_recipe_and_each_seed(monkeypatch):
    took = {0: (1.5, 10, 3, 18.2), 1: (None, 99, 9, -3.0), 2: (2.5, 20, 4, 19.0)}
    monkeypatch.setattr(gpu_training, "warm_up", lambda config: None)
    monkeypatch.setattr(gpu_training, "seconds_to", lambda score, config: took[config.seed])
    lines = gpu_training.score_lines(18, 3, "cpu", {"epochs": 7})
    assert "--epochs 7" in lines[0]
    assert "- seed 0: 1.50 s, 10 agent steps, 3 rounds; then +18.2" in lines
    assert "- seed 1: never, 99 agent steps, 9 rounds; then -3.0" in lines
    assert lines[-1].startswith("Median 2.00 s (2 of 3 seeds); ")


class Scripted:
    """An algorithm whose actions of each round are given, (rounds, steps, games)."""

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


def test_runs_part_where_their_actions_first_differ(monkeypatch):
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
        assert gpu_training.parting(config, config, rounds) == found


def test_lines_say_where_seeds_part(monkeypatch):
    where = {0: None, 1: (2, 5, 1)}
    monkeypatch.setattr(gpu_training, "parting", lambda config, other, rounds: where[config.seed])
    lines = gpu_training.parting_lines(2, "cpu", 7)
    assert "32 games of 256 steps" in lines[0]
    assert lines[2:] == ["- seed 0: in none of 7 rounds", "- seed 1: in round 3, step 6, game 2"]


def test_equal_runs_never_part():
    config = replace(preset("fast"), **SMALL)
    assert gpu_training.parting(config, config, 3) is None
    assert gpu_training.parting(config, replace(config, seed=1), 3)[0] == 0

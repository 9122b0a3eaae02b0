"""Settings of the training command: help, rules by name, presets, metrics, limits."""

import inspect
import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from fastpg import checkpoint
from fastpg.cli.resolve import resolve_rules
from fastpg.cli.validate import check
from fastpg.config import PRESETS, RESUMABLE, ConfigError, TrainConfig, preset
from fastpg.train import main
from fastpg.training.metrics_file import read_metrics
from fastpg.training.run_state import ScoreWindow
from tests.training.test_train import run


def test_metrics_have_the_promised_names(tmp_path):
    run(tmp_path / "run", "--episodes", "2")
    (row,) = read_metrics(tmp_path / "run" / "metrics.jsonl")
    promised = (
        "update episodes agent_steps emulator_frames seconds seconds_startup mean_score_100 "
        "agent_steps_per_second emulator_frames_per_second seconds_emulation seconds_forward "
        "seconds_learning"
    )
    assert set(promised.split()) <= set(row)
    assert row["update"] == 1
    assert row["episodes"] == 2
    assert row["mean_score_100"] is None
    assert 2 <= row["emulator_frames"] / row["agent_steps"] <= 4
    parts = row["seconds_emulation"] + row["seconds_forward"] + row["seconds_learning"]
    assert parts <= row["seconds"]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["hidden"] == 8


@pytest.mark.parametrize(
    ("limit", "value"), [("--agent-steps", 1), ("--max-seconds", 0.001), ("--stop-at-score", -22)]
)
def test_limits_end_the_run_and_the_command_that_is_told_goes_on(
    tmp_path, monkeypatch, capsys, limit, value
):
    monkeypatch.setattr(ScoreWindow.__init__, "__defaults__", (2,))
    assert run(tmp_path / "a run", limit, str(value)).update == 1
    *_, told = capsys.readouterr().out.splitlines()
    assert told.startswith(f"done, {limit} {value} reached: {tmp_path / 'a run'}; go on with: ")
    python, *command = shlex.split(told.split("go on with: ")[1])
    assert os.path.samefile(shutil.which(python), sys.executable)
    assert command[:2] == ["-m", "fastpg.train"]
    assert main([*command[2:], "--episodes", "4"]) == 0
    assert checkpoint.load(tmp_path / "a run").update == 2


def test_every_option_is_explained_with_its_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    source = inspect.getsource(TrainConfig)
    meanings = re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', source, re.M | re.S)
    assert [name for name, _ in meanings] == list(TrainConfig.__dataclass_fields__)
    for name, meaning in meanings:
        assert f"--{name.replace('_', '-')}" in shown
        assert " ".join(meaning.split()) in shown
    assert shown.count("(default: ") == len(meanings)


@pytest.mark.parametrize(
    ("env", "changed", "skip", "sticky", "noops"),
    [
        ("Pong-v0", {}, (2, 5), 0.25, 0),
        ("ALE/Pong-v5", {}, 4, 0.25, 0),
        ("PongNoFrameskip-v4", {}, 4, 0.0, 30),
        ("PongNoFrameskip-v4", {"frameskip": 1, "noop_max": 0}, 1, 0.0, 0),
        ("ALE/Pong-v5", {"frameskip": 2, "repeat_action_probability": 0.0}, 2, 0.0, 0),
        ("Pong-v0", {"repeat_action_probability": 0.5, "noop_max": 3}, (2, 5), 0.5, 3),
    ],
)
def test_rules_by_name_and_by_option(env, changed, skip, sticky, noops):
    rules = resolve_rules(replace(preset("pong"), env=env, **changed))
    assert (rules.frameskip, rules.repeat_action_probability, rules.noop_max) == (
        skip,
        sticky,
        noops,
    )


def test_config_round_trip_and_resumable_names():
    config = replace(preset("blog"), run_dir=Path("x"), stop_at_score=3.0)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert set(TrainConfig.__dataclass_fields__) >= RESUMABLE
    with pytest.raises(ConfigError, match="unknown"):
        TrainConfig.from_json({"colour": 1})
    assert preset("blog").learning_rate == 1e-4
    assert preset("blog").background == "blog"


def test_each_preset_is_offered_and_may_be_asked_for():
    assert get_args(get_type_hints(TrainConfig)["preset"]) == tuple(PRESETS)
    for name in PRESETS:
        check(preset(name))

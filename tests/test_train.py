"""The training command: same seed same weights, resumed or not; clear errors; learning itself."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastpg import checkpoint
from fastpg.config import RESUMABLE, ConfigError, TrainConfig, check, preset
from fastpg.kernels import get_backend
from fastpg.metrics import read_metrics
from fastpg.policy import Policy, RMSProp
from fastpg.train import main

SMALL = "--episodes-per-batch 2 --hidden 8 --backend cython --checkpoint-every 1".split()


def run(folder: Path, *arguments: str) -> checkpoint.Checkpoint:
    """Train in this process; return the newest checkpoint."""
    assert main([*SMALL, "--run-dir", str(folder), *arguments]) == 0
    return checkpoint.load(folder)


def assert_same(a: checkpoint.Checkpoint, b: checkpoint.Checkpoint) -> None:
    """Equal tensors (weights, optimiser, generators) and counters, to the last bit."""
    assert a.update == b.update
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert tensor.tobytes() == b.tensors[name].tobytes(), name
    assert a.state["counters"] == b.state["counters"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Four updates in one go, with one worker."""
    return run(tmp_path_factory.mktemp("straight") / "run", "--episodes", "8", "--threads", "1")


def test_thread_count_changes_nothing(tmp_path, uninterrupted):
    assert_same(run(tmp_path / "run", "--episodes", "8", "--threads", "2"), uninterrupted)


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_backend_changes_nothing(tmp_path, uninterrupted, backend):
    other = run(tmp_path / "run", "--episodes", "8", "--threads", "2", "--backend", backend)
    assert_same(other, uninterrupted)


def test_another_seed_gives_other_weights(tmp_path, uninterrupted):
    other = run(tmp_path / "run", "--episodes", "2", "--seed", "1")
    assert not np.array_equal(other.tensors["w1"], uninterrupted.tensors["w1"])


def test_resumed_run_equals_uninterrupted_one(tmp_path, uninterrupted):
    run(tmp_path / "run", "--episodes", "4", "--threads", "2")
    assert main(["--resume", str(tmp_path / "run"), "--episodes", "8", "--threads", "1"]) == 0
    assert_same(checkpoint.load(tmp_path / "run"), uninterrupted)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["update"] for row in rows] == [1, 2, 3, 4]


def test_branch_from_an_older_checkpoint_leaves_the_run_alone(tmp_path, capsys):
    run(tmp_path / "run", "--episodes", "4", "--threads", "1")
    older, newest = checkpoint.checkpoints(tmp_path / "run")
    assert main(["--resume", str(older)]) == 2
    assert newest.name in capsys.readouterr().err
    branch = str(tmp_path / "branch")
    assert main(["--resume", str(older), "--run-dir", branch, "--episodes", "4"]) == 0
    assert_same(checkpoint.load(branch), checkpoint.load(newest))
    assert len(read_metrics(tmp_path / "branch" / "metrics.jsonl")) == 2


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Train in a process of its own."""
    command = [sys.executable, "-m", "fastpg.train", *arguments]
    if "--resume" not in arguments:
        command += [*SMALL, "--run-dir", str(folder)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for_update(folder: Path, process: subprocess.Popen, seconds: float = 60) -> None:
    """Return as soon as the run has a checkpoint."""
    deadline = time.monotonic() + seconds
    while not checkpoint.checkpoints(folder):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_saves_and_resumes(tmp_path, uninterrupted, number):
    folder = tmp_path / "run"
    process = start(folder, "--episodes", "1000")
    wait_for_update(folder, process)
    os.killpg(process.pid, number)  # as a terminal does: the workers get it too
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "--resume" in out
    assert err == ""
    if checkpoint.load(folder).update < 4:
        assert main(["--resume", str(folder), "--episodes", "8"]) == 0
        assert_same(checkpoint.load(folder), uninterrupted)


def test_killed_run_resumes_to_the_same_weights(tmp_path, uninterrupted):
    folder = tmp_path / "run"
    rng = random.Random(0)
    process = start(folder, "--episodes", "8", "--threads", "1")
    wait_for_update(folder, process)
    for _ in range(3):
        time.sleep(rng.uniform(0, 0.8))
        process.kill()
        process.communicate()
        checkpoint.load(folder)
        process = start(folder, "--resume", str(folder))
    assert process.wait(60) == 0, process.communicate()
    process.communicate()
    assert_same(checkpoint.load(folder), uninterrupted)
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row["update"] for row in rows] == [1, 2, 3, 4]


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


def test_limits_end_the_run(tmp_path):
    assert run(tmp_path / "a", "--agent-steps", "1").update == 1
    assert run(tmp_path / "b", "--max-seconds", "0.001").update == 1


def test_tensorboard_events(tmp_path):
    pytest.importorskip("tensorboardX")
    run(tmp_path / "run", "--episodes", "2", "--track")
    assert list((tmp_path / "run").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--env", "ALE/Breakout-v5"],
        ["--env", "PongNoFrameskip-v4", "--input", "stack"],
        ["--input", "raw", "--hidden", "2", "--episodes-per-batch", "1"],
        ["--preset", "blog", "--standardize", "batch", "--num-envs", "1"],
    ],
)
def test_other_settings_train(tmp_path, arguments):
    saved = run(tmp_path / "run", "--episodes", "2", *arguments)
    assert saved.update >= 1
    assert np.count_nonzero(saved.tensors["cache_w1"]) > 0
    assert np.isfinite(saved.tensors["w1"]).all()
    assert saved.tensors["w2"].shape[0] == (4 if "ALE/Breakout-v5" in arguments else 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--episodes-per-batch", "0"], "--episodes-per-batch: expected at least 1, got 0"),
        (["--hidden", "-3"], "--hidden: expected at least 1, got -3"),
        (["--gamma", "1.5"], "--gamma: expected 0 to 1, got 1.5"),
        (["--learning-rate", "nan"], "--learning-rate: expected"),
        (["--num-envs", "11"], "--num-envs: expected at most"),
        (["--env", "ALE/Pnog-v5"], "ALE/Pong-v5"),
        (["--frameskip", "0"], "--frameskip: expected at least 1"),
        (["--device", "cuda"], "--device cuda"),
        (["--preset", "quick"], "--preset: expected one of"),
        (["--resume", "nowhere"], "nowhere"),
        (["--run-dir", "a-file/run"], "cannot be written"),
        (["--seed", "-1"], "--seed: expected at least 0"),
    ],
)
def test_wrong_values_end_with_one_clear_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert os.listdir() == ["a-file"]


def test_unknown_choice_and_option_exit_with_2(capsys):
    for arguments in (["--backend", "magic"], ["--hiden", "3"], ["--hidden", "many"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert arguments[0] in capsys.readouterr().err


def test_a_run_is_never_overwritten(tmp_path, capsys):
    before = run(tmp_path / "run", "--episodes", "2")
    capsys.readouterr()
    assert main(["--run-dir", str(tmp_path / "run")]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert_same(checkpoint.load(tmp_path / "run"), before)


def test_resume_refuses_another_run(tmp_path, capsys):
    run(tmp_path / "run", "--episodes", "2")
    capsys.readouterr()
    assert main(["--resume", str(tmp_path / "run"), "--hidden", "9"]) == 2
    assert "--hidden: the resumed run has 8, got 9" in capsys.readouterr().err


def test_every_option_is_explained(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for name in TrainConfig.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in shown


def test_config_round_trip_and_resumable_names():
    config = replace(preset("blog"), run_dir=Path("x"), stop_at_score=3.0)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert set(TrainConfig.__dataclass_fields__) >= RESUMABLE
    with pytest.raises(ConfigError, match="unknown"):
        TrainConfig.from_json({"colour": 1})
    check(preset("pong"))
    assert preset("blog").learning_rate == 1e-4
    assert preset("blog").background == "blog"


def test_an_update_makes_good_actions_likelier():
    rng = np.random.default_rng(0)
    kernels = get_backend("cython")
    views = rng.random((2, 64, 6400)) < 0.004
    from fastpg.policy import SparseRows

    inputs = SparseRows(*kernels.frame_difference(*views.astype(np.uint8)))
    policy = Policy(np.zeros((6400, 16), np.float32), np.zeros((1, 16), np.float32), kernels)
    policy.initialize(0)
    actions = rng.integers(0, 2, 64).astype(np.uint8)
    advantages = rng.standard_normal(64).astype(np.float32)

    def objective() -> float:
        up = policy.forward(inputs)[1][:, 0].astype(np.float64)
        return float(advantages @ np.log(np.where(actions == 1, up, 1 - up)))

    before = objective()
    optimizer = RMSProp(policy, learning_rate=1e-4, decay=0.99)
    for _ in range(5):
        policy.gradients(inputs, actions, advantages, optimizer.dw1, optimizer.dw2)
        optimizer.step()
    assert objective() > before

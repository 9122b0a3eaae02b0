"""The training command on tiles, with REINFORCE and PPO: resuming, interrupts, errors."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from fastpg import checkpoint
from fastpg.cli.validate import check
from fastpg.config import TrainConfig, preset
from fastpg.train import main
from fastpg.training.metrics_file import read_metrics
from tests.training.test_train import assert_same, start, wait_for_update

SMALL = "--hidden 8 --checkpoint-every 1".split()
FAST = "--preset fast --num-envs 4 --steps-per-update 64 --minibatch 100 --epochs 2".split()
RUNS = {  # settings, the limit's option, and its values after four updates and after two
    "fast": (FAST, "--agent-steps", 1024, 512),
    "fast, annealed to the end": (
        [*FAST, "--anneal-steps", "600", "--input", "difference", "--past-actions", "2"],
        "--agent-steps",
        1024,
        512,
    ),
    "actor-critic": ([*FAST, "--epochs", "1", "--clip", "inf"], "--agent-steps", 1024, 512),
    "on ale-py": ([*FAST, "--emulator", "ale", "--views", "0", "3"], "--agent-steps", 1024, 512),
    "mirrored": ([*FAST, "--mirror", "--lost-point-weight", "3"], "--agent-steps", 1024, 512),
    "pong, mirrored": (["--episodes-per-batch", "2", "--mirror"], "--episodes", 8, 4),
    "pong": (["--episodes-per-batch", "2"], "--episodes", 8, 4),
    "stack": (
        "--episodes-per-batch 2 --num-envs 1 --input stack --views 0 1 4 --past-actions 2 "
        "--cells 9".split(),
        "--episodes",
        8,
        4,
    ),
}


def run(folder: Path, *arguments: str) -> checkpoint.Checkpoint:
    assert main([*SMALL, "--run-dir", str(folder), *arguments]) == 0
    return checkpoint.load(folder)


@pytest.mark.parametrize(("settings", "limit", "end", "half"), RUNS.values(), ids=RUNS)
def test_resumed_run_equals_uninterrupted_one(tmp_path, settings, limit, end, half):
    """With any number of threads before and after."""
    straight = run(tmp_path / "straight", limit, str(end), "--threads", "1", *settings)
    assert straight.update == 4
    assert straight.state["config"]["backend"] == "tiles"
    for first, second in (("2", "1"), ("1", "2")):
        folder = tmp_path / f"run-{first}"
        assert run(folder, limit, str(half), "--threads", first, *settings).update == 2
        assert main(["--resume", str(folder), limit, str(end), "--threads", second]) == 0
        assert_same(checkpoint.load(folder), straight)
        rows = read_metrics(folder / "metrics.jsonl")
        assert [row["update"] for row in rows] == [1, 2, 3, 4]


BOTH = {
    "pong": "--episodes-per-batch 2 --episodes 4",
    "stack": "--env PongNoFrameskip-v4 --input stack --views 0 1 4 --past-actions 2 --cells 5 "
    "--allow-noop --episodes-per-batch 2 --episodes 4",
    # a lost game has some 800 steps, so episodes end in the middle of a round
    "ppo": "--preset sticky --num-envs 3 --steps-per-update 400 --epochs 2 --minibatch 1200 "
    "--past-actions 2 --agent-steps 3600",
    "actor-critic": "--preset fast --num-envs 1 --epochs 1 --clip inf --input difference "
    "--agent-steps 1024",
}


@pytest.mark.parametrize("settings", BOTH.values(), ids=BOTH)
def test_both_emulators_train_the_same_run(tmp_path, settings):
    settings = settings.split()
    ours = run(tmp_path / "native", *settings, "--threads", "1")
    reference = run(tmp_path / "ale", *settings, "--threads", "2", "--emulator", "ale")
    assert reference.state["config"]["backend"] == "tiles"
    assert reference.state["counters"] == ours.state["counters"]
    assert ours.state["counters"]["episodes"] > 0
    assert reference.tensors.keys() == ours.tensors.keys()
    for name, tensor in ours.tensors.items():
        if not name.startswith("game_"):
            np.testing.assert_array_equal(reference.tensors[name], tensor, err_msg=name)


@pytest.mark.parametrize("name", ["fast", "pong"])
def test_interrupted_run_resumes_to_the_same_weights(tmp_path, name):
    settings, limit, *_ = RUNS[name]
    folder = tmp_path / "run"
    process = start(folder, *SMALL, *settings, "--backend", "tiles", limit, "100000000")
    wait_for_update(folder, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "--resume" in out
    assert err == ""
    saved = checkpoint.load(folder)
    assert saved.update == read_metrics(folder / "metrics.jsonl")[-1]["update"]
    done = saved.state["counters"][limit[2:].replace("-", "_")]
    end = str(done + 300 if name == "fast" else done + 3)  # two updates more
    assert main(["--resume", str(folder), limit, end]) == 0
    straight = run(tmp_path / "straight", *settings, limit, end, "--checkpoint-every", "1000")
    assert straight.update == saved.update + 2
    assert_same(checkpoint.load(folder), straight)


def test_ppo_trains_other_games(tmp_path):
    """The policy is a softmax over all actions of the game."""
    game = ["--preset", "fast", "--env", "ALE/Breakout-v5", "--num-envs", "2"]
    saved = run(
        tmp_path, *game, "--steps-per-update", "300", "--epochs", "1", "--agent-steps", "600"
    )
    assert saved.state["config"]["emulator"] == "ale"
    assert saved.state["counters"]["episodes"] > 0  # some 200 steps each
    assert saved.tensors["w2"].shape == (4, 8)
    assert np.isfinite(saved.tensors["w1"]).all()


def test_metrics_of_ppo(tmp_path):
    """Episodes count when they end; without an ended episode there is no mean score."""
    run(tmp_path / "run", *FAST, "--agent-steps", "512", "--env", "Pong-v0", "--frameskip", "4")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["agent_steps"] for row in rows] == [256, 512]
    assert [row["emulator_frames"] for row in rows] == [1024, 2048]
    assert rows[0]["episodes"] == 0
    assert rows[0]["mean_score_batch"] is None
    assert rows[1]["seconds"] >= sum(
        rows[1][f"seconds_{part}"] for part in ("emulation", "forward", "learning")
    )


# ---- errors --------------------------------------------------------------------------


def diverge(tmp_path, monkeypatch, capsys, *arguments):
    """Return the error of a run that diverges, with a step size that the checks would refuse."""
    monkeypatch.setattr("fastpg.cli.resolve.check", lambda config: None)
    assert main([*SMALL, "--run-dir", str(tmp_path / "run"), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "not finite; lower --learning-rate; " in error
    return error


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(tmp_path, monkeypatch, capsys):
    """The first update gives very large weights, the second a gradient that is not finite."""
    settings = [*RUNS["pong"][0], "--learning-rate", "1e37"]
    error = diverge(tmp_path, monkeypatch, capsys, *settings)
    assert error.endswith(f"the last good checkpoint is in {tmp_path / 'run'}\n")
    saved = checkpoint.load(tmp_path / "run")
    assert saved.update >= 1
    assert f"update {saved.update + 1}: the gradient is not finite" in error
    assert all(np.isfinite(saved.tensors[name]).all() for name in ("w1", "w2"))


@pytest.mark.parametrize("name", ["pong", "fast"])
def test_a_run_that_diverges_at_once_leaves_nothing(tmp_path, monkeypatch, capsys, name):
    settings = [*RUNS[name][0], "--learning-rate", "1e38", "--final-learning-rate", "1e38"]
    error = diverge(tmp_path, monkeypatch, capsys, *settings)
    assert error.endswith("no checkpoint was written before\n")
    assert not (tmp_path / "run").exists()


def test_a_value_head_that_is_not_finite_is_not_saved(tmp_path, monkeypatch, capsys):
    """Even if all other weights are finite."""
    from fastpg.algorithms.ppo import PPO

    def learn(self, played):
        self.network.core.w2[:, -1] = np.inf
        self.agent_steps += played.agent_steps
        return {}

    monkeypatch.setattr(PPO, "learn", learn)
    assert main([*SMALL, "--run-dir", str(tmp_path / "run"), *FAST, "--agent-steps", "1"]) == 1
    assert "the weights are not finite" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_there_is_to_know_of_an_update_is_written(tmp_path):
    """With one epoch and one minibatch, PPO compares the policy with itself."""
    settings = ["--agent-steps", "1", "--epochs", "1", "--minibatch", "100000"]
    run(tmp_path / "ppo", *FAST, *settings)
    (row,) = read_metrics(tmp_path / "ppo" / "metrics.jsonl")
    assert 1.0 < row["entropy"] <= np.log(3) + 1e-6  # three almost equal probabilities
    assert (row["kl"], row["clip_fraction"]) == (pytest.approx(0, abs=1e-6), 0)
    assert row["value_loss"] > 0
    run(tmp_path / "longer", *FAST, "--agent-steps", "1", "--learning-rate", "0.1")
    (row,) = read_metrics(tmp_path / "longer" / "metrics.jsonl")
    assert row["kl"] > 1e-4
    assert 0 < row["clip_fraction"] < 1
    run(tmp_path / "article", "--episodes", "1")
    (row,) = read_metrics(tmp_path / "article" / "metrics.jsonl")
    assert 0 < row["entropy"] <= np.log(2)
    assert row["kl"] is row["clip_fraction"] is row["value_loss"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--algorithm", "a2c"], "--algorithm"),
        (["--algorithm", "ppo", "--backend", "cython"], "--backend cython: --algorithm ppo needs"),
        (["--algorithm", "ppo", "--input", "raw"], "--input raw: --algorithm ppo needs"),
        (["--backend", "tiles", "--input", "raw"], "--input raw: needs --backend cython"),
        (["--views", *"025"], "--views: expected 2 for --input difference, got 0 2 5"),
        (["--views", *"012345678"], "--views: expected 1 to 8 that rise from 0 to at most 32, got"),
        (["--views", "0", "33"], "that rise from 0 to at most 32, got 0 33"),
        (["--views", "0", "2", "1"], "--views: expected 1 to 8 that rise from 0"),
        (["--views", "0", "1", "1"], "--views: expected 1 to 8 that rise from 0"),
        (["--views", "1", "2"], "--views: expected 1 to 8 that rise from 0"),
        (["--views", "-1", "0"], "that rise from 0 to at most 32, got -1 0"),
        (
            ["--views", "0", "2", "--backend", "cython"],
            "--views: needs --backend tiles, got cython",
        ),
        (["--preset", "fast", "--cells", "81"], "--cells: expected 0 to 80, got 81"),
        (["--cells", "5", "--backend", "numba"], "--cells: needs --backend tiles, got numba"),
        (["--mirror", "--backend", "numba"], "--mirror: needs --backend tiles, got numba"),
        (["--mirror", "--hidden", "7"], "--hidden: expected an even number with --mirror, got 7"),
        (
            ["--mirror", "--preset", "fast", "--cells", "6"],
            "--cells: expected to divide 80 with --mirror, got 6",
        ),
        (
            ["--mirror", "--env", "ALE/Breakout-v5"],
            "--env ALE/Breakout-v5: --mirror is for Pong alone",
        ),
        (["--past-actions", "17"], "--past-actions: expected 0 to 16, got 17"),
        (["--past-actions", "1", "--backend", "numba"], "--past-actions: needs --backend tiles"),
        (["--clip", "-0.1"], "--clip: expected 0 to inf, got -0.1"),
        (["--clip", "nan"], "--clip: expected"),
        (["--gae-lambda", "1.1"], "--gae-lambda: expected 0 to 1"),
        (["--lost-point-weight", "-1"], "--lost-point-weight: expected 0 to 1000"),
        (["--entropy", "-1"], "--entropy: expected 0 to 1000"),
        (["--value-weight", "inf"], "--value-weight: expected 0 to 1000"),
        (["--max-grad-norm", "-1"], "--max-grad-norm: expected 0 to 1000"),
        (["--final-learning-rate", "-1"], "--final-learning-rate: expected 0 to 1000"),
        (["--anneal-steps", "-1"], "--anneal-steps: expected at least 0"),
        (["--steps-per-update", "0"], "--steps-per-update: expected at least 1"),
        (["--epochs", "0"], "--epochs: expected at least 1"),
        (["--minibatch", "0"], "--minibatch: expected at least 1"),
        (
            ["--preset", "fast", "--steps-per-update", "9999999999"],
            "--steps-per-update: expected at most 524288 with 32 games, got 9999999999",
        ),
        (
            ["--preset", "fast", "--num-envs", "16384", "--steps-per-update", "1025"],
            "--steps-per-update: expected at most 1024 with 16384 games, got 1025",
        ),
        (
            ["--preset", "fast", "--num-envs", "16385", "--steps-per-update", "1"],
            "--num-envs: expected at most 16384, got 16385",
        ),
        (
            ["--episodes-per-batch", "9999999"],
            "--episodes-per-batch: expected at most 16384, got 9999999",
        ),
    ],
)
def test_wrong_values_end_with_one_clear_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert os.listdir() == []


def test_extreme_values_train(tmp_path):
    """A minibatch larger than the rollout, more threads than games, a step size of zero."""
    extreme = ["--minibatch", "99999999999999", "--threads", "1000", "--max-grad-norm", "0"]
    extreme += ["--num-envs", "1", "--steps-per-update", "1", "--agent-steps", "2"]
    assert run(tmp_path / "run", *FAST, *extreme).update == 2


def test_a_state_of_another_layout_is_refused_in_one_line(tmp_path, capsys, monkeypatch):
    run(tmp_path / "run", *FAST, "--agent-steps", "1")
    monkeypatch.setattr("fastpg.cli.train_options.load", changed_load)
    assert main(["--resume", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert "layout" in captured


def changed_load(path):
    saved = checkpoint.load(path)
    saved.tensors["game_0"] = saved.tensors["game_0"].copy()
    saved.tensors["game_0"][0] += 1
    return saved


def test_resume_refuses_another_algorithm_s_settings(tmp_path, capsys):
    run(tmp_path / "run", *FAST, "--agent-steps", "1")
    for option, value in (("--algorithm", "reinforce"), ("--clip", "0.3"), ("--epochs", "9")):
        capsys.readouterr()
        assert main(["--resume", str(tmp_path / "run"), option, value]) == 2
        assert f"{option}: the resumed run has" in capsys.readouterr().err


def test_the_fast_preset_is_explained_and_passes_its_checks(capsys):
    check(preset("fast"))
    assert TrainConfig.from_json(preset("fast").to_json()) == preset("fast")
    assert main(["--preset", "fast", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--steps-per-update" in shown
    assert "(default: ppo)" in shown

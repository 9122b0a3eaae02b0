"""The training command: the same seed gives the same weights, resumed or not; clear errors."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fastpg import checkpoint
from fastpg.train import main
from fastpg.training.metrics_file import read_metrics
from fastpg.training.progress import Progress

SMALL = "--episodes-per-batch 2 --hidden 8 --backend cython --checkpoint-every 1".split()


def run(folder: Path, *arguments: str) -> checkpoint.Checkpoint:
    """Train in this process, by default with one thread; return the newest checkpoint."""
    alone = [] if "--threads" in arguments else ["--threads", "1"]
    assert main([*SMALL, *alone, "--run-dir", str(folder), *arguments]) == 0
    return checkpoint.load(folder)


def assert_same(a: checkpoint.Checkpoint, b: checkpoint.Checkpoint) -> None:
    """Assert that two checkpoints have the same tensors, bit for bit, and the same counters."""
    assert a.update == b.update
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert tensor.tobytes() == b.tensors[name].tobytes(), name
    assert a.state["counters"] == b.state["counters"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run of four updates, never interrupted, with one thread."""
    return run(tmp_path_factory.mktemp("straight") / "run", "--episodes", "8", "--threads", "1")


def test_thread_count_changes_nothing(tmp_path, uninterrupted):
    assert_same(run(tmp_path / "run", "--episodes", "8", "--threads", "2"), uninterrupted)


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_backend_changes_nothing(tmp_path, uninterrupted, backend):
    other = run(tmp_path / "run", "--episodes", "8", "--threads", "2", "--backend", backend)
    assert_same(other, uninterrupted)


def test_emulator_changes_nothing(tmp_path, uninterrupted):
    other = run(tmp_path / "run", "--episodes", "8", "--emulator", "ale")
    assert_same(other, uninterrupted)


def test_another_seed_gives_other_weights(tmp_path, uninterrupted):
    other = run(tmp_path / "run", "--episodes", "2", "--seed", "1")
    assert not np.array_equal(other.tensors["w1"], uninterrupted.tensors["w1"])


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["--env", "PongNoFrameskip-v4", "--input", "stack"],
        ["--env", "ALE/Breakout-v5", "--noop-max", "5", "--standardize", "batch"],
    ],
)
def test_resumed_run_equals_uninterrupted_one(tmp_path, settings):
    straight = run(tmp_path / "straight", "--episodes", "8", "--threads", "1", *settings)
    run(tmp_path / "run", "--episodes", "4", "--threads", "2", *settings)
    assert main(["--resume", str(tmp_path / "run"), "--episodes", "8", "--threads", "1"]) == 0
    assert_same(checkpoint.load(tmp_path / "run"), straight)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["update"] for row in rows] == [1, 2, 3, 4]


def test_branch_from_an_older_checkpoint_leaves_the_run_alone(tmp_path, capsys):
    run(tmp_path / "run", "--episodes", "4", "--threads", "1")
    older, newest = checkpoint.checkpoints(tmp_path / "run")
    assert main(["--resume", str(older)]) == 2
    assert newest.name in capsys.readouterr().err
    renamed = older.with_name("best.safetensors")  # the file itself says its update
    shutil.copy(older, renamed)
    assert main(["--resume", str(renamed)]) == 2
    assert f"{newest.name} is newer" in capsys.readouterr().err
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == 2
    branch = str(tmp_path / "branch")
    assert main(["--resume", str(older), "--run-dir", branch, "--episodes", "4"]) == 0
    assert_same(checkpoint.load(branch), checkpoint.load(newest))
    assert len(read_metrics(tmp_path / "branch" / "metrics.jsonl")) == 2


def test_a_branch_that_has_nothing_to_do_is_a_run_all_the_same(tmp_path, capsys):
    """A branch whose limit is reached at once writes a folder that can be resumed."""
    before = run(tmp_path / "run", "--episodes", "2")
    branch = str(tmp_path / "branch")
    assert main(["--resume", str(tmp_path / "run"), "--run-dir", branch]) == 0
    assert f"--resume {branch} --episodes 4" in capsys.readouterr().out.replace("\n", "")
    assert_same(checkpoint.load(branch), before)
    assert main(["--resume", branch, "--episodes", "4"]) == 0
    assert_same(checkpoint.load(branch), run(tmp_path / "straight", "--episodes", "4"))


def test_a_checkpoint_that_cannot_be_written_is_a_failure_not_a_wrong_setting(
    tmp_path, capsys, monkeypatch
):
    def full(*arguments, **options):
        raise checkpoint.CheckpointError("cannot write: No space left on device")

    monkeypatch.setattr("fastpg.training.trainer.save", full)
    folder = tmp_path / "run"
    assert main([*SMALL, "--threads", "1", "--run-dir", str(folder), "--episodes", "2"]) == 1
    assert capsys.readouterr().err == "fastpg.train: cannot write: No space left on device\n"
    assert not folder.exists()


def start(folder: Path, *arguments: str, ignored: int | None = None) -> subprocess.Popen:
    """Start training in a process of its own."""
    command = [sys.executable, "-m", "fastpg.train"]
    if "--resume" not in arguments:
        command += [*SMALL, "--run-dir", str(folder)]
    command += arguments
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(default_signals, ignored),
    )


def default_signals(ignored: int | None = None) -> None:
    """Handle signals as in a terminal, even if the tests run in the background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)


def wait_for_update(folder: Path, process: subprocess.Popen, seconds: float = 60) -> None:
    """Wait until the run has a checkpoint."""
    deadline = time.monotonic() + seconds
    while not checkpoint.checkpoints(folder):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def uninterrupted_slow(tmp_path_factory):
    """The same run on ale-py, where a batch is slow enough to be interrupted in its middle."""
    folder = tmp_path_factory.mktemp("slow") / "run"
    return run(folder, "--episodes", "8", "--emulator", "ale")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_saves_at_once_and_resumes(tmp_path, uninterrupted_slow, number):
    folder = tmp_path / "run"
    process = start(folder, "--episodes", "1000", "--emulator", "ale")
    wait_for_update(folder, process)
    process.send_signal(
        signal.SIGSTOP
    )  # no update may end between reading the metrics and the signal
    rows = len(read_metrics(folder / "metrics.jsonl"))
    os.killpg(process.pid, number)  # like a terminal, to the worker processes too
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert f"interrupted: {folder}; go on with: " in out
    assert err == ""
    assert len(read_metrics(folder / "metrics.jsonl")) == rows  # it did not finish the batch
    assert checkpoint.load(folder).update == rows < 4
    assert main(["--resume", str(folder), "--episodes", "8"]) == 0
    assert_same(checkpoint.load(folder), uninterrupted_slow)


def test_a_run_under_nohup_outlives_its_terminal(tmp_path):
    folder = tmp_path / "run"
    process = start(folder, "--episodes", "8", ignored=signal.SIGHUP)
    wait_for_update(folder, process)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert checkpoint.load(folder).update == 4


def test_run_killed_while_it_saves_resumes_to_the_same_weights(tmp_path):
    # wide enough to make a save slow
    settings = ["--hidden", "128", "--episodes", "8", "--threads", "1"]
    straight = run(tmp_path / "straight", *settings)
    folder, in_midst = tmp_path / "run", 0
    process = start(folder, *settings)
    for _ in range(4):
        deadline = time.monotonic() + 60
        while not any(folder.glob("checkpoints/.*.tmp-*")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.0002)
        process.kill()
        process.communicate()
        in_midst += any(folder.glob("checkpoints/.*.tmp-*"))
        fresh = not checkpoint.checkpoints(folder)
        if fresh:  # killed during its first save
            shutil.rmtree(folder)
        process = start(folder, *(settings if fresh else ["--resume", str(folder)]))
    assert process.wait(60) == 0, process.communicate()
    process.communicate()
    assert in_midst >= 2
    assert not any(folder.glob("checkpoints/.*.tmp-*"))
    assert_same(checkpoint.load(folder), straight)
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row["update"] for row in rows] == [1, 2, 3, 4]


def test_a_dead_worker_ends_the_run_with_what_was_learned(tmp_path):
    folder = tmp_path / "run"
    settings = ["--emulator", "ale", "--threads", "2", "--checkpoint-every", "1000"]
    process = start(folder, "--episodes", "1000", *settings)
    deadline = time.monotonic() + 60
    while not (folder / "metrics.jsonl").exists() or not read_metrics(folder / "metrics.jsonl"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(workers) == 2
    os.kill(int(workers[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.count("\n") == 1
    assert "died with exit code -9" in err
    assert checkpoint.load(folder).update == read_metrics(folder / "metrics.jsonl")[-1]["update"]


def test_a_closed_pipe_does_not_stop_the_run(tmp_path):
    folder = tmp_path / "run"
    process = start(folder, "--episodes", "8")
    process.stdout.close()
    assert process.wait(60) == 0, process.stderr.read()
    process.stderr.close()
    assert checkpoint.load(folder).update == 4


@pytest.mark.parametrize("error", [BrokenPipeError, SystemExit(1)])
def test_a_pipe_that_closes_before_the_last_line_changes_nothing(tmp_path, monkeypatch, error):
    """rich raises SystemExit when its output is closed."""

    def leave(self, *_):
        raise error

    for name in ("show", "__exit__"):
        monkeypatch.setattr(Progress, name, leave)
    assert run(tmp_path / "run", "--episodes", "4").update == 2


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
        ["--preset", "blog", "--standardize", "batch"],
        ["--frameskip", "4", "--repeat-action-probability", "0"],
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
        (["--device", "cuda", "--emulator", "ale"], "--emulator ale: --device cuda needs native"),
        (["--preset", "quick"], "--preset: expected one of"),
        (["--resume", "nowhere"], "nowhere"),
        (["--run-dir", "a-file/run"], "cannot be written"),
        (["--seed", "-1"], "--seed: expected 0 to below 2"),
        (["--max-seconds", "inf"], "--max-seconds: expected"),
        (["--hidden", "100000000000"], "--hidden: expected at most"),
        (["--backend", "magic"], "--backend"),
        (["--hiden", "3"], "train: Unrecognized options: --hiden, 3; near is --hidden; --help"),
        (["--hidden", "many"], "--hidden"),
        (["--preset"], "--preset"),
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


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "checkpoints"])
def test_a_folder_with_anything_of_a_run_is_refused(tmp_path, capsys, name):
    (tmp_path / name).mkdir() if name == "checkpoints" else (tmp_path / name).write_text("mine")
    assert main([*SMALL, "--run-dir", str(tmp_path)]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert os.listdir(tmp_path) == [name]


def test_a_run_in_progress_cannot_be_resumed_by_another_process(tmp_path, capsys):
    folder = tmp_path / "run"
    process = start(folder, "--episodes", "1000")
    wait_for_update(folder, process)
    process.send_signal(signal.SIGSTOP)  # no newer checkpoint may appear now
    assert main(["--resume", str(folder)]) == 2
    assert "another process is writing this run" in capsys.readouterr().err
    process.terminate()
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)


def test_resuming_past_a_damaged_checkpoint(tmp_path, uninterrupted, capsys):
    run(tmp_path / "run", "--episodes", "6", "--threads", "1")
    *_, good, newest = checkpoint.checkpoints(tmp_path / "run")
    newest.write_bytes(newest.read_bytes()[:1000])
    assert main(["--resume", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr().err
    assert newest.name in captured
    assert str(good) in captured
    assert main(["--resume", str(good), "--episodes", "8"]) == 0
    assert_same(checkpoint.load(tmp_path / "run"), uninterrupted)


def test_resuming_a_lone_file_needs_a_folder(tmp_path, capsys, monkeypatch):
    run(tmp_path / "run", "--episodes", "2")
    shutil.copy(checkpoint.checkpoints(tmp_path / "run")[0], tmp_path / "best.safetensors")
    monkeypatch.chdir(tmp_path)
    assert main(["--resume", "best.safetensors"]) == 2
    assert "give a new --run-dir" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "run" / "checkpoints")
    assert main(["--resume", "00000001.safetensors", "--episodes", "4"]) == 0
    assert checkpoint.load(tmp_path / "run").update == 2


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

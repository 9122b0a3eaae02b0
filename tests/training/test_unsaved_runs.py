"""Runs that end before their first checkpoint: no dead ends."""

import subprocess
import sys
import time

import pytest

from fastpg import checkpoint
from fastpg.train import main
from fastpg.training.metrics_file import read_metrics
from tests.training.test_train import SMALL, assert_same, run, start


@pytest.mark.parametrize("limit", [100, 4000])  # config.json does not fit; the weights do not
def test_a_disk_that_is_full_from_the_start_leaves_no_dead_end(tmp_path, limit):
    """A limit on the size of files, as a full disk; afterwards the same command works."""
    folder = tmp_path / "run"
    words = [*SMALL, "--threads", "1", "--run-dir", str(folder), "--episodes", "4"]
    code = (
        "import resource, sys; sys.dont_write_bytecode = True; from fastpg.train import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); sys.exit(main({words!r}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "File too large; free some space there, or choose another folder" in ran.stderr
    assert not folder.exists()
    run(folder, "--threads", "1", "--episodes", "4")


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path, capsys):
    folder = tmp_path / "run"
    process = start(folder, "--episodes", "1000", "--checkpoint-every", "1000")
    deadline = time.monotonic() + 60
    while not ((file := folder / "metrics.jsonl").exists() and file.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert checkpoint.checkpoints(folder) == []
    assert main([*SMALL, "--run-dir", str(folder)]) == 2
    assert f"holds a run already; give another folder, or go on with it by --resume {folder}" in (
        capsys.readouterr().err
    )
    assert main(["--resume", str(folder), "--hidden", "9"]) == 2
    assert "--hidden: the resumed run has" in capsys.readouterr().err
    assert main(["--resume", str(folder / "checkpoints"), "--episodes", "8"]) == 0
    assert_same(checkpoint.load(folder), run(tmp_path / "straight", "--episodes", "8"))
    rows = read_metrics(folder / "metrics.jsonl")
    assert [row["update"] for row in rows] == [1, 2, 3, 4]


def test_settings_of_such_a_run_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"input": "difference", "background": 3}')
    assert main(["--resume", str(tmp_path)]) == 2
    said = f"fastpg.train: --resume {tmp_path}/config.json: config: background: expected one of "
    assert capsys.readouterr().err == said + "frame, blog, got 3\n"

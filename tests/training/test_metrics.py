"""Scores, damaged metrics files, the display on terminals and pipes, TensorBoard."""

import io
import json
import re
import sys
from collections import deque
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fastpg.training.metrics_file import MetricsFile, Row, read_metrics
from fastpg.training.progress import Limits, Progress, time_left
from fastpg.training.run_state import ScoreWindow
from fastpg.training.tensorboard import TensorBoard

ROW = Row(
    update=1,
    episodes=10,
    agent_steps=12_000,
    emulator_frames=48_000,
    seconds=2.0,
    seconds_startup=0.5,
    mean_score_100=None,
    mean_score_batch=-20.5,
    mean_length_batch=1200.0,
    agent_steps_per_second=6_000.0,
    emulator_frames_per_second=24_000.0,
    seconds_emulation=1.5,
    seconds_forward=0.25,
    seconds_learning=0.15,
)


def row(n):
    """The n-th row of a run with a constant pace."""
    return replace(
        ROW, update=n, episodes=10 * n, agent_steps=12_000 * n, seconds=2.0 * n, seconds_emulation=n
    )


# ---- scores -------------------------------------------------------------------------------------


def test_the_mean_needs_a_full_window():
    window = ScoreWindow(3)
    for score, mean in [(-21, None), (-20, None), (-19, -20.0), (-15, -18.0)]:
        window.add(score)
        assert window.mean == mean
    np.testing.assert_array_equal(window.array(), np.array([-20, -19, -15], np.float32))
    assert window.array().dtype == np.float32


@pytest.mark.parametrize("count", [0, 1, 5, 8])
def test_a_window_goes_on_from_its_array(count):
    scores = np.random.default_rng(3).integers(-21, 22, 20)
    straight, first = ScoreWindow(5), ScoreWindow(5)
    for score in scores[:count]:
        straight.add(score)
        first.add(score)
    resumed = ScoreWindow.from_array(first.array(), 5)
    for score in scores[count:]:
        straight.add(score)
        resumed.add(score)
        assert resumed.mean == straight.mean
    np.testing.assert_array_equal(resumed.array(), straight.array())


def test_bad_windows():
    with pytest.raises(ValueError, match="expected size >= 1"):
        ScoreWindow(0)
    with pytest.raises(ValueError, match=r"scores: expected \(n,\), got \(1, 2\)"):
        ScoreWindow.from_array(np.ones((1, 2)))


# ---- the file -----------------------------------------------------------------------------------


def test_rows_are_on_the_disk_at_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with closing(MetricsFile(path)) as metrics:
        for n in (1, 2, 3):
            metrics.write(row(n))
            assert read_metrics(path) == [asdict(row(m)) for m in range(1, n + 1)]
    assert json.loads(path.read_text().splitlines()[0])["mean_score_100"] is None
    with pytest.raises(FileExistsError, match=r"metrics.jsonl: has rows of another run"):
        MetricsFile(path)


def test_numbers_of_numpy_and_numbers_that_json_lacks(tmp_path):
    odd = replace(
        ROW,
        update=np.int64(4),
        mean_score_batch=np.float32(np.nan),
        mean_score_100=np.float32(0.5),
        agent_steps_per_second=float("inf"),
    )
    with closing(MetricsFile(tmp_path / "m.jsonl")) as metrics:
        metrics.write(odd)
    (read,) = read_metrics(tmp_path / "m.jsonl")
    assert (read["update"], read["mean_score_100"]) == (4, 0.5)
    assert read["mean_score_batch"] is read["agent_steps_per_second"] is None


def test_any_torn_end_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with closing(MetricsFile(path)) as metrics:
        metrics.write(row(1))
        metrics.write(row(2))
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for length in range(first, len(data) + 1):
        path.write_bytes(data[:length])
        # the object ends one byte before its newline
        whole = 2 if length >= len(data) - 1 else 1
        assert [one["update"] for one in read_metrics(path)] == [1, 2][:whole]
    for end in (b"\0" * 50, b"\xff\xfe", b"[1]\n", b"{}", b'{"update": "1"}'):
        path.write_bytes(data + end)
        assert [one["update"] for one in read_metrics(path)] == [1, 2]


def test_a_bad_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"update": 1}\n{"upd\n{"update": 3}\n')
    for read in (read_metrics, lambda path: MetricsFile.resume(path, 3)):
        with pytest.raises(ValueError, match=r"metrics.jsonl: line 2 is not a row of metrics"):
            read(path)
    assert path.read_text().endswith('{"update": 3}\n')


@pytest.mark.parametrize("end", ["", '{"update": 5, "epis', '{"update": 5}'])
@pytest.mark.parametrize("last", [0, 2, 9])
def test_resume(tmp_path, end, last):
    path = tmp_path / "metrics.jsonl"
    with closing(MetricsFile(path)) as metrics:
        for n in (1, 2, 3):
            metrics.write(row(n))
    kept = path.read_bytes().splitlines(keepends=True)[:last]
    path.write_bytes(path.read_bytes() + end.encode())
    with closing(MetricsFile.resume(path, last)) as metrics:
        metrics.write(row(last + 1))
    updates = [one["update"] for one in read_metrics(path)]
    whole = [5] if end.endswith("}") and last >= 5 else []
    assert updates == [n for n in (1, 2, 3) if n <= last] + whole + [last + 1]
    assert path.read_bytes().startswith(b"".join(kept))
    assert path.read_bytes().endswith(b"\n")
    assert list(tmp_path.iterdir()) == [path]


def test_resume_begins_a_missing_file(tmp_path):
    with closing(MetricsFile.resume(tmp_path / "metrics.jsonl", 7)) as metrics:
        metrics.write(row(8))
    assert [one["update"] for one in read_metrics(tmp_path / "metrics.jsonl")] == [8]
    with pytest.raises(FileNotFoundError):
        read_metrics(tmp_path / "none.jsonl")


# ---- the display --------------------------------------------------------------------------------


NO_LIMITS = Limits()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def shown(rows, limits=NO_LIMITS, step=2.0, **console):
    """Return what the display writes for these rows, one every ``step`` seconds."""
    out, clock = io.StringIO(), Clock()
    # the size and kind of the terminal must not depend on the machine's environment
    settings = {"width": 80, "height": 24, "_environ": {}, **console}
    progress = Progress(limits, Console(file=out, **settings), every=5.0, clock=clock)
    with progress:
        for one in rows:
            progress.show(one)
            clock.now += step
    return out.getvalue()


def test_plain_lines():
    text = shown([row(n) for n in range(1, 10)], Limits(episodes=1000))
    # rows at 0, 2, 4, .. seconds are drawn at 0, 6, 12, and the last one at the end
    assert text == (
        "elapsed    left  episodes score100 steps/s frames/s   emu   fwd learn other\n"
        "0:00:02 0:03:18        10        -   6.00k    24.0k   50%   12%    8%   30%\n"
        "0:00:08 0:03:12        40        -   6.00k    24.0k   50%    3%    2%   45%\n"
        "0:00:14 0:03:06        70        -   6.00k    24.0k   50%    2%    1%   47%\n"
        "0:00:18 0:03:02        90        -   6.00k    24.0k   50%    1%    1%   48%\n"
    )


def test_plain_lines_stay_short_and_plain():
    huge = replace(
        ROW,
        episodes=99_999_999,
        seconds=3_599_999.0,
        mean_score_100=-20.987,
        agent_steps_per_second=1_234_567.0,
        emulator_frames_per_second=float("nan"),
        seconds_emulation=3_599_999.0,
    )
    text = shown([ROW, huge], step=9.0)
    assert all(len(line) < 80 and line.isprintable() for line in text.splitlines())
    assert "-20.99   1.23M        -  100%" in text
    # on a narrow pipe, one row is still one line
    assert len(shown([ROW, huge], step=9.0, width=20).splitlines()) == 3


def test_one_row_is_first_and_last():
    assert len(shown([ROW]).splitlines()) == 2
    assert shown([]) == ""
    assert "0:00:00       -" in shown([replace(ROW, seconds=0.0)])


def test_a_dumb_terminal_gets_plain_lines():
    text = shown([ROW], force_terminal=True, _environ={"TERM": "dumb"})
    assert "\x1b" not in text.replace("\x1b[0m", "")
    assert text.startswith("elapsed")


@pytest.mark.parametrize("width", [200, 80, 40, 12, 1])
def test_a_terminal_of_any_width(width):
    rows = [row(n) for n in range(1, 20)]
    text = shown(rows, Limits(episodes=50_000), force_terminal=True, width=width)
    assert "\x1b[?25l" in text  # the cursor is hidden
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # and shown again
    if width >= 40:
        for word in ("190 of 50,000", "mean of last 100", "agent steps/s", "6.00k", "emulation"):
            assert word in plain(text)
    drawing = plain(text).splitlines()
    assert max(map(len, drawing)) <= max(width, 1)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "\n")


def test_an_error_in_the_block_leaves_the_terminal_as_it_was():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, _environ={})

    def stopped():
        with Progress(Limits(), console) as progress:
            progress.show(ROW)
            progress.show(row(2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert out.getvalue().endswith("\x1b[?25h")
    assert "episodes 20" in plain(out.getvalue())  # the last row is drawn


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (Limits(), None),
        (Limits(episodes=100), 14.0),  # 70 episodes at 5 a second
        (Limits(agent_steps=48_000), 2.0),  # 12,000 agent steps at 6,000 a second
        (Limits(seconds=7.0), 1.0),
        (Limits(episodes=100, agent_steps=48_000, seconds=60), 2.0),
        (Limits(episodes=30), 0.0),
        (Limits(episodes=7, seconds=60), 0.0),
    ],
)
def test_time_left_is_to_the_first_limit(limits, left):
    steady = deque([row(1), row(2), row(3)])
    assert time_left(limits, steady) == pytest.approx(left)
    assert time_left(limits, deque([row(3)])) == pytest.approx(left)


def test_time_left_follows_the_recent_pace():
    slow_now = deque([replace(ROW, episodes=1000, seconds=10.0)])
    slow_now.append(replace(ROW, episodes=1010, seconds=20.0))
    assert time_left(Limits(episodes=1020), slow_now) == pytest.approx(10.0)
    standing = deque([ROW, replace(ROW, seconds=9.0)])
    assert time_left(Limits(episodes=1000), standing) is None


# ---- TensorBoard --------------------------------------------------------------------------------


def events(run_dir):
    """(step, tag, value) of each scalar in the run's event files."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(Path(run_dir).glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            length = int.from_bytes(data[:8], "little")
            event = proto.Event.FromString(data[12 : 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    return found


def test_tensorboard_events(tmp_path):
    pytest.importorskip("tensorboardX")
    with closing(TensorBoard(tmp_path, last_update=1)) as board:
        board.write(row(2))
        board.write(replace(row(3), mean_score_100=-3.5))
    found = {(step, tag): value for step, tag, value in events(tmp_path)}
    assert found[2, "fastpg/episodes"] == 20
    assert found[3, "fastpg/mean_score_100"] == -3.5
    assert (2, "fastpg/mean_score_100") not in found
    assert len(found) == 2 * 13 - 1


def test_without_tensorboardx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(
        ImportError, match=r"\[track\] extra: pip install .* pip install 'fastpg-rl\[track\]'"
    ):
        TensorBoard(tmp_path)

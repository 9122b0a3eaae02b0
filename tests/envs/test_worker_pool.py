"""The worker pool: results, failures and deaths; nothing is left behind."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, spawn
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import pytest

from fastpg.envs.shared_array import SharedArray
from fastpg.envs.worker_pool import WorkerError, WorkerPool

ROOT = Path(__file__).resolve().parents[2]


class Unreadable(Exception):
    def __init__(self, a, b):  # can be pickled but not unpickled: args has one entry
        super().__init__(a)


@dataclass
class Batch:
    big: np.ndarray
    empty: np.ndarray
    fortran: np.ndarray
    label: str


class Host:
    """The object that the tests' workers host."""

    def __init__(self, number=0, shared=None):
        self.number, self.shared = number, shared

    def pid(self):
        return os.getpid()

    def add(self, x, y=0):
        return self.number + x + y

    def fail(self, error):
        raise error

    def fail_unreadable(self):
        raise Unreadable("first", "second")

    def lock(self):
        return (x for x in ())

    def batch(self, megabytes):
        big = np.full(megabytes << 20, self.number, np.uint8)
        return Batch(big, np.zeros((0, 3)), np.asfortranarray(np.ones((3, 4))), "x")

    def count(self, array):
        return array.sum()

    def write(self):
        self.shared.array[self.number] += 10

    def sleep(self, seconds):
        time.sleep(seconds)
        return seconds

    def leave(self, code):
        os._exit(code)

    def interrupt(self):
        os.kill(os.getpid(), signal.SIGINT)
        return "still here"


def fail_to_build():
    raise LookupError("no such thing")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def gone(pids, seconds=10.0):
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


@pytest.fixture(scope="module")
def pool():
    with WorkerPool([partial(Host, 100), partial(Host, 200)]) as pool:
        yield pool


def test_calls_run_in_separate_processes(pool):
    pids = pool.call("pid")
    assert len({*pids, os.getpid()}) == 3
    assert pool.call("add", [(1,), (2, 3)]) == [101, 205]
    assert pool.call("count", [(np.arange(4),), (np.ones(3),)]) == [6, 3]


def test_large_results_are_writable_arrays(pool):
    for number, batch in zip((100, 200), pool.call("batch", [(8,), (3,)]), strict=True):
        assert batch.big.flags.writeable
        assert (batch.big == number).all()
        assert batch.empty.shape == (0, 3)
        assert batch.fortran.flags.f_contiguous
        assert batch.label == "x"


@pytest.mark.parametrize("inline", [False, True])
def test_errors_carry_the_traceback_and_the_pool_goes_on(pool, inline):
    if inline:
        pool = WorkerPool([partial(Host, 100)], inline=True)
    args = [(ValueError("bad value"),)] * len(pool)
    with pytest.raises(
        WorkerError, match=r"(?s)worker 0 of \d failed.*raise error.*bad value"
    ) as e:
        pool.call("fail", args)
    assert isinstance(e.value.__cause__, ValueError)
    with pytest.raises(WorkerError, match="has no attribute 'nothing'"):
        pool.call("nothing")
    assert pool.call("add", [(1,)] * len(pool))[0] == 101


def test_what_cannot_be_pickled_is_an_error(pool):
    with pytest.raises(WorkerError, match=r"(?s)fail_unreadable.*Unreadable"):
        pool.call("fail_unreadable")
    with pytest.raises(WorkerError, match="its result cannot be pickled"):
        pool.call("lock")
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        pool.call("add", [(1,), (lambda: 0,)])
    assert pool.call("add", [(1,), (1,)]) == [101, 201]


def test_wrong_use(pool):
    with pytest.raises(ValueError, match="args_per_worker: expected 2 tuples, got 1"):
        pool.start("pid", [()])
    with pytest.raises(RuntimeError, match=r"expected start\(\)"):
        pool.collect()
    pool.start("pid")
    with pytest.raises(RuntimeError, match=r"collect\(\) the results"):
        pool.start("pid")
    assert len(pool.collect()) == 2
    with pytest.raises(ValueError, match="expected at least one"):
        WorkerPool([])
    with pytest.raises(ValueError, match="expected one, got 2"):
        WorkerPool([Host, Host], inline=True)
    with pytest.raises(TypeError, match=r"factories\[0\]: expected a picklable function"):
        WorkerPool([lambda: Host()])


def test_workers_ignore_interrupts(pool):
    assert pool.call("interrupt") == ["still here"] * 2


def test_results_of_single_calls_come_as_they_are_ready(pool):
    pool.submit(0, "sleep", 0.5)
    pool.submit(1, "add", 5)
    with pytest.raises(RuntimeError, match="last result"):
        pool.submit(1, "add", 6)
    assert pool.next_result() == (1, 205)
    pool.submit(1, "fail", KeyError("lost"))
    with pytest.raises(WorkerError, match="worker 1 of 2 failed"):
        pool.next_result()
    assert pool.next_result()[0] == 0
    with pytest.raises(RuntimeError, match="expected submit"):
        pool.next_result()


@pytest.mark.parametrize("inline", [False, True])
def test_calls_go_to_idle_workers_until_none_is_left(pool, inline):
    if inline:
        pool = WorkerPool([partial(Host, 100)], inline=True)
    waiting = [(0,), (1,)]
    done = []
    for (x,), result in pool.results("add", lambda: waiting.pop() if waiting else None):
        done.append(result - x)
        if len(done) == 2:
            waiting.extend([(2,), (3,), (4,)])
    assert len(done) == 5
    assert set(done) <= {100, 200}
    assert list(pool.results("add", lambda: None)) == []


def test_single_calls_inline():
    with WorkerPool([partial(Host, 3)], inline=True) as here:
        here.submit(0, "add", 4)
        with pytest.raises(RuntimeError, match="last result"):
            here.submit(0, "add", 4)
        assert here.next_result() == (0, 7)
        with pytest.raises(RuntimeError, match="expected submit"):
            here.next_result()


def test_inline_runs_here():
    with WorkerPool([partial(Host, 7)], inline=True) as pool:
        assert pool.call("pid") == [os.getpid()]
        pool.start("add", [(1,)])
        with pytest.raises(RuntimeError, match="collect"):
            pool.start("add", [(1,)])
        assert pool.collect() == [8]
    with pytest.raises(RuntimeError, match="closed"):
        pool.call("pid")
    with pytest.raises(WorkerError, match=r"(?s)worker 0 of 1 failed.*no such thing"):
        WorkerPool([fail_to_build], inline=True)


def test_shared_arrays_are_seen_by_all_and_have_no_name():
    def entries():
        names = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
        return [name for name in names if str(os.getpid()) in name or name.startswith("psm_")]

    before = entries()
    shared = SharedArray((2, 3), np.float32)
    assert not shared.array.any()
    assert entries() == before
    shared.array[:] = [[1, 2, 3], [4, 5, 6]]
    with WorkerPool([partial(Host, 0, shared), partial(Host, 1, shared)]) as pool:
        pool.call("write")
        assert shared.array.tolist() == [[11, 12, 13], [14, 15, 16]]
        assert entries() == before


def test_factory_failure():
    with pytest.raises(WorkerError, match=r"(?s)worker 1 of 2 failed.*no such thing"):
        WorkerPool([Host, fail_to_build])


@pytest.mark.parametrize("size", [0, 10_000_000])  # of the factory: less and more than a pipe holds
def test_a_script_that_lacks_its_guard_is_told_so(tmp_path, size):
    script = tmp_path / "script.py"
    script.write_text(
        "from functools import partial\nfrom fastpg.envs import WorkerPool\n"
        f"WorkerPool([partial(bytes, b'x' * {size})])\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert "worker 0 of 1 died with exit code 1 during its factory; a script" in last
    assert 'needs `if __name__ == "__main__":`' in last


@pytest.mark.parametrize("dies", [0, 1])
def test_a_worker_that_dies_as_it_starts_is_an_error_at_once(monkeypatch, dies):
    """It dies before it reads anything, while the parent has more to send than a pipe holds."""
    begin, started, before = SpawnProcess.start, [], set(active_children())

    def start(process):
        executable = sys.executable if len(started) != dies else shutil.which("false")
        spawn.set_executable(executable)
        started.append(process)
        begin(process)

    monkeypatch.setattr(SpawnProcess, "start", start)
    try:
        with pytest.raises(WorkerError, match=f"worker {dies} of 3 died with exit code 1"):
            WorkerPool([partial(bytes, b"x" * 10_000_000)] * 3)
    finally:
        spawn.set_executable(sys.executable)
    assert set(active_children()) <= before


def test_ctrl_c_ends_a_start_that_does_not_come_to_its_end(tmp_path):
    """The workers stop as they start, as on a machine that has no memory left."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time\nfrom functools import partial\nfrom fastpg.envs import WorkerPool\n"
        "if __name__ == '__main__':\n"
        "    print('starts', flush=True)\n"
        "    WorkerPool([partial(bytes, b'x' * 10_000_000)] * 2)\n"
        "else:\n"
        "    time.sleep(1000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "starts\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode in (1, -signal.SIGINT)
    assert err.rstrip().endswith("KeyboardInterrupt")


def test_a_worker_that_leaves_is_named_with_its_exit_code():
    pool = WorkerPool([Host, Host])
    pids = pool.call("pid")
    with pytest.raises(WorkerError, match=r"worker \d of 2 died with exit code 3 during leave"):
        pool.call("leave", [(3,), (3,)])
    assert gone(pids)
    assert pool.closed
    with pytest.raises(RuntimeError, match="the pool is closed"):
        pool.call("pid")


@pytest.mark.parametrize("when", ["idle", "busy"])
def test_a_killed_worker_is_an_error_at_once(when):
    pool = WorkerPool([Host, Host])
    pids = pool.call("pid")
    if when == "busy":
        pool.start("sleep", [(60,), (60,)])
    os.kill(pids[1], signal.SIGKILL)
    assert when == "busy" or gone(pids[1:])
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=r"worker 1 of 2 died with exit code -9 \(SIGKILL\)"):
        pool.collect() if when == "busy" else pool.call("sleep", [(60,), (60,)])
    assert time.monotonic() - begin < 5
    assert gone(pids)


def test_close_and_terminate_are_quick_and_may_be_repeated():
    for end in (WorkerPool.close, WorkerPool.terminate):
        for seconds in (None, 60):
            pool = WorkerPool([Host])
            pids = pool.call("pid")
            if seconds:
                pool.start("sleep", [(seconds,)])
            begin = time.monotonic()
            end(pool)
            end(pool)
            assert time.monotonic() - begin < 3
            assert gone(pids)


def test_a_forgotten_pool_leaves_no_process():
    pool = WorkerPool([Host])
    pids = pool.call("pid")
    del pool
    assert gone(pids)


SCRIPT = """
import os, signal, sys, time
from functools import partial
import numpy as np
from fastpg.envs.shared_array import SharedArray
from fastpg.envs.worker_pool import WorkerPool
from tests.envs.test_worker_pool import Host

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    shared = SharedArray((1 << 20,), np.uint8)
    pool = WorkerPool([partial(Host, 0, shared), partial(Host, 1, shared)])
    pids = pool.call("pid")
    pool.start("sleep", [(float(sys.argv[1]),)] * 2)
    if float(sys.argv[1]) == 0:
        pool.collect()
    print(*pids, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("sleep", [0, 60])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path, sleep, how):
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(SCRIPT))
    parent = subprocess.Popen(
        [sys.executable, script, str(sleep)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    if how == signal.SIGINT:
        os.killpg(parent.pid, how)  # as a terminal's Ctrl-C, to the workers too
    else:
        os.kill(parent.pid, how)
    _, errors = parent.communicate(timeout=20)
    assert gone(pids)
    assert errors.count("Traceback") == (how == signal.SIGINT), errors  # the parent's own

"""A small pool of worker processes, each with one object whose methods it runs on request."""

import os
import pickle
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np

# "spawn": a forked child would share locks and threads of numba, BLAS and CUDA in unknown states
_CONTEXT = get_context("spawn")
_CLOSE_SECONDS = 5.0
_STARTING = "its factory"


class WorkerError(RuntimeError):
    """A worker's call failed, or the worker died; the message holds its traceback or exit code."""


class SharedArray:
    """A NumPy array that parent and workers see alike, to be passed to a worker in its factory.

    The memory is anonymous: it has no name in the file system, so that it is gone with its last
    process, whatever ends that. It begins as zeros.

    Attributes:
        array: the array, C-contiguous and writable.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._build(_CONTEXT.RawArray("b", max(size, 1)), shape, np.dtype(dtype))

    def _build(self, raw: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._raw = raw
        count = int(np.prod(shape))
        self.array = np.frombuffer(raw, dtype, count=count).reshape(shape)

    def __getstate__(self) -> tuple[Any, tuple[int, ...], np.dtype]:
        return self._raw, self.array.shape, self.array.dtype

    def __setstate__(self, state: tuple[Any, tuple[int, ...], np.dtype]) -> None:
        self._build(*state)


@dataclass
class _Member:
    """What the parent knows of one worker."""

    process: SpawnProcess
    connection: Connection
    busy: str | None = None  # the method it runs


@dataclass
class _Inline:
    """The object of a pool without processes, and the result of its last call."""

    host: Any = None
    outcome: tuple[Any, ...] | None = None


@dataclass
class _Members:
    """Held apart from the pool, so that the pool's finalizer does not hold the pool."""

    members: list[_Member] = field(default_factory=list)

    def end(self, patience: float) -> None:
        """Hang up on all workers; those that do not leave in time are killed."""
        members, self.members = self.members, []
        for member in members:
            member.connection.close()  # an idle worker reads EOF and leaves
        deadline = time.monotonic() + patience
        for member in members:
            member.process.join(max(0.0, deadline - time.monotonic()))
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.process.close()


class WorkerPool:
    """One worker process per factory; each hosts the object that its factory makes.

    ``pool.call("step", [(1,), (2,)])`` runs ``host.step(1)`` in the first worker and
    ``host.step(2)`` in the second, at the same time, and returns both results. Arguments and
    results are pickled (arrays travel beside the pickle, without a copy of it); memory that both
    sides work on is a :class:`SharedArray` or ``RawArray`` in the factory.

    Workers ignore Ctrl-C, which is the parent's to handle, and leave by themselves when the parent
    is gone. As with all of "spawn", a script that makes a pool needs
    ``if __name__ == "__main__":``.

    Args:
        factories: picklable functions without parameters, one per worker; ``functools.partial`` of
            a class will do.
        inline: host the object of the one factory in this process: nothing is started or pickled.

    Raises:
        TypeError: a factory cannot be pickled.
        ValueError: no factory, or more than one with ``inline``.
        WorkerError: a factory failed or its worker died.
    """

    def __init__(self, factories: Sequence[Callable[[], Any]], *, inline: bool = False):
        if not factories or (inline and len(factories) != 1):
            expected = "one" if inline else "at least one"
            raise ValueError(f"factories: expected {expected}, got {len(factories)}")
        self._size = len(factories)
        self._pool = _Members()
        self._finalizer = weakref.finalize(self, self._pool.end, 0.0)
        self._inline = _Inline() if inline else None
        try:
            if self._inline:
                self._inline.outcome = _attempt(factories[0])
                self._inline.host = self.collect()[0]
            else:
                for i, factory in enumerate(factories):
                    self._pool.members.append(_launch(i, factory))
                self.collect()
        except BaseException:
            self.terminate()
            raise

    def __len__(self) -> int:
        """Number of workers."""
        return self._size

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.terminate()

    @property
    def closed(self) -> bool:
        """Whether the workers are gone."""
        return not self._finalizer.alive

    def call(self, method: str, args_per_worker: Sequence[tuple] | None = None) -> list[Any]:
        """:meth:`start`, then :meth:`collect`."""
        self.start(method, args_per_worker)
        return self.collect()

    def start(self, method: str, args_per_worker: Sequence[tuple] | None = None) -> None:
        """Run a method of every worker's object; returns at once (inline: when it has run).

        Args:
            method: its name.
            args_per_worker: a tuple of arguments for each worker; None for no arguments.

        Raises:
            ValueError: not one tuple per worker.
            RuntimeError: the pool is closed, or the results of a start are not collected.
            WorkerError: a worker has died; the pool is closed then.
        """
        args = [()] * len(self) if args_per_worker is None else args_per_worker
        if len(args) != len(self):
            raise ValueError(f"args_per_worker: expected {len(self)} tuples, got {len(args)}")
        self._check_open()
        if self._inline:
            if self._inline.outcome:
                raise RuntimeError("collect() the results of the last start() first")
            self._inline.outcome = _attempt(_invoke, self._inline.host, method, args[0])
            return
        if any(member.busy for member in self._pool.members):
            raise RuntimeError("collect() the results of the last start() first")
        payloads = [pickle.dumps((method, values)) for values in args]  # may fail: before any send
        for i, payload in enumerate(payloads):
            self._send_call(i, method, payload)

    def collect(self) -> list[Any]:
        """Wait for all workers' results of the last :meth:`start`, in the workers' order.

        An interrupt (Ctrl-C) in the midst of it closes the pool.

        Raises:
            RuntimeError: nothing was started, or the pool is closed.
            WorkerError: a call failed (the pool can be used further), or a worker died (the pool
                is closed then).
        """
        self._check_open()
        if self._inline:
            outcome, self._inline.outcome = self._inline.outcome, None
            outcomes = [outcome]
        else:
            outcomes = self._receive_all()
        if None in outcomes:
            raise RuntimeError("collect: expected start() before it")
        return [self._result(i, *outcome) for i, outcome in enumerate(outcomes)]  # type: ignore[misc]

    def submit(self, worker: int, method: str, *args: Any) -> None:
        """Run a method of one worker's object; returns at once (inline: when it has run).

        Args:
            worker: its number; it must not be running anything.
            method: its name.
            args: its arguments.

        Raises:
            RuntimeError: the pool is closed, or the worker's last result was not taken.
            WorkerError: the worker has died; the pool is closed then.
        """
        self._check_open()
        if self._inline:
            if self._inline.outcome:
                raise RuntimeError("take the worker's last result first")
            self._inline.outcome = _attempt(_invoke, self._inline.host, method, args)
            return
        if self._pool.members[worker].busy:
            raise RuntimeError("take the worker's last result first")
        self._send_call(worker, method, pickle.dumps((method, args)))

    def next_result(self) -> tuple[int, Any]:
        """Wait for the first of the submitted calls to end: (worker, result).

        Raises:
            RuntimeError: nothing was submitted, or the pool is closed.
            WorkerError: as of :meth:`collect`.
        """
        self._check_open()
        if self._inline:
            if not self._inline.outcome:
                raise RuntimeError("next_result: expected submit() before it")
            (error, result), self._inline.outcome = self._inline.outcome, None
            return 0, self._result(0, error, result)
        members = self._pool.members
        running = {member.connection: i for i, member in enumerate(members) if member.busy}
        if not running:
            raise RuntimeError("next_result: expected submit() before it")
        worker = running[self._interruptible(connection.wait, list(running))[0]]
        return worker, self._result(worker, *self._receive_one(worker))

    def close(self) -> None:
        """End the workers; those in the midst of a call are not waited for. May be repeated."""
        busy = any(member.busy for member in self._pool.members)
        self._end(0.0 if busy else _CLOSE_SECONDS)

    def terminate(self) -> None:
        """Kill the workers at once. May be repeated."""
        self._end(0.0)

    def _end(self, patience: float) -> None:
        self._inline = None
        self._finalizer.detach()
        self._pool.end(patience)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("the pool is closed")

    def _receive_all(self) -> list[tuple[str | None, Any] | None]:
        members = self._pool.members
        outcomes: list[tuple[str | None, Any] | None] = [None] * len(members)
        waiting = {member.connection: i for i, member in enumerate(members) if member.busy}
        while waiting:
            # a worker's death ends its side of the pipe, which wakes this like a result does
            for ready in self._interruptible(connection.wait, list(waiting)):
                i = waiting.pop(ready)
                outcomes[i] = self._receive_one(i)
        return outcomes

    def _send_call(self, i: int, method: str, payload: bytes) -> None:
        member = self._pool.members[i]
        member.busy = method
        try:
            self._interruptible(member.connection.send_bytes, payload)
        except OSError:
            raise self._death(i) from None

    def _receive_one(self, i: int) -> tuple[str | None, Any]:
        member = self._pool.members[i]
        try:
            outcome = self._interruptible(_receive, member.connection)
        except (EOFError, OSError):
            raise self._death(i) from None
        member.busy = None
        return outcome

    def _interruptible(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except KeyboardInterrupt:  # perhaps with half a message sent or read
            self.terminate()
            raise

    def _result(self, i: int, error: str | None, result: Any) -> Any:
        if error:
            raise WorkerError(f"worker {i} of {len(self)} failed:\n{error}") from result
        return result

    def _death(self, i: int) -> WorkerError:
        member = self._pool.members[i]
        member.process.join(1.0)
        code = member.process.exitcode
        name = f" ({signal.Signals(-code).name})" if code is not None and code < 0 else ""
        text = f"worker {i} of {len(self)} died with exit code {code}{name} during {member.busy}"
        if member.busy == _STARTING and code == 1:  # the script itself, run again, started workers
            text += '; a script that starts workers needs `if __name__ == "__main__":`'
        self.terminate()
        return WorkerError(text)


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ---- the parent's side ----------------------------------------------------------------------


def _launch(i: int, factory: Callable[[], Any]) -> _Member:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(
        target=_work, args=(theirs, factory), name=f"fastpg-worker-{i}", daemon=True
    )
    try:
        with _interrupts_held():
            process.start()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        ours.close()
        raise TypeError(f"factories[{i}]: expected a picklable function: {error}") from error
    finally:
        theirs.close()
    return _Member(process, ours, busy=_STARTING)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT in this thread: a child started here inherits that for its whole life."""
    resource_tracker.ensure_running()  # "spawn" would start it in our midst, and unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _receive(pipe: Connection) -> Any:
    sizes, payload = pickle.loads(pipe.recv_bytes())
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        pipe.recv_bytes_into(buffer)
    return pickle.loads(payload, buffers=buffers)


# ---- the worker's side ----------------------------------------------------------------------


def _work(pipe: Connection, factory: Callable[[], Any]) -> None:
    """Body of a worker process: build the host, then answer calls until the parent hangs up."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    error, host = _attempt(factory)
    try:
        _send(pipe, (error, host if error else None))
        while not error:
            method, args = pickle.loads(pipe.recv_bytes())
            _send(pipe, _attempt(_invoke, host, method, args))
    except (EOFError, OSError):
        pass


def _leave_with_parent() -> None:
    # a worker in a long call, or whose pipe was inherited by another child, would stay otherwise
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _attempt(function: Callable[..., Any], *args: Any) -> tuple[str | None, Any]:
    """(None, result), or (traceback, exception)."""
    try:
        return None, function(*args)
    except Exception as error:
        return traceback.format_exc(), error


def _invoke(host: Any, method: str, args: tuple) -> Any:
    return getattr(host, method)(*args)


def _send(pipe: Connection, outcome: tuple[str | None, Any]) -> None:
    buffers: list[pickle.PickleBuffer] = []
    try:
        payload = pickle.dumps(outcome, protocol=5, buffer_callback=buffers.append)
        if outcome[0]:
            pickle.loads(payload)  # some exceptions can be pickled, but not be read back
    except Exception:
        text = outcome[0] or f"its result cannot be pickled:\n{traceback.format_exc()}"
        buffers, payload = [], pickle.dumps((text, None), protocol=5)
    views = [buffer.raw() for buffer in buffers]
    pipe.send_bytes(pickle.dumps(([view.nbytes for view in views], payload)))
    for view in views:
        pipe.send_bytes(view)

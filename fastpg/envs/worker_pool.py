"""A pool of worker processes. Each has one object, the host, and runs its methods on request."""

import io
import pickle
import signal
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from fastpg.envs.shared_array import SharedArray
from fastpg.envs.worker_process import Outcome, attempt, invoke, receive, run_worker

# "spawn": a forked child would inherit locks and threads of numba, BLAS and CUDA in any state
_CONTEXT = get_context("spawn")
_CLOSE_SECONDS = 5.0
_STARTING = "its factory"


class WorkerError(RuntimeError):
    """A worker's call failed, or the worker died; the message holds its traceback or exit code."""


@dataclass
class _Worker:
    """The parent's view of one worker process."""

    process: SpawnProcess
    connection: Connection
    busy: str | None = None  # the method that it runs


@dataclass
class _Inline:
    """The host of a pool without processes, and the outcome of its last call until collected."""

    host: Any = None
    outcome: Outcome | None = None


@dataclass
class _Workers:
    """The workers of a pool.

    Kept outside the pool, because the finalizer must not reference it.
    """

    members: list[_Worker] = field(default_factory=list)

    def end(self, seconds: float) -> None:
        """Close all pipes; kill workers still alive after ``seconds``."""
        members, self.members = self.members, []
        for member in members:
            member.connection.close()  # an idle worker reads EOF and exits
        deadline = time.monotonic() + seconds
        for member in members:
            member.process.join(max(0.0, deadline - time.monotonic()))
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.process.close()


class WorkerPool:
    """One worker process per factory. Each worker hosts the object that its factory returns.

    ``pool.call("step", [(1,), (2,)])`` runs ``host.step(1)`` in the first worker and
    ``host.step(2)`` in the second, at the same time, and returns both results. Arguments and
    results are pickled; the arrays of a result travel beside the pickle, without being copied into
    it. Memory that parent and workers share is a
    :class:`~fastpg.envs.shared_array.SharedArray` in the factory.

    Workers ignore Ctrl-C, which the parent handles, and exit by themselves when the parent is gone.
    Workers are spawned, so a script that makes a pool needs ``if __name__ == "__main__":``.

    Args:
        factories: picklable functions without parameters, one per worker, such as
            ``functools.partial`` of a class.
        inline: host the object of the only factory in this process; no process is started and
            nothing is pickled.

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
        self._workers = _Workers()
        self._finalizer = weakref.finalize(self, self._workers.end, 0.0)
        self._inline = _Inline() if inline else None
        try:
            if self._inline:
                self._inline.outcome = attempt(factories[0])
                self._inline.host = self.collect()[0]
            else:
                self._start_processes([*map(_pickled, range(self._size), factories)])
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
        """True once the workers have ended."""
        return not self._finalizer.alive

    def call(self, method: str, args_per_worker: Sequence[tuple] | None = None) -> list[Any]:
        """:meth:`start`, then :meth:`collect`."""
        self.start(method, args_per_worker)
        return self.collect()

    def start(self, method: str, args_per_worker: Sequence[tuple] | None = None) -> None:
        """Start a method of every host and return at once (inline: when it has run).

        Args:
            method: name of the method.
            args_per_worker: a tuple of arguments for each worker; None for no arguments.

        Raises:
            ValueError: there is not one tuple per worker.
            RuntimeError: the pool is closed, or the results of the last start are not collected.
            WorkerError: a worker has died, and the pool is now closed.
        """
        args = [()] * len(self) if args_per_worker is None else args_per_worker
        if len(args) != len(self):
            raise ValueError(f"args_per_worker: expected {len(self)} tuples, got {len(args)}")
        self._check_open()
        if self._inline:
            if self._inline.outcome:
                raise RuntimeError("collect() the results of the last start() first")
            self._inline.outcome = attempt(invoke, self._inline.host, method, args[0])
            return
        if any(member.busy for member in self._workers.members):
            raise RuntimeError("collect() the results of the last start() first")
        payloads = [pickle.dumps((method, values)) for values in args]  # may fail: before any send
        for i, payload in enumerate(payloads):
            self._send_call(i, method, payload)

    def collect(self) -> list[Any]:
        """Wait for the results of the last :meth:`start` and return them in the workers' order.

        An interrupt (Ctrl-C) while it waits closes the pool.

        Raises:
            RuntimeError: nothing was started, or the pool is closed.
            WorkerError: a call failed, and the pool can still be used; or a worker died, and the
                pool is now closed.
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
        """Start a method of one host and return at once (inline: when it has run).

        Args:
            worker: number of the worker, which must be idle.
            method: name of the method.
            args: arguments of the method.

        Raises:
            RuntimeError: the pool is closed, or the worker's last result was not taken.
            WorkerError: the worker has died, and the pool is now closed.
        """
        self._check_open()
        if self._inline:
            if self._inline.outcome:
                raise RuntimeError("take the worker's last result first")
            self._inline.outcome = attempt(invoke, self._inline.host, method, args)
            return
        if self._workers.members[worker].busy:
            raise RuntimeError("take the worker's last result first")
        self._send_call(worker, method, pickle.dumps((method, args)))

    def next_result(self) -> tuple[int, Any]:
        """Wait for the first submitted call that ends and return (worker, result).

        Raises:
            RuntimeError: nothing was submitted, or the pool is closed.
            WorkerError: as in :meth:`collect`.
        """
        self._check_open()
        if self._inline:
            if not self._inline.outcome:
                raise RuntimeError("next_result: expected submit() before it")
            (error, result), self._inline.outcome = self._inline.outcome, None
            return 0, self._result(0, error, result)
        members = self._workers.members
        running = {member.connection: i for i, member in enumerate(members) if member.busy}
        if not running:
            raise RuntimeError("next_result: expected submit() before it")
        worker = running[self._interruptible(connection.wait, list(running))[0]]
        return worker, self._result(worker, *self._receive_one(worker))

    def results(
        self, method: str, next_args: Callable[[], tuple | None]
    ) -> Iterator[tuple[tuple, Any]]:
        """Call a method again and again, each time on a worker that is idle.

        Args:
            method: name of the method.
            next_args: returns the arguments of the next call, or None if there are none now. It is
                asked whenever a worker is idle, also after the caller has taken a result.

        Yields:
            The arguments and the result of each call, as the calls end, until none runs any more.

        Raises:
            WorkerError: as in :meth:`collect`.
        """
        idle, running = list(range(len(self))), {}
        while True:
            while idle and (args := next_args()) is not None:
                running[idle[-1]] = args
                self.submit(idle.pop(), method, *args)
            if not running:
                return
            worker, result = self.next_result()
            idle.append(worker)
            yield running.pop(worker), result

    def close(self) -> None:
        """End the workers without waiting for calls that still run. May be called again."""
        busy = any(member.busy for member in self._workers.members)
        self._end(0.0 if busy else _CLOSE_SECONDS)

    def terminate(self) -> None:
        """Kill the workers at once. May be called again."""
        self._end(0.0)

    def _end(self, seconds: float) -> None:
        self._inline = None
        self._finalizer.detach()
        self._workers.end(seconds)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("the pool is closed")

    def _receive_all(self) -> list[Outcome | None]:
        members = self._workers.members
        outcomes: list[Outcome | None] = [None] * len(members)
        waiting = {member.connection: i for i, member in enumerate(members) if member.busy}
        while waiting:
            # the death of a worker closes its end of the pipe, which wakes this as a result does
            for ready in self._interruptible(connection.wait, list(waiting)):
                i = waiting.pop(ready)
                outcomes[i] = self._receive_one(i)
        return outcomes

    def _start_processes(self, factories: Sequence[tuple[bytes, list[SharedArray]]]) -> None:
        for i, (_, shared) in enumerate(factories):
            self._workers.members.append(_launch(i, shared))
        for i, (payload, _) in enumerate(factories):
            self._send_call(i, _STARTING, payload)

    def _send_call(self, i: int, method: str, payload: bytes) -> None:
        member = self._workers.members[i]
        member.busy = method
        try:
            self._interruptible(member.connection.send_bytes, payload)
        except OSError:
            raise self._death(i) from None

    def _receive_one(self, i: int) -> Outcome:
        member = self._workers.members[i]
        try:
            outcome = self._interruptible(receive, member.connection)
        except (EOFError, OSError):
            raise self._death(i) from None
        member.busy = None
        return outcome

    def _interruptible(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except KeyboardInterrupt:  # half a message may have been sent or read
            self.terminate()
            raise

    def _result(self, i: int, error: str | None, result: Any) -> Any:
        if error:
            raise WorkerError(f"worker {i} of {len(self)} failed:\n{error}") from result
        return result

    def _death(self, i: int) -> WorkerError:
        member = self._workers.members[i]
        member.process.join(1.0)
        code = member.process.exitcode
        name = f" ({signal.Signals(-code).name})" if code is not None and code < 0 else ""
        text = f"worker {i} of {len(self)} died with exit code {code}{name} during {member.busy}"
        if member.busy == _STARTING and code == 1:  # the script ran again and started workers
            text += '; a script that starts workers needs `if __name__ == "__main__":`'
        self.terminate()
        return WorkerError(text)


class _FactoryPickler(pickle.Pickler):
    """Leaves out shared arrays: they can be passed to a process only while it is started."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.shared: list[SharedArray] = []

    def persistent_id(self, obj: Any) -> int | None:
        """The number of a shared array; None for what is pickled."""
        if not isinstance(obj, SharedArray):
            return None
        self.shared.append(obj)
        return len(self.shared) - 1


def _pickled(i: int, factory: Callable[[], Any]) -> tuple[bytes, list[SharedArray]]:
    """A factory as bytes, and the shared arrays in it."""
    file = io.BytesIO()
    pickler = _FactoryPickler(file)
    try:
        pickler.dump(factory)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"factories[{i}]: expected a picklable function: {error}") from error
    return file.getvalue(), pickler.shared


def _launch(i: int, shared: list[SharedArray]) -> _Worker:
    """Start a process that waits for its factory.

    The factory is not an argument of the process. Its bytes may exceed what a pipe holds, and while
    multiprocessing writes the arguments, this process holds the pipe's reading end too: if the
    child died, the write would never end.
    """
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(
        target=run_worker, args=(theirs, shared), name=f"fastpg-worker-{i}", daemon=True
    )
    try:
        with _interrupts_blocked():
            process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return _Worker(process, ours)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread: a child started here inherits the block for its whole life."""
    resource_tracker.ensure_running()  # else "spawn" would start it here, and unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

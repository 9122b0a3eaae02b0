"""What runs in a worker process of :mod:`fastpg.envs.worker_pool`, and both ends of its pipe.

The first message is the pickled factory of the host. A call is one message: the pickled method name
and arguments. A result is several: first the sizes
of its arrays' buffers with the pickled rest, then each buffer as it lies in memory.
"""

import io
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any

#: Result of a call: (None, result), or (traceback, exception).
Outcome = tuple[str | None, Any]


class _FactoryUnpickler(pickle.Unpickler):
    """Puts the shared arrays back into a factory."""

    def __init__(self, payload: bytes, shared: Sequence[Any]):
        super().__init__(io.BytesIO(payload))
        self._shared = shared

    def persistent_load(self, pid: int) -> Any:
        """The shared array with this number."""
        return self._shared[pid]


def _make_host(payload: bytes, shared: Sequence[Any]) -> Any:
    return _FactoryUnpickler(payload, shared).load()()


def run_worker(pipe: Connection, shared: Sequence[Any]) -> None:
    """Body of a worker process: make the host, then answer calls until the parent hangs up.

    Args:
        pipe: first the pickled factory comes through it, then calls.
        shared: the shared arrays of the factory.
    """
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        error, host = attempt(_make_host, pipe.recv_bytes(), shared)
        _send(pipe, (error, host if error else None))
        while not error:
            method, args = pickle.loads(pipe.recv_bytes())
            _send(pipe, attempt(invoke, host, method, args))
    except (EOFError, OSError):
        pass


def _exit_with_parent() -> None:
    # a worker in a long call, or whose pipe another child inherited, would outlive its parent
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def attempt(function: Callable[..., Any], *args: Any) -> Outcome:
    """Call a function and return its outcome, whether it returns or raises."""
    try:
        return None, function(*args)
    except Exception as error:
        return traceback.format_exc(), error


def invoke(host: Any, method: str, args: tuple) -> Any:
    """Call a method of the host."""
    return getattr(host, method)(*args)


def _send(pipe: Connection, outcome: Outcome) -> None:
    buffers: list[pickle.PickleBuffer] = []
    try:
        payload = pickle.dumps(outcome, protocol=5, buffer_callback=buffers.append)
        if outcome[0]:
            pickle.loads(payload)  # some exceptions can be pickled but not unpickled
    except Exception:
        text = outcome[0] or f"its result cannot be pickled:\n{traceback.format_exc()}"
        buffers, payload = [], pickle.dumps((text, None), protocol=5)
    views = [buffer.raw() for buffer in buffers]
    pipe.send_bytes(pickle.dumps(([view.nbytes for view in views], payload)))
    for view in views:
        pipe.send_bytes(view)


def receive(pipe: Connection) -> Outcome:
    """Receive an outcome in the parent."""
    sizes, payload = pickle.loads(pipe.recv_bytes())
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        pipe.recv_bytes_into(buffer)
    return pickle.loads(payload, buffers=buffers)

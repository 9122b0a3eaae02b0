"""Standard output and error of a command that are closed, full, or lack a letter."""

import contextlib
import errno
import io
import os
import sys
from typing import Any


class _Closed(io.TextIOBase):
    """Standard output of a process that was started without one: writing fails."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def prepare_streams() -> None:
    """Make both streams safe to print to. A letter that the encoding lacks becomes an escape.

    Without standard output printing raises OSError; without standard error nothing is printed.
    """
    for number in (0, 1, 2):  # else the next file that is opened would become the stream
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for the rest of the process)
    for stream in (sys.stdout, sys.stderr):
        lacking = getattr(stream, "errors", None) in ("strict", "surrogateescape")
        if lacking and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def lost_output() -> OSError | None:
    """Flush standard output. If it cannot be written: drop what is left of it, return the error."""
    try:
        sys.stdout.flush()
        if isinstance(sys.stdout, _Closed):
            sys.stdout.write("")
        return None
    except OSError as error:
        _drop(sys.stdout)
        return error


def _drop(stream: Any) -> None:
    """Send the rest of a stream nowhere: Python would flush it at exit, fail, and exit with 120."""
    with contextlib.suppress(OSError, AttributeError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_error(line: Any) -> None:
    """Print a line to standard error, if it can be written."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)

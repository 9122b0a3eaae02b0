"""Stops on Ctrl-C, SIGTERM or a closed terminal: at once, but never in the middle of an update."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Result = TypeVar("Result")


class Interruptible:
    """Delays signals to stop, except while :meth:`run` runs a function that may be dropped.

    A second signal is not delayed: it raises KeyboardInterrupt wherever the program is.
    """

    def __init__(self) -> None:
        self.requested = False  #: whether a signal has arrived
        self._may_drop = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interruptible":
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # a signal that is ignored from the start (nohup, a background job) stays ignored
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        if self._may_drop or again:
            self._may_drop = False
            raise KeyboardInterrupt

    def run(self, function: Callable[[], Result]) -> Result | None:
        """Run the function and return its result; None if a signal came before it or ended it."""
        try:
            self._may_drop = True
            return None if self.requested else function()
        except KeyboardInterrupt:
            return None
        finally:
            self._may_drop = False

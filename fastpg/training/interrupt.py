"""Stopping on Ctrl-C, SIGTERM or a closed terminal: at once, but not in the midst of an update."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Result = TypeVar("Result")


class Interruptible:
    """Holds signals to stop back, except while :meth:`run` runs something that may be dropped.

    A second signal is not held back: it raises KeyboardInterrupt wherever the program is.

    Attributes:
        requested: whether a signal has come.
    """

    def __init__(self) -> None:
        self.requested = False
        self._may_drop = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interruptible":
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # what was ignored from the start (nohup, a job in the background) stays ignored
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
        """Run the function; None if a signal came first or ended it."""
        try:
            self._may_drop = True
            return None if self.requested else function()
        except KeyboardInterrupt:
            return None
        finally:
            self._may_drop = False

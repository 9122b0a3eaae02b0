"""Stopping on Ctrl-C or SIGTERM at once, but never in the middle of an update."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Result = TypeVar("Result")


class Interruptible:
    """Holds SIGINT and SIGTERM back, except while :meth:`run` runs something that may be dropped.

    Attributes:
        requested: whether a signal has come.
    """

    def __init__(self) -> None:
        self.requested = False
        self._may_drop = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interruptible":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._may_drop:
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

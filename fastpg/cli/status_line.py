"""One line of progress on a terminal."""

import sys
from time import perf_counter
from typing import Self


class StatusLine:
    """A line on standard error that is redrawn in place and erased when the ``with`` block ends.

    Nothing is shown unless standard error is a terminal.
    """

    def __init__(self, delay: float = 0.0, interval: float = 0.0):
        """Prepare the line.

        Args:
            delay: seconds before the first text is shown.
            interval: seconds between two texts; those in between are dropped.
        """
        self._width, self._interval = 0, interval
        self._next = perf_counter() + delay

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """Replace the line's text."""
        if sys.stderr.isatty() and perf_counter() >= self._next:
            self._next = perf_counter() + self._interval
            self._width = max(self._width, len(text))  # first: Ctrl-C may interrupt the print
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)

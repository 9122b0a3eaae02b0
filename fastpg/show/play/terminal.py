"""Pictures and text in a terminal: half-block characters in 24-bit or 256 colours.

Only cells that changed are sent, a few dozen a frame, so it works over ssh.
"""

import contextlib
import os
import select
import signal
import sys
import time
from functools import cache
from types import FrameType
from typing import Any, Self, TextIO

import numpy as np

from fastpg.show import ShowError

Colour = tuple[int, int, int]

HALF = "▀"  # upper half in the foreground's colour, lower half in the background's
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # synchronized output
_STOP = ("SIGTERM", "SIGHUP")
_SPACE = ord(" ")
_LEVELS = np.array([0, 95, 135, 175, 215, 255])


class Cells:
    """A page of (rows, columns) characters, with their colours (rows, columns, 3) uint8."""

    def __init__(self, rows: int, columns: int, paper: Colour):
        self.letters = np.full((rows, columns), " ")
        self.ink = np.zeros((rows, columns, 3), np.uint8)  #: colours of the foreground
        self.paper = np.full((rows, columns, 3), paper, np.uint8)  #: colours of the background

    def picture(self, y: int, x: int, pixels: np.ndarray) -> None:
        """Draw pixels (2 n, columns, 3) uint8 with their upper left corner in cell (y, x)."""
        rows, columns = len(pixels) // 2, pixels.shape[1]
        area = slice(y, y + rows), slice(x, x + columns)
        self.letters[area] = HALF
        self.ink[area], self.paper[area] = pixels[::2], pixels[1::2]

    def write(self, y: int, x: int, text: str, ink: Colour) -> None:
        """Write a line of text from cell (y, x) on, cut off at the page's edges."""
        rows, columns = self.letters.shape
        if 0 <= y < rows:
            text = text[: max(columns - x, 0)]
            self.letters[y, x : x + len(text)] = list(text)
            self.ink[y, x : x + len(text)] = ink

    def codes(self) -> np.ndarray:
        """Return letter, ink and paper of each cell as numbers, (rows, columns, 3) int64."""
        letters = self.letters.view(np.int32).reshape(self.letters.shape).astype(np.int64)
        ink, paper = _packed(self.ink), _packed(self.paper)
        letters[ink == paper] = _SPACE  # a cell of one colour needs only its paper
        return np.stack([letters, np.where(letters == _SPACE, paper, ink), paper], -1)


def _packed(colours: np.ndarray) -> np.ndarray:
    return colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])


def changes(codes: np.ndarray, before: np.ndarray | None, true_colour: bool) -> str:
    """Return what to send to a terminal so that it shows a page.

    Args:
        codes: :meth:`Cells.codes` of the page.
        before: codes of the page that the terminal shows; None if that is unknown.
        true_colour: send 24-bit colours, else the nearest of 256.
    """
    if before is None or before.shape != codes.shape:
        changed = np.ones(codes.shape[:2], bool)
        output = ["\x1b[0m\x1b[2J"]
    else:
        changed = (codes != before).any(-1)
        output = []
    cursor, current, current_paper = (-1, -1), "", -1
    for y, x in np.argwhere(changed).tolist():
        letter, ink, paper = codes[y, x].tolist()
        if (y, x) != cursor:
            output.append(f"\x1b[{y + 1};{x + 1}H")
        colours = _colours(ink, paper, true_colour)
        if colours != current and not (letter == _SPACE and paper == current_paper):
            output.append(colours)
            current, current_paper = colours, paper
        output.append(chr(letter))
        cursor = y, x + 1
    return "".join(output)


@cache
def _colours(ink: int, paper: int, true_colour: bool) -> str:
    words = []
    for layer, colour in ((38, ink), (48, paper)):
        red, green, blue = colour >> 16, colour >> 8 & 255, colour & 255
        if true_colour:
            words.append(f"{layer};2;{red};{green};{blue}")
        else:
            words.append(f"{layer};5;{nearest_of_256((red, green, blue))}")
    return f"\x1b[{';'.join(words)}m"


@cache
def nearest_of_256(colour: Colour) -> int:
    """Return the number of the nearest of xterm's 216 colours and 24 greys."""
    target = np.array(colour)
    cube = np.abs(_LEVELS[:, None] - target).argmin(0)
    grey = int(np.clip(round((target.mean() - 8) / 10), 0, 23))
    to_cube = np.square(_LEVELS[cube] - target).sum()
    to_grey = np.square(8 + 10 * grey - target).sum()
    return 232 + grey if to_grey < to_cube else int(16 + cube @ np.array([36, 6, 1]))


def shrunk(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Shrink a picture so that small things stay visible.

    Each area of the picture becomes one pixel: the background, mixed with the area's colour that
    differs most from it. The weight of that colour is twice the share of pixels that are not
    background, at most 1. A mean would make the ball, which is two pixels wide, invisible; the
    colour alone would fill the holes of the digits.

    Args:
        picture: (.., .., 3) uint8, larger than the result.
        rows: rows of the result.
        columns: columns of the result.

    Returns:
        (rows, columns, 3) uint8.
    """
    packed = _packed(picture)
    values, counts = np.unique(packed[::4, ::4], return_counts=True)
    commonest = int(values[counts.argmax()])
    background = np.array([commonest >> 16, commonest >> 8 & 255, commonest & 255])
    distance = np.abs(picture.astype(np.int64) - background).sum(-1)
    keys, shares = distance << 24 | packed, (distance > 0).astype(np.float64)
    for axis, count in ((0, rows), (1, columns)):
        begins = np.arange(count) * keys.shape[axis] // count
        sizes = np.maximum(np.diff(begins, append=keys.shape[axis]), 1)
        keys = np.maximum.reduceat(keys, begins, axis)
        shares = np.add.reduceat(shares, begins, axis)
        shares /= sizes[:, None] if axis == 0 else sizes
    colours = np.stack([keys >> 16 & 255, keys >> 8 & 255, keys & 255], -1)
    # in eighths, since fewer colours need fewer bytes
    strength = np.minimum(np.ceil(2 * shares * 8) / 8, 1)[..., None]
    return np.rint(background + strength * (colours - background)).astype(np.uint8)


class Terminal:
    """The terminal as a screen of cells. It is restored when the ``with`` block ends."""

    def __init__(self, true_colour: bool | None = None, out: TextIO | None = None):
        """Check the terminal.

        Args:
            true_colour: True to send 24-bit colours, False for the nearest of 256; None decides by
                the environment's variables.
            out: the terminal; standard output if None.

        Raises:
            ShowError: ``out`` is no terminal, or one that cannot move its cursor.
        """
        self._out = sys.stdout if out is None else out
        if not self._out.isatty():
            raise ShowError(
                "standard output is no terminal; give --video FILE.mp4 for a video, or --window"
            )
        if os.environ.get("TERM", "dumb") == "dumb":
            raise ShowError("TERM=dumb: this terminal shows no pictures; give --video FILE.mp4")
        self.true_colour = _has_true_colour() if true_colour is None else true_colour
        self._keys = sys.stdin.isatty() and os.name == "posix"
        self._saved: Any = None
        self._before: np.ndarray | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns at present."""
        columns, rows = os.get_terminal_size(self._out.fileno())
        return max(rows, 1), max(columns, 1)

    def __enter__(self) -> Self:
        for name in (*_STOP, "SIGTSTP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                handler = self._suspend if name == "SIGTSTP" else self._stop
                self._handlers[number] = signal.signal(number, handler)
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _open(self) -> None:
        if self._keys:
            import termios
            import tty

            self._saved = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._before = None
        self._send(_ENTER)

    def _close(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
            self._send(_LEAVE)
        if self._saved is not None:
            import termios

            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)
            self._saved = None

    @staticmethod
    def _stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: restore the terminal, stop, and set it up again afterwards."""
        self._close()
        handler = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, handler)
        self._open()

    def show(self, cells: Cells) -> None:
        """Show a page of cells."""
        codes = cells.codes()
        text = changes(codes, self._before, self.true_colour)
        if text:
            self._send(_BEGIN + text + _END)
        self._before = codes

    def key(self, seconds: float) -> str:
        """Wait for so many seconds, or until a key is pressed, and return the key or ""."""
        if not self._keys:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return ""
        # an empty read is the end of the input: nobody is left to press a key
        return os.read(sys.stdin.fileno(), 64).decode(errors="ignore") or "q"

    def _send(self, text: str) -> None:
        self._out.flush()
        data = memoryview(text.encode())
        while data:
            data = data[os.write(self._out.fileno(), data) :]


def _has_true_colour() -> bool:
    words = f"{os.environ.get('COLORTERM', '')} {os.environ.get('TERM', '')}".lower()
    return any(word in words for word in ("truecolor", "24bit", "direct", "kitty", "alacritty"))

"""Pictures and text in a terminal: half-block characters, 24-bit colour or the nearest of 256.

Only cells that changed are sent, a few dozen a frame, which is what makes it work over ssh.
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

HALF = "▀"  # its upper half in the foreground's colour, its lower half in the background's
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # terminals that know it show a frame all at once
_STOP = ("SIGTERM", "SIGHUP")
_SPACE = ord(" ")
_LEVELS = np.array([0, 95, 135, 175, 215, 255])


class Cells:
    """A page of characters with their colours, and what it takes to show it.

    Attributes:
        letters: (rows, columns) str.
        ink: (rows, columns, 3) uint8, foreground.
        paper: (rows, columns, 3) uint8, background.
    """

    def __init__(self, rows: int, columns: int, paper: Colour):
        self.letters = np.full((rows, columns), " ")
        self.ink = np.zeros((rows, columns, 3), np.uint8)
        self.paper = np.full((rows, columns, 3), paper, np.uint8)

    def picture(self, y: int, x: int, pixels: np.ndarray) -> None:
        """Put (2 n, columns, 3) pixels with their upper left corner into cell (y, x)."""
        rows, columns = len(pixels) // 2, pixels.shape[1]
        area = slice(y, y + rows), slice(x, x + columns)
        self.letters[area] = HALF
        self.ink[area], self.paper[area] = pixels[::2], pixels[1::2]

    def write(self, y: int, x: int, text: str, ink: Colour) -> None:
        """Write a line of text; what leaves the page is cut."""
        rows, columns = self.letters.shape
        if 0 <= y < rows:
            text = text[: max(columns - x, 0)]
            self.letters[y, x : x + len(text)] = list(text)
            self.ink[y, x : x + len(text)] = ink

    def codes(self) -> np.ndarray:
        """(rows, columns, 3) int64: letter, ink and paper of each cell as numbers."""
        letters = self.letters.view(np.int32).reshape(self.letters.shape).astype(np.int64)
        ink, paper = _packed(self.ink), _packed(self.paper)
        letters[ink == paper] = _SPACE  # an even colour takes its paper alone
        return np.stack([letters, np.where(letters == _SPACE, paper, ink), paper], -1)


def _packed(colours: np.ndarray) -> np.ndarray:
    return colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])


def changes(codes: np.ndarray, before: np.ndarray | None, true_colour: bool) -> str:
    """What to send for a page, as ``Cells.codes`` gives it, after the one before it."""
    if before is None or before.shape != codes.shape:
        changed = np.ones(codes.shape[:2], bool)
        parts = ["\x1b[0m\x1b[2J"]
    else:
        changed = (codes != before).any(-1)
        parts = []
    at, colours, ground = (-1, -1), "", -1
    for y, x in np.argwhere(changed).tolist():
        letter, ink, paper = codes[y, x].tolist()
        if (y, x) != at:
            parts.append(f"\x1b[{y + 1};{x + 1}H")
        wanted = _colours(ink, paper, true_colour)
        if wanted != colours and not (letter == _SPACE and paper == ground):
            parts.append(wanted)
            colours, ground = wanted, paper
        parts.append(chr(letter))
        at = y, x + 1
    return "".join(parts)


@cache
def _colours(ink: int, paper: int, true_colour: bool) -> str:
    words = []
    for ground, colour in ((38, ink), (48, paper)):
        red, green, blue = colour >> 16, colour >> 8 & 255, colour & 255
        if true_colour:
            words.append(f"{ground};2;{red};{green};{blue}")
        else:
            words.append(f"{ground};5;{nearest_of_256((red, green, blue))}")
    return f"\x1b[{';'.join(words)}m"


@cache
def nearest_of_256(colour: Colour) -> int:
    """The number of the nearest of xterm's 216 colours and 24 greys."""
    wanted = np.array(colour)
    cube = np.abs(_LEVELS[:, None] - wanted).argmin(0)
    grey = int(np.clip(round((wanted.mean() - 8) / 10), 0, 23))
    to_cube = np.square(_LEVELS[cube] - wanted).sum()
    to_grey = np.square(8 + 10 * grey - wanted).sum()
    return 232 + grey if to_grey < to_cube else int(16 + cube @ np.array([36, 6, 1]))


def shrunk(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(rows, columns, 3): of each part of a larger picture the colour least like its background.

    As strong as twice its share of the part, at most whole: a mean would dim the ball, two pixels
    wide, to nothing, and the colour alone would fill the digits' holes.
    """
    packed = _packed(picture)
    values, counts = np.unique(packed[::4, ::4], return_counts=True)
    empty = int(values[counts.argmax()])
    ground = np.array([empty >> 16, empty >> 8 & 255, empty & 255])
    apart = np.abs(picture.astype(np.int64) - ground).sum(-1)
    keys, shares = apart << 24 | packed, (apart > 0).astype(np.float64)
    for axis, count in ((0, rows), (1, columns)):
        begins = np.arange(count) * keys.shape[axis] // count
        sizes = np.maximum(np.diff(begins, append=keys.shape[axis]), 1)
        keys = np.maximum.reduceat(keys, begins, axis)
        shares = np.add.reduceat(shares, begins, axis)
        shares /= sizes[:, None] if axis == 0 else sizes
    colours = np.stack([keys >> 16 & 255, keys >> 8 & 255, keys & 255], -1)
    strength = np.minimum(np.ceil(2 * shares * 8) / 8, 1)[..., None]  # few colours, few bytes
    return np.rint(ground + strength * (colours - ground)).astype(np.uint8)


class Terminal:
    """The terminal as a screen of cells, put back as it was when the ``with`` block ends.

    Attributes:
        true_colour: whether 24-bit colours are sent.
    """

    def __init__(self, true_colour: bool | None = None, out: TextIO | None = None):
        """Get ready.

        Args:
            true_colour: None: what the environment says of the terminal.
            out: standard output if None.

        Raises:
            ShowError: this is no terminal, or one that cannot place characters.
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
        """Rows and columns now."""
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
        """Ctrl-Z: give the terminal back, sleep, and take it again."""
        self._close()
        own = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, own)
        self._open()

    def show(self, cells: Cells) -> None:
        """Bring what the terminal shows to these cells."""
        codes = cells.codes()
        text = changes(codes, self._before, self.true_colour)
        if text:
            self._send(_BEGIN + text + _END)
        self._before = codes

    def key(self, seconds: float) -> str:
        """Wait so long, or less if a key is pressed: the key, or nothing."""
        if not self._keys:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return ""
        return (
            os.read(sys.stdin.fileno(), 64).decode(errors="ignore") or "q"
        )  # its end: nobody left

    def _send(self, text: str) -> None:
        self._out.flush()
        data = memoryview(text.encode())
        while data:
            data = data[os.write(self._out.fileno(), data) :]


def _has_true_colour() -> bool:
    words = f"{os.environ.get('COLORTERM', '')} {os.environ.get('TERM', '')}".lower()
    return any(word in words for word in ("truecolor", "24bit", "direct", "kitty", "alacritty"))

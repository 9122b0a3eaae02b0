"""Playback in real time, at the console's 60 frames a second, in a terminal or a window."""

import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from fastpg.show import ShowError
from fastpg.show.play.drawing import (
    BACKGROUND,
    CHOSEN,
    DIM,
    INK,
    MINUS,
    PANEL,
    PLUS,
    SIZE,
    Composer,
)
from fastpg.show.play.playback import FRAMES_PER_SECOND, Decision, PlaybackFrame
from fastpg.show.play.terminal import Cells, Terminal, shrunk
from fastpg.system.extras import missing_extra

_PANEL_COLUMNS = 22  # least width of the panel beside the game
_PANEL_FROM = 44  # columns from which a terminal shows the panel
_BLOCKS = " ▁▂▃▄▅▆▇█"
_LATE = 0.25  # seconds of delay after which the clock starts again: the machine was asleep
_QUIT = ("q", "Q", "\x03", "\x04")
_INSTEAD = "leave --window out to watch in the terminal, or give --video FILE.mp4"
_ESCAPE = "\x1b"  # Escape only if it comes alone: arrow keys send it as a prefix


def play_live(
    frames: Iterator[PlaybackFrame],
    show: Callable[[PlaybackFrame], None],
    key: Callable[[float], str],
) -> None:
    """Show frames at 60 a second until they end or a key to quit is pressed.

    Frames that are late are skipped, except the last frame of an episode.

    Args:
        frames: the frames to show.
        show: draws a frame.
        key: waits for a key for so many seconds and returns it, or "".
    """
    due = time.perf_counter()
    for frame in frames:
        due += 1 / FRAMES_PER_SECOND
        now = time.perf_counter()
        if now - due > _LATE:
            due = now
        if now <= due or frame.over:
            show(frame)
        while (left := due - time.perf_counter()) > 0:
            if _quits(key(left)):
                return
        if _quits(key(0.0)):
            return


def _quits(pressed: str) -> bool:
    return pressed == _ESCAPE or any(key in pressed for key in _QUIT)


class TerminalView:
    """Lays frames out on a terminal of any size: the game on the left, the network on the right."""

    def __init__(self, terminal: Terminal, labels: list[str], up: int | None):
        """Start without a history.

        Args:
            terminal: where to show the frames.
            labels: label of each action.
            up: action whose probability is drawn over time; None for no such chart.
        """
        self.terminal, self.labels, self.up = terminal, labels, up
        self._history: deque[float] = deque(maxlen=200)
        self._last: Decision | None = None

    def show(self, frame: PlaybackFrame) -> None:
        """Draw a frame on the terminal."""
        decision = frame.decision
        if decision is not self._last and self.up is not None:
            self._history.append(float(decision.probabilities[self.up]))
        self._last = decision
        self.terminal.show(self.cells(frame, *self.terminal.size))

    def cells(self, frame: PlaybackFrame, rows: int, columns: int) -> Cells:
        """Return the page of a frame on a terminal of so many rows and columns."""
        cells = Cells(rows, columns, BACKGROUND)
        wide = columns - _PANEL_COLUMNS - 1 if columns >= _PANEL_FROM else columns
        # the picture has the shape of a television's, and a cell is two pixels high
        wide = max(min(wide, round((rows - 1) * 2 * 4 / 3)), 1)
        high = max(min(rows - 1, round(wide * 3 / 8)), 1)
        cells.picture(0, 0, shrunk(frame.picture, 2 * high, wide))
        score = f"{frame.score:+.0f}" if frame.score else "0"
        side = min(columns - wide - 1, 40)
        if side < _PANEL_COLUMNS - 1:
            if self.up is not None:
                score += f"  UP {frame.decision.probabilities[self.up]:.0%}"
            cells.write(rows - 1, 0, f"score {score}  q quits", DIM)
            return cells
        x = wide + 1
        cells.write(0, x, f"episode {frame.episode + 1}", DIM)
        cells.write(0, x + side - 9, f"score {score:>3}", INK)
        y = self._draw_actions(cells, frame.decision, 2, x, side)
        if self.up is not None:
            y = self._draw_history(cells, y + 1, x, side)
        height = rows - 2 - y - 2
        if height >= 5:
            cells.write(y + 1, x, "what the network sees", DIM)
            width = min(side, 2 * height)
            cells.picture(y + 2, x, combined_input(frame.decision.planes, width // 2 * 2))
        cells.write(rows - 1, x, "q quits", DIM)
        return cells

    def _draw_actions(self, cells: Cells, decision: Decision, y: int, x: int, side: int) -> int:
        name = min(max(map(len, self.labels)), 8)
        full = side - name - 6
        for k, (label, p) in enumerate(zip(self.labels, decision.probabilities, strict=True)):
            chosen = k == decision.action
            cells.write(y, x, label[:name], INK if chosen else DIM)
            bar = cells.paper[y : y + 1, x + name + 1 : x + name + 1 + full]
            bar[:] = PANEL
            bar[:, : round(full * float(p))] = CHOSEN if chosen else DIM
            cells.write(y, x + side - 4, f"{p:4.0%}", INK if chosen else DIM)
            y += 1
        if decision.value is not None:
            cells.write(y, x, f"value {decision.value:+.2f}", DIM)
            y += 1
        return y

    def _draw_history(self, cells: Cells, y: int, x: int, side: int) -> int:
        cells.write(y, x, "probability of UP", DIM)
        recent = list(self._history)[-side:]
        levels = [round(p * 16) for p in recent]
        for row, base in ((y + 1, 8), (y + 2, 0)):
            line = "".join(_BLOCKS[min(max(level - base, 0), 8)] for level in levels)
            cells.write(row, x + side - len(line), line, PLUS)
            cells.paper[row : row + 1, x : x + side] = PANEL
        return y + 3


def combined_input(planes: np.ndarray, side: int) -> np.ndarray:
    """Draw all planes of the input as one picture: pixels lit now, and pixels lit only before.

    Args:
        planes: (planes, 80, 80): the newest view first, or one difference of two views.
        side: height and width of the picture.

    Returns:
        (side, side, 3) uint8.
    """
    now = planes[0] > 0
    before = (planes < 0).any(0) | ((planes > 0).any(0) & ~now)
    begins = np.arange(side) * planes.shape[1] // side

    def coarse(mask: np.ndarray) -> np.ndarray:
        if side >= planes.shape[1]:
            return mask[np.ix_(begins, begins)]
        rows = np.logical_or.reduceat(mask, begins, 0)
        return np.logical_or.reduceat(rows, begins, 1)

    picture = np.full((side, side, 3), PANEL, np.uint8)
    picture[coarse(before)] = MINUS
    picture[coarse(now)] = PLUS
    return picture


class Window:
    """A pygame window that shows the picture of a :class:`Composer`."""

    def __init__(self, composer: Composer, title: str):
        """Import pygame.

        Raises:
            ShowError: there is no display, or pygame is not installed.
        """
        if not _may_have_display():
            raise ShowError(f"--window: there is no display here; {_INSTEAD}")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            with warnings.catch_warnings():  # older versions of pygame warn about what they import
                warnings.simplefilter("ignore")
                import pygame
        except ImportError:
            raise ShowError(f"--window: {missing_extra('window')}") from None
        self._game: Any = pygame
        self._composer, self._title = composer, title

    def __enter__(self) -> Self:
        game, size = self._game, (SIZE[1], SIZE[0])
        try:
            game.display.init()
            with warnings.catch_warnings():
                # pygame warns of a slow renderer, which is fast enough here
                warnings.simplefilter("ignore")
                self._screen = game.display.set_mode(size, game.SCALED | game.RESIZABLE)
        except game.error as error:
            game.quit()
            reason = f"no window can be opened ({error})"
            raise ShowError(f"--window: {reason}; {_INSTEAD}") from None
        game.display.set_caption(self._title)
        return self

    def __exit__(self, *_: object) -> None:
        self._game.quit()

    def show(self, frame: PlaybackFrame) -> None:
        """Draw a frame in the window."""
        picture = self._composer.draw(frame)
        size = picture.shape[1], picture.shape[0]
        self._screen.blit(self._game.image.frombuffer(picture, size, "RGB"), (0, 0))
        self._game.display.flip()

    def key(self, seconds: float) -> str:
        """Wait for so many seconds and return the pressed key, or "". Closing returns ``"q"``."""
        if seconds > 0:
            time.sleep(seconds)
        for event in self._game.event.get():
            if event.type == self._game.QUIT:
                return "q"
            if event.type == self._game.KEYDOWN:
                return str(event.unicode)
        return ""


def _may_have_display() -> bool:
    if os.environ.get("SDL_VIDEODRIVER"):
        return True
    unix = sys.platform not in ("win32", "darwin")
    return not unix or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

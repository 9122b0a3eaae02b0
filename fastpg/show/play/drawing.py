"""The picture of a playback: the game, the network's input and its probabilities, in pixels.

Videos and windows show it. The terminal draws with characters, in the same colours.
"""

from collections import deque

import numpy as np

from fastpg.kernels.geometry import SCREEN, VIEW_SIDE
from fastpg.show.play.font import text_mask
from fastpg.show.play.playback import Decision, Playback, PlaybackFrame

Colour = tuple[int, int, int]

BACKGROUND: Colour = (22, 19, 18)
PANEL: Colour = (38, 33, 31)
INK: Colour = (236, 236, 236)
DIM: Colour = (150, 140, 132)
PLUS: Colour = (245, 148, 74)  # input above 0; the hue of Pong's left paddle
MINUS: Colour = (92, 160, 240)  # input below 0
CHOSEN: Colour = (92, 186, 92)  # the hue of Pong's right paddle, which the policy moves
SHADED: Colour = (96, 66, 44)

_SCALE = 3  # canvas pixels per game pixel, along each side
_MARGIN, _GAP = 5, 24
_GAME_WIDTH, _GAME_HEIGHT = SCREEN[1] * _SCALE, SCREEN[0] * _SCALE
_PANEL_WIDTH = 330
#: Rows and columns of :meth:`Composer.draw`'s picture.
SIZE = (_GAME_HEIGHT + 2 * _MARGIN, _MARGIN + _GAME_WIDTH + _GAP + _PANEL_WIDTH + 25)
_COLUMN = 3  # width of a decision in the chart of probabilities
_HISTORY = _PANEL_WIDTH // _COLUMN  # decisions in the chart: seven seconds at four frames each


def magnified(picture: np.ndarray, scale: int) -> np.ndarray:
    """Repeat each pixel of a picture (rows, columns, ..) in both directions."""
    return picture.repeat(scale, 0).repeat(scale, 1)


def write(canvas: np.ndarray, x: int, y: int, text: str, colour: Colour, scale: int = 2) -> None:
    """Write a line of text with its upper left corner at (x, y), cut off at the canvas's edges."""
    mask = magnified(text_mask(text), scale)
    area = canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
    area[mask[: area.shape[0], : area.shape[1]]] = colour


def box(canvas: np.ndarray, x: int, y: int, width: int, height: int, colour: Colour) -> None:
    """Fill a rectangle."""
    canvas[y : y + height, x : x + width] = colour


def plane_picture(plane: np.ndarray) -> np.ndarray:
    """Draw a plane (80, 80) of the network's input as (80, 80, 3) uint8, by the pixels' signs."""
    picture = np.full((*plane.shape, 3), PANEL, np.uint8)
    picture[plane > 0] = PLUS
    picture[plane < 0] = MINUS
    return picture


def plane_names(views: tuple[int, ...], difference: bool) -> list[str]:
    """Return a short name for each plane of the input."""
    if difference:
        return ["NOW - BEFORE"]
    return ["NOW" if age == 0 else f"{age} STEP{'S'[: age != 1]} AGO" for age in views]


class Composer:
    """Draws the frames of one playback."""

    def __init__(self, labels: list[str], names: list[str], up: int | None):
        """Prepare an empty canvas.

        Args:
            labels: label of each action.
            names: name of each plane of the input.
            up: action whose probability is drawn over time; None for no such chart.
        """
        self.labels, self.names, self.up = labels, names, up
        self._blank = np.full((*SIZE, 3), BACKGROUND, np.uint8)
        #: (SIZE[0], SIZE[1], 3) uint8: the picture, overwritten by each :meth:`draw`.
        self.canvas = self._blank.copy()
        self._drawn: Decision | None = None
        self._history: deque[float] = deque(maxlen=_HISTORY)

    def draw(self, frame: PlaybackFrame) -> np.ndarray:
        """Draw a frame and return the canvas, which the next call overwrites."""
        canvas = self.canvas
        rows = frame.picture.repeat(_SCALE, 1)
        game = canvas[_MARGIN : _MARGIN + _GAME_HEIGHT, _MARGIN : _MARGIN + _GAME_WIDTH]
        for k in range(_SCALE):
            game[k::_SCALE] = rows
        if frame.decision is not self._drawn:
            self._drawn = frame.decision
            self._draw_panel(frame)
        return canvas

    def _draw_panel(self, frame: PlaybackFrame) -> None:
        canvas, decision = self.canvas, frame.decision
        x, y = _MARGIN + _GAME_WIDTH + _GAP, 20
        canvas[:, x:] = self._blank[:, x:]
        score = f"{frame.score:+.0f}" if frame.score else "0"
        write(canvas, x, y, f"EPISODE {frame.episode + 1}", DIM)
        write(canvas, x, y + 24, f"STEP {decision.step}", DIM)
        write(canvas, x + 216, y, "SCORE", DIM)
        write(canvas, x + 216, y + 20, score, INK, 3)
        y = self._draw_input(decision, x, y + 62)
        y = self._draw_actions(decision, x, y + 20)
        if decision.value is not None and y < SIZE[0] - 20:
            write(canvas, x, y + 2, f"VALUE {decision.value:+.2f}", DIM)
            y += 24
        if self.up is not None:
            self._history.append(float(decision.probabilities[self.up]))
            self._draw_history(x, y + 16)

    def _draw_input(self, decision: Decision, x: int, y: int) -> int:
        write(self.canvas, x, y, "WHAT THE NETWORK SEES", INK)
        y += 24
        count = len(decision.planes)
        scale, across = (3, 1) if count == 1 else (2, 2) if count <= 4 else (1, 4)
        if count in (3, 4):  # two rows of large planes would leave no space below
            scale, across = 1, 4
        side = scale * VIEW_SIDE
        for k, plane in enumerate(decision.planes):
            left = x + (k % across) * (side + 3)
            top = y + (k // across) * (side + 20)
            picture = magnified(plane_picture(plane), scale)
            self.canvas[top : top + side, left : left + side] = picture
            write(self.canvas, left, top + side + 5, self.names[k], DIM, 2 if scale > 1 else 1)
        return y + -(-count // across) * (side + 20)

    def _draw_actions(self, decision: Decision, x: int, y: int) -> int:
        write(self.canvas, x, y, "WHAT IT WANTS", INK)
        y += 24
        height = max(SIZE[0] - 60 - y, 40)
        pitch = min(24, height // len(self.labels))
        scale = 2 if pitch >= 16 else 1
        for k, (label, p) in enumerate(zip(self.labels, decision.probabilities, strict=True)):
            colour = CHOSEN if k == decision.action else DIM
            write(self.canvas, x, y, label[:9], INK if k == decision.action else DIM, scale)
            left, width = x + 6 * scale * min(max(map(len, self.labels)), 9) + 6, 56
            full = _PANEL_WIDTH - (left - x) - width
            box(self.canvas, left, y, full, 7 * scale, PANEL)
            box(self.canvas, left, y, round(full * float(p)), 7 * scale, colour)
            text = f"{100 * p:.0f}%".rjust(4)
            write(self.canvas, left + full + 8, y, text, INK, scale)
            y += pitch
        return y

    def _draw_history(self, x: int, y: int) -> None:
        height = min(SIZE[0] - 20 - y - 22, 110)
        if height < 30:
            return
        write(self.canvas, x, y, "PROBABILITY OF UP", INK)
        y += 22
        box(self.canvas, x, y, _PANEL_WIDTH, height, PANEL)
        for k, p in enumerate(reversed(self._history)):
            left, tall = x + _PANEL_WIDTH - (k + 1) * _COLUMN, round(p * (height - 3))
            box(self.canvas, left, y + height - tall, _COLUMN, tall, SHADED)
            box(self.canvas, left, y + height - tall - 3, _COLUMN, 3, PLUS)
        box(self.canvas, x, y + height // 2, _PANEL_WIDTH, 1, DIM)


def composer_of(playback: Playback) -> Composer:
    """Make the composer that draws a playback's frames."""
    spec = playback.player.policy.network.input_spec
    return Composer(playback.labels, plane_names(spec.views, spec.difference), playback.up)

"""Sticky actions as ALE draws them: now and then a frame repeats the action of the one before."""

import base64
import math
from typing import Any

import numpy as np


class StickyActions:
    """Chooses the action of each emulator frame: the agent's, or that of the frame before.

    Draws exactly as ALE does. An MT19937 generator, seeded with the emulator's seed, gives two raw
    32-bit words a frame, one per player. If the first is below ``float32(probability) * 2**32``,
    the frame repeats the held action. A reset of the game leaves the generator alone.
    """

    _BLOCK = 512  # words drawn at a time

    def __init__(self, probability: float, seed: int):
        """Seed the generator.

        Args:
            probability: of repeating the held action, 0 to 1.
            seed: the emulator's seed; the low 32 bits count.
        """
        self._threshold = math.ceil(float(np.float32(probability)) * 2**32)
        self._generator = np.random.MT19937()
        np.random.RandomState(self._generator).seed(seed & 0xFFFFFFFF)  # std::mt19937's seeding
        self._draw_block()
        self.held: Any = None  #: action of the frame before; None until the first one is taken

    def __call__(self, action: Any) -> Any:
        """Return the action of the next frame, given the agent's."""
        if self._at == self._BLOCK:
            self._draw_block()
        if self._words[self._at] >= self._threshold:
            self.held = action
        self._at += 2
        return self.held

    def _draw_block(self) -> None:
        self._before_block = self._generator.state["state"]
        self._words = self._generator.random_raw(self._BLOCK).tolist()
        self._at = 0

    def state(self) -> dict[str, Any]:
        """Generator and held action as values that JSON can hold, for :meth:`restore`."""
        key = self._before_block["key"].astype("<u4").tobytes()
        return {
            "key": base64.b64encode(key).decode(),
            "pos": int(self._before_block["pos"]),
            "at": self._at,
            "held": None if self.held is None else self.held.value,
        }

    def restore(self, state: dict[str, Any], actions: list[Any]) -> None:
        """Restore what :meth:`state` returned; ``actions`` are those that may be held."""
        key = np.frombuffer(base64.b64decode(state["key"]), "<u4")
        self._generator.state = {
            "bit_generator": "MT19937",
            "state": {"key": key.astype(np.uint32), "pos": state["pos"]},
        }
        self._draw_block()
        self._at = state["at"]
        self.held = next((a for a in actions if a.value == state["held"]), None)

"""One game of Pong on our own emulator, step for step as ``AleGame`` and Gymnasium play it."""

import json
import zlib
from functools import cache
from typing import Any

import numpy as np
from ale_py import Action

from fastpg.emulator import _emulator, roms
from fastpg.emulator._emulator import Console
from fastpg.emulator.emulator import load_cartridge
from fastpg.envs.rules import Rules
from fastpg.envs.seeds import seed_words

_STATE_FORMAT = f"fastpg-native-game-{_emulator.LAYOUT_VERSION}"


def frame_range(rules: Rules) -> tuple[int, int]:
    """Emulator frames of an agent step as a half-open range (low, high)."""
    frames = rules.frameskip
    return frames if isinstance(frames, tuple) else (frames, frames + 1)


def compiled_rules(rules: Rules) -> dict[str, Any]:
    """Rules as arguments of compiled code: frames, stickiness, frame limit, no-ops."""
    return {
        "frameskip": frame_range(rules),
        "repeat": rules.repeat_action_probability,
        "max_frames": rules.max_num_frames_per_episode,
        "noop_max": rules.noop_max,
    }


def actions(rules: Rules) -> tuple[int, ...]:
    """ALE's number of each of Pong's actions."""
    return tuple(range(18)) if rules.full_action_space else roms.PONG.actions


@cache
def pong_cartridge() -> _emulator.Cartridge:
    """Pong's cartridge, loaded once a process."""
    return load_cartridge(roms.pong_rom())[0]


class NativeGame:
    """Pong under :class:`~fastpg.envs.rules.Rules`: the interface and the games of ``AleGame``.

    Args:
        rules: the rules to play under; an attribute.

    Raises:
        ValueError: the rules are of another game than Pong.
        RuntimeError: Pong's ROM is missing.
    """

    def __init__(self, rules: Rules):
        if rules.game != roms.PONG.name:
            raise ValueError(f"game: expected pong, got {rules.game!r}; ale-py plays the others")
        self.rules = rules
        self._console = Console()
        self._console.set_rules(**compiled_rules(rules))
        self._console.load(pong_cartridge(), 0)
        self.emulator_actions = actions(rules)  #: ALE's number of each action
        self._started = False

    # ---- playing ----------------------------------------------------------------------------

    def reset(self, seed: int | None = None) -> None:
        """Start a new episode, as ``AleGame.reset`` does."""
        words = None if seed is None and self._started else seed_words(seed)
        self._console.begin_episode(words)
        self._started = True

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Play one agent step, as ``AleGame.step`` does: (reward, terminated, truncated)."""
        if not self._started:
            raise RuntimeError("step: expected reset() before the first step")
        if not 0 <= action < len(self.emulator_actions):
            raise ValueError(
                f"action: expected 0 to {len(self.emulator_actions) - 1}, got {action}"
            )
        console = self._console
        reward = float(console.step_episode(self.emulator_actions[action]))
        return reward, console.terminated, console.truncated

    # ---- what it shows ----------------------------------------------------------------------

    def palette(self, out: np.ndarray) -> None:
        """Write the palette indices of the picture into ``out`` (210, 160) uint8, C-contiguous."""
        self._console.palette(out)

    def rgb(self, out: np.ndarray) -> None:
        """Write the colours of the picture into ``out`` (210, 160, 3) uint8, C-contiguous."""
        self._console.rgb(out)

    def grayscale(self, out: np.ndarray) -> None:
        """Write ALE's grey values of the picture into ``out`` (210, 160) uint8, C-contiguous."""
        self._console.grayscale(out)

    def ram(self, out: np.ndarray) -> None:
        """Write the console's memory into ``out`` (128,) uint8."""
        self._console.ram(out)

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """What each action presses: ``("NOOP", "FIRE", "RIGHT", ..)``."""
        return tuple(Action(action).name for action in self.emulator_actions)

    @property
    def terminated(self) -> bool:
        """True once the game is over by its own rules."""
        return self._console.terminated

    @property
    def truncated(self) -> bool:
        """True once the episode has reached its largest number of frames."""
        return self._console.truncated

    @property
    def lives(self) -> int:
        """0: Pong has no lives."""
        return 0

    @property
    def episode_frame_number(self) -> int:
        """Emulator frames of this episode, without those of the reset."""
        return self._console.episode_frame_number

    @property
    def frame_number(self) -> int:
        """Emulator frames since the last ``reset(seed)``, without those of resets."""
        return self._console.frame_number

    @property
    def emulated_frames(self) -> int:
        """Emulator frames of all episodes of this object; saved and restored with its state."""
        return self._console.emulated_frames

    # ---- state ------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Console and random generators as 6 KB, for :meth:`restore`; without the picture.

        Raises:
            RuntimeError: the game has not been reset yet.
        """
        if not self._started:
            raise RuntimeError("state: expected reset() before the first state")
        body = self._console.snapshot()
        return self._state_head(body) + b"\n" + body

    def restore(self, state: bytes) -> None:
        """Restore a :meth:`state`, of this or another object; the rules stay this object's.

        Raises:
            TypeError: ``state`` is not bytes.
            ValueError: ``state`` is not this emulator's, or is damaged.
        """
        if not isinstance(state, bytes):
            raise TypeError(f"state: expected bytes, got {type(state).__name__}")
        head, _, body = state.partition(b"\n")
        if head != self._state_head(body):
            expected = f"a state of {self.rules.game} ({_STATE_FORMAT})"
            raise ValueError(f"state: expected {expected}, got other or damaged bytes")
        self._console.restore(body, True, True)
        self._started = True

    def _state_head(self, body: bytes) -> bytes:
        head = {"format": _STATE_FORMAT, "game": self.rules.game, "checksum": zlib.crc32(body)}
        return json.dumps(head).encode()

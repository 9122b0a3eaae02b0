"""One game on our own emulator, step for step as ``AleGame`` and Gymnasium play it."""

import json
import zlib
from functools import cache
from typing import Any

import numpy as np
from ale_py import Action

from fastpg.emulator import _emulator, roms
from fastpg.emulator._emulator import Console
from fastpg.emulator.emulator import cartridge
from fastpg.envs.rules import Rules

_STATE_FORMAT = f"fastpg-native-game-{_emulator.LAYOUT_VERSION}"


def seed_words(seed: int | None) -> tuple[int, int, int]:
    """PCG64 state, its increment, and the emulator's 32-bit seed, as ale-py's environment has them.

    Raises:
        ValueError: seed is no int of at least 0, and not None, which takes one from the system.
    """
    if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ValueError(f"seed: expected an int of at least 0, got {seed!r}")
    numpy_seed, ale_seed = np.random.SeedSequence(seed).generate_state(2)
    state: Any = np.random.PCG64(int(numpy_seed)).state["state"]
    return state["state"], state["inc"], int(ale_seed)


def frame_range(rules: Rules) -> tuple[int, int]:
    """Frames of a step as a half-open range."""
    frames = rules.frameskip
    return frames if isinstance(frames, tuple) else (frames, frames + 1)


def actions(rules: Rules) -> tuple[int, ...]:
    """The actions of the game, as ALE numbers them."""
    return tuple(range(18)) if rules.full_action_space else roms.PONG.actions


@cache
def pong_cartridge() -> _emulator.Cartridge:
    """Pong: the one game that is played here, since its reward and end are known."""
    return cartridge(roms.pong_rom())[0]


class NativeGame:
    """Pong under :class:`~fastpg.envs.rules.Rules`: the interface of ``AleGame``, the same game.

    Attributes:
        rules: the rules it is played under.
        console: it plays on.
        emulator_actions: what each action is as the emulator numbers it.
    """

    def __init__(self, rules: Rules):
        """Get ready.

        Raises:
            ValueError: rules of another game than Pong.
            RuntimeError: Pong's ROM is not there.
        """
        if rules.game != roms.PONG.name:
            raise ValueError(f"game: expected pong, got {rules.game!r}; ale-py plays the others")
        self.rules = rules
        self.console = Console()
        self._set_rules()
        self.console.load(pong_cartridge(), 0)
        self.emulator_actions = actions(rules)
        self._fresh = True

    def _set_rules(self) -> None:
        rules = self.rules
        self.console.set_rules(
            frame_range(rules),
            rules.repeat_action_probability,
            rules.max_num_frames_per_episode,
            rules.noop_max,
        )

    # ---- playing ----------------------------------------------------------------------------

    def reset(self, seed: int | None = None) -> None:
        """See ``AleGame.reset``."""
        words = None if seed is None and not self._fresh else seed_words(seed)
        self.console.begin_episode(words)
        self._fresh = False

    def step(self, action: int) -> tuple[float, bool, bool]:
        """See ``AleGame.step``."""
        if self._fresh:
            raise RuntimeError("step: expected reset() before the first step")
        if not 0 <= action < len(self.emulator_actions):
            raise ValueError(
                f"action: expected 0 to {len(self.emulator_actions) - 1}, got {action}"
            )
        console = self.console
        reward = float(console.step_episode(self.emulator_actions[action]))
        return reward, console.terminated, console.truncated

    # ---- what it shows ----------------------------------------------------------------------

    def screen(self, out: np.ndarray) -> None:
        """Write the picture into ``out`` (210, 160) uint8, C-contiguous: palette indices."""
        self.console.palette(out)

    def rgb(self, out: np.ndarray) -> None:
        """Write the picture into ``out`` (210, 160, 3) uint8, C-contiguous: red, green, blue."""
        self.console.rgb(out)

    def gray(self, out: np.ndarray) -> None:
        """Write the picture into ``out`` (210, 160) uint8, C-contiguous: ALE's grey values."""
        self.console.grayscale(out)

    def ram(self, out: np.ndarray) -> None:
        """Write the console's memory into ``out`` (128,) uint8."""
        self.console.ram(out)

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """What each action presses: ``("NOOP", "FIRE", "RIGHT", ..)``."""
        return tuple(Action(action).name for action in self.emulator_actions)

    @property
    def terminated(self) -> bool:
        """Whether the game is over by its own rules."""
        return self.console.terminated

    @property
    def truncated(self) -> bool:
        """Whether the episode has reached the largest number of frames."""
        return self.console.truncated

    @property
    def lives(self) -> int:
        """0: Pong has none."""
        return 0

    @property
    def episode_frame_number(self) -> int:
        """Frames emulated in this episode, without those of the reset."""
        return self.console.episode_frame_number

    @property
    def frame_number(self) -> int:
        """Frames emulated since the last ``reset(seed)``, without those of resets."""
        return self.console.frame_number

    @property
    def emulated_frames(self) -> int:
        """Frames emulated in the life of this game (:meth:`restore` sets it too)."""
        return self.console.emulated_frames

    # ---- keeping ----------------------------------------------------------------------------

    def state(self) -> bytes:
        """All that what is to come depends on, 6 KB; the picture is not in it.

        Raises:
            RuntimeError: the game has not been reset yet.
        """
        if self._fresh:
            raise RuntimeError("state: expected reset() before the first state")
        body = self.console.snapshot()
        head = {"format": _STATE_FORMAT, "game": self.rules.game, "checksum": zlib.crc32(body)}
        return json.dumps(head).encode() + b"\n" + body

    def restore(self, state: bytes) -> None:
        """Take over a :meth:`state`; :meth:`step` or :meth:`reset` then do what they would have.

        The rules are this game's own, not those of the game that gave the state.

        Raises:
            ValueError: state is none of this emulator's, or damaged.
        """
        if not isinstance(state, bytes):
            raise TypeError(f"state: expected bytes, got {type(state).__name__}")
        head, found, body = state.partition(b"\n")
        try:
            values = json.loads(head)
            right = bool(found) and values["format"] == _STATE_FORMAT
            right = right and values["game"] == self.rules.game
            right = right and values["checksum"] == zlib.crc32(body)
        except (ValueError, KeyError, TypeError):
            right = False
        if not right:
            raise ValueError(
                f"state: expected a state of {self.rules.game}, got another (or a damaged one, or "
                f"not this emulator's {_STATE_FORMAT})"
            )
        self.console.restore(body, True, True)
        self._fresh = False

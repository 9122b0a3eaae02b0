"""One Atari game on ale-py's emulator, step for step as Gymnasium's own environment plays it."""

import json
from typing import Any

import numpy as np
from ale_py import ALEInterface, ALEState, LoggerMode
from ale_py.roms import get_all_rom_ids, get_rom_path

from fastpg.envs.rules import Rules
from fastpg.envs.seeds import derive_seeds
from fastpg.envs.sticky_actions import StickyActions

_STATE_FORMAT = "fastpg-ale-game-1"


class AleGame:
    """One game under :class:`~fastpg.envs.rules.Rules`, equal to ``gymnasium.make`` with its id.

    After ``reset(seed=s)`` the same actions give the same pictures, rewards, ends and frame
    numbers, for any number of episodes. The ROM is loaded on first use.

    Args:
        rules: the rules to play under; an attribute.

    Raises:
        ValueError: ale-py has no ROM of that name.
    """

    def __init__(self, rules: Rules):
        # Not on ale_py.AtariEnv: it draws an RGB picture each step, which costs as much as half a
        # frame's emulation and is not always needed.
        self.rules = rules
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._ale = ALEInterface()
        rom = get_rom_path(rules.game) if rules.game in get_all_rom_ids() else None
        if rom is None:
            raise ValueError(f"game: expected the name of a ROM in ale-py, got {rules.game!r}")
        self._rom = rom
        self._random: np.random.Generator | None = None
        self._sticky: StickyActions | None = None
        self._actions: list[Any] = []
        self._frames_of_past_loads = 0

    # ---- playing ----------------------------------------------------------------------------

    def reset(self, seed: int | None = None) -> None:
        """Start a new episode.

        Args:
            seed: at least 0: seed the random numbers, which loads the ROM again (120 ms). None
                continues the random sequence; the first reset then takes its seed from the system.

        Raises:
            ValueError: ``seed`` is neither None nor an int >= 0.
        """
        if seed is not None or not self._actions:
            self._load(seed)
        self._reset_emulator()
        if self.rules.noop_max > 0:
            self._play_noops(seed)

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Play one agent step: one action for as many frames as the rules say or draw.

        After the end of an episode a step emulates nothing.

        Args:
            action: index into :attr:`action_meanings`.

        Returns:
            (reward, terminated, truncated); the reward is the sum over the frames.

        Raises:
            ValueError: there is no such action.
            RuntimeError: the game has not been reset yet.
        """
        if self._random is None:
            raise RuntimeError("step: expected reset() before the first step")
        if not 0 <= action < len(self._actions):
            raise ValueError(f"action: expected 0 to {len(self._actions) - 1}, got {action}")
        frames = self.rules.frameskip
        if isinstance(frames, tuple):
            frames = int(self._random.integers(*frames))
        act, sticky, chosen = self._ale.act, self._sticky, self._actions[action]
        reward = 0
        for _ in range(frames):  # all of them, even after the end: sticky actions draw in each
            reward += act(sticky(chosen) if sticky else chosen)
        if not self._ale.game_over():
            return float(reward), False, False
        return float(reward), self.terminated, self.truncated

    def _play_noops(self, seed: int | None) -> None:
        # as gymnasium.wrappers.AtariPreprocessing, which goes on counting after a reset
        assert self._random is not None
        for _ in range(self._random.integers(1, self.rules.noop_max + 1)):
            noop = self._actions[0]
            self._ale.act(self._sticky(noop) if self._sticky else noop)
            if self._ale.game_over():
                if seed is not None:
                    self._load(seed)
                self._reset_emulator()

    def _reset_emulator(self) -> None:
        self._ale.reset_game()
        if self._sticky:
            self._sticky.held = self._actions[0]

    def _load(self, seed: int | None) -> None:
        numpy_seed, ale_seed = derive_seeds(seed)
        self._random = np.random.default_rng(numpy_seed)
        if self._actions:
            self._frames_of_past_loads += self._ale.getFrameNumber()
        ale, rules = self._ale, self.rules
        ale.setInt("random_seed", int(np.uint32(ale_seed).astype(np.int32)))
        ale.setInt("max_num_frames_per_episode", rules.max_num_frames_per_episode)
        ale.setInt("frame_skip", 1)
        # Sticky actions are drawn here: ALE does not say which action it holds, so a state saved
        # within an episode could not be complete.
        ale.setFloat("repeat_action_probability", 0.0)
        self._sticky = None
        if rules.repeat_action_probability > 0:
            self._sticky = StickyActions(rules.repeat_action_probability, ale_seed)
        ale.loadROM(self._rom)
        full = rules.full_action_space
        self._actions = list(ale.getLegalActionSet() if full else ale.getMinimalActionSet())

    def _loaded(self) -> ALEInterface:
        if not self._actions:
            self._load(None)
        return self._ale

    # ---- what it shows ----------------------------------------------------------------------

    def palette(self, out: np.ndarray) -> None:
        """Write the palette indices of the picture into ``out`` (210, 160) uint8, C-contiguous."""
        self._loaded().getScreen(out)

    def rgb(self, out: np.ndarray) -> None:
        """Write the colours of the picture into ``out`` (210, 160, 3) uint8, C-contiguous."""
        self._loaded().getScreenRGB(out)

    def grayscale(self, out: np.ndarray) -> None:
        """Write ALE's grey values of the picture into ``out`` (210, 160) uint8, C-contiguous."""
        self._loaded().getScreenGrayscale(out)

    def ram(self, out: np.ndarray) -> None:
        """Write the console's memory into ``out`` (128,) uint8."""
        self._loaded().getRAM(out)

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """What each action presses: ``("NOOP", "FIRE", "RIGHT", ..)``."""
        self._loaded()
        return tuple(action.name for action in self._actions)

    @property
    def terminated(self) -> bool:
        """True once the game is over by its own rules."""
        return self._ale.game_over(with_truncation=False)

    @property
    def truncated(self) -> bool:
        """True once the episode has reached its largest number of frames."""
        return self._ale.game_truncated()

    @property
    def lives(self) -> int:
        """Lives left; 0 in games without lives."""
        return self._loaded().lives()

    @property
    def episode_frame_number(self) -> int:
        """Emulator frames of this episode, without those of the reset."""
        return self._loaded().getEpisodeFrameNumber()

    @property
    def frame_number(self) -> int:
        """Emulator frames since the last ``reset(seed)``, without those of resets."""
        return self._loaded().getFrameNumber()

    @property
    def emulated_frames(self) -> int:
        """Emulator frames of all episodes of this object; saved and restored with its state."""
        return self._frames_of_past_loads + self._loaded().getFrameNumber()

    # ---- state ------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Emulator and random generators as 10 to 20 KB, for :meth:`restore`.

        The state has no picture: after :meth:`restore` the picture is right from the next step or
        reset on.

        Raises:
            RuntimeError: the game has not been reset yet.
        """
        if self._random is None:
            raise RuntimeError("state: expected reset() before the first state")
        emulator = self._ale.cloneState(include_rng=True).serialize()
        head = {
            "format": _STATE_FORMAT,
            "game": self.rules.game,
            "random": self._random.bit_generator.state,
            "frames_of_past_loads": self._frames_of_past_loads,
            "sticky": self._sticky.state() if self._sticky else None,
            "emulator_bytes": len(emulator),
        }
        return json.dumps(head).encode() + b"\n" + emulator

    def restore(self, state: bytes) -> None:
        """Restore a :meth:`state`, of this or another object; the rules stay this object's.

        Raises:
            ValueError: ``state`` is no such state, damaged, or of another game.
        """
        head, _, emulator = state.partition(b"\n")
        try:
            values = json.loads(head)
            game, whole = values["game"], values["emulator_bytes"] == len(emulator)
            right = whole and values["format"] == _STATE_FORMAT
        except (ValueError, KeyError, TypeError):
            right = False
        expected = f"state: expected a state of {self.rules.game}"
        if not right:
            raise ValueError(f"{expected}, got other or damaged bytes")
        if game != self.rules.game:
            raise ValueError(f"{expected}, got that of {game}")
        self._loaded().restoreState(ALEState(emulator))
        assert self._random is not None
        self._random.bit_generator.state = values["random"]
        self._frames_of_past_loads = values["frames_of_past_loads"]
        if self._sticky and values["sticky"]:
            self._sticky.restore(values["sticky"], self._actions)

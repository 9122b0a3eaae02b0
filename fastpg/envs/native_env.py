"""One game of Pong on our own emulator as a Gymnasium environment."""

import operator
from typing import Any, Unpack

import gymnasium
import numpy as np
from ale_py import Action
from gymnasium import spaces
from gymnasium.utils import EzPickle

from fastpg.emulator.emulator import Emulator
from fastpg.emulator.roms import PONG, pong_rom
from fastpg.emulator.state import EmulatorState
from fastpg.envs.native_game import actions
from fastpg.envs.rules import BadArgument, RuleOverrides, rules
from fastpg.envs.seeds import derive_seeds, words_of_seeds
from fastpg.envs.vector_base import INFO_KEYS, OBSERVATIONS

_OBS_TYPES = ("rgb", "grayscale", "palette", "ram")  # methods of Emulator
# What gymnasium.utils.play takes for each part of an action's name.
_KEYS = {"UP": "w", "DOWN": "s", "RIGHT": "d", "LEFT": "a", "FIRE": " "}


class NativeEnv(gymnasium.Env[np.ndarray, int], EzPickle):
    """Pong, step for step equal to ``gymnasium.make(env_id)`` of ale-py.

    After ``import fastpg``, ``gymnasium.make("fastpg/Pong-v5")`` makes one. Wrappers for ale-py's
    environment find what they ask for: ``np_random`` draws the same numbers, ``ale`` is an
    ``fastpg.emulator.Emulator``. A pickle or a copy is a new environment with the same
    arguments, as of ale-py's.

    Args:
        env_id: ale-py's id of the rules, such as ``"ALE/Pong-v5"`` or ``"Pong-v0"``.
        obs_type: the observation, uint8: ``"rgb"`` (210, 160, 3), ``"grayscale"`` (210, 160),
            ``"palette"`` (210, 160) indices of ``PALETTE_RGB`` or ``"ram"`` (128,).
        render_mode: ``"rgb_array"`` or None. With ``"human"``, ``gymnasium.make`` shows a window.
        **rule_overrides: see :class:`~fastpg.envs.rules.RuleOverrides`.

    Attributes:
        ale: the emulator, with the methods of ``ale_py.ALEInterface``.

    Raises:
        TypeError: an argument has another name.
        ValueError: the id is of another game or a value is out of its range; the message names it.
            It is a ``gymnasium.error.Error`` too, as ale-py's is.
        RuntimeError: Pong's ROM is missing; the message says what to install.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 (as Gymnasium)

    def __init__(
        self,
        env_id: str = "ALE/Pong-v5",
        *,
        obs_type: str = "rgb",
        render_mode: str | None = None,
        **rule_overrides: Unpack[RuleOverrides],
    ):
        given = {"obs_type": obs_type, "render_mode": render_mode, **rule_overrides}
        EzPickle.__init__(self, env_id, **given)
        if not isinstance(obs_type, str) or obs_type not in _OBS_TYPES:
            expected = ", ".join(_OBS_TYPES)
            raise BadArgument(f"obs_type: expected one of {expected}, got {obs_type!r}")
        if render_mode not in (None, "rgb_array"):
            raise BadArgument(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        game_rules = rules(env_id, **rule_overrides)
        if game_rules.game != PONG.name:
            raise BadArgument(f"env_id: expected an id of Pong, got {env_id!r}; ale-py plays it")
        self.rules, self.render_mode = game_rules, render_mode
        self.ale = Emulator()
        self.ale.setFloat("repeat_action_probability", game_rules.repeat_action_probability)
        self.ale.setInt("max_num_frames_per_episode", game_rules.max_num_frames_per_episode)
        self.ale.loadROM(pong_rom())
        self._write_observation = getattr(self.ale, obs_type)
        numbers = actions(game_rules)
        self.action_space = spaces.Discrete(len(numbers))  # type: ignore[assignment]
        self.observation_space = spaces.Box(0, 255, OBSERVATIONS[obs_type], np.uint8)
        # Names that wrappers read of ale-py's environment.
        self._action_set = [Action(number) for number in numbers]
        self._frameskip, self._obs_type, self._game = game_rules.frameskip, obs_type, PONG.name
        self._game_mode = rule_overrides.get("mode")
        self._game_difficulty = rule_overrides.get("difficulty")
        self.continuous = self.sound_obs = False
        self.continuous_action_threshold = rule_overrides.get("continuous_action_threshold", 0.5)
        self._numbers = numbers
        self.seed_game()
        self.load_game()

    # ---- episodes -----------------------------------------------------------------------------

    def seed_game(self, seed: int | None = None) -> tuple[np.uint32, np.uint32]:
        """Seed ``np_random``, and the emulator from its next :meth:`load_game` on.

        Args:
            seed: at least 0; None takes one from the system.

        Returns:
            The seeds of ``np_random`` and of the emulator.
        """
        self._seeds = derive_seeds(seed)
        self._np_random = np.random.Generator(np.random.PCG64(self._seeds[0]))
        return np.uint32(self._seeds[0]), np.uint32(self._seeds[1])

    def load_game(self) -> None:
        """Load the ROM again, which starts the emulator's random numbers over."""
        self.ale.begin_episode(words_of_seeds(*self._seeds))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: at least 0: seed the random numbers. None continues the random sequence.
            options: ignored.

        Returns:
            observation: uint8, with the shape of ``obs_type``.
            info: ``"lives"``, ``"episode_frame_number"`` and ``"frame_number"``; after a seed also
            ``"seeds"``, as :meth:`seed_game` returns them.

        Raises:
            gymnasium.error.Error: ``seed`` is no int, or negative.
        """
        super().reset(seed=seed)
        seeds = None if seed is None else self.seed_game(seed)
        self._begin(seeds is not None)
        if self.rules.noop_max > 0:  # as gymnasium.wrappers.AtariPreprocessing
            for _ in range(self.np_random.integers(1, self.rules.noop_max + 1)):
                self.ale.step_episode(0, 1)
                if self.ale.over:
                    if seeds is not None:
                        self.seed_game(seed)
                    self._begin(seeds is not None)
        observation, info = self._observe()
        return observation, info if seeds is None else {**info, "seeds": seeds}

    def _begin(self, load: bool) -> None:
        if load:
            self.load_game()
        else:
            self.ale.begin_episode(None)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one agent step.

        Args:
            action: index into :meth:`get_action_meanings`.

        Returns:
            observation: uint8, with the shape of ``obs_type``.
            reward: float, summed over the emulator frames of the step.
            terminated: bool: the game is over by its own rules.
            truncated: bool: the episode has reached its largest number of frames.
            info: as from :meth:`reset`.

        Raises:
            TypeError: ``action`` is no integer.
            ValueError: there is no such action.
        """
        try:
            number = operator.index(action)
        except TypeError:
            got = type(action).__name__
            raise TypeError(f"action: expected an integer, got {got}") from None
        if not 0 <= number < len(self._numbers):
            raise BadArgument(f"action: expected 0 to {len(self._numbers) - 1}, got {number}")
        frames = self._frameskip
        if isinstance(frames, tuple):
            frames = int(self.np_random.integers(*frames))
        reward = float(self.ale.step_episode(self._numbers[number], frames))
        observation, info = self._observe()
        return observation, reward, self.ale.terminated, self.ale.truncated, info

    def _observe(self) -> tuple[np.ndarray, dict[str, Any]]:
        observation = np.empty(self.observation_space.shape or (), np.uint8)
        self._write_observation(observation)
        ale = self.ale
        counts = ale.lives(), ale.episode_frame_number, ale.frame_number
        return observation, dict(zip(INFO_KEYS, counts, strict=True))

    def render(self) -> Any:
        """Return the picture (210, 160, 3) uint8 with ``render_mode="rgb_array"``, else None."""
        return None if self.render_mode is None else self.ale.getScreenRGB()

    # ---- actions ------------------------------------------------------------------------------

    def get_action_meanings(self) -> list[str]:
        """Return what each action presses: ``["NOOP", "FIRE", "RIGHT", ..]``."""
        return [action.name for action in self._action_set]

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Return the action of each set of keys, for ``gymnasium.utils.play``."""
        keys = {}
        for number, name in enumerate(self.get_action_meanings()):
            pressed = tuple(key for part, key in _KEYS.items() if part in name)
            keys[pressed or ("e",)] = number
        return keys

    # ---- states -------------------------------------------------------------------------------

    def clone_state(self, include_rng: bool = False) -> EmulatorState:
        """Return the emulator's state, with the generator of sticky actions if asked for."""
        return self.ale.cloneState(include_rng=include_rng)

    def restore_state(self, state: EmulatorState) -> None:
        """Continue from a :meth:`clone_state`, of this or another environment."""
        self.ale.restoreState(state)

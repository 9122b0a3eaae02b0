"""One game of Pong on our own emulator as a Gymnasium environment."""

import operator
from typing import Any, Unpack

import gymnasium
import numpy as np
from gymnasium import spaces

from fastpg.envs.native_game import NativeGame
from fastpg.envs.rules import RuleOverrides, rules
from fastpg.envs.vector_base import INFO_KEYS, OBSERVATIONS

_OBS_TYPES = ("rgb", "grayscale", "palette", "ram")  # methods of NativeGame


class NativeEnv(gymnasium.Env[np.ndarray, int]):
    """Pong, step for step equal to ``gymnasium.make(env_id)`` of ale-py.

    After ``import fastpg``, ``gymnasium.make("fastpg/Pong-v5")`` makes one.

    Args:
        env_id: ale-py's id of the rules, such as ``"ALE/Pong-v5"`` or ``"Pong-v0"``.
        obs_type: the observation, uint8: ``"rgb"`` (210, 160, 3), ``"grayscale"`` (210, 160),
            ``"palette"`` (210, 160) indices of ``PALETTE_RGB`` or ``"ram"`` (128,).
        render_mode: ``"rgb_array"`` or None.
        **rule_overrides: see :class:`~fastpg.envs.rules.RuleOverrides`.

    Raises:
        ValueError: the id is of another game or a value is out of its range; the message names it.
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
        if obs_type not in _OBS_TYPES:
            raise ValueError(f"obs_type: expected one of {', '.join(_OBS_TYPES)}, got {obs_type!r}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        self.render_mode = render_mode
        self._game = NativeGame(rules(env_id, **rule_overrides))
        self._write_observation = getattr(self._game, obs_type)
        self._meanings = self._game.action_meanings
        self.action_space = spaces.Discrete(len(self._meanings))  # type: ignore[assignment]
        self.observation_space = spaces.Box(0, 255, OBSERVATIONS[obs_type], np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: at least 0: seed the random numbers. None continues the random sequence; the first
                reset then takes its seed from the system.
            options: ignored.

        Returns:
            observation: uint8, with the shape of ``obs_type``.
            info: ``"lives"``, ``"episode_frame_number"`` and ``"frame_number"``.

        Raises:
            gymnasium.error.Error: ``seed`` is negative.
        """
        super().reset(seed=seed)
        self._game.reset(seed)
        return self._observe()

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
            RuntimeError: the environment has not been reset yet.
        """
        try:
            number = operator.index(action)
        except TypeError:
            got = type(action).__name__
            raise TypeError(f"action: expected an integer, got {got}") from None
        reward, terminated, truncated = self._game.step(number)
        observation, info = self._observe()
        return observation, reward, terminated, truncated, info

    def _observe(self) -> tuple[np.ndarray, dict[str, Any]]:
        observation = np.empty(self.observation_space.shape or (), np.uint8)
        self._write_observation(observation)
        return observation, {key: getattr(self._game, key) for key in INFO_KEYS}

    def render(self) -> Any:
        """Return the picture (210, 160, 3) uint8 with ``render_mode="rgb_array"``, else None."""
        if self.render_mode is None:
            return None
        picture = np.empty(OBSERVATIONS["rgb"], np.uint8)
        self._game.rgb(picture)
        return picture

    def get_action_meanings(self) -> list[str]:
        """Return what each action presses: ``["NOOP", "FIRE", "RIGHT", ..]``."""
        return list(self._meanings)

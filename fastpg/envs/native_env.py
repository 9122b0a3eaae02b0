"""One game of Pong on our own emulator as a plain Gymnasium environment."""

import operator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from fastpg.envs.native_game import NativeGame
from fastpg.envs.rules import rules
from fastpg.envs.vector import INFO_KEYS, OBSERVATIONS

_SHOWN = {"rgb": "rgb", "grayscale": "gray", "palette": "screen", "ram": "ram"}


class NativeEnv(gymnasium.Env[np.ndarray, int]):
    """Pong, equal to ``gymnasium.make(env_id)`` of ale-py: ``gymnasium.make("fastpg/Pong-v5")``.

    Args:
        env_id: ale-py's id of the rules, such as ``"ALE/Pong-v5"`` or ``"Pong-v0"``.
        obs_type: ``"rgb"``, ``"grayscale"``, ``"palette"`` or ``"ram"``, as ``NativeVectorEnv``.
        render_mode: ``"rgb_array"`` or None.
        of_the_rules: ``frameskip``, ``repeat_action_probability``, ``noop_max``,
            ``full_action_space``, ``max_num_frames_per_episode``, as
            :class:`~fastpg.envs.rules.Rules`.

    Raises:
        ValueError: an id of another game, or a bad value; the message names it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012 (as Gymnasium)

    def __init__(
        self,
        env_id: str = "ALE/Pong-v5",
        *,
        obs_type: str = "rgb",
        render_mode: str | None = None,
        **of_the_rules: Any,
    ):
        if obs_type not in _SHOWN:
            raise ValueError(f"obs_type: expected one of {', '.join(_SHOWN)}, got {obs_type!r}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        self.render_mode = render_mode
        self._game = NativeGame(rules(env_id, **of_the_rules))
        self._show = getattr(self._game, _SHOWN[obs_type])
        self._meanings = self._game.action_meanings
        self.action_space = spaces.Discrete(len(self._meanings))  # type: ignore[assignment]
        self.observation_space = spaces.Box(0, 255, OBSERVATIONS[obs_type], np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; with a seed, all random numbers anew."""
        super().reset(seed=seed)
        self._game.reset(seed)
        return self._seen()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play an action, an index into :meth:`get_action_meanings`."""
        try:
            number = operator.index(action)
        except TypeError:
            got = type(action).__name__
            raise TypeError(f"action: expected an integer, got {got}") from None
        reward, terminated, truncated = self._game.step(number)
        observation, info = self._seen()
        return observation, reward, terminated, truncated, info

    def _seen(self) -> tuple[np.ndarray, dict[str, Any]]:
        observation = np.empty(self.observation_space.shape or (), np.uint8)
        self._show(observation)
        return observation, {key: getattr(self._game, key) for key in INFO_KEYS}

    def render(self) -> Any:
        """The picture (210, 160, 3), with ``render_mode="rgb_array"``."""
        if self.render_mode is None:
            return None
        picture = np.empty(OBSERVATIONS["rgb"], np.uint8)
        self._game.rgb(picture)
        return picture

    def get_action_meanings(self) -> list[str]:
        """What each action presses."""
        return list(self._meanings)

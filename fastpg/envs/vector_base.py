"""The base of our vector environments: arguments, spaces, seeds, masks and infos."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from gymnasium import error, spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fastpg.emulator.palette import PALETTE_RGB
from fastpg.envs.rules import BadArgument, RuleOverrides, Rules, rules
from fastpg.kernels.geometry import RAM_SIZE, SCREEN, VIEW_PIXELS

INFO_KEYS = ("lives", "episode_frame_number", "frame_number")
_INFO_MASKS = tuple(f"_{key}" for key in INFO_KEYS)  # Gymnasium's: which games have the value

_SHOWN = ("rgb", "palette")  # observations that a picture can be made of
#: Shape of a game's observation, uint8, by ``obs_type``.
OBSERVATIONS: dict[str, tuple[int, ...]] = {
    "rgb": (*SCREEN, 3),
    "grayscale": SCREEN,
    "palette": SCREEN,
    "ram": (RAM_SIZE,),
    "pong80": (VIEW_PIXELS,),
}


def check_int(name: str, value: Any, least: int) -> None:
    """Raise ValueError, which names the argument, unless ``value`` is an int >= ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise BadArgument(f"{name}: expected an int of at least {least}, got {value!r}")


@dataclass
class Buffers:
    """Inputs and outputs of the games' steps: one row a game, in infos one column a game."""

    actions: np.ndarray
    observations: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    infos: np.ndarray
    final_observations: np.ndarray
    final_infos: np.ndarray

    @classmethod
    def allocate(
        cls, games: int, shape: tuple[int, ...], make: Callable[..., Any] = np.zeros
    ) -> "Buffers":
        """Allocate buffers for so many games with ``make(shape, dtype)``, which returns zeros."""
        return cls(
            actions=make((games,), np.int64),
            observations=make((games, *shape), np.uint8),
            rewards=make((games,), np.float64),
            terminations=make((games,), np.bool_),
            truncations=make((games,), np.bool_),
            infos=make((len(INFO_KEYS), games), np.int64),
            final_observations=make((games, *shape), np.uint8),
            final_infos=make((len(INFO_KEYS), games), np.int64),
        )


class GameVectorEnv(VectorEnv):
    """N games of one id, each equal to ``gymnasium.make`` of ale-py's id with its seed.

    A subclass sets ``action_meanings`` and ``_buffers``, calls :meth:`_set_spaces` and implements
    :meth:`_reset_games`, :meth:`_step_games` and :meth:`_observations`.

    Attributes:
        rules: the :class:`~fastpg.envs.rules.Rules` of the games.
        action_meanings: what each action presses: ``("NOOP", "FIRE", "RIGHT", ..)``.
    """

    action_meanings: tuple[str, ...]
    _buffers: Buffers

    def __reduce__(self) -> Any:
        raise TypeError("a vector environment cannot be pickled or copied: make another")

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        num_threads: int,
        autoreset_mode: str | AutoresetMode,
        obs_type: str,
        shapes: dict[str, tuple[int, ...]],
        render_mode: str | None,
        **rule_overrides: Unpack[RuleOverrides],
    ):
        """Check the arguments, which the subclasses document; ``shapes``: by ``obs_type``."""
        check_int("num_envs", num_envs, 1)
        check_int("num_threads", num_threads, 0)
        if not isinstance(obs_type, str) or obs_type not in shapes:
            expected = ", ".join(shapes)
            raise BadArgument(f"obs_type: expected one of {expected}, got {obs_type!r}")
        try:
            mode = AutoresetMode(autoreset_mode)
        except ValueError:
            expected = ", ".join(mode.value for mode in AutoresetMode)
            message = f"autoreset_mode: expected one of {expected}, got {autoreset_mode!r}"
            raise BadArgument(message) from None
        if render_mode not in (None, "rgb_array"):
            raise BadArgument(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        if render_mode and obs_type not in _SHOWN:
            shown = " or ".join(_SHOWN)
            raise BadArgument(f"render_mode: needs obs_type {shown}, got obs_type {obs_type!r}")
        self.render_mode = render_mode
        self.rules: Rules = rules(env_id, **rule_overrides)
        self.num_envs = num_envs
        self.obs_type = obs_type
        self._shape = shapes[obs_type]
        self.autoreset_mode = mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": 30,
            "autoreset_mode": self.autoreset_mode,
        }
        self._started = np.zeros(num_envs, np.bool_)
        self._all_started = False
        self._all_games = np.ones(num_envs, np.bool_)

    def _set_spaces(self) -> None:
        high = 1 if self.obs_type == "pong80" else 255
        self.single_action_space = spaces.Discrete(len(self.action_meanings))
        self.single_observation_space = spaces.Box(0, high, self._shape, np.uint8)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    # ---- for subclasses ---------------------------------------------------------------------

    def _reset_games(self, seeds: dict[int, int | None]) -> None:
        """Reset the games among ``seeds``, each with its seed or None; write to the buffers."""
        raise NotImplementedError

    def _step_games(self) -> None:
        """Step all games with ``_buffers.actions``, with autoreset; write to the buffers."""
        raise NotImplementedError

    def _observations(self) -> np.ndarray:
        """Observations (N, ..) to return to the caller."""
        raise NotImplementedError

    def _final_observations(self, ended: np.ndarray) -> np.ndarray:
        """Copy of the last observations of the episodes that ended (same-step autoreset)."""
        return self._buffers.final_observations[ended]

    # ---- playing ----------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: an int gives game i the seed ``seed + i``; a sequence gives each game its own.
                None continues the random sequence; the first reset then takes its seed from the
                system.
            options: ``{"reset_mask": (N,) bool}`` resets only the games where it is True.

        Returns:
            observations: (N, ..) uint8 of all games, with the shape of ``obs_type``.
            infos: ``"lives"``, ``"episode_frame_number"`` and ``"frame_number"``, each (N,) int64
            with its mask (N,) bool, ``"_lives"`` and so on, of the games that were reset.

        Raises:
            ValueError: the seed or the mask is wrong.
            gymnasium.error.ClosedEnvironmentError: the environment is closed.
        """
        self._check_open()
        seeds = self._seeds(seed)
        mask = self._mask(options)
        self._reset_games({i: seeds[i] for i in np.flatnonzero(mask).tolist()})
        self._started |= mask
        self._all_started = bool(self._started.all())
        return self._observations(), self._infos(self._buffers.infos, mask)

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one agent step of every game.

        Args:
            actions: (N,) of any integer type: indices into ``action_meanings``.

        Returns:
            observations: (N, ..) uint8, with the shape of ``obs_type``.
            rewards: (N,) float64, summed over the emulator frames of the step.
            terminations: (N,) bool: the game is over by its own rules.
            truncations: (N,) bool: the episode has reached its largest number of frames.
            infos: as from :meth:`reset`, of all games. With same-step autoreset also
            ``"final_obs"`` and ``"final_info"`` of the episodes that ended.

        Raises:
            ValueError: the actions have another shape, type or range.
            AssertionError: autoreset is disabled and a game whose episode is over was not reset.
            gymnasium.error.ResetNeeded: a game has not been reset yet.
            gymnasium.error.ClosedEnvironmentError: the environment is closed.
        """
        self._check_open()
        buffers = self._buffers
        buffers.actions[:] = self._checked_actions(actions)
        if not self._all_started:
            missing = np.flatnonzero(~self._started).tolist()
            raise error.ResetNeeded(f"step: expected reset() first, games {missing} had none")
        if self.autoreset_mode is AutoresetMode.DISABLED:
            over = np.flatnonzero(buffers.terminations | buffers.truncations).tolist()
            if over:
                raise AssertionError(
                    'step: expected reset(options={"reset_mask": ..}) after an episode (autoreset '
                    f"is disabled), got games {over} whose episodes are over"
                )
        self._step_games()
        terminations, truncations = buffers.terminations.copy(), buffers.truncations.copy()
        infos = self._infos(buffers.infos, self._all_games)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            ended = terminations | truncations
            if ended.any():
                infos |= self._final_infos(ended)
        return self._observations(), buffers.rewards.copy(), terminations, truncations, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return each game's picture (210, 160, 3) uint8 with ``render_mode="rgb_array"``.

        The pictures are those of the last observations; without a render mode it returns None.
        """
        if self.render_mode is None:
            return None
        self._check_open()
        seen = self._buffers.observations
        return tuple(PALETTE_RGB[seen] if self.obs_type == "palette" else seen.copy())

    # ---- infos ------------------------------------------------------------------------------

    def _infos(self, values: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        values = values.copy() if mask is self._all_games else np.where(mask, values, 0)
        infos: dict[str, Any] = {}
        for key, value, mask_key in zip(INFO_KEYS, values, _INFO_MASKS, strict=True):
            infos[key] = value
            infos[mask_key] = mask.copy()
        return infos

    def _final_infos(self, ended: np.ndarray) -> dict[str, Any]:
        observations = np.full(self.num_envs, None, dtype=object)
        for i, last in zip(np.flatnonzero(ended), self._final_observations(ended), strict=True):
            observations[i] = last
        return {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": self._infos(self._buffers.final_infos, ended),
            "_final_info": ended.copy(),
        }

    # ---- checks of arguments ----------------------------------------------------------------

    def _check_open(self) -> None:
        if self.closed:
            raise error.ClosedEnvironmentError("the environment is closed")

    def _seeds(self, seed: Any) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
            seed = [int(seed) + i for i in range(self.num_envs)]
        if not isinstance(seed, (list, tuple, range)) and np.shape(seed) != (self.num_envs,):
            raise BadArgument(f"seed: expected an int or {self.num_envs} of them, got {seed!r}")
        if len(seed) != self.num_envs:
            raise BadArgument(f"seed: expected {self.num_envs} of them, got {len(seed)}")
        for one in seed:
            if one is not None and (
                isinstance(one, bool) or not isinstance(one, (int, np.integer)) or one < 0
            ):
                raise BadArgument(f"seed: expected ints of at least 0, got {seed}")
        return [None if one is None else int(one) for one in seed]

    def _mask(self, options: dict[str, Any] | None) -> np.ndarray:
        if not options or "reset_mask" not in options:
            return self._all_games
        mask = np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise BadArgument(
                f"reset_mask: expected ({self.num_envs},) bool with at least one True, "
                f"got {mask.shape} {mask.dtype}{'' if mask.any() else ' without any'}"
            )
        return mask

    def _checked_actions(self, actions: Any) -> np.ndarray:
        array = np.asarray(actions)
        right = array.shape == (self.num_envs,) and array.dtype.kind in "iu"
        if not right or array.min() < 0 or array.max() >= len(self.action_meanings):
            expected = f"({self.num_envs},) integers of 0 to {len(self.action_meanings) - 1}"
            got = array.tolist() if right else f"{array.shape} {array.dtype}"
            raise BadArgument(f"actions: expected {expected}, got {got}")
        return array

"""Many Atari games at once on ale-py, over worker processes, as a Gymnasium vector environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from gymnasium import error, spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from fastpg.envs.ale_game import RAM_SIZE, AleGame
from fastpg.envs.palette import PALETTE_RGB
from fastpg.envs.rules import Rules, rules
from fastpg.envs.workers import SharedArray, WorkerPool, available_cores
from fastpg.kernels.spec import SCREEN, VIEW_PIXELS

INFO_KEYS = ("lives", "episode_frame_number", "frame_number")

# what a worker writes for each game: AleGame's method and its shape
_PICTURES: dict[str, tuple[str, tuple[int, ...]]] = {
    "rgb": ("rgb", (*SCREEN, 3)),
    "grayscale": ("gray", SCREEN),
    "palette": ("screen", SCREEN),
    "ram": ("ram", (RAM_SIZE,)),
    "pong80": ("screen", SCREEN),  # the parent makes the views, of all games in one call
}
OBS_TYPES = tuple(_PICTURES)


@dataclass
class _Buffers:
    """What parent and workers share, one row (of ``infos`` and ``final_infos`` a column) a game."""

    actions: SharedArray
    pictures: SharedArray
    rewards: SharedArray
    terminations: SharedArray
    truncations: SharedArray
    infos: SharedArray
    final_pictures: SharedArray
    final_infos: SharedArray

    @classmethod
    def of(cls, games: int, shape: tuple[int, ...]) -> "_Buffers":
        """Buffers for so many games with pictures of that shape."""
        return cls(
            actions=SharedArray((games,), np.int64),
            pictures=SharedArray((games, *shape), np.uint8),
            rewards=SharedArray((games,), np.float64),
            terminations=SharedArray((games,), np.bool_),
            truncations=SharedArray((games,), np.bool_),
            infos=SharedArray((len(INFO_KEYS), games), np.int64),
            final_pictures=SharedArray((games, *shape), np.uint8),
            final_infos=SharedArray((len(INFO_KEYS), games), np.int64),
        )


class _Slice:
    """The games ``which`` of a vector environment; lives in a worker."""

    def __init__(
        self, rules: Rules, which: range, picture: str, autoreset_mode: str, buffers: _Buffers
    ):
        self._games = {i: AleGame(rules) for i in which}
        self._picture = picture
        self._mode = AutoresetMode(autoreset_mode)
        self._buffers = buffers

    def action_meanings(self) -> tuple[str, ...]:
        """Of the first game: they are all the same."""
        return next(iter(self._games.values())).action_meanings

    def reset(self, seeds: dict[int, int | None]) -> None:
        """Reset the games that are among ``seeds``."""
        for i in self._games.keys() & seeds.keys():
            self._reset(i, seeds[i])

    def step(self) -> None:
        """One step of all games, with the actions in the buffers."""
        buffers = self._buffers
        for i, game in self._games.items():
            over = buffers.terminations.array[i] or buffers.truncations.array[i]
            if over and self._mode is AutoresetMode.NEXT_STEP:
                self._reset(i, None)
                continue
            reward, terminated, truncated = game.step(int(buffers.actions.array[i]))
            if (terminated or truncated) and self._mode is AutoresetMode.SAME_STEP:
                self._show(i, buffers.final_pictures, buffers.final_infos)
                self._reset(i, None)
            else:
                self._show(i, buffers.pictures, buffers.infos)
            buffers.rewards.array[i] = reward
            buffers.terminations.array[i] = terminated
            buffers.truncations.array[i] = truncated

    def _reset(self, i: int, seed: int | None) -> None:
        buffers = self._buffers
        self._games[i].reset(seed)
        buffers.rewards.array[i] = 0.0
        buffers.terminations.array[i] = buffers.truncations.array[i] = False
        self._show(i, buffers.pictures, buffers.infos)

    def _show(self, i: int, pictures: SharedArray, infos: SharedArray) -> None:
        getattr(self._games[i], self._picture)(pictures.array[i])
        infos.array[:, i] = [getattr(self._games[i], key) for key in INFO_KEYS]


class AleVectorEnv(VectorEnv):
    """N games of one id, each equal to ``gymnasium.make(env_id)`` with its seed.

    Args:
        env_id: any Atari id of ale-py, such as ``"Pong-v0"`` or ``"ALE/Breakout-v5"``.
        num_envs: number of games N.
        num_threads: worker processes (processes, as ale-py holds Python's lock while it emulates);
            0 for one per core that this process may use. Never more than N. With 1, the games run
            in this process.
        frameskip: as :class:`~fastpg.envs.rules.Rules`; None for what the id is registered with,
            as the next three.
        repeat_action_probability: as ``Rules``.
        noop_max: as ``Rules``.
        full_action_space: as ``Rules``.
        max_num_frames_per_episode: as ``Rules``.
        autoreset_mode: ``AutoresetMode``, or its value: what follows an episode's end, with the
            meanings that Gymnasium documents for its vector environments.
        obs_type: the observation of each game, uint8: ``"rgb"`` (210, 160, 3), ``"grayscale"``
            (210, 160), ``"palette"`` (210, 160) indices of ``PALETTE_RGB``, ``"ram"`` (128,),
            ``"pong80"`` (6400,) views of 0 and 1 as of ``kernels.preprocess_palette``.
        copy: return a copy of the observations; False returns the environment's own buffer, which
            the next ``step`` or ``reset`` overwrites.
        backend: kernel backend for ``"pong80"``; None for the default.

    Raises:
        ValueError: an unknown id or a bad value; the message names it.
        WorkerError: a worker failed, there or in any later call.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        frameskip: int | tuple[int, int] | None = None,
        repeat_action_probability: float | None = None,
        noop_max: int = 0,
        full_action_space: bool | None = None,
        max_num_frames_per_episode: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        obs_type: str = "rgb",
        copy: bool = True,
        backend: str | None = None,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
        if num_threads < 0:
            raise ValueError(f"num_threads: expected at least 0, got {num_threads}")
        if obs_type not in OBS_TYPES:
            raise ValueError(f"obs_type: expected one of {', '.join(OBS_TYPES)}, got {obs_type!r}")
        self.rules = rules(
            env_id,
            frameskip=frameskip,
            repeat_action_probability=repeat_action_probability,
            max_num_frames_per_episode=max_num_frames_per_episode,
            full_action_space=full_action_space,
            noop_max=noop_max,
        )
        self.num_envs = num_envs
        self.obs_type = obs_type
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self._copy = copy
        self._started = np.zeros(num_envs, np.bool_)
        self._views = _Views(num_envs, backend) if obs_type == "pong80" else None
        self._start(min(num_threads or available_cores(), num_envs))
        self._set_spaces()

    def _start(self, workers: int) -> None:
        picture, shape = _PICTURES[self.obs_type]
        self._buffers = _Buffers.of(self.num_envs, shape)
        mode = self.autoreset_mode.value
        bounds = [self.num_envs * w // workers for w in range(workers + 1)]
        slices = [range(*pair) for pair in pairwise(bounds)]
        self._pool = WorkerPool(
            [partial(_Slice, self.rules, s, picture, mode, self._buffers) for s in slices],
            inline=workers == 1,
        )

    def _set_spaces(self) -> None:
        self.action_meanings = self._pool.call("action_meanings")[0]
        _, shape = _PICTURES[self.obs_type]
        high = 255
        if self._views:
            high, shape = 1, (VIEW_PIXELS,)
        self.single_action_space = spaces.Discrete(len(self.action_meanings))
        self.single_observation_space = spaces.Box(0, high, shape, np.uint8)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    # ---- playing ----------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin new episodes.

        Args:
            seed: int: game i has seed + i; a sequence: one for each game; None: random numbers
                run on (from a seed of the system if there never was one).
            options: ``{"reset_mask": (N,) bool}`` resets the games where it is True and leaves the
                others as they are.

        Returns:
            (observations, infos) of all games; infos of those that were reset.

        Raises:
            ValueError: a bad seed or mask.
        """
        self._check_open()
        seeds = self._seeds(seed)
        mask = self._mask(options)
        chosen = {i: seeds[i] for i in np.flatnonzero(mask).tolist()}
        self._pool.call("reset", [(chosen,)] * len(self._pool))
        self._started |= mask
        if self._views:
            self._views.see(self._buffers.pictures.array)
        return self._observations(), self._infos(self._buffers.infos, mask)

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play one step of every game.

        Args:
            actions: (N,) of any integer type: indices into ``action_meanings``.

        Returns:
            (observations, rewards (N,) float64, terminations (N,) bool, truncations (N,) bool,
            infos).

        Raises:
            ValueError: bad actions.
            AssertionError: without autoreset, a game's episode is over and it was not reset.
            gymnasium.error.ResetNeeded: a game has not been reset yet.
        """
        self._check_open()
        buffers = self._buffers
        buffers.actions.array[:] = self._checked_actions(actions)
        if not self._started.all():
            missing = np.flatnonzero(~self._started).tolist()
            raise error.ResetNeeded(f"step: expected reset() first, which games {missing} lack")
        if self.autoreset_mode is AutoresetMode.DISABLED:
            over = np.flatnonzero(buffers.terminations.array | buffers.truncations.array).tolist()
            if over:
                raise AssertionError(
                    f'step: the episodes of games {over} are over, reset(options={{"reset_mask"'
                    ": ...}) expected (autoreset is disabled)"
                )
        self._pool.call("step")
        terminations = buffers.terminations.array.copy()
        truncations = buffers.truncations.array.copy()
        infos = self._infos(buffers.infos, np.ones(self.num_envs, np.bool_))
        ended = terminations | truncations
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            infos |= self._final(ended)
        if self._views:
            self._views.see(buffers.pictures.array)
        return self._observations(), buffers.rewards.array.copy(), terminations, truncations, infos

    def close_extras(self, **kwargs: Any) -> None:
        """End the workers."""
        self._pool.close()

    # ---- what is returned -------------------------------------------------------------------

    def _observations(self) -> np.ndarray:
        array = self._views.array if self._views else self._buffers.pictures.array
        return array.copy() if self._copy else array

    def _infos(self, infos: SharedArray, mask: np.ndarray) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, values in zip(INFO_KEYS, infos.array, strict=True):
            found[key] = np.where(mask, values, 0)
            found[f"_{key}"] = mask.copy()
        return found

    def _final(self, ended: np.ndarray) -> dict[str, Any]:
        pictures = self._buffers.final_pictures.array[ended]  # a copy
        if self._views:
            pictures = self._views.of(pictures)
        observations = np.full(self.num_envs, None, dtype=object)
        for i, picture in zip(np.flatnonzero(ended), pictures, strict=True):
            observations[i] = picture
        return {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": self._infos(self._buffers.final_infos, ended),
            "_final_info": ended.copy(),
        }

    # ---- what is asked for ------------------------------------------------------------------

    def _check_open(self) -> None:
        if self.closed:
            raise error.ClosedEnvironmentError("the environment is closed")

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            seed = [int(seed) + i for i in range(self.num_envs)]
        seeds = [None if one is None else int(one) for one in seed]
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: expected {self.num_envs} of them, got {len(seeds)}")
        if any(one is not None and one < 0 for one in seeds):
            raise ValueError(f"seed: expected ints of at least 0, got {seed}")
        return seeds

    def _mask(self, options: dict[str, Any] | None) -> np.ndarray:
        if not options or "reset_mask" not in options:
            return np.ones(self.num_envs, np.bool_)
        mask = np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"reset_mask: expected ({self.num_envs},) bool with at least one True, "
                f"got {mask.shape} {mask.dtype}{'' if mask.any() else ' without any'}"
            )
        return mask

    def _checked_actions(self, actions: Any) -> np.ndarray:
        array = np.asarray(actions)
        count = len(self.action_meanings)
        expected = f"actions: expected ({self.num_envs},) integers of 0 to {count - 1}"
        if array.shape != (self.num_envs,) or not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{expected}, got {array.shape} {array.dtype}")
        if array.min() < 0 or array.max() >= count:
            raise ValueError(f"{expected}, got {array.tolist()}")
        return array


class _Views:
    """The 80x80 views of all games, made in the parent: workers need not load a backend."""

    def __init__(self, games: int, backend: str | None):
        from fastpg.kernels import DEFAULT_BACKEND, get_backend

        self._kernels = get_backend(backend or DEFAULT_BACKEND)
        self._red = np.ascontiguousarray(PALETTE_RGB[:, 0])
        self.array = np.zeros((games, VIEW_PIXELS), np.uint8)

    def see(self, screens: np.ndarray) -> None:
        """Set :attr:`array` from (N, 210, 160) palette screens."""
        self._kernels.preprocess_palette(screens, self._red, views=self.array)

    def of(self, screens: np.ndarray) -> np.ndarray:
        """Views (K, 6400) of (K, 210, 160) palette screens."""
        return self._kernels.preprocess_palette(screens, self._red)

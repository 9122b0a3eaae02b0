"""Many Atari games at once on ale-py, over worker processes, as a Gymnasium vector environment."""

from dataclasses import fields
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from fastpg.emulator.palette import PALETTE_RED
from fastpg.envs.ale_game import AleGame
from fastpg.envs.rules import Rules
from fastpg.envs.vector import INFO_KEYS as INFO_KEYS
from fastpg.envs.vector import OBSERVATIONS, Buffers, GameVectorEnv
from fastpg.envs.worker_pool import SharedArray, WorkerPool, available_cores
from fastpg.kernels.geometry import SCREEN, VIEW_PIXELS

# AleGame's method that makes a worker's picture; the parent makes views, of all games in one call
_PICTURES = {"grayscale": "gray", "palette": "screen", "pong80": "screen"}


class _Slice:
    """The games ``which`` of a vector environment; lives in a worker."""

    def __init__(
        self, rules: Rules, which: range, picture: str, autoreset_mode: str, buffers: Buffers
    ):
        """``buffers``: of SharedArray."""
        self._games = {i: AleGame(rules) for i in which}
        self._picture = picture
        self._mode = AutoresetMode(autoreset_mode)
        self._buffers = _arrays(buffers)

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
            over = buffers.terminations[i] or buffers.truncations[i]
            if over and self._mode is AutoresetMode.NEXT_STEP:
                self._reset(i, None)
                continue
            reward, terminated, truncated = game.step(int(buffers.actions[i]))
            if (terminated or truncated) and self._mode is AutoresetMode.SAME_STEP:
                self._show(i, buffers.final_observations, buffers.final_infos)
                self._reset(i, None)
            else:
                self._show(i, buffers.observations, buffers.infos)
            buffers.rewards[i] = reward
            buffers.terminations[i] = terminated
            buffers.truncations[i] = truncated

    def _reset(self, i: int, seed: int | None) -> None:
        buffers = self._buffers
        self._games[i].reset(seed)
        buffers.rewards[i] = 0.0
        buffers.terminations[i] = buffers.truncations[i] = False
        self._show(i, buffers.observations, buffers.infos)

    def _show(self, i: int, pictures: np.ndarray, infos: np.ndarray) -> None:
        getattr(self._games[i], self._picture)(pictures[i])
        infos[:, i] = [getattr(self._games[i], key) for key in INFO_KEYS]


def _arrays(shared: Buffers) -> Buffers:
    return Buffers(**{field.name: getattr(shared, field.name).array for field in fields(shared)})


class AleVectorEnv(GameVectorEnv):
    """N games of one id, each equal to ``gymnasium.make(env_id)`` with its seed.

    Args:
        env_id: any Atari id of ale-py, such as ``"Pong-v0"`` or ``"ALE/Breakout-v5"``.
        num_envs: number of games N.
        num_threads: worker processes (processes, as ale-py holds Python's lock while it emulates);
            0 for one per core that this process may use. Never more than N. With 1, the games run
            in this process.
        frameskip: as :class:`~fastpg.envs.rules.Rules`; None for what the id is registered with.
        repeat_action_probability: likewise.
        noop_max: as ``Rules``; no id has any.
        full_action_space: as ``Rules``; None for what the id is registered with.
        max_num_frames_per_episode: likewise.
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
        super().__init__(
            env_id,
            num_envs,
            num_threads,
            autoreset_mode,
            obs_type,
            OBSERVATIONS,
            frameskip=frameskip,
            repeat_action_probability=repeat_action_probability,
            max_num_frames_per_episode=max_num_frames_per_episode,
            full_action_space=full_action_space,
            noop_max=noop_max,
        )
        self._copy = copy
        self._views = _Views(num_envs, backend) if obs_type == "pong80" else None
        self._start(min(num_threads or available_cores(), num_envs))
        self._set_spaces()

    def _start(self, workers: int) -> None:
        picture = _PICTURES.get(self.obs_type, self.obs_type)
        shape = SCREEN if self._views else self._shape
        shared = Buffers.of(self.num_envs, shape, SharedArray)
        self._buffers = _arrays(shared)
        mode = self.autoreset_mode.value
        bounds = [self.num_envs * w // workers for w in range(workers + 1)]
        slices = [range(*pair) for pair in pairwise(bounds)]
        self._pool = WorkerPool(
            [partial(_Slice, self.rules, s, picture, mode, shared) for s in slices],
            inline=workers == 1,
        )
        self.action_meanings = self._pool.call("action_meanings")[0]

    def _reset_games(self, seeds: dict[int, int | None]) -> None:
        self._pool.call("reset", [(seeds,)] * len(self._pool))
        self._see()

    def _step_games(self) -> None:
        self._pool.call("step")
        self._see()

    def _see(self) -> None:
        if self._views:
            self._views.see(self._buffers.observations)

    def _observed(self) -> np.ndarray:
        array = self._views.array if self._views else self._buffers.observations
        return array.copy() if self._copy else array

    def _last_observed(self, ended: np.ndarray) -> np.ndarray:
        pictures = super()._last_observed(ended)
        return self._views.of(pictures) if self._views else pictures

    def close_extras(self, **kwargs: Any) -> None:
        """End the workers."""
        self._pool.close()


class _Views:
    """The 80x80 views of all games, made in the parent: workers need not load a backend."""

    def __init__(self, games: int, backend: str | None):
        from fastpg.kernels import DEFAULT_BACKEND, get_backend

        self._kernels = get_backend(backend or DEFAULT_BACKEND)
        self._red = PALETTE_RED
        self.array = np.zeros((games, VIEW_PIXELS), np.uint8)

    def see(self, screens: np.ndarray) -> None:
        """Set :attr:`array` from (N, 210, 160) palette screens."""
        self._kernels.preprocess_palette(screens, self._red, views=self.array)

    def of(self, screens: np.ndarray) -> np.ndarray:
        """Views (K, 6400) of (K, 210, 160) palette screens."""
        return self._kernels.preprocess_palette(screens, self._red)

"""Many Atari games on ale-py, in worker processes, as one Gymnasium vector environment."""

from dataclasses import fields
from functools import partial
from itertools import pairwise
from typing import Any, Unpack

import numpy as np
from gymnasium.vector import AutoresetMode

from fastpg.emulator.palette import PALETTE_RED
from fastpg.envs.ale_game import AleGame
from fastpg.envs.rules import RuleOverrides, Rules
from fastpg.envs.shared_array import SharedArray
from fastpg.envs.vector_base import INFO_KEYS, OBSERVATIONS, Buffers, GameVectorEnv
from fastpg.envs.worker_pool import WorkerPool
from fastpg.kernels.geometry import SCREEN, VIEW_PIXELS
from fastpg.system.cores import available_cores


class _GamesWorker:
    """Plays some of the games of a vector environment, in a worker process."""

    def __init__(
        self, rules: Rules, indices: range, writer: str, autoreset_mode: str, buffers: Buffers
    ):
        """Make the games.

        Args:
            rules: the rules of the games.
            indices: which games of the vector environment.
            writer: the method of AleGame that writes an observation.
            autoreset_mode: value of an ``AutoresetMode``.
            buffers: buffers of all games, of SharedArray.
        """
        self._games = {i: AleGame(rules) for i in indices}
        self._writer = writer
        self._mode = AutoresetMode(autoreset_mode)
        self._buffers = _arrays(buffers)

    def action_meanings(self) -> tuple[str, ...]:
        """Those of the first game, which are the same in all."""
        return next(iter(self._games.values())).action_meanings

    def reset(self, seeds: dict[int, int | None]) -> None:
        """Reset this worker's games among ``seeds``."""
        for i in self._games.keys() & seeds.keys():
            self._reset(i, seeds[i])

    def step(self) -> None:
        """Play one step of this worker's games with the actions in the buffers."""
        buffers = self._buffers
        for i, game in self._games.items():
            over = buffers.terminations[i] or buffers.truncations[i]
            if over and self._mode is AutoresetMode.NEXT_STEP:
                self._reset(i, None)
                continue
            reward, terminated, truncated = game.step(int(buffers.actions[i]))
            if (terminated or truncated) and self._mode is AutoresetMode.SAME_STEP:
                self._observe(i, buffers.final_observations, buffers.final_infos)
                self._reset(i, None)
            else:
                self._observe(i, buffers.observations, buffers.infos)
            buffers.rewards[i] = reward
            buffers.terminations[i] = terminated
            buffers.truncations[i] = truncated

    def _reset(self, i: int, seed: int | None) -> None:
        buffers = self._buffers
        self._games[i].reset(seed)
        buffers.rewards[i] = 0.0
        buffers.terminations[i] = buffers.truncations[i] = False
        self._observe(i, buffers.observations, buffers.infos)

    def _observe(self, i: int, observations: np.ndarray, infos: np.ndarray) -> None:
        getattr(self._games[i], self._writer)(observations[i])
        infos[:, i] = [getattr(self._games[i], key) for key in INFO_KEYS]


def _arrays(shared: Buffers) -> Buffers:
    return Buffers(**{field.name: getattr(shared, field.name).array for field in fields(shared)})


class AleVectorEnv(GameVectorEnv):
    """N games of one id on ale-py, each equal to ``gymnasium.make(env_id)`` with its seed.

    Args:
        env_id: any Atari id of ale-py, such as ``"Pong-v0"`` or ``"ALE/Breakout-v5"``.
        num_envs: number of games N.
        num_threads: worker processes; 0 for one per core that this process may use, at most N.
            They are processes because ale-py holds Python's lock while it emulates. With 1 the
            games run in this process.
        autoreset_mode: ``AutoresetMode`` or its value: what follows the end of an episode, as
            Gymnasium documents for its vector environments.
        obs_type: the observation of each game, uint8: ``"rgb"`` (210, 160, 3), ``"grayscale"``
            (210, 160), ``"palette"`` (210, 160) indices of ``PALETTE_RGB``, ``"ram"`` (128,) or
            ``"pong80"`` (6400,), the view of 0 and 1 of ``kernels.preprocess_palette``.
        copy: True returns a copy of the observations. False returns the environment's own buffer,
            which the next ``step`` or ``reset`` overwrites.
        backend: kernel backend for ``"pong80"``; None for the default.
        render_mode: ``"rgb_array"`` for ``render``, with observations ``"rgb"`` or
            ``"palette"``; or None.
        **rule_overrides: see :class:`~fastpg.envs.rules.RuleOverrides`.

    Raises:
        ValueError: the id is unknown or a value is out of its range; the message names it.
        WorkerError: a worker failed, here or in a later call.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        obs_type: str = "rgb",
        copy: bool = True,
        backend: str | None = None,
        render_mode: str | None = None,
        **rule_overrides: Unpack[RuleOverrides],
    ):
        super().__init__(
            env_id,
            num_envs,
            num_threads,
            autoreset_mode,
            obs_type,
            OBSERVATIONS,
            render_mode,
            **rule_overrides,
        )
        self._copy = copy
        self._views: np.ndarray | None = None
        if obs_type == "pong80":  # views are made here, so workers need not load a backend
            from fastpg.kernels import DEFAULT_BACKEND, get_backend

            self._views = np.zeros((num_envs, VIEW_PIXELS), np.uint8)
            self._preprocess = get_backend(backend or DEFAULT_BACKEND).preprocess_palette
        self._start_workers(min(num_threads or available_cores(), num_envs))
        self._set_spaces()

    def _start_workers(self, workers: int) -> None:
        # workers write palette screens; the parent makes the views of all games at once
        views = self._views is not None
        writer, shape = ("palette", SCREEN) if views else (self.obs_type, self._shape)
        shared = Buffers.allocate(self.num_envs, shape, SharedArray)
        self._buffers = _arrays(shared)
        mode = self.autoreset_mode.value
        bounds = [self.num_envs * w // workers for w in range(workers + 1)]
        ranges = [range(*pair) for pair in pairwise(bounds)]
        self._pool = WorkerPool(
            [partial(_GamesWorker, self.rules, r, writer, mode, shared) for r in ranges],
            inline=workers == 1,
        )
        self.action_meanings = self._pool.call("action_meanings")[0]

    def _reset_games(self, seeds: dict[int, int | None]) -> None:
        self._pool.call("reset", [(seeds,)] * len(self._pool))
        self._make_views()

    def _step_games(self) -> None:
        self._pool.call("step")
        self._make_views()

    def _make_views(self) -> None:
        if self._views is not None:
            self._preprocess(self._buffers.observations, PALETTE_RED, views=self._views)

    def _observations(self) -> np.ndarray:
        array = self._buffers.observations if self._views is None else self._views
        return array.copy() if self._copy else array

    def _final_observations(self, ended: np.ndarray) -> np.ndarray:
        pictures = super()._final_observations(ended)
        return pictures if self._views is None else self._preprocess(pictures, PALETTE_RED)

    def close_extras(self, **kwargs: Any) -> None:
        """End the workers."""
        self._pool.close()

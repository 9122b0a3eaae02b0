"""Many games of Pong on our own emulator, on threads, as one Gymnasium vector environment."""

import sys
from typing import Any, Unpack

import numpy as np
from ale_py import Action
from gymnasium.vector import AutoresetMode

from fastpg.emulator import roms
from fastpg.emulator._emulator import MOST_THREADS, Games
from fastpg.envs.native_game import actions, compiled_rules, pong_cartridge
from fastpg.envs.rules import BadArgument, RuleOverrides
from fastpg.envs.seeds import seed_words
from fastpg.envs.vector_base import OBSERVATIONS, Buffers, GameVectorEnv, check_int
from fastpg.kernels.geometry import DQN_SIDE
from fastpg.system.cores import available_cores


class NativeVectorEnv(GameVectorEnv):
    """N games of Pong, each equal to ``gymnasium.make(env_id)`` of ale-py with its seed.

    After ``import fastpg``, ``gymnasium.make_vec("fastpg/Pong-v5", num_envs=64)`` makes one. The
    other ids are ``fastpg/Pong-v0``, ``fastpg/Pong-v4``, ``fastpg/PongNoFrameskip-v0`` and ``-v4``.

    Args:
        env_id: ale-py's id of the rules, such as ``"ALE/Pong-v5"`` or ``"Pong-v0"``.
        num_envs: number of games N.
        num_threads: threads that play, the caller's included; 0 for one per core that this process
            may use. At most N, and at most 256. The results do not depend on it.
        autoreset_mode: ``AutoresetMode`` or its value: what follows the end of an episode, as
            Gymnasium documents for its vector environments.
        obs_type: the observation of each game, uint8: ``"rgb"`` (210, 160, 3), ``"grayscale"``
            (210, 160), ``"palette"`` (210, 160) indices of ``PALETTE_RGB``, ``"ram"`` (128,),
            ``"pong80"`` (6400,), the view of 0 and 1 of ``kernels.preprocess_palette``, or
            ``"dqn"`` (stack_num, 84, 84), the newest ``stack_num`` grey pictures, oldest first;
            bit-identical to ale-py's ``AtariVectorEnv``. Each is the maximum of a step's last two
            frames. As there, a step that ends an episode does not show its last frame.
        stack_num: number of pictures of a ``"dqn"`` observation.
        copy: with True, an observation is not overwritten while the caller references it. False
            returns the environment's own buffer, which the next ``step`` or ``reset`` overwrites.
            With True, a masked reset copies the other games' rows from the last observation, with
            whatever the caller wrote into them, unless autoreset is disabled.
        render_mode: ``"rgb_array"`` for ``render``, with observations ``"rgb"`` or
            ``"palette"``; or None.
        **rule_overrides: see :class:`~fastpg.envs.rules.RuleOverrides`.

    Raises:
        ValueError: the id is of another game or a value is out of its range; the message names it.
        RuntimeError: Pong's ROM is missing; the message says what to install.
    """

    def __init__(
        self,
        env_id: str = "ALE/Pong-v5",
        num_envs: int = 1,
        *,
        num_threads: int = 0,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        obs_type: str = "rgb",
        stack_num: int = 4,
        copy: bool = True,
        render_mode: str | None = None,
        **rule_overrides: Unpack[RuleOverrides],
    ):
        check_int("stack_num", stack_num, 1)
        super().__init__(
            env_id,
            num_envs,
            num_threads,
            autoreset_mode,
            obs_type,
            {**OBSERVATIONS, "dqn": (stack_num, DQN_SIDE, DQN_SIDE)},
            render_mode,
            **rule_overrides,
        )
        if self.rules.game != roms.PONG.name:
            raise BadArgument(f"env_id: expected an id of Pong, got {env_id!r}; see AleVectorEnv")
        emulator_actions = actions(self.rules)
        self.action_meanings = tuple(Action(action).name for action in emulator_actions)
        self._emulator_actions = np.array(emulator_actions, np.uint8)
        self.num_threads = min(num_threads or available_cores(), num_envs, MOST_THREADS)
        self._start_games(copy)
        self._set_spaces()

    def _start_games(self, copy: bool) -> None:
        buffers = self._buffers = Buffers.allocate(self.num_envs, self._shape)
        # Without autoreset most resets are masked, and those need real copies.
        masked = self.autoreset_mode is AutoresetMode.DISABLED
        self._copy = copy and masked
        self._recycled = _RecycledArrays(buffers.observations) if copy and not masked else None
        self._seeded = np.zeros(self.num_envs, np.bool_)
        self._games = Games(pong_cartridge(), self.num_envs, self.num_threads)
        self._games.set_rules(**compiled_rules(self.rules))
        self._games.connect(
            self.obs_type,
            self.autoreset_mode.value,
            self._emulator_actions,
            buffers.actions,
            _flat(buffers.observations),
            _flat(buffers.final_observations),
            buffers.rewards,
            buffers.terminations.view(np.uint8),
            buffers.truncations.view(np.uint8),
            buffers.infos,
            buffers.final_infos,
        )

    def _reset_games(self, seeds: dict[int, int | None]) -> None:
        if self._recycled:
            before = self._buffers.observations
            self._take_array(self._recycled)
            if len(seeds) < self.num_envs:  # the other games keep their observations
                self._buffers.observations[:] = before
        words = {
            i: None if seed is None and self._seeded[i] else seed_words(seed)
            for i, seed in seeds.items()
        }
        self._games.reset(words)
        self._seeded[list(seeds)] = True

    def _checked_actions(self, actions: Any) -> np.ndarray:
        usual = type(actions) is np.ndarray and actions.ndim == 1 and actions.dtype == np.int64
        if usual and self._games.accepts(actions):
            return actions
        return super()._checked_actions(actions)

    def _step_games(self) -> None:
        if self._recycled:
            self._take_array(self._recycled)
        self._games.step()

    def _take_array(self, recycled: "_RecycledArrays") -> None:
        array = self._buffers.observations = recycled.take()
        self._games.write_to(_flat(array))

    def _observations(self) -> np.ndarray:
        observations = self._buffers.observations
        return observations.copy() if self._copy else observations

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads."""
        self._games.close()


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


class _RecycledArrays:
    """Arrays of one shape, used in turn; none is overwritten while the caller references it.

    The caller sees what copies would show, without their cost: a new array of this size causes a
    page fault for each 4 KB, every step.
    """

    _MOST = 4

    def __init__(self, first: np.ndarray):
        self._arrays = [first]
        self._current = 0
        probe = [np.empty(1)]
        self._unheld = sys.getrefcount(probe[0])  # references to an array that only a list holds

    def take(self) -> np.ndarray:
        """Return an array that nobody else holds. It is not the one returned last."""
        arrays = self._arrays
        for k in range(len(arrays)):
            if k != self._current and sys.getrefcount(arrays[k]) <= self._unheld:
                self._current = k
                return arrays[k]
        new = np.empty_like(arrays[0])
        if len(arrays) < self._MOST:
            arrays.append(new)
            self._current = len(arrays) - 1
        else:
            self._current = (self._current + 1) % len(arrays)
            arrays[self._current] = new
        return new

"""Many games of Pong at once on our own emulator, on threads, as a Gymnasium vector environment."""

import sys
from typing import Any

import numpy as np
from ale_py import Action
from gymnasium.vector import AutoresetMode

from fastpg.emulator import roms
from fastpg.emulator._emulator import MOST_THREADS, Games
from fastpg.envs.native_game import actions, frame_range, pong_cartridge, seed_words
from fastpg.envs.vector import OBSERVATIONS, Buffers, GameVectorEnv, at_least
from fastpg.envs.worker_pool import available_cores

DQN_PICTURE = (84, 84)


class NativeVectorEnv(GameVectorEnv):
    """N games of Pong, each equal to ``gymnasium.make(env_id)`` with its seed.

    After ``import fastpg``, ``gymnasium.make_vec("fastpg/Pong-v5", num_envs=64)`` makes one, as do
    the ids ``fastpg/Pong-v0``, ``fastpg/Pong-v4``, ``fastpg/PongNoFrameskip-v0`` and ``-v4``.

    Args:
        env_id: ale-py's id of the rules, such as ``"ALE/Pong-v5"`` or ``"Pong-v0"``.
        num_envs: number of games N.
        num_threads: threads that play, the caller's included; 0 for one per core that this process
            may use. Never more than N or 256. The number changes nothing but the speed.
        frameskip: as :class:`~fastpg.envs.rules.Rules`; None for what the id is registered with.
        repeat_action_probability: likewise.
        noop_max: as ``Rules``; no id has any.
        full_action_space: as ``Rules``; None for what the id is registered with.
        max_num_frames_per_episode: likewise.
        autoreset_mode: ``AutoresetMode``, or its value: what follows an episode's end, with the
            meanings that Gymnasium documents for its vector environments.
        obs_type: the observation of each game, uint8: ``"rgb"`` (210, 160, 3), ``"grayscale"``
            (210, 160), ``"palette"`` (210, 160) indices of ``PALETTE_RGB``, ``"ram"`` (128,),
            ``"pong80"`` (6400,) views of 0 and 1 as of ``kernels.preprocess_palette``, ``"dqn"``
            (stack_num, 84, 84) the newest pictures, the last one last, each the brightest of a
            step's last two frames in grey, to the last bit as ale-py's ``AtariVectorEnv`` shows
            them (so a step that ends an episode shows what was there before its last frame).
        stack_num: pictures of a ``"dqn"`` observation.
        copy: False returns the environment's own buffer, which the next ``step`` or ``reset``
            overwrites; True never touches an observation again that somebody holds. (A masked reset
            shows the other games as the observation before it does, so that what was written into
            that would be seen again; without autoreset real copies are returned, and it is not.)

    Raises:
        ValueError: an id of another game, or a bad value; the message names it.
        RuntimeError: Pong's ROM is not there; the message says what to install.
    """

    def __init__(
        self,
        env_id: str = "ALE/Pong-v5",
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
        stack_num: int = 4,
        copy: bool = True,
    ):
        at_least("stack_num", stack_num, 1)
        super().__init__(
            env_id,
            num_envs,
            num_threads,
            autoreset_mode,
            obs_type,
            {**OBSERVATIONS, "dqn": (stack_num, *DQN_PICTURE)},
            frameskip=frameskip,
            repeat_action_probability=repeat_action_probability,
            max_num_frames_per_episode=max_num_frames_per_episode,
            full_action_space=full_action_space,
            noop_max=noop_max,
        )
        if self.rules.game != roms.PONG.name:
            raise ValueError(f"env_id: expected an id of Pong, got {env_id!r}; see AleVectorEnv")
        numbers = actions(self.rules)
        self.action_meanings = tuple(Action(number).name for number in numbers)
        self._numbers = np.array(numbers, np.uint8)
        self.num_threads = min(num_threads or available_cores(), num_envs, MOST_THREADS)
        self._start(copy)
        self._set_spaces()

    def _start(self, copy: bool) -> None:
        rules = self.rules
        buffers = self._buffers = Buffers.of(self.num_envs, self._shape)
        masked = self.autoreset_mode is AutoresetMode.DISABLED
        self._copy = copy and masked  # resets with a mask are the rule there
        self._shown = _Recycled(buffers.observations) if copy and not masked else None
        self._seeded = np.zeros(self.num_envs, np.bool_)
        self._games = Games(pong_cartridge(), self.num_envs, self.num_threads)
        self._games.set_rules(
            frame_range(rules),
            rules.repeat_action_probability,
            rules.max_num_frames_per_episode,
            rules.noop_max,
        )
        self._games.connect(
            self.obs_type,
            self.autoreset_mode.value,
            self._numbers,
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
        if self._shown:  # games that are not reset keep what they show
            before = self._buffers.observations
            self._turn_page()
            if len(seeds) < self.num_envs:
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
        if self._shown:
            self._turn_page()
        self._games.step()

    def _turn_page(self) -> None:
        assert self._shown is not None
        page = self._buffers.observations = self._shown.next()
        self._games.write_to(_flat(page))

    def _observed(self) -> np.ndarray:
        observations = self._buffers.observations
        return observations.copy() if self._copy else observations

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads."""
        self._games.close()


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


class _Recycled:
    """Arrays alike, handed out in turn; one that somebody still holds is not handed out again.

    What copies would do, without their cost: a fresh array of this size is a page fault for each
    4 KB, every step.
    """

    _MOST = 4

    def __init__(self, first: np.ndarray):
        self._arrays = [first]
        self._current = 0
        probe = [np.empty(1)]
        self._free = sys.getrefcount(probe[0])

    def next(self) -> np.ndarray:
        """An array that nobody but this object and its last user's ``_current`` holds."""
        arrays = self._arrays
        for k in range(len(arrays)):
            if k != self._current and sys.getrefcount(arrays[k]) <= self._free:
                self._current = k
                return arrays[k]
        fresh = np.empty_like(arrays[0])
        if len(arrays) < self._MOST:
            arrays.append(fresh)
            self._current = len(arrays) - 1
        else:
            self._current = (self._current + 1) % len(arrays)
            arrays[self._current] = fresh
        return fresh

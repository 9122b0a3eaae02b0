"""The interface of a rollout collector: it plays games with fixed weights into a buffer.

Two kinds of rollouts: a number of steps of each game, with episodes that follow one another (what
PPO learns from), and whole episodes (what REINFORCE learns from).
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpg.kernels import get_backend
from fastpg.network._network import shuffled
from fastpg.rollouts.lookback import checked_lookback
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.snapshots import KeepsSnapshots


@dataclass(frozen=True)
class PlayedSteps:
    """The cost of a rollout: frames and seconds."""

    emulator_frames: int  #: of all games, resets included
    seconds_emulation: float  #: wall-clock time in the emulator and its pictures
    seconds_forward: float  #: wall-clock time in the choice of actions


@dataclass(frozen=True)
class PlayedEpisodes(PlayedSteps):
    """A rollout of whole episodes."""

    episode_slices: list[tuple[int, int]]  #: slots (begin, end) of each episode, by rising number


class RolloutCollector(KeepsSnapshots):
    """Plays N games with a network's current weights into a buffer.

    With :meth:`play_steps`, each game has a row of the buffer: first the slots that its first step
    looks back at, then a slot a step, then the slot of the frame after the last step.
    """

    network: Any  #: chooses the actions
    lookback: int  #: slots before a row's first step
    played: bool = False  #: whether steps have been played, so there are frames to look back at

    @property
    @abstractmethod
    def buffer(self) -> Any:
        """What the last rollout wrote."""

    @abstractmethod
    def seed(self, seeds: Sequence[int]) -> None:
        """Seed every game and start its first episode."""

    @abstractmethod
    def close(self) -> None:
        """Free threads, processes and memory."""

    # ---- whole episodes ---------------------------------------------------------------------

    @abstractmethod
    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """Play episodes ``first``, ``first + 1``, .. to their ends; the games take turns."""

    @abstractmethod
    def transitions(
        self, episode_slices: Sequence[tuple[int, int]]
    ) -> tuple[Any, np.ndarray, list[int]]:
        """Slots (B,) int32 of the episodes' steps, their rewards (B,), each episode's length."""

    @abstractmethod
    def episode_advantages(
        self, estimator: ReturnEstimator, samples: Any, rewards: np.ndarray, lengths: Sequence[int]
    ) -> Any:
        """Advantages of :meth:`transitions`, as float32 of all slots of the buffer."""

    # ---- a number of steps of each game ------------------------------------------------------

    @abstractmethod
    def play_steps(self, steps: int) -> PlayedSteps:
        """Play so many steps of each game, and estimate the value of the frame after them."""

    @abstractmethod
    def rows(self, name: str, steps: int) -> np.ndarray:
        """(steps, N): an array of the buffer, the games' steps side by side, on the host."""

    @abstractmethod
    def advantages(
        self, steps: int, gamma: float, lam: float, lost_point_weight: float = 1.0
    ) -> tuple[Any, Any]:
        """Standardized advantages (GAE) and returns of the last steps, as arrays of all slots.

        Negative rewards are multiplied by ``lost_point_weight``; the buffer keeps them as they are.
        """

    @abstractmethod
    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[Any]:
        """All slots of the last steps once, shuffled by ``keys``, ``size`` at a time."""

    @abstractmethod
    def lookback_frames(self) -> dict[str, np.ndarray]:
        """Look-back frames of all games, see :mod:`fastpg.rollouts.lookback`."""

    @abstractmethod
    def set_lookback_frames(self, frames: Mapping[str, np.ndarray]) -> None:
        """Restore what :meth:`lookback_frames` returned."""

    def tensors(self) -> dict[str, np.ndarray]:
        """The state of all games as named arrays, for :meth:`load`."""
        return super().tensors() | (self.lookback_frames() if self.played else {})

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Restore the state that :meth:`tensors` returned."""
        super().load(tensors)
        self.played = "lookback_tiles" in tensors
        if self.played:
            sizes = self.games, self.lookback, self.network.actions
            self.set_lookback_frames(checked_lookback(tensors, *sizes))


class HostCollector(RolloutCollector):
    """A collector with a buffer in the host's memory, where a game's slots lie side by side."""

    def transitions(
        self, episode_slices: Sequence[tuple[int, int]]
    ) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """See :class:`RolloutCollector`."""
        samples = np.concatenate([np.arange(*ends, dtype=np.int32) for ends in episode_slices])
        lengths = [end - begin for begin, end in episode_slices]
        return samples, self.buffer.rewards[samples], lengths

    def episode_advantages(
        self, estimator: ReturnEstimator, samples: Any, rewards: np.ndarray, lengths: Sequence[int]
    ) -> np.ndarray:
        """See :class:`RolloutCollector`."""
        weights = np.zeros(self.buffer.slots, np.float32)
        weights[samples] = estimator.advantages(get_backend("cython"), rewards, lengths)
        return weights

    # ---- a number of steps of each game ------------------------------------------------------

    @property
    def _stride(self) -> int:
        return self.buffer.slots // self.games

    def samples(self, steps: int) -> np.ndarray:
        """Slots (N * steps,) int32 of the last steps, game by game."""
        rows = np.arange(self.games)[:, None] * self._stride + self.lookback
        return (rows + np.arange(steps)).astype(np.int32).ravel()

    def rows(self, name: str, steps: int) -> np.ndarray:
        """See :class:`RolloutCollector`."""
        whole = getattr(self.buffer, name)[: self.games * self._stride]
        rows = whole.reshape(self.games, -1)[:, self.lookback : self.lookback + steps]
        return rows.T.copy()

    def to_slots(self, steps: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`rows`: (steps, N) at the buffer's slots, zeros elsewhere."""
        whole = np.zeros(self.buffer.slots, steps.dtype)
        rows = whole[: self.games * self._stride].reshape(self.games, -1)
        rows[:, self.lookback : self.lookback + len(steps)] = steps.T
        return whole

    def advantages(
        self, steps: int, gamma: float, lam: float, lost_point_weight: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`RolloutCollector`."""
        kernels = get_backend("cython")
        rewards = self.rows("rewards", steps)
        rewards[rewards < 0] *= np.float32(lost_point_weight)
        advantages, returns = kernels.generalized_advantages(
            rewards,
            self.rows("dones", steps).astype(np.bool_),
            self.rows("values", steps + 1),
            gamma,
            lam,
        )
        flat = advantages.ravel()
        standard = kernels.standardize(flat, np.array([0, flat.size]))
        return self.to_slots(standard.reshape(advantages.shape)), self.to_slots(returns)

    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[np.ndarray]:
        """See :class:`RolloutCollector`."""
        samples = self.samples(steps)
        order = samples[shuffled(len(samples), keys)]
        for at in range(0, len(order), size):
            # Sorted: slots that follow each other show much the same pixels.
            yield np.sort(order[at : at + size])

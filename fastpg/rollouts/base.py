"""The interface of a rollout collector: it plays steps or whole episodes into a buffer."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpg.kernels import get_backend
from fastpg.network._network import shuffled
from fastpg.rollouts.lookback import checked_lookback
from fastpg.rollouts.snapshots import KeepsSnapshots


@dataclass(frozen=True)
class PlayedSteps:
    """What it took to play.

    Attributes:
        emulator_frames: of all games, resets included.
        seconds_emulation: by the clock, in the emulator and its pictures.
        seconds_forward: the same, in the choice of actions.
    """

    emulator_frames: int
    seconds_emulation: float
    seconds_forward: float


@dataclass(frozen=True)
class PlayedEpisodes(PlayedSteps):
    """Whole episodes in a buffer.

    Attributes:
        episode_slices: slots (begin, end) of each, in the order of their numbers.
    """

    episode_slices: list[tuple[int, int]]


class RolloutCollector(KeepsSnapshots):
    """Games that play on, some steps at a time, each into a row of the buffer.

    A row begins with the slots that its first step looks back at, and ends with that of the frame
    after its last step. Episodes that end are followed by the next.

    Attributes:
        network: chooses the actions.
        lookback: slots before a row's first step.
        played: whether there are steps that the next look back at.
    """

    network: Any
    lookback: int
    played: bool = False

    @property
    @abstractmethod
    def buffer(self) -> Any:
        """What was played last."""

    @abstractmethod
    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""

    @abstractmethod
    def play_steps(self, steps: int) -> PlayedSteps:
        """Play so many steps of each game, and value the frames that they come to."""

    @abstractmethod
    def lookback_frames(self) -> dict[str, np.ndarray]:
        """What the next steps look back at: of each game the frame it shows and those before."""

    @abstractmethod
    def set_lookback_frames(self, frames: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`frames`."""

    @abstractmethod
    def close(self) -> None:
        """End what plays."""

    @abstractmethod
    def rows(self, name: str, steps: int) -> np.ndarray:
        """(steps, N): an array of the buffer as the games' steps side by side, on the host."""

    @abstractmethod
    def advantages(
        self, steps: int, gamma: float, lam: float, lost_point_weight: float = 1.0
    ) -> tuple[Any, Any]:
        """Standardised advantages, and returns, of the last steps: of all slots of the buffer.

        Negative rewards count ``lost_point_weight`` times; the buffer keeps them as they are.
        """

    @abstractmethod
    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[Any]:
        """All samples of the last steps once, shuffled as the keys say, ``size`` at a time."""

    # ---- keeping ----------------------------------------------------------------------------

    def tensors(self) -> dict[str, np.ndarray]:
        """All that the games' future depends on, for :meth:`load`."""
        return super().tensors() | (self.lookback_frames() if self.played else {})

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        super().load(tensors)
        self.played = "lookback_tiles" in tensors
        if self.played:
            own = self.games, self.lookback, self.network.actions
            self.set_lookback_frames(checked_lookback(tensors, *own))


class HostCollector(RolloutCollector):
    """Rows of a buffer of the CPU's: a game's slots lie one after the other."""

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

    def slots(self, steps: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`rows`: (steps, N) at the buffer's slots, zeros elsewhere."""
        whole = np.zeros(self.buffer.slots, steps.dtype)
        rows = whole[: self.games * self._stride].reshape(self.games, -1)
        rows[:, self.lookback : self.lookback + len(steps)] = steps.T
        return whole

    # ---- what is learned from ----------------------------------------------------------------

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
        return self.slots(standard.reshape(advantages.shape)), self.slots(returns)

    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[np.ndarray]:
        """See :class:`RolloutCollector`."""
        samples = self.samples(steps)
        order = samples[shuffled(len(samples), keys)]
        for at in range(0, len(order), size):
            # in the order of play: what follows each other shows much the same pixels
            yield np.sort(order[at : at + size])

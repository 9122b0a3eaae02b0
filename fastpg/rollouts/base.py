"""The interface of a rollout collector: it plays steps or whole episodes into a buffer."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpg.kernels import get_backend
from fastpg.network._network import shuffled
from fastpg.rollouts.lookback import checked_tail
from fastpg.rollouts.snapshots import KeepsGames


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
    """Whole episodes in a record.

    Attributes:
        spans: entries (begin, end) of each, in the order of their numbers.
    """

    spans: list[tuple[int, int]]


class GameRows(KeepsGames):
    """Games that play on, some steps at a time, each into a row of the record.

    A row begins with the entries that its first step looks back at, and ends with that of the frame
    after its last step. Episodes that end are followed by the next.

    Attributes:
        network: chooses the actions.
        carry: entries before a row's first step.
        played: whether there are steps that the next look back at.
    """

    network: Any
    carry: int
    played: bool = False

    @property
    @abstractmethod
    def record(self) -> Any:
        """What was played last."""

    @abstractmethod
    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""

    @abstractmethod
    def play_steps(self, steps: int) -> PlayedSteps:
        """Play so many steps of each game, and value the frames that they come to."""

    @abstractmethod
    def tail(self) -> dict[str, np.ndarray]:
        """What the next steps look back at: of each game the frame it shows and those before."""

    @abstractmethod
    def set_tail(self, tail: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tail`."""

    @abstractmethod
    def close(self) -> None:
        """End what plays."""

    @abstractmethod
    def rows(self, name: str, steps: int) -> np.ndarray:
        """(steps, N): an array of the record as the games' steps side by side, on the host."""

    @abstractmethod
    def advantages(
        self, steps: int, gamma: float, lam: float, lost_weight: float = 1.0
    ) -> tuple[Any, Any]:
        """Standardised advantages, and returns, of the last steps: of all entries of the record.

        Negative rewards count ``lost_weight`` times; the record keeps them as they are.
        """

    @abstractmethod
    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[Any]:
        """All samples of the last steps once, shuffled as the keys say, ``size`` at a time."""

    # ---- keeping ----------------------------------------------------------------------------

    def tensors(self) -> dict[str, np.ndarray]:
        """All that the games' future depends on, for :meth:`load`."""
        return super().tensors() | (self.tail() if self.played else {})

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        super().load(tensors)
        self.played = "tail_tiles" in tensors
        if self.played:
            own = self.games, self.carry, self.network.actions
            self.set_tail(checked_tail(tensors, *own))


class HostRows(GameRows):
    """Rows of a record of the CPU's: a game's entries lie one after the other."""

    @property
    def _stride(self) -> int:
        return self.record.entries // self.games

    def samples(self, steps: int) -> np.ndarray:
        """Entries (N * steps,) int32 of the last steps, game by game."""
        rows = np.arange(self.games)[:, None] * self._stride + self.carry
        return (rows + np.arange(steps)).astype(np.int32).ravel()

    def rows(self, name: str, steps: int) -> np.ndarray:
        """See :class:`GameRows`."""
        whole = getattr(self.record, name)[: self.games * self._stride]
        rows = whole.reshape(self.games, -1)[:, self.carry : self.carry + steps]
        return rows.T.copy()

    def entries(self, steps: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`rows`: (steps, N) at the record's entries, zeros elsewhere."""
        whole = np.zeros(self.record.entries, steps.dtype)
        rows = whole[: self.games * self._stride].reshape(self.games, -1)
        rows[:, self.carry : self.carry + len(steps)] = steps.T
        return whole

    # ---- what is learned from ----------------------------------------------------------------

    def advantages(
        self, steps: int, gamma: float, lam: float, lost_weight: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`GameRows`."""
        kernels = get_backend("cython")
        rewards = self.rows("rewards", steps)
        rewards[rewards < 0] *= np.float32(lost_weight)
        advantages, returns = kernels.generalized_advantages(
            rewards,
            self.rows("ends", steps).astype(np.bool_),
            self.rows("values", steps + 1),
            gamma,
            lam,
        )
        flat = advantages.ravel()
        standard = kernels.standardize(flat, np.array([0, flat.size]))
        return self.entries(standard.reshape(advantages.shape)), self.entries(returns)

    def minibatches(self, steps: int, size: int, keys: np.ndarray) -> Iterator[np.ndarray]:
        """See :class:`GameRows`."""
        samples = self.samples(steps)
        order = samples[shuffled(len(samples), keys)]
        for at in range(0, len(order), size):
            # in the order of play: what follows each other shows much the same pixels
            yield np.sort(order[at : at + size])

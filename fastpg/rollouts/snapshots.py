"""What a round of playing begins with, snapshot until it has been learned from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Snapshot(Protocol):
    """What games' future depends on, wherever it lies."""

    def tensors(self) -> dict[str, np.ndarray]:
        """The same by name, on the host, for a checkpoint."""


@dataclass(frozen=True)
class TensorSnapshot:
    """Snapshot as tensors."""

    held: Mapping[str, np.ndarray]

    def tensors(self) -> dict[str, np.ndarray]:
        """See :class:`Snapshot`."""
        return dict(self.held)


class KeepsSnapshots(ABC):
    """Games that can be snapshot between two rounds, and gone back to.

    Attributes:
        games: how many.
    """

    games: int

    @abstractmethod
    def states(self) -> Sequence[bytes]:
        """All that the games' future depends on, but for the buffer."""

    @abstractmethod
    def restore(self, states: Sequence[bytes]) -> None:
        """Take over :meth:`states`."""

    def tensors(self) -> dict[str, np.ndarray]:
        """All that the games' future depends on, for :meth:`load`."""
        states = enumerate(self.states())
        return {f"game_{k}": np.frombuffer(state, np.uint8) for k, state in states}

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take over :meth:`tensors`."""
        self.restore([tensors[f"game_{k}"].tobytes() for k in range(self.games)])

    def snapshot(self) -> Snapshot:
        """All that the games' future depends on, for :meth:`rollback`."""
        return TensorSnapshot(self.tensors())

    def rollback(self, snapshot: Snapshot) -> None:
        """Take over :meth:`keep`."""
        self.load(snapshot.tensors())

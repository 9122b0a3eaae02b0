"""Snapshots of the games between two rounds of playing, and the protocol that goes back to them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Snapshot(Protocol):
    """The state of all games at one moment, in the memory of the host or of a GPU."""

    def tensors(self) -> dict[str, np.ndarray]:
        """The state as named arrays on the host, for a checkpoint."""


@dataclass(frozen=True)
class TensorSnapshot:
    """A snapshot that is held as arrays on the host."""

    held: Mapping[str, np.ndarray]

    def tensors(self) -> dict[str, np.ndarray]:
        """See :class:`Snapshot`."""
        return dict(self.held)


class KeepsSnapshots(ABC):
    """Games that can return to the state that they had before an interrupted round.

    A round is one call of play and the update that follows it. If either is broken off, the next
    :meth:`begin_round` restores the state that the last :meth:`end_round` kept.
    """

    games: int  #: number of games N
    _kept: Snapshot
    _broken_off = False

    @abstractmethod
    def states(self) -> Sequence[bytes]:
        """The state of each game, without what the network looks back at."""

    @abstractmethod
    def restore(self, states: Sequence[bytes]) -> None:
        """Restore the games that :meth:`states` returned."""

    def tensors(self) -> dict[str, np.ndarray]:
        """The state of all games as named arrays, for :meth:`load`."""
        states = enumerate(self.states())
        return {f"game_{k}": np.frombuffer(state, np.uint8) for k, state in states}

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Restore the state that :meth:`tensors` returned."""
        self.restore([tensors[f"game_{k}"].tobytes() for k in range(self.games)])

    def snapshot(self) -> Snapshot:
        """The state of all games, for :meth:`rollback`."""
        return TensorSnapshot(self.tensors())

    def rollback(self, snapshot: Snapshot) -> None:
        """Restore the state that :meth:`snapshot` returned."""
        self.load(snapshot.tensors())

    # ---- rounds -----------------------------------------------------------------------------

    def begin_round(self) -> None:
        """Undo the round before if it was broken off; from now on this one counts as broken off."""
        if self._broken_off:
            self.rollback(self._kept)
        self._broken_off = True

    def end_round(self) -> None:
        """Keep the state of now: the round has been learned from."""
        self._kept, self._broken_off = self.snapshot(), False

    def round_tensors(self) -> dict[str, np.ndarray]:
        """The state after the last :meth:`end_round`, for a checkpoint."""
        return self._kept.tensors()

    def restore_round(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Restore what :meth:`round_tensors` returned; other tensors are ignored."""
        kept = {
            name: tensor
            for name, tensor in tensors.items()
            if name.startswith(("game_", "lookback_"))
        }
        self._kept, self._broken_off = TensorSnapshot(kept), False
        self.rollback(self._kept)

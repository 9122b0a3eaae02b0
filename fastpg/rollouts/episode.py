"""What is kept of played episodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpg.network.table_policy import Recorded


@dataclass(frozen=True)
class Episode:
    """One finished episode of L agent steps.

    ``inputs`` of L samples; ``actions (L,) uint8`` as sampled; ``rewards (L,) float32`` after each
    step; ``emulator_frames`` that it took, no-op starts included.
    """

    number: int
    inputs: Recorded
    actions: np.ndarray
    rewards: np.ndarray
    emulator_frames: int

    @property
    def score(self) -> float:
        """Sum of all rewards."""
        return float(self.rewards.sum())

    @property
    def nbytes(self) -> int:
        """Bytes that the recorded steps take."""
        return self.inputs.nbytes + self.actions.nbytes + self.rewards.nbytes


def concatenate_inputs(parts: Sequence[Any]) -> Any:
    """Join inputs of one kind, in order."""
    return type(parts[0]).concatenate(list(parts))


class Growing:
    """A flat array whose room doubles when it is full.

    Attributes:
        size: how much of it is used.
    """

    def __init__(self, dtype: Any, shape: tuple[int, ...] = ()):
        self._array = np.empty((1024, *shape), dtype)
        self.size = 0

    def room(self, count: int) -> np.ndarray:
        """``count`` free places behind what is used; raise ``size`` by as many as were filled."""
        needed = self.size + count
        if needed > len(self._array):
            larger = (max(needed, 2 * len(self._array)), *self._array.shape[1:])
            grown = np.empty(larger, self._array.dtype)
            grown[: self.size] = self.used
            self._array = grown
        return self._array[self.size : needed]

    def extend(self, values: np.ndarray) -> None:
        """Append the values."""
        self.room(len(values))[:] = values
        self.size += len(values)

    @property
    def used(self) -> np.ndarray:
        """What has been appended: a view."""
        return self._array[: self.size]

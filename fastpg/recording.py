"""What is kept of played episodes: flat arrays that grow, sorted into episodes at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastpg.policy import Frames, Inputs, SparseRows

FRAME_SHAPE = (210, 160)


@dataclass(frozen=True)
class Episode:
    """One finished episode of L agent steps.

    ``inputs`` of L samples; ``actions (L,) uint8`` as sampled; ``rewards (L,) float32`` after each
    step; ``emulator_frames`` that it took, no-op starts included.
    """

    number: int
    inputs: Inputs
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


def concatenate_inputs(parts: Sequence[Inputs]) -> Inputs:
    """Join inputs of one kind, in order."""
    return type(parts[0]).concatenate(list(parts))  # type: ignore[arg-type]


class _Growing:
    """A flat array whose room doubles when it is full."""

    def __init__(self, dtype: Any, shape: tuple[int, ...] = ()):
        self.array = np.empty((1024, *shape), dtype)
        self.size = 0

    def room(self, count: int) -> np.ndarray:
        """At least ``count`` free places behind what is used."""
        needed = self.size + count
        if needed > len(self.array):
            grown = np.empty(
                (max(needed, 2 * len(self.array)), *self.array.shape[1:]), self.array.dtype
            )
            grown[: self.size] = self.array[: self.size]
            self.array = grown
        return self.array[self.size : needed]

    def extend(self, values: Any) -> None:
        """Append the values."""
        self.room(len(values))[:] = values
        self.size += len(values)

    @property
    def used(self) -> np.ndarray:
        """What has been appended."""
        return self.array[: self.size]


class SparseStore:
    """Sparse rows of one step after another."""

    def __init__(self) -> None:
        self.indices, self.signs = _Growing(np.uint16), _Growing(np.int8)
        self.offsets = _Growing(np.int64)
        self.offsets.extend([0])

    def room(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Free places for indices and signs, written by the kernel itself."""
        return self.indices.room(count), self.signs.room(count)

    def append(self, offsets: np.ndarray) -> None:
        """Take over the rows that were written into :meth:`room`."""
        self.offsets.extend(offsets[1:] + self.indices.size)
        self.indices.size += int(offsets[-1])
        self.signs.size = self.indices.size

    def all(self) -> SparseRows:
        """Everything that was taken over."""
        return SparseRows(self.indices.used, self.signs.used, self.offsets.used)


class FrameStore(_Growing):
    """Whole pictures of one step after another."""

    def __init__(self, rgb: np.ndarray) -> None:
        super().__init__(np.uint8, FRAME_SHAPE)
        self.rgb = rgb

    append = _Growing.extend

    def all(self) -> Frames:
        """Everything that was appended."""
        return Frames(self.used, self.rgb)


class Recording:
    """Samples in the order in which they were played; sorted into episodes at the end."""

    def __init__(self, store: Any):
        self.store = store
        self.numbers = _Growing(np.int64)
        self.actions = _Growing(np.uint8)
        self.rewards = _Growing(np.float32)
        self.emulator_frames: dict[int, int] = {}

    def add(self, numbers: np.ndarray, actions: np.ndarray) -> None:
        """One decision of each of these episodes; its input is in the store already."""
        self.numbers.extend(numbers)
        self.actions.extend(actions)

    def add_rewards(self, rewards: list[float]) -> None:
        """The rewards that the last :meth:`add` led to."""
        self.rewards.extend(rewards)

    def finish(self, number: int, emulator_frames: int) -> None:
        """The episode has ended after this many emulator frames."""
        self.emulator_frames[number] = emulator_frames

    def episodes(self) -> list[Episode]:
        """One :class:`Episode` per episode number, rising."""
        inputs = self.store.all()
        order = np.argsort(self.numbers.used, kind="stable")
        numbers, starts = np.unique(self.numbers.used[order], return_index=True)
        samples = np.split(order, starts[1:])
        return [
            Episode(
                int(number),
                inputs.take(own),
                self.actions.used[own],
                self.rewards.used[own],
                self.emulator_frames[int(number)],
            )
            for number, own in zip(numbers, samples, strict=True)
        ]

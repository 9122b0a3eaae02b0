"""Interfaces of a learning algorithm and of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fastpg.network.optimizer import Objective

# Streams of a run's seed: weights, games and the order of minibatches draw from different ones.
WEIGHTS, GAMES, ORDER = 0, 1, 2


def stream_seed(seed: int, *key: int) -> int:
    """A seed for one use of a run's seed, such as ``stream_seed(seed, GAMES, 3)``."""
    return int(np.random.SeedSequence([seed, *key]).generate_state(1)[0])


class Diverged(RuntimeError):
    """A weight is not finite."""


@dataclass(frozen=True)
class Played:
    """One round of playing."""

    agent_steps: int  #: actions taken
    emulator_frames: int  #: frames emulated meanwhile
    scores: list[float]  #: of the episodes counted in this round
    lengths: list[int]  #: of the same episodes, in agent steps
    seconds_emulation: float  #: wall-clock time in the emulator and its pictures
    seconds_forward: float  #: wall-clock time in the choice of actions
    batch: Any = field(repr=False)  #: what the algorithm learns from


class Algorithm(Protocol):
    """Plays with a policy and improves it; see :mod:`fastpg.algorithms.ppo` for one."""

    def play(self) -> Played:
        """Play a round. A KeyboardInterrupt leaves everything as it was before the round."""

    def learn(self, played: Played) -> Mapping[str, float]:
        """Update the weights.

        Returns:
            Figures of the update, by the names of :class:`fastpg.training.metrics_file.Row`.

        Raises:
            Diverged: a weight is not finite.
        """

    def tensors(self) -> dict[str, np.ndarray]:
        """The state after the last :meth:`learn`: all that the rest of the run depends on."""

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Restore the state that :meth:`tensors` returned."""

    def close(self) -> None:
        """End worker processes and threads."""


# ---- twins on the CPU and on a GPU --------------------------------------------------------------


class PolicyNetwork(Protocol):
    """:class:`fastpg.network.network.TileNetwork` or ``fastpg.cuda.DeviceNetwork``."""

    def initialize(self, seed: int, pixels: float | None, policy: float | None) -> None:
        """Draw the weights."""

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights, on the host."""

    def load(self, tensors: dict[str, Any]) -> None:
        """Restore what :meth:`tensors` returned."""


class PolicyOptimizer(Protocol):
    """:class:`fastpg.network.optimizer.Optimizer` or ``fastpg.cuda.DeviceOptimizer``."""

    @property
    def finite(self) -> bool:
        """Whether every gradient so far was finite."""

    def reset_stats(self) -> None:
        """Start the statistics anew."""

    def stats(self) -> np.ndarray:
        """Sums over the samples since :meth:`reset_stats`."""

    def adam_step(
        self,
        buffer: Any,
        samples: Any,
        advantages: Any,
        returns: Any,
        objective: Objective,
        learning_rate: float,
    ) -> None:
        """One step of Adam."""

    def rmsprop_step(
        self, buffer: Any, samples: Any, weights: Any, learning_rate: float, decay: float
    ) -> None:
        """One step of RMSProp."""

    def tensors(self) -> dict[str, np.ndarray]:
        """All moments, on the host."""

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Restore what :meth:`tensors` returned."""

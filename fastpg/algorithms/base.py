"""The interface of a learning algorithm, and the seeds of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from fastpg.network.network import TileNetwork
from fastpg.network.optimizer import Optimizer

if TYPE_CHECKING:  # they import the compiler for GPUs
    from fastpg.cuda import DeviceNetwork, DeviceOptimizer

# Both have a twin on a GPU, with the same methods.
PolicyNetwork: TypeAlias = "TileNetwork | DeviceNetwork"
PolicyOptimizer: TypeAlias = "Optimizer | DeviceOptimizer"

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

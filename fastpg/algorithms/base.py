"""What a training run needs of an algorithm: it plays, it learns, it can be saved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

# Weights, games and the order of minibatches draw from different streams of one seed.
WEIGHTS, GAMES, ORDER = 0, 1, 2


def stream_seed(seed: int, *key: int) -> int:
    """A seed of its own for each use of a run's seed."""
    return int(np.random.SeedSequence([seed, *key]).generate_state(1)[0])


class Diverged(RuntimeError):
    """The weights are no longer finite."""


@dataclass(frozen=True)
class Played:
    """What one round of playing gave.

    Attributes:
        agent_steps: actions taken.
        emulator_frames: frames emulated meanwhile.
        scores: of the episodes that count from now on.
        lengths: of the same episodes, in agent steps.
        seconds_emulation: of the round, by the clock, in the emulator and its pictures.
        seconds_forward: the same, in the choice of actions.
        batch: what the algorithm learns from.
    """

    agent_steps: int
    emulator_frames: int
    scores: list[float]
    lengths: list[int]
    seconds_emulation: float
    seconds_forward: float
    batch: Any = field(repr=False)


class Algorithm(Protocol):
    """Plays with a policy and improves it; see :mod:`fastpg.algorithms.ppo` for one."""

    def play(self) -> Played:
        """Play a round. If it is broken off by KeyboardInterrupt, it has not happened."""

    def learn(self, played: Played) -> Mapping[str, float]:
        """Update the weights.

        Returns:
            What there is to know of the update, by the names of
            :class:`fastpg.training.metrics_file.Row`.

        Raises:
            Diverged: they are not finite any more.
        """

    def tensors(self) -> dict[str, np.ndarray]:
        """All that the run's future depends on, after the last :meth:`learn`."""

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Go on as if :meth:`tensors` had just been given."""

    def close(self) -> None:
        """End workers and threads."""

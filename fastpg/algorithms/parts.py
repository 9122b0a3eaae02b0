"""What algorithms on tiles are made of: a network, an optimizer, games; the CPU's or a GPU's.

Records, samples and numbers of samples go from the games to the optimizer, wherever they lie.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fastpg.network.optimizer import Objective
from fastpg.rollouts.base import PlayedEpisodes
from fastpg.rollouts.snapshots import Snapshot


class NetworkPart(Protocol):
    """See :class:`fastpg.network.network.TileNetwork`."""

    def initialize(self, seed: int, pixels: float | None, policy: float | None) -> None:
        """Draw the weights."""

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights, on the host."""

    def load(self, tensors: dict[str, Any]) -> None:
        """Take over :meth:`tensors`."""


class OptimizerPart(Protocol):
    """See :class:`fastpg.network.optimizer.Optimizer`."""

    @property
    def finite(self) -> bool:
        """Whether all gradients so far were."""

    def reset_stats(self) -> None:
        """Begin the sums anew."""

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
        """Take over :meth:`tensors`."""


class EpisodesPart(Protocol):
    """See :class:`fastpg.rollouts.native.Games`, its part for whole episodes."""

    games: int

    @property
    def buffer(self) -> Any:
        """What was played last."""

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """Play episodes by their numbers."""

    def transitions(
        self, episode_slices: Sequence[tuple[int, int]]
    ) -> tuple[Any, np.ndarray, list[int]]:
        """Slots of episodes' steps, their rewards, and steps of each episode."""

    def episode_advantages(
        self, estimator: Any, samples: Any, rewards: np.ndarray, lengths: Sequence[int]
    ) -> Any:
        """The weights of these decisions."""

    def snapshot(self) -> Snapshot:
        """All that the games' future depends on."""

    def rollback(self, snapshot: Snapshot) -> None:
        """Take over :meth:`keep`."""

    def close(self) -> None:
        """End what plays."""

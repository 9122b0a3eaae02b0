"""What algorithms on tiles are made of: a network, an optimizer, games; the CPU's or a GPU's.

Records, samples and numbers of samples go from the games to the optimizer, wherever they lie.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fastpg.network.optimizer import Objective
from fastpg.rollouts.base import PlayedEpisodes
from fastpg.rollouts.snapshots import Kept


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

    def forget_sums(self) -> None:
        """Begin the sums anew."""

    def sums(self) -> np.ndarray:
        """Sums over the samples since :meth:`forget_sums`."""

    def climb_adam(
        self,
        record: Any,
        samples: Any,
        advantages: Any,
        returns: Any,
        objective: Objective,
        learning_rate: float,
    ) -> None:
        """One step of Adam."""

    def climb_rmsprop(
        self, record: Any, samples: Any, weights: Any, learning_rate: float, decay: float
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
    def record(self) -> Any:
        """What was played last."""

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """Play episodes by their numbers."""

    def decisions(self, spans: Sequence[tuple[int, int]]) -> tuple[Any, np.ndarray, list[int]]:
        """Entries of episodes' steps, their rewards, and steps of each episode."""

    def credits(
        self, credit: Any, samples: Any, rewards: np.ndarray, lengths: Sequence[int]
    ) -> Any:
        """The weights of these decisions."""

    def keep(self) -> Kept:
        """All that the games' future depends on."""

    def go_back(self, kept: Kept) -> None:
        """Take over :meth:`keep`."""

    def close(self) -> None:
        """End what plays."""

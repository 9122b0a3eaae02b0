"""From the rewards of whole episodes to the weights of their decisions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels import get_backend
from fastpg.kernels.ops import Backend


class ReturnEstimator(NamedTuple):
    """What turns the rewards of a batch into the weight of each decision."""

    gamma: float = 0.99
    cut_at_rewards: bool = True
    standardize: str = "episode"

    def advantages(
        self, kernels: Backend, rewards: np.ndarray, lengths: Sequence[int]
    ) -> np.ndarray:
        """Weights (B,) float32 of all decisions: returns, standardised as set.

        Args:
            kernels: of any backend.
            rewards: (B,) float32, episode after episode.
            lengths: steps of each episode, B together.
        """
        ends = np.cumsum([0, *lengths])
        dones = np.zeros((len(rewards), 1), np.bool_)
        dones[ends[1:] - 1] = True
        returns = kernels.discounted_returns(
            rewards[:, None], dones, self.gamma, self.cut_at_rewards
        ).ravel()
        if self.standardize == "none":
            return returns
        segments = ends if self.standardize == "episode" else ends[[0, -1]]
        return kernels.standardize(returns, segments)


class WholeEpisodes:
    """What is learned from whole episodes that lie in a buffer one slot after the other.

    Attributes:
        buffer: what was played last.
    """

    buffer: Any

    def transitions(
        self, episode_slices: Sequence[tuple[int, int]]
    ) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Slots (B,) int32 of episodes' steps, their rewards (B,), and steps of each episode."""
        samples = np.concatenate([np.arange(*span, dtype=np.int32) for span in episode_slices])
        return samples, self.buffer.rewards[samples], [end - begin for begin, end in episode_slices]

    def episode_advantages(
        self,
        estimator: ReturnEstimator,
        samples: np.ndarray,
        rewards: np.ndarray,
        lengths: Sequence[int],
    ) -> np.ndarray:
        """The weights of :meth:`decisions`, float32 of all slots of the buffer."""
        weights = np.zeros(self.buffer.slots, np.float32)
        weights[samples] = estimator.advantages(get_backend("cython"), rewards, lengths)
        return weights

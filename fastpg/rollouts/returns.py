"""Returns: from the rewards of whole episodes to the advantage of each decision."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastpg.kernels.ops import Backend


class ReturnEstimator(NamedTuple):
    """Discounted returns, standardized: the advantages of REINFORCE.

    Attributes:
        gamma: discount per agent step.
        cut_at_rewards: whether a non-zero reward ends the sum: in Pong, each point.
        standardize: over what returns get mean 0 and deviation 1: ``"episode"``, ``"batch"`` or
            ``"none"``.
    """

    gamma: float = 0.99
    cut_at_rewards: bool = True
    standardize: str = "episode"

    def advantages(
        self, kernels: Backend, rewards: np.ndarray, lengths: Sequence[int]
    ) -> np.ndarray:
        """Advantages (B,) float32 of all decisions.

        Args:
            kernels: any backend.
            rewards: (B,) float32, episode after episode.
            lengths: steps of each episode, B together.
        """
        ends = np.cumsum([0, *lengths])
        dones = np.zeros((len(rewards), 1), np.bool_)
        dones[ends[1:] - 1] = True
        arrays = kernels.to_backend(rewards.reshape(-1, 1)), kernels.to_backend(dones)
        returns = kernels.discounted_returns(*arrays, self.gamma, self.cut_at_rewards)
        flat = kernels.to_host(returns).ravel()
        if self.standardize == "none":
            return flat
        segments = ends if self.standardize == "episode" else ends[[0, -1]]
        arrays = kernels.to_backend(flat), kernels.to_backend(segments)
        return kernels.to_host(kernels.standardize(*arrays))

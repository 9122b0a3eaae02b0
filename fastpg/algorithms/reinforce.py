"""REINFORCE as in the article: every decision is encouraged in proportion to its return."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastpg.policy import RMSProp
from fastpg.recording import Episode, concatenate_inputs


class Reinforce(NamedTuple):
    """What turns the rewards of a batch into the weight of each decision."""

    gamma: float = 0.99
    cut_at_rewards: bool = True
    standardize: str = "episode"

    def update(self, optimizer: RMSProp, episodes: Sequence[Episode]) -> None:
        """One step along the gradient of sum_t A_t log pi(a_t | x_t) over whole episodes.

        Args:
            optimizer: holds the policy that played the episodes; its weights are updated.
            episodes: the batch; sums run in this order.
        """
        inputs = concatenate_inputs([episode.inputs for episode in episodes])
        actions = np.concatenate([episode.actions for episode in episodes])
        advantages = self.advantages(optimizer, episodes)
        optimizer.policy.gradients(inputs, actions, advantages, optimizer.dw1, optimizer.dw2)
        optimizer.step()

    def advantages(self, optimizer: RMSProp, episodes: Sequence[Episode]) -> np.ndarray:
        """Weights (B,) float32 of all decisions: returns, standardised as set."""
        kernels = optimizer.policy.backend
        ends = np.cumsum([0, *(len(episode.actions) for episode in episodes)])
        rewards = np.concatenate([episode.rewards for episode in episodes])
        dones = np.zeros((len(rewards), 1), np.bool_)
        dones[ends[1:] - 1] = True
        returns = kernels.discounted_returns(
            rewards[:, None], dones, self.gamma, self.cut_at_rewards
        ).ravel()
        if self.standardize == "none":
            return returns
        segments = ends if self.standardize == "episode" else ends[[0, -1]]
        return kernels.standardize(returns, segments)

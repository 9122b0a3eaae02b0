"""Gradients of the network's weights, and the steps of Adam and RMSProp."""

import math
from typing import NamedTuple

import numpy as np

from fastpg.network._network import Learner, Pool, RolloutBuffer
from fastpg.network.network import TileNetwork

SAMPLES_AT_ONCE = 512  # their hidden units, 128 KB a block, stay in a core's cache
STATS = ("entropy", "divergence", "clipped", "value_error")  # that gradients come with


class Objective(NamedTuple):
    """What a step of PPO climbs: min(ratio A, clip(ratio) A) + entropy H - value (V - R)^2.

    Attributes:
        clip: how far the ratio of probabilities may be from 1; inf: no clipping.
        entropy: weight of the policy's entropy.
        value: weight of the value's squared error.
        max_grad_norm: the gradient's longest; a longer one is cut to it.
    """

    clip: float = math.inf
    entropy: float = 0.0
    value: float = 0.0
    max_grad_norm: float = math.inf


class Optimizer:
    """Gradients of a network's weights, and steps along them: RMSProp or Adam.

    Rows of the first layer whose pixels did not light in a batch are not touched. For RMSProp that
    is exact (a row's mean square is made up for when it lights again); for Adam it is what is
    called sparse or lazy Adam: the moments of such rows stand still, and so do their weights.

    Attributes:
        finite: whether all gradients so far were; from the first on that is not, no step is taken.
    """

    def __init__(
        self,
        network: TileNetwork,
        pool: Pool,
        moments: tuple[str, ...],
        samples_at_once: int = SAMPLES_AT_ONCE,
    ):
        """Set up; nothing has been learned yet.

        Args:
            network: whose weights are learned.
            pool: threads that share out the hidden units.
            moments: those that are snapshot: ("square",) for RMSProp, and "mean" for Adam.
            samples_at_once: of a minibatch, whose hidden units are kept between the forward and the
                backward pass.
        """
        self.network, self.moments = network, moments
        self.core = Learner(network.core, pool, samples_at_once, network.mirror_rows)
        self.finite = True
        self.reset_stats()

    def reset_stats(self) -> None:
        """Begin the sums anew."""
        self._stats = np.zeros(len(STATS))

    def stats(self) -> np.ndarray:
        """(4,) float64: ``STATS`` over the samples since :meth:`reset_stats`."""
        return self._stats

    def adam_step(
        self,
        buffer: RolloutBuffer,
        samples: np.ndarray,
        advantages: np.ndarray,
        returns: np.ndarray,
        objective: Objective,
        learning_rate: float,
    ) -> None:
        """One step of Adam along the gradient of the samples' mean objective.

        Args:
            buffer: what was played.
            samples: (B,) int32, slots of it.
            advantages: float32, of all slots.
            returns: float32, of all slots.
            objective: what to climb.
            learning_rate: the step size.
        """
        if self._gradient(buffer, samples, advantages, returns, objective, 1.0 / len(samples)):
            factor = min(1.0, objective.max_grad_norm / (self.core.norm() + 1e-9))
            self.core.adam(learning_rate, factor, 0.9, 0.999, 1e-7)

    def rmsprop_step(
        self,
        buffer: RolloutBuffer,
        samples: np.ndarray,
        weights: np.ndarray,
        learning_rate: float,
        decay: float,
    ) -> None:
        """One step of RMSProp along sum_t w_t grad log pi; ``weights`` w of all slots."""
        if self._gradient(buffer, samples, weights, weights, Objective(), 1.0):
            self.core.rmsprop(learning_rate, decay, 1e-5)

    def _gradient(
        self,
        buffer: RolloutBuffer,
        samples: np.ndarray,
        advantages: np.ndarray,
        returns: np.ndarray,
        objective: Objective,
        scale: float,
    ) -> bool:
        """The samples' gradient, times ``scale``; whether it, and all before, are finite."""
        batch = buffer, samples, advantages, returns
        self._stats += self.core.gradient(*batch, *objective[:3], scale)
        self.finite &= math.isfinite(self.core.norm())
        return self.finite

    def tensors(self) -> dict[str, np.ndarray]:
        """All moments, as matrices like the weights, and the count of updates."""
        core, network = self.core, self.network
        tensors = {"updated": core.updated[0].copy(), "updates": np.array([core.updates])}
        for name in self.moments:
            tensors[f"{name}_w1"] = network.rows_outside(getattr(core, f"{name}1"))
            tensors[f"{name}_w2"] = network.heads_outside(getattr(core, f"{name}2"))
        return tensors

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`tensors` gave."""
        core, network = self.core, self.network
        core.updated[:] = tensors["updated"]
        core.updates = int(tensors["updates"][0])
        for name in self.moments:
            network.rows_inside(tensors[f"{name}_w1"], getattr(core, f"{name}1"))
            network.heads_inside(tensors[f"{name}_w2"], getattr(core, f"{name}2"))

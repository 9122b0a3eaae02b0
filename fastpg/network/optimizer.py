"""Gradients of the network's weights, and steps of Adam and RMSProp along them."""

import math
from typing import NamedTuple

import numpy as np

from fastpg.network._network import Learner, Pool, RolloutBuffer
from fastpg.network.network import TileNetwork

SAMPLES_AT_ONCE = 512  # their hidden units, 128 KB per block, fit a core's cache
# Sums over samples that come with gradients. Their means are the metrics of the same names.
STATS = ("entropy", "kl", "clip_fraction", "value_loss")


class Objective(NamedTuple):
    """PPO's objective: min(ratio A, clip(ratio) A) + entropy H - value (V - R)^2.

    Attributes:
        clip: largest distance of the ratio of probabilities from 1; inf for no clipping.
        entropy: weight of the policy's entropy H.
        value: weight of the value loss, the squared error of V.
        max_grad_norm: a longer gradient is scaled down to this norm.
    """

    clip: float = math.inf
    entropy: float = 0.0
    value: float = 0.0
    max_grad_norm: float = math.inf


class Optimizer:
    """Gradients of a network's weights, and steps along them: RMSProp or Adam.

    A step skips the rows of the first layer whose pixels were dark in all samples. For RMSProp that
    is exact: a row's decay is made up for when the row is next updated. For Adam it is known as
    sparse or lazy Adam: weights and moments of skipped rows do not change.
    """

    def __init__(
        self,
        network: TileNetwork,
        pool: Pool,
        moments: tuple[str, ...],
        samples_at_once: int = SAMPLES_AT_ONCE,
    ):
        """Create an optimizer that has taken no step.

        Args:
            network: the network that learns; an attribute.
            pool: threads, which share the hidden units.
            moments: moving averages that :meth:`tensors` returns: ("square",) for RMSProp,
                ("mean", "square") for Adam.
            samples_at_once: samples whose hidden units are stored between the forward and the
                backward pass; larger minibatches take several passes.
        """
        self.network, self.moments = network, moments
        self.core = Learner(network.core, pool, samples_at_once, network.mirror_rows)
        #: Whether all gradients so far were finite. After one that is not, no step is taken.
        self.finite = True
        self.reset_stats()

    def reset_stats(self) -> None:
        """Set the statistics to 0."""
        self._stats = np.zeros(len(STATS))

    def stats(self) -> np.ndarray:
        """(4,) float64: sums of ``STATS`` over all samples since :meth:`reset_stats`."""
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
        """One step of Adam up the gradient of the samples' mean objective.

        Args:
            buffer: the rollout.
            samples: (B,) int32: slots of the buffer.
            advantages: (slots,) float32: of all slots.
            returns: (slots,) float32: targets of the values of all slots.
            objective: to be maximised.
            learning_rate: step size.
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
        """One step of RMSProp up the policy gradient sum_t w_t grad log pi(action_t).

        Args:
            buffer: the rollout.
            samples: (B,) int32: slots of the buffer.
            weights: (slots,) float32: w of all slots, for example their advantages.
            learning_rate: step size.
            decay: decay of the mean square.
        """
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
        """Compute the samples' gradient, times ``scale``; return :attr:`finite`."""
        batch = buffer, samples, advantages, returns
        self._stats += self.core.gradient(*batch, *objective[:3], scale)
        self.finite &= math.isfinite(self.core.norm())
        return self.finite

    def tensors(self) -> dict[str, np.ndarray]:
        """The optimizer's state.

        Returns:
            The moments as matrices with the shapes of the weights, ``updated``: each row's last
            step, and ``updates``: the number of steps.
        """
        core, network = self.core, self.network
        tensors = {"updated": core.updated[0].copy(), "updates": np.array([core.updates])}
        for name in self.moments:
            tensors[f"{name}_w1"] = network.rows_outside(getattr(core, f"{name}1"))
            tensors[f"{name}_w2"] = network.heads_outside(getattr(core, f"{name}2"))
        return tensors

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Restore the state that :meth:`tensors` returned."""
        core, network = self.core, self.network
        core.updated[:] = tensors["updated"]
        core.updates = int(tensors["updates"][0])
        for name in self.moments:
            network.rows_inside(tensors[f"{name}_w1"], getattr(core, f"{name}1"))
            network.heads_inside(tensors[f"{name}_w2"], getattr(core, f"{name}2"))

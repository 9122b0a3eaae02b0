"""The public kernels from rewards to weights: returns, advantages and steps of the optimiser.

They know neither pictures nor the network. :class:`fastpg.kernels.ops.Backend` inherits them; see
there.
"""

import math
from typing import Any

import numpy as np

from fastpg.kernels import checks
from fastpg.kernels.spec import BY_NAME

Array = np.ndarray


class LearningOps:
    """The ops of the kernel table that turn rewards into weights, on the loops of a backend."""

    loops: Any

    # What depends on where arrays live; here, in the host's memory.
    _checked = staticmethod(checks.checked)
    _flat = staticmethod(checks.flat)
    _last = staticmethod(checks.last)
    _verify = staticmethod(checks.verify)

    def to_backend(self, array: Array) -> Any:
        """The array where the backend's loops find it: itself, or a copy in the GPU's memory."""
        return array

    def to_host(self, array: Any) -> Array:
        """The inverse of :meth:`to_backend`: a NumPy array."""
        return array

    # ---- returns ----------------------------------------------------------------------------

    def discounted_returns(
        self,
        rewards: Array,
        dones: Array,
        gamma: float,
        cut_at_rewards: bool = False,
        returns: Array | None = None,
    ) -> Array:
        """Discounted sums of the rewards to come.

        R[t] = r[t] + gamma * R[t + 1] for t = T-1, .., 0 with R[T] = 0; the sum is cut
        (R[t] = r[t]) where ``dones[t]``, and, with ``cut_at_rewards``, where r[t] is not 0: in
        Pong a point ends the credit. With gamma = 1 and that cut, every decision of a won point
        has +1, of a lost one -1.

        Args:
            rewards: (T, N) float32: reward after each step.
            dones: (T, N) bool: whether the episode ended with that step.
            gamma: discount per step, 0 to 1.
            cut_at_rewards: whether a non-zero reward ends the credit.
            returns: (T, N) float32: written; allocated if None.

        Source: the article, "More general advantage functions".
        """
        checks.check_range("gamma", gamma, 0.0, 1.0)
        (returns,) = self._checked(BY_NAME["discounted_returns"], (rewards, dones), (returns,))
        self.loops.discounted_returns(rewards, dones, gamma, cut_at_rewards, returns)
        return returns

    def generalized_advantages(
        self,
        rewards: Array,
        dones: Array,
        values: Array,
        gamma: float,
        lam: float,
        advantages: Array | None = None,
        returns: Array | None = None,
    ) -> tuple[Array, Array]:
        """Generalized advantage estimation, GAE(gamma, lambda), and the returns it implies.

        For t = T-1, .., 0 with A[T] = 0 and c[t] = 0 where ``dones[t]``, else 1:
        delta[t] = r[t] + gamma * c[t] * V[t + 1] - V[t],
        A[t] = delta[t] + gamma * lam * c[t] * A[t + 1],
        returns[t] = A[t] + V[t].
        With lam = 0 that is the one-step temporal difference, with lam = 1 the discounted return,
        bootstrapped by V[T], minus V[t]. What follows an end is not looked at, so V[t + 1] may be
        the next episode's first value. An episode that was cut short (truncated, not terminated)
        counts as ended: to bootstrap from it, add gamma times its last value to its last reward.

        Args:
            rewards: (T, N) float32: reward after each step.
            dones: (T, N) bool: whether the episode ended with that step.
            values: (T+1, N) float32: estimated value of the state before each step, and after the
                last.
            gamma: discount per step, 0 to 1.
            lam: lambda, 0 to 1: how far rewards are trusted over values.
            advantages: (T, N) float32: written; allocated if None.
            returns: (T, N) float32: written; allocated if None.

        Returns:
            (advantages, returns).

        Source: Schulman et al., "High-dimensional continuous control using generalized advantage
        estimation", 2015, arXiv:1506.02438.
        """
        checks.check_range("gamma", gamma, 0.0, 1.0)
        checks.check_range("lam", lam, 0.0, 1.0)
        inputs = (rewards, dones, values)
        results = self._checked(BY_NAME["generalized_advantages"], inputs, (advantages, returns))
        self.loops.generalized_advantages(*inputs, gamma, lam, *results)
        return tuple(results)

    def standardize(
        self, values: Array, offsets: Array, standardized: Array | None = None
    ) -> Array:
        """Each segment minus its mean, over its standard deviation; zeros where all are equal.

        Args:
            values: (B,) float32.
            offsets: (S+1,) int64: segment s is ``values[offsets[s]:offsets[s + 1]]``, rising from 0
                to B: one segment per episode, or [0, B] for the whole batch.
            standardized: (B,) float32: written; allocated if None.

        Returns:
            standardized (B,) float32 (population standard deviation; sums in float64, in the order
            of csrc/README.md).
        """
        (standardized,) = self._checked(BY_NAME["standardize"], (values, offsets), (standardized,))
        self._verify(checks.check_segments, offsets, values.shape[0])
        self.loops.standardize(values, offsets, standardized)
        return standardized

    # ---- objectives -------------------------------------------------------------------------

    def ppo_gradient(
        self,
        probabilities: Array,
        values: Array,
        actions: Array,
        old_probabilities: Array,
        advantages: Array,
        returns: Array,
        clip: float,
        entropy_weight: float,
        value_weight: float,
        d_logits: Array | None = None,
        d_values: Array | None = None,
    ) -> tuple[Array, Array]:
        """Gradient, uphill, of PPO's clipped objective by each sample's logits and value.

        The objective of a sample, to be maximised, is
        min(ratio * advantage, max(1 - clip, min(ratio, 1 + clip)) * advantage)
        + entropy_weight * H - value_weight * (value - return)^2,
        with ratio = pi(action) / old_probability and the entropy H = -sum_a pi(a) * log pi(a).
        There is no factor 1/2 and no mean over the samples: scale the weights or the results. With
        A = 1 the policy has two actions, the probability is that of action 1, a sigmoid's, and
        the gradient is by that one logit; with more it is a softmax's, as in
        :meth:`~fastpg.kernels.ops.Backend.policy_forward`. With c = 0 where clipping takes hold
        (advantage > 0 and ratio > 1 + clip, or advantage < 0 and ratio < 1 - clip), else 1:
        d_logits[a] = c * advantage * ratio * ([action is a] - pi(a))
        + entropy_weight * -pi(a) * (log pi(a) + H),
        d_values = -2 * value_weight * (value - return).

        With ``clip=inf`` nothing is clipped; if ``old_probabilities`` are those of the same
        weights, that is advantage actor-critic. Probabilities may be 0 or 1 (0 * log 0 is 0): all
        results are finite that float32 can hold, which it can while abs(advantage) * ratio < 1e38.

        Args:
            probabilities: (B, A) float32: as policy_forward gives them, of the current weights.
            values: (B,) float32: the current estimates of the states' values.
            actions: (B,) uint8: 0 or 1 with A = 1, else below A.
            old_probabilities: (B,) float32: of each action taken, when it was taken; at least
                float32's smallest normal number, 1.1754944e-38. With A = 1 that of action 0 is
                ``1 - probability`` in float32: then the ratio for the same weights is exactly 1.
            advantages: (B,) float32: as :meth:`generalized_advantages` gives them, often
                standardised.
            returns: (B,) float32: what the values should have been.
            clip: how far from 1 the ratio may go to the better, at least 0; ``inf`` for any.
            entropy_weight: at least 0.
            value_weight: at least 0.
            d_logits: (B, A) float32: written; allocated if None.
            d_values: (B,) float32: written; allocated if None.

        Returns:
            (d_logits, d_values).

        Source: Schulman et al., "Proximal policy optimization algorithms", 2017, arXiv:1707.06347.
        """
        checks.check_range("clip", clip, 0.0, math.inf)
        checks.check_range("entropy_weight", entropy_weight, 0.0, 1e30)
        checks.check_range("value_weight", value_weight, 0.0, 1e30)
        inputs = (probabilities, values, actions, old_probabilities, advantages, returns)
        results = self._checked(BY_NAME["ppo_gradient"], inputs, (d_logits, d_values))
        self._verify(checks.check_actions, actions, probabilities.shape[1])
        self._verify(checks.check_normal, "old_probabilities", old_probabilities)
        self.loops.ppo_gradient(*inputs, clip, entropy_weight, value_weight, *results)
        return tuple(results)

    # ---- updates ----------------------------------------------------------------------------

    def rmsprop_update(
        self,
        gradient: Array,
        learning_rate: float,
        decay: float,
        weights: Array,
        cache: Array,
        epsilon: float = 1e-5,
    ) -> None:
        """One RMSProp step uphill, in place.

        cache = decay * cache + (1 - decay) * gradient^2;
        weights += learning_rate * gradient / (sqrt(cache) + epsilon).

        Args:
            gradient: any shape, C-contiguous, float32.
            learning_rate: step size, at least 0.
            decay: share of the cache that is kept, 0 to 1.
            weights: like gradient: updated in place.
            cache: like gradient: mean square of past gradients, updated in place.
            epsilon: keeps the division finite, above 0.

        Source: the article's script; Hinton's lecture 6e.
        """
        checks.check_range("learning_rate", learning_rate, 0.0, 1e30)
        checks.check_range("decay", decay, 0.0, 1.0)
        checks.check_range("epsilon", epsilon, 1e-30, 1e30)
        gradient, *updated = self._flat(gradient=gradient, weights=weights, cache=cache)
        self._checked(BY_NAME["rmsprop_update"], (gradient,), updated)
        self.loops.rmsprop_update(gradient, learning_rate, decay, epsilon, *updated)

    def adam_update(
        self,
        gradient: Array,
        step: int,
        learning_rate: float,
        weights: Array,
        mean: Array,
        square: Array,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-5,
    ) -> None:
        """One step of Adam uphill, in place.

        mean = beta1 * mean + (1 - beta1) * gradient;
        square = beta2 * square + (1 - beta2) * gradient^2;
        weights += learning_rate * (mean / (1 - beta1^step))
        / (sqrt(square / (1 - beta2^step)) + epsilon).
        The two corrections are computed in float64 and multiply, as float32, the learning rate and
        the square; all else is float32.

        Args:
            gradient: any shape, C-contiguous, float32.
            step: number of this step: 1 with ``mean`` and ``square`` all 0, then 2, 3, ..
            learning_rate: step size, at least 0.
            weights: like gradient: updated in place.
            mean: like gradient: moving average of the gradients, updated in place.
            square: like gradient: moving average of their squares, updated in place.
            beta1: share of the mean that is kept, 0 to 1 - 2**-24.
            beta2: share of the square that is kept, 0 to 1 - 2**-24.
            epsilon: keeps the division finite, above 0.

        Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2014, arXiv:1412.6980.
        """
        step = checks.check_integer("step", step, 1, 2**53, "2**53")  # float64 holds it exactly
        checks.check_range("learning_rate", learning_rate, 0.0, 1e30)
        checks.check_range("beta1", beta1, 0.0, 1 - 2.0**-24)
        checks.check_range("beta2", beta2, 0.0, 1 - 2.0**-24)
        checks.check_range("epsilon", epsilon, 1e-30, 1e30)
        arrays = self._flat(gradient=gradient, weights=weights, mean=mean, square=square)
        gradient, *updated = arrays
        self._checked(BY_NAME["adam_update"], (gradient,), updated)
        self.loops.adam_update(gradient, step, learning_rate, beta1, beta2, epsilon, *updated)

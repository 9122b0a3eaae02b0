"""Public ops of losses: the gradient of PPO's policy loss, entropy bonus and value loss."""

from fastpg.kernels.ops_base import Array, CheckedOps, Output


class LossOps(CheckedOps):
    """Derivatives of actor-critic objectives by the network's outputs."""

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
        d_logits: Output = None,
        d_values: Output = None,
    ) -> tuple[Array, Array]:
        """Derivatives of PPO's clipped objective by each sample's logits and value.

        The objective of a sample, to be maximised, is the clipped surrogate, plus the entropy
        bonus, minus the value loss:
        min(ratio * advantage, max(1 - clip, min(ratio, 1 + clip)) * advantage)
        + entropy_weight * H - value_weight * (value - return)^2,
        with ratio = pi(action) / old_probability and the entropy H = -sum_a pi(a) * log pi(a).
        The value loss has no factor 1/2, and there is no mean over the samples: scale the weights
        or the results.

        With c = 0 where clipping stops the gradient (advantage > 0 and ratio > 1 + clip, or
        advantage < 0 and ratio < 1 - clip), else 1, the derivatives are
        d_logits[a] = c * advantage * ratio * ([action is a] - pi(a))
        + entropy_weight * -pi(a) * (log pi(a) + H),
        d_values = -2 * value_weight * (value - return).
        With A = 1 there are two actions, pi(1) is the sigmoid of the one logit, and d_logits is
        the derivative by that logit. See :meth:`policy_forward`.

        ``clip=inf`` clips nothing. If in addition ``old_probabilities`` come from the current
        weights, the objective's gradient is that of advantage actor-critic. Probabilities may be 0
        or 1 (0 * log 0 is 0). Results are finite while abs(advantage) * ratio < 1e38.

        Args:
            probabilities: (B, A) float32: results of :meth:`policy_forward` by current weights.
            values: (B,) float32: value estimates of the current weights.
            actions: (B,) uint8: the actions taken, 0 or 1 with A = 1, else below A.
            old_probabilities: (B,) float32: probability of each action when it was taken, at least
                float32's smallest normal number, 1.1754944e-38. With A = 1 that of action 0 is
                ``1 - probability`` in float32, so that unchanged weights have a ratio of exactly 1.
            advantages: (B,) float32: of :meth:`generalized_advantages`; usually standardized.
            returns: (B,) float32: targets of the values.
            clip: largest distance of the ratio from 1, at least 0; ``inf`` for no clipping.
            entropy_weight: weight of the entropy bonus, at least 0.
            value_weight: weight of the value loss, at least 0.
            d_logits: (B, A) float32: output; allocated if None.
            d_values: (B,) float32: output; allocated if None.

        Source: Schulman et al., "Proximal policy optimization algorithms", 2017, arXiv:1707.06347.
        """
        inputs = (probabilities, values, actions, old_probabilities, advantages, returns)
        scalars = (clip, entropy_weight, value_weight)
        return self._run("ppo_gradient", inputs, scalars, (d_logits, d_values))

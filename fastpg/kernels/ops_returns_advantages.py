"""Public ops from rewards to advantages: discounted returns, GAE, standardization."""

from fastpg.kernels.ops_base import Array, CheckedOps, Output


class ReturnOps(CheckedOps):
    """Returns and advantages of the steps of a rollout, (T, N): T steps of N environments."""

    def discounted_returns(
        self,
        rewards: Array,
        dones: Array,
        gamma: float,
        cut_at_rewards: bool = False,
        returns: Output = None,
    ) -> Array:
        """Discounted returns: the sum of the rewards from each step on.

        R[t] = r[t] + gamma * R[t + 1] for t = T-1, .., 0 with R[T] = 0. The sum ends
        (R[t] = r[t]) where ``dones[t]`` and, with ``cut_at_rewards``, where r[t] is not 0. In Pong
        a non-zero reward ends a point, and no earlier action can have a share in the next one.
        With gamma = 1 and that cut every action of a won point has the return +1, of a lost one -1.

        Args:
            rewards: (T, N) float32: reward after each step.
            dones: (T, N) bool: whether the episode ended with that step.
            gamma: discount per step, 0 to 1.
            cut_at_rewards: whether a non-zero reward ends the sum.
            returns: (T, N) float32: output; allocated if None.

        Source: the article, "More general advantage functions".
        """
        scalars = (gamma, cut_at_rewards)
        return self._run("discounted_returns", (rewards, dones), scalars, (returns,))

    def generalized_advantages(
        self,
        rewards: Array,
        dones: Array,
        values: Array,
        gamma: float,
        lam: float,
        advantages: Output = None,
        returns: Output = None,
    ) -> tuple[Array, Array]:
        """Generalized advantage estimation, GAE(gamma, lambda), and the returns that it implies.

        For t = T-1, .., 0 with A[T] = 0, and c[t] = 0 where ``dones[t]``, else 1:
        delta[t] = r[t] + gamma * c[t] * V[t + 1] - V[t],
        A[t] = delta[t] + gamma * lam * c[t] * A[t + 1],
        returns[t] = A[t] + V[t].

        With lam = 0, A[t] is the one-step temporal difference. With lam = 1 it is the discounted
        return, bootstrapped with V[T], minus V[t]. Nothing after an episode's end is read, so
        V[t + 1] may be the first value of the next episode. A truncated episode counts as ended: to
        bootstrap from its last state, add gamma times that state's value to the last reward.

        Args:
            rewards: (T, N) float32: reward after each step.
            dones: (T, N) bool: whether the episode ended with that step.
            values: (T+1, N) float32: value estimates of the states before each step, and of the
                state after the last one.
            gamma: discount per step, 0 to 1.
            lam: lambda, 0 to 1: 0 trusts the values alone, 1 the rewards alone.
            advantages: (T, N) float32: output; allocated if None.
            returns: (T, N) float32: output; allocated if None.

        Source: Schulman et al., "High-dimensional continuous control using generalized advantage
        estimation", 2015, arXiv:1506.02438.
        """
        inputs, outputs = (rewards, dones, values), (advantages, returns)
        return self._run("generalized_advantages", inputs, (gamma, lam), outputs)

    def standardize(self, values: Array, offsets: Array, standardized: Output = None) -> Array:
        """Each segment shifted to mean 0 and scaled to standard deviation 1.

        (values - mean) / deviation, with the population's standard deviation. A segment whose
        values are all equal becomes 0. Sums are float64, in the order that csrc/README.md states.

        Args:
            values: (B,) float32: for example the returns of all steps of a batch.
            offsets: (S+1,) int64: segment s is ``values[offsets[s]:offsets[s + 1]]``. They rise
                from 0 to B: one segment per episode, or [0, B] for the whole batch.
            standardized: (B,) float32: output; allocated if None.
        """
        return self._run("standardize", (values, offsets), (), (standardized,))

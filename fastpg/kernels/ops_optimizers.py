"""Public ops of optimizers: RMSProp and Adam steps, uphill and in place."""

from fastpg.kernels import checks
from fastpg.kernels.ops_base import Array, CheckedOps


class OptimizerOps(CheckedOps):
    """One step along a gradient. Arrays may have any one shape; they are updated in place."""

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

        cache = decay * cache + (1 - decay) * gradient^2,
        weights += learning_rate * gradient / (sqrt(cache) + epsilon).

        Args:
            gradient: float32, C-contiguous, of any shape: of an objective to be maximised.
            learning_rate: step size, at least 0.
            decay: decay of the moving average, 0 to 1.
            weights: like gradient: updated in place.
            cache: like gradient: moving average of the squared gradients, updated in place.
            epsilon: keeps the division finite, above 0.

        Source: the article's script; Hinton's lecture 6e.
        """
        gradient, *updated = checks.flatten(self.memory, gradient, weights=weights, cache=cache)
        self._run("rmsprop_update", (gradient,), (learning_rate, decay, epsilon), updated)

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
        """One Adam step uphill, in place.

        mean = beta1 * mean + (1 - beta1) * gradient,
        square = beta2 * square + (1 - beta2) * gradient^2,
        weights += learning_rate * (mean / (1 - beta1^step))
        / (sqrt(square / (1 - beta2^step)) + epsilon).

        The bias corrections are computed in float64 and applied as float32 factors of the learning
        rate and of the square. All else is float32.

        Args:
            gradient: float32, C-contiguous, of any shape: of an objective to be maximised.
            step: number of this step: 1 with ``mean`` and ``square`` all 0, then 2, 3, ..
            learning_rate: step size, at least 0.
            weights: like gradient: updated in place.
            mean: like gradient: moving average of the gradients, updated in place.
            square: like gradient: moving average of the squared gradients, updated in place.
            beta1: decay of the mean, 0 to 1 - 2**-24.
            beta2: decay of the square, 0 to 1 - 2**-24.
            epsilon: keeps the division finite, above 0.

        Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2014, arXiv:1412.6980.
        """
        updated = {"weights": weights, "mean": mean, "square": square}
        gradient, *flat = checks.flatten(self.memory, gradient, **updated)
        scalars = (step, learning_rate, beta1, beta2, epsilon)
        self._run("adam_update", (gradient,), scalars, flat)

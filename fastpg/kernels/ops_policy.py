"""Public ops of the policy: forward pass, policy gradient, random numbers, sampled actions.

The policy is the article's network: two layers without biases, a ReLU between them. With one
output (A = 1) it chooses between two actions, 0 (DOWN) and 1 (UP), and the sigmoid of its logit is
the probability of UP. With A > 1 outputs the softmax of the logits is the distribution over A
actions.
"""

from fastpg.kernels.ops_base import Array, CheckedOps, Output


class PolicyOps(CheckedOps):
    """The two-layer network forward and backward, on sparse and dense inputs, and sampling."""

    def policy_forward(
        self,
        indices: Array,
        signs: Array,
        offsets: Array,
        w1: Array,
        w2: Array,
        hidden: Output = None,
        probabilities: Output = None,
    ) -> tuple[Array, Array]:
        """Hidden units and action probabilities of sparse inputs.

        hidden[b] = max(0, sum_k signs[k] * w1[indices[k]]) over the entries k of row b,
        logit[b, a] = sum_h hidden[b, h] * w2[a, h],
        probabilities[b] = sigmoid(logit[b]) with A = 1, else softmax(logit[b]).

        Args:
            indices: (K,) uint16: non-zero inputs, as :meth:`frame_difference` returns them.
            signs: (K,) int8: their values, +1 or -1.
            offsets: (B+1,) int64: row b is ``indices[offsets[b]:offsets[b + 1]]``.
            w1: (D, H) float32: first layer, one row per input.
            w2: (A, H) float32: second layer, one row per output.
            hidden: (B, H) float32: output; allocated if None.
            probabilities: (B, A) float32: output; allocated if None.

        Source: the article's ``policy_forward``.
        """
        inputs, outputs = (indices, signs, offsets, w1, w2), (hidden, probabilities)
        return self._run("policy_forward", inputs, (), outputs)

    def policy_forward_dense(
        self, x: Array, w1: Array, w2: Array, hidden: Output = None, probabilities: Output = None
    ) -> tuple[Array, Array]:
        """:meth:`policy_forward` of dense inputs: hidden = max(0, x @ w1).

        Args:
            x: (B, D) float32: inputs.
            w1: (D, H) float32: first layer.
            w2: (A, H) float32: second layer.
            hidden: (B, H) float32: output; allocated if None.
            probabilities: (B, A) float32: output; allocated if None.
        """
        return self._run("policy_forward_dense", (x, w1, w2), (), (hidden, probabilities))

    def policy_backward(
        self,
        indices: Array,
        signs: Array,
        offsets: Array,
        hidden: Array,
        probabilities: Array,
        actions: Array,
        advantages: Array,
        w2: Array,
        dw1: Array,
        dw2: Array,
        accumulate: bool = False,
    ) -> tuple[Array, Array]:
        """The policy gradient (REINFORCE) with respect to both layers, on sparse inputs.

        The objective, to be maximised, is sum_b advantages[b] * log pi(actions[b] | x[b]):
        d_logit[b, a] = advantages[b] * ([actions[b] is a] - probabilities[b, a]), where the one
        output of A = 1 stands for action 1,
        dw2[a] = sum_b d_logit[b, a] * hidden[b],
        d_hidden[b] = sum_a d_logit[b, a] * w2[a] where hidden[b] > 0, else 0,
        dw1[d] = the sum of signs[k] * d_hidden[b] over all entries k of rows b with indices[k] = d.

        Args:
            indices: (K,) uint16: inputs of the forward pass.
            signs: (K,) int8: inputs of the forward pass.
            offsets: (B+1,) int64: inputs of the forward pass.
            hidden: (B, H) float32: result of the forward pass.
            probabilities: (B, A) float32: result of the forward pass.
            actions: (B,) uint8: the actions taken, 0 or 1 with A = 1, else below A.
            advantages: (B,) float32: weight of each action's log probability.
            w2: (A, H) float32: second layer.
            dw1: (D, H) float32: output.
            dw2: (A, H) float32: output.
            accumulate: whether to add to dw1 and dw2 instead of overwriting them.

        Source: the article's ``policy_backward``; Williams, "Simple statistical gradient-following
        algorithms for connectionist reinforcement learning", 1992.
        """
        inputs = (indices, signs, offsets, hidden, probabilities, actions, advantages, w2)
        return self._run("policy_backward", inputs, (accumulate,), (dw1, dw2))

    def policy_backward_dense(
        self,
        x: Array,
        hidden: Array,
        probabilities: Array,
        actions: Array,
        advantages: Array,
        w2: Array,
        dw1: Array,
        dw2: Array,
        accumulate: bool = False,
    ) -> tuple[Array, Array]:
        """:meth:`policy_backward` of dense inputs: dw1 = x.T @ d_hidden.

        Args:
            x: (B, D) float32: inputs of the forward pass.
            hidden: (B, H) float32: result of the forward pass.
            probabilities: (B, A) float32: result of the forward pass.
            actions: (B,) uint8: the actions taken, 0 or 1 with A = 1, else below A.
            advantages: (B,) float32: weight of each action's log probability.
            w2: (A, H) float32: second layer.
            dw1: (D, H) float32: output.
            dw2: (A, H) float32: output.
            accumulate: whether to add to dw1 and dw2 instead of overwriting them.
        """
        inputs = (x, hidden, probabilities, actions, advantages, w2)
        return self._run("policy_backward_dense", inputs, (accumulate,), (dw1, dw2))

    def policy_backward_outputs(
        self,
        indices: Array,
        signs: Array,
        offsets: Array,
        hidden: Array,
        d_outputs: Array,
        w2: Array,
        dw1: Array,
        dw2: Array,
        accumulate: bool = False,
    ) -> tuple[Array, Array]:
        """Gradients of any objective, from its derivatives by the A linear outputs.

        The formulas of :meth:`policy_backward`, with ``d_outputs`` in place of d_logit. The outputs
        need not be logits: an actor-critic has its value estimate as one more row of w2.

        Args:
            indices: (K,) uint16: inputs of the forward pass.
            signs: (K,) int8: inputs of the forward pass.
            offsets: (B+1,) int64: inputs of the forward pass.
            hidden: (B, H) float32: result of the forward pass.
            d_outputs: (B, A) float32: derivatives of the objective by the outputs, for example
                those of :meth:`ppo_gradient`.
            w2: (A, H) float32: second layer.
            dw1: (D, H) float32: output.
            dw2: (A, H) float32: output.
            accumulate: whether to add to dw1 and dw2 instead of overwriting them.
        """
        inputs = (indices, signs, offsets, hidden, d_outputs, w2)
        return self._run("policy_backward_outputs", inputs, (accumulate,), (dw1, dw2))

    def counter_uniforms(
        self, streams: Array, steps: Array, seed: int, uniforms: Output = None
    ) -> Array:
        """Uniform random numbers as a function of (seed, stream, step): Philox 4x32, 10 rounds.

        There is no generator state, so no order of calls, thread or backend changes a number. The
        counter is (step low, step high, stream low, stream high) in 32-bit words, the key is the
        seed. A number is the upper 24 bits of the first output word, times 2**-24.

        Args:
            streams: (N,) uint64: environment or episode.
            steps: (N,) uint64: step of it.
            seed: 0 to 2**64 - 1.
            uniforms: (N,) float32: output, multiples of 2**-24 in [0, 1); allocated if None.

        Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
        """
        return self._run("counter_uniforms", (streams, steps), (seed,), (uniforms,))

    def sample_actions(
        self, probabilities: Array, uniforms: Array, actions: Output = None
    ) -> Array:
        """Actions drawn from the given distributions, one uniform random number each.

        With A = 1 the action is 1 where uniforms[n] < probabilities[n, 0], else 0. With more it is
        the first whose cumulative probability exceeds uniforms[n], at most A - 1.

        Args:
            probabilities: (N, A) float32: as :meth:`policy_forward` returns them, A <= 255.
            uniforms: (N,) float32 in [0, 1).
            actions: (N,) uint8: output; allocated if None.
        """
        return self._run("sample_actions", (probabilities, uniforms), (), (actions,))

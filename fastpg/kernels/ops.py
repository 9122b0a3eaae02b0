"""The public kernels: an op checks its arguments, allocates what was left out, launches a loop.

The arithmetic is in the backends (:mod:`~fastpg.kernels.reference`,
:mod:`~fastpg.kernels.numba_cpu`, :mod:`~fastpg.kernels.cython_cpu`): each is a set of loops with
one function per op, all arguments given, nothing checked and nothing allocated. This class is the
same door in front of each of them, so that names, parameters, errors and documentation are one; its
ops that know neither pictures nor the network are in :mod:`~fastpg.kernels.learning_ops`. For
arrays in a GPU's memory :class:`fastpg.kernels.cuda.CudaBackend` replaces hooks as ``_checked``.
"""

from typing import Any

import numpy as np

from fastpg.kernels import checks
from fastpg.kernels.learning_ops import LearningOps
from fastpg.kernels.spec import BY_NAME

Array = np.ndarray


class Backend(LearningOps):
    """Every op of the kernel table, checked, on the loops of one backend.

    Attributes:
        name: ``"reference"``, ``"numba"``, ``"cython"`` or ``"cuda"``.
        loops: the backend's unchecked loops, for callers whose arrays are known to be right.
    """

    def __init__(self, name: str, loops: Any):
        self.name = name
        self.loops = loops

    def __repr__(self) -> str:
        return f"<fastpg.kernels backend {self.name!r}>"

    def __reduce__(self):
        from fastpg.kernels import get_backend

        return get_backend, (self.name,)

    # ---- pictures ---------------------------------------------------------------------------

    def preprocess(
        self, frames: Array, find_background: bool = True, views: Array | None = None
    ) -> Array:
        """80x80 binary views of RGB frames: what moves is 1, the background 0.

        Of each frame, rows 35, 37, .., 193 and columns 0, 2, .., 158 of the red channel. A pixel is
        0 if its red value is 0 or the background's, else 1. The background is the most frequent
        red value of the 6,400 (of equals the lowest), or, with ``find_background=False``, both 144
        and 109, the article's constants: the same for Pong until, after about 65,200 frames of one
        episode, the ROM begins to cycle its colours.

        Args:
            frames: (N, 210, 160, 3) uint8: RGB frames.
            find_background: find each frame's background, or use the article's constants.
            views: (N, 6400) uint8: written; allocated if None.

        Returns:
            views (N, 6400) uint8 of 0 and 1, row by row.

        Source: the article's ``prepro``.
        """
        (views,) = self._checked(BY_NAME["preprocess"], (frames,), (views,))
        self.loops.preprocess(frames, find_background, views)
        return views

    def preprocess_palette(
        self,
        frames: Array,
        red: Array,
        find_background: bool = True,
        views: Array | None = None,
    ) -> Array:
        """The views of :meth:`preprocess` from palette-index frames: a third of the bytes in.

        Args:
            frames: (N, 210, 160) uint8: palette index of each pixel, as ``ALEInterface.getScreen``.
            red: (256,) uint8: red value of each palette index (``fastpg.envs.PALETTE_RGB[:, 0]``).
            find_background: as in :meth:`preprocess`.
            views: (N, 6400) uint8 of 0 and 1, row by row: written; allocated if None.
        """
        (views,) = self._checked(BY_NAME["preprocess_palette"], (frames, red), (views,))
        self.loops.preprocess_palette(frames, red, find_background, views)
        return views

    def frame_difference(
        self,
        current: Array,
        previous: Array,
        indices: Array | None = None,
        signs: Array | None = None,
        offsets: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Sparse signed pixels of ``current - previous``, in compressed rows.

        Row n holds the pixels ``indices[offsets[n]:offsets[n + 1]]``, rising, with their ``signs``
        (+1 lit now, -1 lit before). A Pong difference has 22 of 6,400 on average.

        Args:
            current: (N, D) uint8: views of 0 and 1, D <= 65536.
            previous: (N, D) uint8: the views before.
            indices: (K,) uint16: written, K is the room; allocated if None.
            signs: (K,) int8: written; allocated if None.
            offsets: (N+1,) int64: written; allocated if None.

        Returns:
            (indices, signs, offsets), the first two cut to their used length.

        Raises:
            ValueError: the room K is too small (the message says how much is needed).
        """
        return self._sparse("frame_difference", current, previous, indices, signs, offsets)

    def frame_stack(
        self,
        current: Array,
        previous: Array,
        indices: Array | None = None,
        signs: Array | None = None,
        offsets: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Sparse pixels of two frames side by side: ``current`` at d, ``previous`` at D + d.

        Args and result as in :meth:`frame_difference`, with 2 D <= 65536 and all signs +1.
        """
        return self._sparse("frame_stack", current, previous, indices, signs, offsets)

    def _sparse(self, name, current, previous, indices, signs, offsets):
        room = indices if indices is not None else signs
        capacity = 2 * np.size(current) if room is None else np.size(room)
        results = self._checked(
            BY_NAME[name], (current, previous), (indices, signs, offsets), K=capacity
        )
        widest = current.shape[1] * (2 if name == "frame_stack" else 1)
        checks.check_limit("current", "pixels a row, as uint16", widest, 65536)
        getattr(self.loops, name)(current, previous, *results)
        needed = self._last(results[2])
        if needed > capacity:
            raise ValueError(f"indices: expected room for {needed} pixels, got {capacity}")
        indices, signs, offsets = results
        return indices[:needed], signs[:needed], offsets

    def frame_difference_dense(
        self, current: Array, previous: Array, x: Array | None = None
    ) -> Array:
        """``current - previous`` as float32.

        Args:
            current: (N, D) uint8: views of 0 and 1.
            previous: (N, D) uint8: the views before.
            x: (N, D) float32 of -1, 0 and 1: written; allocated if None.
        """
        (x,) = self._checked(BY_NAME["frame_difference_dense"], (current, previous), (x,))
        self.loops.frame_difference_dense(current, previous, x)
        return x

    # ---- the two-layer network ---------------------------------------------------------------

    def policy_forward(
        self,
        indices: Array,
        signs: Array,
        offsets: Array,
        w1: Array,
        w2: Array,
        hidden: Array | None = None,
        probabilities: Array | None = None,
    ) -> tuple[Array, Array]:
        """Two-layer network without biases on sparse inputs.

        hidden[b] = max(0, sum_k signs[k] * w1[indices[k]]) over k of row b, and
        logit[b, a] = sum_h hidden[b, h] * w2[a, h]. With A = 1 the probability of UP is the sigmoid
        of the one logit; with more, the softmax over the A actions.

        Args:
            indices: (K,) uint16: as :meth:`frame_difference` gives.
            signs: (K,) int8.
            offsets: (B+1,) int64.
            w1: (D, H) float32: first layer, pixel-major.
            w2: (A, H) float32: second layer.
            hidden: (B, H) float32: written; allocated if None.
            probabilities: (B, A) float32: written; allocated if None.

        Returns:
            (hidden, probabilities).

        Source: the article, ``policy_forward``.
        """
        results = self._checked(
            BY_NAME["policy_forward"], (indices, signs, offsets, w1, w2), (hidden, probabilities)
        )
        self._verify(checks.check_sparse, indices, offsets, w1.shape[0])
        self.loops.policy_forward(indices, signs, offsets, w1, w2, *results)
        return tuple(results)

    def policy_forward_dense(
        self,
        x: Array,
        w1: Array,
        w2: Array,
        hidden: Array | None = None,
        probabilities: Array | None = None,
    ) -> tuple[Array, Array]:
        """:meth:`policy_forward` on dense inputs ``x`` (B, D) float32."""
        results = self._checked(
            BY_NAME["policy_forward_dense"], (x, w1, w2), (hidden, probabilities)
        )
        self.loops.policy_forward_dense(x, w1, w2, *results)
        return tuple(results)

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
        """Gradients of sum_b advantages[b] * log pi(actions[b] | x[b]) with respect to w1 and w2.

        With dlogit[b, a] = advantages[b] * ([actions[b] is a] - probabilities[b, a]) (for A = 1,
        action 1 is UP):
        dw2[a] = sum_b dlogit[b, a] * hidden[b],
        dhidden[b] = sum_a dlogit[b, a] * w2[a] where hidden[b] > 0, else 0,
        dw1[indices[k]] += signs[k] * dhidden[b] over k of row b.

        Args:
            indices: (K,) uint16: the inputs of the forward call.
            signs: (K,) int8.
            offsets: (B+1,) int64.
            hidden: (B, H) float32: its results.
            probabilities: (B, A) float32.
            actions: (B,) uint8: 0 or 1 with A = 1, else below A.
            advantages: (B,) float32: weight of each decision.
            w2: (A, H) float32.
            dw1: (D, H) float32: written.
            dw2: (A, H) float32: written.
            accumulate: add to what dw1 and dw2 hold instead of overwriting it.

        Returns:
            (dw1, dw2).

        Source: the article, ``policy_backward``.
        """
        inputs = (indices, signs, offsets, hidden, probabilities, actions, advantages, w2)
        self._checked(BY_NAME["policy_backward"], inputs, (dw1, dw2))
        self._verify(checks.check_sparse, indices, offsets, dw1.shape[0])
        self._verify(checks.check_actions, actions, w2.shape[0])
        self.loops.policy_backward(*inputs, accumulate, dw1, dw2)
        return dw1, dw2

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
        """:meth:`policy_backward` on dense inputs ``x`` (B, D) float32."""
        inputs = (x, hidden, probabilities, actions, advantages, w2)
        self._checked(BY_NAME["policy_backward_dense"], inputs, (dw1, dw2))
        self._verify(checks.check_actions, actions, w2.shape[0])
        self.loops.policy_backward_dense(*inputs, accumulate, dw1, dw2)
        return dw1, dw2

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
        """Gradients with respect to w1 and w2 from those of the second layer's A linear outputs.

        :meth:`policy_backward` with ``d_outputs`` (B, A) float32 in place of dlogit: for any
        objective, and for outputs that are no logits, such as an estimated value in one more row
        of w2. The other arguments and the result are as there.
        """
        inputs = (indices, signs, offsets, hidden, d_outputs, w2)
        self._checked(BY_NAME["policy_backward_outputs"], inputs, (dw1, dw2))
        self._verify(checks.check_sparse, indices, offsets, dw1.shape[0])
        self.loops.policy_backward_outputs(*inputs, accumulate, dw1, dw2)
        return dw1, dw2

    # ---- actions ----------------------------------------------------------------------------

    def counter_uniforms(
        self, streams: Array, steps: Array, seed: int, uniforms: Array | None = None
    ) -> Array:
        """Uniform numbers that depend on (seed, stream, step) alone: Philox 4x32, ten rounds.

        The counter is (step low, step high, stream low, stream high), the key the seed; of the
        first of the four output words the upper 24 bits count, so that every value is a multiple
        of 2**-24 in [0, 1). No order of calls, thread or backend can change them.

        Args:
            streams: (N,) uint64: which environment or episode.
            steps: (N,) uint64: which step of it.
            seed: 0 to 2**64 - 1.
            uniforms: (N,) float32: written; allocated if None.

        Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
        """
        seed = checks.check_integer("seed", seed, 0, 2**64 - 1, "2**64 - 1")
        (uniforms,) = self._checked(BY_NAME["counter_uniforms"], (streams, steps), (uniforms,))
        self.loops.counter_uniforms(streams, steps, np.uint64(seed), uniforms)
        return uniforms

    def sample_actions(
        self, probabilities: Array, uniforms: Array, actions: Array | None = None
    ) -> Array:
        """Actions drawn with the given probabilities, one uniform number each.

        With A = 1: 1 (UP) where uniforms[n] < probabilities[n, 0], else 0. With more: the first
        action whose cumulative probability exceeds uniforms[n], at most A - 1.

        Args:
            probabilities: (N, A) float32.
            uniforms: (N,) float32 in [0, 1).
            actions: (N,) uint8: written; allocated if None.
        """
        inputs = (probabilities, uniforms)
        (actions,) = self._checked(BY_NAME["sample_actions"], inputs, (actions,))
        checks.check_limit("probabilities", "actions, as uint8", probabilities.shape[1], 255)
        self.loops.sample_actions(probabilities, uniforms, actions)
        return actions

"""The two-layer policy network: its weights, and what it makes of inputs. Calls kernels only."""

from dataclasses import dataclass

import numpy as np

from fastpg.kernels.ops import Backend


@dataclass(frozen=True)
class SparseRows:
    """Inputs of B samples as signed sparse pixels.

    ``indices (K,) uint16`` and ``signs (K,) int8`` hold the non-zero inputs of sample b at
    ``offsets[b]:offsets[b + 1]``, ``offsets (B+1,) int64``.
    """

    indices: np.ndarray
    signs: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return self.offsets.shape[0] - 1

    @property
    def nbytes(self) -> int:
        """Bytes held by all samples together."""
        return self.indices.nbytes + self.signs.nbytes + self.offsets.nbytes

    @staticmethod
    def concatenate(parts: "list[SparseRows]") -> "SparseRows":
        """Join the samples of all parts, in order."""
        starts = np.cumsum([0, *(part.offsets[-1] for part in parts)])
        joined = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
        return SparseRows(
            np.concatenate([part.indices[: part.offsets[-1]] for part in parts]),
            np.concatenate([part.signs[: part.offsets[-1]] for part in parts]),
            np.concatenate([*joined, starts[-1:]]).astype(np.int64),
        )


@dataclass(frozen=True)
class Frames:
    """Inputs of B samples as whole pictures, kept as palette indices: a third of their RGB.

    ``palette (B, 210, 160) uint8``; ``rgb (256, 3) uint8`` is the colour of each index.
    """

    palette: np.ndarray
    rgb: np.ndarray

    def __len__(self) -> int:
        return self.palette.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes held by all samples together."""
        return self.palette.nbytes

    def dense(self) -> np.ndarray:
        """(B, 100800) float32: every number of each RGB frame over 255."""
        scaled = self.rgb.astype(np.float32) / np.float32(255)
        return scaled[self.palette].reshape(len(self), -1)

    def chunks(self, size: int = 64) -> "list[tuple[slice, Frames]]":
        """Cut into runs of at most ``size`` samples, since one dense sample takes 403 KB."""
        cuts = [slice(at, at + size) for at in range(0, len(self), size)]
        return [(cut, Frames(self.palette[cut], self.rgb)) for cut in cuts]

    @staticmethod
    def concatenate(parts: "list[Frames]") -> "Frames":
        """Join the samples of all parts, in order."""
        return Frames(np.concatenate([part.palette for part in parts]), parts[0].rgb)


@dataclass(frozen=True)
class Tiles:
    """Inputs of B samples as the tiles of their views, for the network on tiles.

    ``tiles (K,) uint16`` of all views one after the other, ``tile_counts (B,) uint16`` of each;
    ``action_probs (B,) float32`` of the actions taken.
    """

    tiles: np.ndarray
    tile_counts: np.ndarray
    action_probs: np.ndarray

    def __len__(self) -> int:
        return self.tile_counts.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes held by all samples together."""
        return self.tiles.nbytes + self.tile_counts.nbytes + self.action_probs.nbytes

    @staticmethod
    def concatenate(parts: "list[Tiles]") -> "Tiles":
        """Join the samples of all parts, in order."""
        names = ("tiles", "tile_counts", "action_probs")
        return Tiles(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


Inputs = SparseRows | Frames  # of the kernel table's network
Recorded = SparseRows | Frames | Tiles


class Policy:
    """Two layers without biases: ReLU hidden units, then a sigmoid (A = 1) or a softmax.

    Attributes:
        w1: (D, H) float32, pixel-major: a sparse input is a sum of a few of its rows.
        w2: (A, H) float32.
    """

    def __init__(self, w1: np.ndarray, w2: np.ndarray, backend: Backend):
        self.w1 = w1
        self.w2 = w2
        self.backend = backend

    def initialize(self, seed: int) -> None:
        """Draw the weights from N(0, 1) / sqrt(fan in)."""
        rng = np.random.default_rng(seed)
        for weights, fan_in in ((self.w1, self.w1.shape[0]), (self.w2, self.w2.shape[1])):
            weights[:] = rng.standard_normal(weights.shape) / np.sqrt(fan_in)

    def forward(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Return hidden (B, H) float32 and the actions' probabilities (B, A) float32."""
        if isinstance(inputs, Frames):
            return self.backend.policy_forward_dense(inputs.dense(), self.w1, self.w2)
        return self.backend.policy_forward(
            inputs.indices, inputs.signs, inputs.offsets, self.w1, self.w2
        )

    def gradients(
        self,
        inputs: Inputs,
        actions: np.ndarray,
        advantages: np.ndarray,
        dw1: np.ndarray,
        dw2: np.ndarray,
    ) -> None:
        """Write the gradients of sum_b advantages[b] * log pi(actions[b] | inputs[b]).

        Args:
            inputs: B samples.
            actions: (B,) uint8.
            advantages: (B,) float32.
            dw1: (D, H) float32: written.
            dw2: (A, H) float32: written.
        """
        if isinstance(inputs, Frames):
            dw1[:], dw2[:] = 0, 0
            for cut, chunk in inputs.chunks():
                x = chunk.dense()
                results = self.backend.policy_forward_dense(x, self.w1, self.w2)
                self.backend.policy_backward_dense(
                    x, *results, actions[cut], advantages[cut], self.w2, dw1, dw2, accumulate=True
                )
        else:
            rows = (inputs.indices, inputs.signs, inputs.offsets)
            results = self.backend.policy_forward(*rows, self.w1, self.w2)
            self.backend.policy_backward(*rows, *results, actions, advantages, self.w2, dw1, dw2)


class RMSProp:
    """Uphill steps scaled by a running mean square of the gradient, for both layers."""

    def __init__(self, policy: Policy, learning_rate: float, decay: float):
        self.policy = policy
        self.learning_rate = learning_rate
        self.decay = decay
        self.dw1, self.dw2 = np.zeros_like(policy.w1), np.zeros_like(policy.w2)
        self.cache_w1, self.cache_w2 = np.zeros_like(policy.w1), np.zeros_like(policy.w2)

    def step(self) -> None:
        """Update the weights with the gradients in ``dw1`` and ``dw2``."""
        update, policy = self.policy.backend.rmsprop_update, self.policy
        update(self.dw1, self.learning_rate, self.decay, policy.w1, self.cache_w1)
        update(self.dw2, self.learning_rate, self.decay, policy.w2, self.cache_w2)

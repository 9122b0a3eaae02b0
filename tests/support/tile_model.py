"""The tile network's forward pass, objective and gradients in NumPy float64.

Computed from the public weights and dense views, without tiles, blocks or cached sums.
"""

from dataclasses import dataclass

import numpy as np

from fastpg.network._network import Pool, RolloutBuffer
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.network.optimizer import Optimizer

SIDE, PIXELS = 80, 6400


@dataclass
class Slots:
    """A rollout as dense arrays of E slots.

    Attributes:
        views: (E, 6400) uint8.
        episode_steps: (E,) uint8: steps since the episode's start.
        actions: (E,) uint8.
        action_probs: (E,) float32: probability of each action.
    """

    views: np.ndarray
    episode_steps: np.ndarray
    actions: np.ndarray
    action_probs: np.ndarray

    def buffer(self) -> RolloutBuffer:
        """The same rollout as a RolloutBuffer."""
        buffer = RolloutBuffer(len(self.views), len(self.views) * PIXELS)
        tile = 0
        for slot, (step, view) in enumerate(zip(self.episode_steps, self.views, strict=True)):
            tile = buffer.observe(slot, tile, int(step), view)
        buffer.actions[:], buffer.action_probs[:] = self.actions, self.action_probs
        return buffer


def pong_like(rng: np.random.Generator, count: int) -> np.ndarray:
    """Views (count, 6400) uint8 of two paddles, a ball and three dots."""
    views = np.zeros((count, SIDE, SIDE), np.uint8)
    for view in views:
        for x, width, height in ((8, 2, 8), (70, 2, 8), (int(rng.integers(2, 77)), 1, 2)):
            y = int(rng.integers(0, SIDE - height))
            view[y : y + height, x : x + width] = 1
        view.ravel()[rng.integers(0, PIXELS, 3)] = 1
    return views.reshape(count, PIXELS)


def make_slots(rng: np.random.Generator, count: int, actions: int) -> Slots:
    """Slots of episodes of at most seven steps: many look back beyond an episode's start."""
    episode_steps, step = np.zeros(count, np.uint8), 0
    for slot in range(count):
        episode_steps[slot] = step
        step = 0 if step == 6 or rng.random() < 0.2 else step + 1
    views = pong_like(rng, count)
    views[count // 2] = 0
    views[count // 3] = rng.random(PIXELS) < 0.05
    action_probs = rng.uniform(0.2, 0.9, count).astype(np.float32)
    return Slots(
        views, episode_steps, rng.integers(0, actions, count).astype(np.uint8), action_probs
    )


def make_network(
    input_spec: InputSpec,
    hidden: int,
    actions: int,
    outputs: int,
    value: bool,
    seed: int = 0,
    cell: int = 0,
    mirrored: tuple[int, ...] | None = None,
) -> TileNetwork:
    """A network whose hidden units and logits have ordinary magnitudes."""
    network = TileNetwork(hidden, input_spec, actions, outputs, value, cell, mirrored)
    network.initialize(seed, 0.1, None)
    return network


def make_optimizer(network: TileNetwork, threads: int = 1, at_once: int = 64) -> Optimizer:
    return Optimizer(network, Pool(threads), ("mean", "square"), at_once)


@dataclass
class Loss:
    """PPO's objective: weights of its terms, and a factor of all gradients."""

    clip: float = np.inf
    entropy: float = 0.0
    value: float = 0.0
    scale: float = 1.0

    def of(self, optimizer: Optimizer, buffer: RolloutBuffer, samples, advantages, returns):
        """Compute the optimizer's gradients; return the learner's statistics."""
        chosen = np.asarray(samples, np.int32)
        weights = self.clip, self.entropy, self.value, self.scale
        return optimizer.core.gradient(buffer, chosen, advantages, returns, *weights)


class Model:
    """A network in float64, from its public weights.

    Cells are further inputs: the number of lit pixels of each cell.
    """

    def __init__(self, network: TileNetwork, actions: int):
        self.input_spec, self.actions, self.outputs = network.input_spec, actions, network.outputs
        self.cell = network.cell
        tensors = network.tensors()
        self.w1 = tensors.get("w1_parts", tensors["w1"]).astype(np.float64)
        heads = [tensors["w2"], *([tensors["value"]] if "value" in tensors else [])]
        self.heads = np.concatenate(heads).astype(np.float64)

    def inputs(self, slots: Slots, samples) -> tuple[np.ndarray, np.ndarray]:
        """First-layer inputs (B, D) of the samples, and the number of terms of each input."""
        seen, terms = [], []
        for i in samples:
            step = int(slots.episode_steps[i])
            views = [slots.views[i - min(lag, step)].astype(int) for lag in self.input_spec.views]
            past = np.zeros((self.input_spec.past_actions, self.actions), int)
            for k in range(min(self.input_spec.past_actions, step)):
                past[k, slots.actions[i - 1 - k]] = 1
            shown = [views[0] - views[1]] if self.input_spec.difference else views
            added = [views[0] + views[1]] if self.input_spec.difference else views
            seen.append(np.concatenate([*shown, past.ravel(), *self.lit_in_cells(shown)]))
            terms.append(np.concatenate([*added, past.ravel(), *self.lit_in_cells(added)]))
        return np.array(seen, np.float64), np.array(terms, np.float64)

    def lit_in_cells(self, views: list[np.ndarray]) -> list[np.ndarray]:
        """The number of lit pixels of each cell of each view, cells column by column."""
        if not self.cell:
            return []
        begins = np.arange(0, SIDE, self.cell)
        return [
            np.add.reduceat(
                np.add.reduceat(view.reshape(SIDE, SIDE), begins, axis=0), begins, axis=1
            ).T.ravel()
            for view in views
        ]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hidden units (B, H), probabilities (B, A) and values (B,), 0 without a value head."""
        hidden = np.maximum(x @ self.w1, 0)
        heads = hidden @ self.heads.T
        logits = heads[:, : self.outputs]
        if self.outputs == 1:
            probabilities = 1 / (1 + np.exp(-logits))
        else:
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        return hidden, probabilities, heads[:, self.outputs :].sum(axis=1)

    def rounding(self, x: np.ndarray, terms: np.ndarray) -> np.ndarray:
        """Bound (B, heads) on the rounding error of the heads as float32 sums in any order.

        A sum of n numbers has n roundings, each at most 2**-24 of the sum of magnitudes.
        """
        unit, counts = 2.0**-24, terms.sum(axis=1, keepdims=True) + 1
        magnitudes = terms @ np.abs(self.w1)
        hidden = np.maximum(x @ self.w1, 0)
        off = counts * unit * magnitudes
        return (off + (hidden.shape[1] + 2) * unit * (hidden + off)) @ np.abs(self.heads).T

    def taken(self, actions: np.ndarray) -> np.ndarray:
        """[action is a], (B, A)."""
        if self.outputs == 1:
            return actions[:, None].astype(np.float64)
        return (np.arange(self.outputs) == actions[:, None]).astype(np.float64)

    def action_probs(self, probabilities: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Probability of each sample's action, (B,)."""
        both = probabilities
        if self.outputs == 1:
            both = np.concatenate([1 - probabilities, probabilities], axis=1)
        return both[np.arange(len(actions)), actions]

    def entropy(self, probabilities: np.ndarray) -> np.ndarray:
        """Entropy of each sample's policy, (B,)."""
        both = probabilities
        if self.outputs == 1:
            both = np.concatenate([1 - probabilities, probabilities], axis=1)
        return -(both * np.log(both)).sum(axis=1)

    def objective(self, x, actions, old, advantages, returns, loss: Loss) -> float:
        """The objective, to be maximised, summed over the samples."""
        _, probabilities, values = self.forward(x)
        ratio = self.action_probs(probabilities, actions) / old
        clipped = np.clip(ratio, 1 - loss.clip, 1 + loss.clip) * advantages
        policy = np.minimum(ratio * advantages, clipped) + loss.entropy * self.entropy(
            probabilities
        )
        return loss.scale * float((policy - loss.value * (values - returns) ** 2).sum())

    def gradients(self, x, terms, actions, old, advantages, returns, loss: Loss):
        """Gradients of the objective by (w1, heads), and the sums of their terms' magnitudes."""
        hidden, p, values = self.forward(x)
        ratio = self.action_probs(p, actions) / old
        above = (advantages > 0) & (ratio > 1 + loss.clip)
        below = (advantages < 0) & (ratio < 1 - loss.clip)
        policy_weight = np.where(above | below, 0, ratio * advantages)[:, None]
        if self.outputs == 1:
            d_entropy = -p * (1 - p) * np.log(p / (1 - p))
        else:
            d_entropy = -p * (np.log(p) + self.entropy(p)[:, None])
        d_heads = policy_weight * (self.taken(actions) - p) + loss.entropy * d_entropy
        sizes = np.abs(policy_weight) + loss.entropy * np.ones_like(p)
        if len(self.heads) > self.outputs:
            d_value = (-2 * loss.value * (values - returns))[:, None]
            d_heads = np.concatenate([d_heads, d_value], axis=1)
            sizes = np.concatenate([sizes, np.abs(d_value) + loss.value], axis=1)
        active = hidden > 0
        gradients = x.T @ (d_heads @ self.heads * active), d_heads.T @ hidden
        magnitudes = terms.T @ (sizes @ np.abs(self.heads) * active), sizes.T @ hidden
        return [loss.scale * g for g in gradients], [loss.scale * m for m in magnitudes]


def slots_of(buffer: RolloutBuffer) -> Slots:
    """A buffer's slots as dense arrays; slots that nobody wrote have empty views."""
    views = np.zeros((buffer.slots, SIDE, SIDE), np.uint8)
    for view, begin, count in zip(views, buffer.tile_offsets, buffer.tile_counts, strict=True):
        for tile in buffer.tiles[int(begin) : int(begin) + int(count)]:
            kind, pixel = divmod(int(tile), PIXELS)
            column, row = divmod(pixel, SIDE)
            view[row : row + (1 << kind % 4), column : column + 1 + kind // 4] = 1
    arrays = (buffer.episode_steps.copy(), buffer.actions.copy(), buffer.action_probs.copy())
    return Slots(views.reshape(-1, PIXELS), *arrays)

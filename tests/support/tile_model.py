"""The network on tiles, its objective and gradients in NumPy float64: from public weights and dense
views, without tiles, blocks or sums that are kept."""

from dataclasses import dataclass

import numpy as np

from fastpg.network._network import Pool, RolloutBuffer
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.network.optimizer import Optimizer

SIDE, PIXELS = 80, 6400


@dataclass
class Slots:
    """What was played, as dense arrays: views (E, 6400), episode_steps (E,), actions (E,), .."""

    views: np.ndarray
    episode_steps: np.ndarray
    actions: np.ndarray
    action_probs: np.ndarray

    def buffer(self) -> RolloutBuffer:
        """The same as a buffer."""
        buffer = RolloutBuffer(len(self.views), len(self.views) * PIXELS)
        tile = 0
        for slot, (age, view) in enumerate(zip(self.episode_steps, self.views, strict=True)):
            tile = buffer.observe(slot, tile, int(age), view)
        buffer.actions[:], buffer.action_probs[:] = self.actions, self.action_probs
        return buffer


def pong_like(rng: np.random.Generator, count: int) -> np.ndarray:
    """Views of two paddles, a ball and some dots (count, 6400) uint8."""
    views = np.zeros((count, SIDE, SIDE), np.uint8)
    for view in views:
        for x, width, height in ((8, 2, 8), (70, 2, 8), (int(rng.integers(2, 77)), 1, 2)):
            y = int(rng.integers(0, SIDE - height))
            view[y : y + height, x : x + width] = 1
        view.ravel()[rng.integers(0, PIXELS, 3)] = 1
    return views.reshape(count, PIXELS)


def make_entries(rng: np.random.Generator, count: int, actions: int) -> Slots:
    """Episodes of at most seven steps, so that many slots are near a begin."""
    episode_steps, age = np.zeros(count, np.uint8), 0
    for slot in range(count):
        episode_steps[slot] = age
        age = 0 if age == 6 or rng.random() < 0.2 else age + 1
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
    """A network whose hidden units and logits are of ordinary size."""
    network = TileNetwork(hidden, input_spec, actions, outputs, value, cell, mirrored)
    network.initialize(seed, 0.1, None)
    return network


def make_optimizer(network: TileNetwork, threads: int = 1, at_once: int = 64) -> Optimizer:
    return Optimizer(network, Pool(threads), ("mean", "square"), at_once)


@dataclass
class Loss:
    """As fastpg_ppo_t of csrc/kernels/returns_losses_optimizers.h, with the scale of all
    gradients.
    """

    clip: float = np.inf
    entropy: float = 0.0
    value: float = 0.0
    scale: float = 1.0

    def of(self, optimizer: Optimizer, buffer: RolloutBuffer, samples, advantages, returns):
        """The learner's sums; its gradients are then in it."""
        chosen = np.asarray(samples, np.int32)
        weights = self.clip, self.entropy, self.value, self.scale
        return optimizer.core.gradient(buffer, chosen, advantages, returns, *weights)


class Model:
    """The public weights of a network in float64: with cells as a layer that also sees how many
    pixels of each cell are lit."""

    def __init__(self, network: TileNetwork, actions: int):
        self.input_spec, self.actions, self.outputs = network.input_spec, actions, network.outputs
        self.cell = network.cell
        tensors = network.tensors()
        self.w1 = tensors.get("w1_parts", tensors["w1"]).astype(np.float64)
        heads = [tensors["w2"], *([tensors["value"]] if "value" in tensors else [])]
        self.heads = np.concatenate(heads).astype(np.float64)

    def inputs(self, slots: Slots, samples) -> tuple[np.ndarray, np.ndarray]:
        """What the first layer sees of each sample (B, D), and how many terms there are of it."""
        seen, terms = [], []
        for i in samples:
            age = int(slots.episode_steps[i])
            views = [slots.views[i - min(lag, age)].astype(int) for lag in self.input_spec.views]
            past = np.zeros((self.input_spec.past_actions, self.actions), int)
            for k in range(min(self.input_spec.past_actions, age)):
                past[k, slots.actions[i - 1 - k]] = 1
            shown = [views[0] - views[1]] if self.input_spec.difference else views
            added = [views[0] + views[1]] if self.input_spec.difference else views
            seen.append(np.concatenate([*shown, past.ravel(), *self.lit_in_cells(shown)]))
            terms.append(np.concatenate([*added, past.ravel(), *self.lit_in_cells(added)]))
        return np.array(seen, np.float64), np.array(terms, np.float64)

    def lit_in_cells(self, views: list[np.ndarray]) -> list[np.ndarray]:
        """Of each view the sums over its cells, column of cells by column."""
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
        """Hidden (B, H), probabilities (B, A) and values (B,), zeros without a value head."""
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
        """How far float32 sums of the same terms, in any order, may be from the heads (B, heads).

        A sum of n numbers has n roundings, each at most 2**-24 of the sum of magnitudes.
        """
        unit, counts = 2.0**-24, terms.sum(axis=1, keepdims=True) + 1
        magnitudes = terms @ np.abs(self.w1)
        hidden = np.maximum(x @ self.w1, 0)
        off = counts * unit * magnitudes
        return (off + (hidden.shape[1] + 2) * unit * (hidden + off)) @ np.abs(self.heads).T

    def taken(self, actions: np.ndarray) -> np.ndarray:
        """(B, A): [action is a]."""
        if self.outputs == 1:
            return actions[:, None].astype(np.float64)
        return (np.arange(self.outputs) == actions[:, None]).astype(np.float64)

    def action_probs(self, probabilities: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """(B,): the probability of each sample's action."""
        both = probabilities
        if self.outputs == 1:
            both = np.concatenate([1 - probabilities, probabilities], axis=1)
        return both[np.arange(len(actions)), actions]

    def entropy(self, probabilities: np.ndarray) -> np.ndarray:
        """(B,)."""
        both = probabilities
        if self.outputs == 1:
            both = np.concatenate([1 - probabilities, probabilities], axis=1)
        return -(both * np.log(both)).sum(axis=1)

    def objective(self, x, actions, old, advantages, returns, loss: Loss) -> float:
        """What is maximised, summed over the samples."""
        _, probabilities, values = self.forward(x)
        ratio = self.action_probs(probabilities, actions) / old
        clipped = np.clip(ratio, 1 - loss.clip, 1 + loss.clip) * advantages
        policy = np.minimum(ratio * advantages, clipped) + loss.entropy * self.entropy(
            probabilities
        )
        return loss.scale * float((policy - loss.value * (values - returns) ** 2).sum())

    def gradients(self, x, terms, actions, old, advantages, returns, loss: Loss):
        """Of the objective by (w1, heads), and the sums of their terms' magnitudes."""
        hidden, p, values = self.forward(x)
        ratio = self.action_probs(p, actions) / old
        above = (advantages > 0) & (ratio > 1 + loss.clip)
        below = (advantages < 0) & (ratio < 1 - loss.clip)
        push = np.where(above | below, 0, ratio * advantages)[:, None]
        if self.outputs == 1:
            surprise = -p * (1 - p) * np.log(p / (1 - p))
        else:
            surprise = -p * (np.log(p) + self.entropy(p)[:, None])
        d_heads = push * (self.taken(actions) - p) + loss.entropy * surprise
        sizes = np.abs(push) + loss.entropy * np.ones_like(p)
        if len(self.heads) > self.outputs:
            d_value = (-2 * loss.value * (values - returns))[:, None]
            d_heads = np.concatenate([d_heads, d_value], axis=1)
            sizes = np.concatenate([sizes, np.abs(d_value) + loss.value], axis=1)
        lit = hidden > 0
        gradients = x.T @ (d_heads @ self.heads * lit), d_heads.T @ hidden
        magnitudes = terms.T @ (sizes @ np.abs(self.heads) * lit), sizes.T @ hidden
        return [loss.scale * g for g in gradients], [loss.scale * m for m in magnitudes]


def entries_of(buffer: RolloutBuffer) -> Slots:
    """A buffer's slots as dense arrays; those that nobody wrote are empty views."""
    views = np.zeros((buffer.slots, SIDE, SIDE), np.uint8)
    for view, begin, count in zip(views, buffer.tile_offsets, buffer.tile_counts, strict=True):
        for tile in buffer.tiles[int(begin) : int(begin) + int(count)]:
            kind, place = divmod(int(tile), PIXELS)
            column, row = divmod(place, SIDE)
            view[row : row + (1 << kind % 4), column : column + 1 + kind // 4] = 1
    arrays = (buffer.episode_steps.copy(), buffer.actions.copy(), buffer.action_probs.copy())
    return Slots(views.reshape(-1, PIXELS), *arrays)

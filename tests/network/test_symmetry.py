"""Mirrored units: the network on views, and on the same views upside down."""

import re

import numpy as np
import pytest

from fastpg.network._network import Learner, Pool
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.rollouts.actions import mirrored_actions
from tests.support.tile_model import SIDE, Loss, Model, Slots, make_optimizer, make_slots

LOSS = Loss(clip=0.3, entropy=0.05, value=0.5, scale=0.01)
CASES = {  # input, hidden units, side of the cells, each action's mirror image
    "stack": (InputSpec((0, 1, 4), False, 2), 70, 5, (0, 2, 1)),
    "difference": (InputSpec((0, 2), True, 1), 6, 0, (1, 0)),
    "many cells": (InputSpec((0,)), 130, 1, (2, 1, 0, 3)),
}


def upside_down(slots, mirrored):
    views = slots.views.reshape(-1, SIDE, SIDE)[:, ::-1].reshape(slots.views.shape)
    actions = np.array(mirrored, np.uint8)[slots.actions]
    return Slots(np.ascontiguousarray(views), slots.episode_steps, actions, slots.action_probs)


class Case:
    """A network with mirrored units, a rollout, and the same rollout upside down."""

    def __init__(self, name):
        self.input_spec, hidden, cell, self.mirrored = CASES[name]
        actions = len(self.mirrored)
        outputs = 1 if actions == 2 else actions
        arguments = hidden, self.input_spec, actions, outputs, True, cell
        self.network = TileNetwork(*arguments, self.mirrored)
        self.network.initialize(4, 0.1, None)
        self.independent = TileNetwork(*arguments)  # the same weights, independent units
        self.independent.load(self.network.tensors())
        rng = np.random.default_rng(hidden)
        self.slots = make_slots(rng, 40, actions)
        self.turned = upside_down(self.slots, self.mirrored)
        self.samples = rng.integers(0, 40, 60)
        self.advantages, self.returns = rng.standard_normal((2, 40)).astype(np.float32)

    def learn(self, optimizer, slots=None, samples=None):
        """The gradient of the samples, as (w1, heads)."""
        buffer = (self.slots if slots is None else slots).buffer()
        chosen = self.samples if samples is None else samples
        LOSS.of(optimizer, buffer, chosen, self.advantages, self.returns)
        core, network = optimizer.core, optimizer.network
        return network.rows_outside(core.gradient1), network.heads_outside(core.gradient2)

    def assert_plays_alike(self):
        """Upside down: the mirrored actions' probabilities and the same value, up to rounding."""
        buffer, turned = self.slots.buffer(), self.turned.buffer()
        model = Model(self.network, len(self.mirrored))
        off = 4 * model.rounding(*model.inputs(self.slots, np.arange(40))).max(axis=1)
        differ = 0
        for slot in range(40):
            probabilities, value = self.network.core.evaluate(buffer, slot)
            others, other = self.network.core.evaluate(turned, slot)
            assert np.abs(others[list(self.mirrored)] - probabilities).max() <= off[slot]
            assert abs(other - value) <= off[slot]
            differ += np.abs(others - probabilities).max() > 10 * off[slot]
        assert differ > 10

    def assert_pairs(self):
        """In the public tensors unit 2k + 1 is unit 2k upside down, bit for bit."""
        tensors, rows = self.network.tensors(), self.input_spec.planes * SIDE * SIDE
        even, odd = tensors["w1"][:, 0::2], tensors["w1"][:, 1::2]
        turned = even[:rows].reshape(-1, SIDE, SIDE, even.shape[1])[:, ::-1]
        np.testing.assert_array_equal(odd[:rows], turned.reshape(odd[:rows].shape))
        past = (-1, len(self.mirrored), even.shape[1])
        exchanged = even[rows:].reshape(past)[:, list(self.mirrored)]
        np.testing.assert_array_equal(odd[rows:].reshape(past), exchanged)
        even, odd = tensors["w2"][:, 0::2], tensors["w2"][:, 1::2]
        expected = -even if len(even) == 1 else even[list(self.mirrored)]
        np.testing.assert_array_equal(odd, expected)
        np.testing.assert_array_equal(tensors["value"][:, 1::2], tensors["value"][:, 0::2])
        assert np.unique(tensors["w1"]).size > tensors["w1"].size // 3


@pytest.mark.parametrize("name", CASES)
def test_first_weights_play_alike_upside_down(name):
    case = Case(name)
    case.assert_pairs()
    case.assert_plays_alike()


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_samples_and_their_mirror_images(name):
    """The sum of both gradients of a network with the same weights and independent units."""
    case = Case(name)
    got = case.learn(make_optimizer(case.network))
    optimizer = make_optimizer(case.independent)
    once, turned = case.learn(optimizer), case.learn(optimizer, case.turned)
    model, i = Model(case.independent, len(case.mirrored)), case.samples
    sizes = []
    for slots in (case.slots, case.turned):
        inputs = model.inputs(slots, i)
        rest = slots.actions[i], slots.action_probs[i], case.advantages[i], case.returns[i]
        sizes.append(model.gradients(*inputs, *rest, LOSS)[1])
    for layer, (a, b) in enumerate(zip(once, turned, strict=True)):
        bound = 4e-5 * (sizes[0][layer] + sizes[1][layer]) + 1e-12
        assert (np.abs(got[layer] - (a + b)) <= bound).all()
        assert (np.abs(a + b) > bound).any()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_pairs_stay_pairs_and_the_norm_counts_one_of_each(name, threads):
    case = Case(name)
    optimizer, rng = make_optimizer(case.network, threads), np.random.default_rng(1)
    before = case.network.tensors()
    for step in range(6):
        w1, heads = case.learn(optimizer, samples=rng.integers(0, 40, 5))
        squares = sum((g[:, 0::2].astype(np.float64) ** 2).sum() for g in (w1, heads))
        assert optimizer.core.norm() == pytest.approx(np.sqrt(squares), rel=1e-6)
        if step % 2:
            optimizer.core.adam(1e-2, 0.7, 0.9, 0.999, 1e-7)
        else:
            optimizer.core.rmsprop(1e-2, 0.9, 1e-5)
        case.assert_pairs()
    case.assert_plays_alike()
    for name_, tensor in case.network.tensors().items():
        assert (tensor != before[name_]).any(), name_
    other = TileNetwork(
        case.network.hidden, case.input_spec, len(case.mirrored), case.network.outputs, True,
        case.network.cell, case.mirrored,
    )  # fmt: skip
    other.load(case.network.tensors())
    for name_, tensor in case.network.tensors().items():
        assert other.tensors()[name_].tobytes() == tensor.tobytes()


def test_actions_of_pong():
    assert mirrored_actions(2) == (1, 0)
    assert mirrored_actions(3) == (0, 2, 1)


def test_weights_that_are_no_pairs_are_refused():
    case = Case("stack")
    tensors = case.network.tensors()
    tensors["w1_parts"][17, 3] += 1
    with pytest.raises(ValueError, match="expected hidden units that mirror each other in pairs"):
        case.network.load(tensors)
    with pytest.raises(ValueError, match="hidden: expected pairs of units, got 7"):
        TileNetwork(7, InputSpec(), 2, 1, False, 0, (1, 0))
    with pytest.raises(ValueError, match="cell: expected to divide 80, got 6"):
        TileNetwork(8, InputSpec(), 2, 1, False, 6, (1, 0))


@pytest.mark.parametrize(
    ("actions", "outputs", "mirrored", "said"),
    [
        (2, 1, (0, 1), "expected (1, 0) with one output, got (0, 1)"),
        (2, 2, (0, 2, 1), "expected 2 actions in pairs, got (0, 2, 1)"),
        (3, 3, (0, 1), "expected 3 actions in pairs, got (0, 1)"),
        (3, 3, (0, 1, 3), "expected 3 actions in pairs, got (0, 1, 3)"),
        (3, 3, (1, 2, 0), "expected 3 actions in pairs, got (1, 2, 0)"),
    ],
)
def test_actions_that_are_no_pairs_are_refused(actions, outputs, mirrored, said):
    with pytest.raises(ValueError, match=re.escape(f"mirrored: {said}")):
        TileNetwork(4, InputSpec(), actions, outputs, False, 0, mirrored)


def test_mirror_rows_that_are_none_are_refused():
    case = Case("difference")
    core, good = case.network.core, case.network.mirror_rows
    Learner(core, Pool(1), 8, good)
    ahead, behind, sign, head, up, down, turns = (good.copy() for _ in range(7))
    ahead[-1], behind[-1] = len(good), ~len(good)
    sign[3], head[3] = ~sign[3], len(good) - 1
    up[-1], down[-1] = 3, ~3
    turns[:3] = 1, 2, 0
    for bad in (ahead, behind, sign, head, up, down, turns, good[:-1].copy()):
        with pytest.raises(
            ValueError, match=r"mirror_rows: expected those of \d+ rows, then of 2 heads"
        ):
            Learner(core, Pool(1), 8, bad)

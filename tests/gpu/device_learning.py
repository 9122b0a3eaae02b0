"""The network on tiles on a GPU beside its model in float64 and the CPU's learner.

Run by tests/gpu/test_device_learning.py in a process of its own: in numba's simulator, and on a GPU
if there is one.
"""

import itertools
import sys

import numpy as np
import pytest

from fastpg.cuda import network_kernels as kernels
from fastpg.cuda.buffer import DeviceBuffer
from fastpg.cuda.gradients import LARGEST
from fastpg.cuda.graph import Replays
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.optimizer import DeviceOptimizer, fraction_bits
from fastpg.cuda.shuffle import Minibatch, shuffled_samples
from fastpg.kernels import get_backend
from fastpg.kernels._cuda.jit import SIMULATED
from fastpg.kernels._cuda.jit import cuda_module as cuda
from fastpg.network._network import SHUFFLE_KEYS, shuffled
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.network.optimizer import Objective
from tests.support.tile_model import (
    SIDE,
    Loss,
    Model,
    Slots,
    make_network,
    make_optimizer,
    make_slots,
)

if SIMULATED:  # whoever waits for a block's other threads gives way to them sooner
    sys.setswitchinterval(1e-4)

MOST_TILES = 400  # a view of the model's slots has dots everywhere
INPUT_SPECS = {  # with hidden units, actions, cells
    "difference": (InputSpec((0, 1), True), 5, 2, 0),
    "difference of cells": (InputSpec((0, 2), True, 1), 7, 5, 7),
    "stack": (InputSpec((0, 1, 4), False, 2), 5, 5, 0),
    "stack of cells": (InputSpec((0, 2), False, 1), 6, 2, 5),
    "one view": (InputSpec((0,), False, 0), 40, 3, 0),
}
if not SIMULATED:  # more units than a block has threads
    INPUT_SPECS["many units"] = (InputSpec((0, 1, 4), False, 0), 300, 3, 5)


def outputs_of(actions):
    return 1 if actions == 2 else actions


def mirror_rows(input_spec, hidden, actions, cell, value=True, seed=0, mirrored=None):
    """Networks of CPU and GPU with equal weights."""
    outputs = outputs_of(actions)
    host = make_network(input_spec, hidden, actions, outputs, value, seed, cell, mirrored)
    device = DeviceNetwork(hidden, input_spec, actions, outputs, value, cell, mirrored)
    device.load(host.tensors())
    return host, device


def side_by_side(buffer, games):
    """A buffer's slots game by game as ``DeviceBuffer`` has them: of each, its number there."""
    steps = buffer.slots // games
    slots = np.arange(games * steps)
    return slots % steps * games + slots // steps


def evaluated(device, buffer, chosen):
    """Hidden units and heads of slots."""
    hidden = cuda.device_array((len(chosen), device.hidden), np.float32)
    heads = cuda.device_array((len(chosen), device.heads), np.float32)
    arguments = device.layers, buffer.slots, cuda.to_device(chosen.astype(np.int32))
    kernels.evaluate[kernels.BLOCKS, kernels.THREADS](*arguments, hidden, heads)
    return hidden.copy_to_host(), heads.copy_to_host()


# ---- weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [0, 6])
def test_weights_are_the_cpu_s_and_come_back(cell):
    arguments = 9, InputSpec((0, 3), False, 2), 6, 6, True, cell
    host, device = TileNetwork(*arguments), DeviceNetwork(*arguments)
    host.initialize(3, None, 0.01)
    device.initialize(3, None, 0.01)
    for other in (device, DeviceNetwork(*arguments)):
        if other is not device:
            other.load(host.tensors())
        tensors = other.tensors()
        assert list(tensors) == list(host.tensors())
        for name, tensor in host.tensors().items():
            assert tensors[name].tobytes() == tensor.tobytes(), name
        w1 = other.layers.w1.copy_to_host()
        matrix = host.tensors()["w1"]
        assert w1[80 + 2].tobytes() == matrix[2 * 80 + 1].tobytes()  # column 1, row 2
        assert w1[-1].tobytes() == matrix[-1].tobytes()


# ---- forward --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INPUT_SPECS)
def test_heads_are_the_model_s(name):
    input_spec, hidden, actions, cell = INPUT_SPECS[name]
    host, device = mirror_rows(input_spec, hidden, actions, cell)
    slots = make_slots(np.random.default_rng(1), 24, actions)
    games = 1 + (input_spec.lookback == 0)
    buffer = DeviceBuffer.of_host(slots.buffer(), games, MOST_TILES)
    chosen = np.arange(24)
    units, heads = evaluated(device, buffer, side_by_side(slots.buffer(), games))
    model = Model(host, actions)
    x, terms = model.inputs(slots, chosen)
    expected = np.maximum(x @ model.w1, 0)
    assert (expected > 0).any()
    bound = (terms.sum(axis=1, keepdims=True) + 1) * 2.0**-24 * (terms @ np.abs(model.w1))
    assert (np.abs(units - expected) <= bound).all()
    assert (np.abs(heads - expected @ model.heads.T) <= model.rounding(x, terms)).all()


def test_games_look_back_at_their_own_entries():
    """Two games of 12 steps, each an episode's begin: equal to each alone."""
    input_spec, hidden, actions = InputSpec((0, 2), False, 2), 6, 5
    _, device = mirror_rows(input_spec, hidden, actions, 0)
    rng = np.random.default_rng(2)
    slots = make_slots(rng, 24, actions)
    slots.episode_steps[12:] = slots.episode_steps[:12]
    both = DeviceBuffer.of_host(slots.buffer(), 2, MOST_TILES)
    got = evaluated(device, both, side_by_side(slots.buffer(), 2))
    for game in range(2):
        own = slice(12 * game, 12 * (game + 1))
        part = Slots(*(getattr(slots, k)[own] for k in vars(slots)))
        alone = DeviceBuffer.of_host(part.buffer(), 1, MOST_TILES)
        for a, b in zip(got, evaluated(device, alone, np.arange(12)), strict=True):
            assert a[own].tobytes() == b.tobytes()


def test_a_record_s_rows_and_growth():
    slots = make_slots(np.random.default_rng(3), 12, 4)
    buffer = DeviceBuffer.of_host(slots.buffer(), 3, MOST_TILES)
    before = buffer.slots.tiles.copy_to_host()
    np.testing.assert_array_equal(
        buffer.rows("actions", 1, 2).copy_to_host(), slots.actions.reshape(3, 4).T[1:3]
    )
    buffer.grow()
    assert buffer.steps == 8
    np.testing.assert_array_equal(buffer.slots.tiles.copy_to_host()[:12], before)
    np.testing.assert_array_equal(
        buffer.rows("action_probs", 0, 4).copy_to_host(), slots.action_probs.reshape(3, 4).T
    )
    buffer.check()
    buffer.slots.status.copy_to_device(np.ones(1, np.int32))
    with pytest.raises(MemoryError, match=r"^a view has more than 400 tiles, "):
        buffer.check()
    with pytest.raises(ValueError, match=r"^buffer: expected at most 32 tiles a view, got \d+$"):
        DeviceBuffer.of_host(slots.buffer(), 3)


# ---- minibatches ----------------------------------------------------------------------------


@pytest.mark.parametrize(("games", "steps", "lookback"), [(1, 1, 0), (3, 5, 2), (7, 40, 1)])
def test_samples_are_those_of_the_cpu(games, steps, lookback):
    for draw in range(3):
        keys = np.random.default_rng(draw).integers(0, 2**32, SHUFFLE_KEYS, np.uint32)
        order = shuffled(games * steps, keys)
        expected = (lookback + order % steps) * games + order // steps
        got = shuffled_samples(games, steps, lookback, keys).copy_to_host()
        np.testing.assert_array_equal(got, expected)
    assert games * steps < 10 or (np.diff(order) != 1).any()


def test_keys_and_sizes_that_cannot_be_are_refused():
    keys = np.zeros(SHUFFLE_KEYS, np.uint32)
    for wrong in (keys[:-1], keys.astype(np.int32)):
        with pytest.raises(ValueError, match=r"^keys: expected \(8,\) uint32, got "):
            shuffled_samples(2, 3, 0, wrong)
    for games, steps in ((0, 3), (2**16, 2**15)):
        with pytest.raises(ValueError, match=r"^games, steps: expected "):
            shuffled_samples(games, steps, 0, keys)


# ---- gradients ------------------------------------------------------------------------------


LOSSES = {
    "reinforce": Loss(),
    "clip": Loss(clip=0.2, scale=0.1),
    "all": Loss(clip=0.3, entropy=0.05, value=0.5, scale=0.01),
}


def minibatch(samples):
    """All of them, on the GPU."""
    return Minibatch(cuda.to_device(samples), 0, len(samples))


class Case:
    """Networks, slots as a model and on the GPU, and what is to be learned from them."""

    def __init__(self, input_spec, hidden, actions, cell, count=20, value=True, mirrored=None):
        rng = np.random.default_rng(hidden)
        self.host, self.network = mirror_rows(
            input_spec, hidden, actions, cell, value, mirrored=mirrored
        )
        self.slots, self.games = make_slots(rng, count, actions), 1
        self.slots.views[count // 3] = 0  # it is dots everywhere, which take time
        self.buffer = DeviceBuffer.of_host(self.slots.buffer(), 1)
        self.advantages, self.returns = rng.standard_normal((2, count)).astype(np.float32)
        self.estimator = cuda.to_device(self.advantages), cuda.to_device(self.returns)
        self.model = Model(self.host, actions)
        # some of them again and again, in any order
        self.samples = rng.permutation(
            np.concatenate([np.arange(count), rng.integers(0, count, 5)])
        ).astype(np.int32)

    def gradients(self, optimizer, loss, samples=None):
        """Of (w1, heads) as matrices of the order outside, float64, and whether rows lit."""
        chosen = cuda.to_device(self.samples if samples is None else samples)
        objective = Objective(loss.clip, loss.entropy, loss.value)
        batch = chosen, optimizer._start, len(chosen), *self.estimator, objective
        scale = optimizer._add_up(self.buffer.slots, *batch, loss.scale)
        gradient, outside = optimizer._gradient, optimizer.network.outside
        matrix = gradient.sums.copy_to_host()
        lit = np.repeat(gradient.touched.copy_to_host()[:, None] > 0, matrix.shape[1], axis=1)
        assert (matrix[~lit] == 0).all()
        return outside(matrix * scale), outside(lit)[0][:, 0]

    def expected(self, loss, samples=None):
        """The model's gradients, their terms' magnitudes, and which rows lit."""
        i, slots = self.samples if samples is None else samples, self.slots
        x, terms = self.model.inputs(slots, i)
        rest = slots.actions[i], slots.action_probs[i], self.advantages[i], self.returns[i]
        return *self.model.gradients(x, terms, *rest, loss), terms.any(axis=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", INPUT_SPECS)
def test_gradients_are_the_model_s(name, loss):
    case, loss = Case(*INPUT_SPECS[name]), LOSSES[loss]
    optimizer = DeviceOptimizer(case.network, ("mean", "square"))
    got, lit = case.gradients(optimizer, loss)
    expected, magnitudes, rows = case.expected(loss)
    np.testing.assert_array_equal(lit, rows)
    for a, b, size in zip(got, expected, magnitudes, strict=True):
        assert np.abs(b).max() > 0
        # float32 numbers of some hundred terms each, rounded to fixed point
        assert (np.abs(a - b) <= 2e-5 * size + 1e-12).all()
    norm = np.sqrt(sum(np.sum(g**2) for g in got))
    assert optimizer.norm() == pytest.approx(norm, rel=1e-6)
    assert optimizer.finite
    check_sums(case, loss, optimizer)


def check_sums(case, loss, optimizer):
    """The sums for the log are those of the CPU's learner, and add up until they are forgotten."""
    buffer = case.slots.buffer()
    chosen = make_optimizer(case.host)
    expected = loss.of(chosen, buffer, case.samples, case.advantages, case.returns)
    if case.network.heads == case.network.outputs:
        expected[3] = 0
    assert optimizer.stats() == pytest.approx(expected, rel=1e-4)
    optimizer.reset_stats()
    assert (optimizer.stats() == 0).all()


def test_gradients_without_a_value_head():
    case, loss = Case(InputSpec((0, 1), True), 5, 2, 0, value=False), LOSSES["clip"]
    optimizer = DeviceOptimizer(case.network, ("square",))
    got, _ = case.gradients(optimizer, loss)
    for a, b, size in zip(got, *case.expected(loss)[:2], strict=True):
        assert (np.abs(a - b) <= 2e-5 * size + 1e-12).all()
    assert optimizer.stats()[3] == 0


@pytest.mark.skipif(SIMULATED, reason="takes an hour in the simulator")
def test_gradients_of_a_large_minibatch_are_the_model_s():
    case, loss = Case(*INPUT_SPECS["many units"], count=600), LOSSES["all"]
    samples = np.random.default_rng(7).integers(0, 600, 2000).astype(np.int32)
    optimizer = DeviceOptimizer(case.network, ("mean", "square"))
    got, lit = case.gradients(optimizer, loss, samples)
    expected, magnitudes, rows = case.expected(loss, samples)
    np.testing.assert_array_equal(lit, rows)
    for a, b, size in zip(got, expected, magnitudes, strict=True):
        assert (np.abs(a - b) <= 2e-5 * size + 1e-12).all()


def test_the_order_of_samples_changes_no_bit():
    case, loss = Case(*INPUT_SPECS["stack of cells"]), LOSSES["all"]
    results = []
    for samples in (case.samples, case.samples[::-1].copy(), np.sort(case.samples)):
        optimizer = DeviceOptimizer(case.network, ("mean", "square"))
        (w1, heads), _ = case.gradients(optimizer, loss, samples)
        results.append((w1.tobytes(), heads.tobytes(), optimizer.norm()))
    assert results[0] == results[1] == results[2]


def test_steps_captured_at_once_are_those_launched_one_by_one(monkeypatch):
    """With other samples, other numbers of them, another objective, other arrays."""

    class OneByOne(Replays):
        def __call__(self, group, launch, arrays, numbers):
            launch(0)

    results = []
    for replays in (Replays, OneByOne):
        monkeypatch.setattr("fastpg.cuda.optimizer.Replays", replays)
        case = Case(*INPUT_SPECS["stack of cells"])
        optimizer = DeviceOptimizer(case.network, ("mean", "square"))
        order, objective = cuda.to_device(case.samples), Objective(0.2, 0.01, 0.5, 1.0)
        estimator, rate = case.estimator, 0.01
        for step, first in enumerate((0, 5, 10, 13, 18, 4, 9, 0, 5)):  # some behind the one before
            if step == 4:
                objective = objective._replace(entropy=0.1)
            if step == 6:
                estimator = cuda.to_device(2 * case.advantages), cuda.to_device(-case.returns)
            if step == 7:
                order, rate = cuda.to_device(case.samples[::-1].copy()), 0.005
            batch = Minibatch(order, first, 3 if step in (2, 5) else 5)
            optimizer.adam_step(case.buffer, batch, *estimator, objective, rate)
        results.append(optimizer.tensors() | case.network.tensors())
    for name, tensor in results[0].items():
        assert tensor.tobytes() == results[1][name].tobytes(), name


def test_after_a_step_that_was_broken_off_the_next_knows_its_place(monkeypatch):
    case = Case(InputSpec((0,)), 3, 2, 0, count=6)
    optimizer = DeviceOptimizer(case.network, ("mean", "square"))

    def step(first):
        batch = Minibatch(cuda.to_device(case.samples), first, 4)
        optimizer.adam_step(case.buffer, batch, *case.estimator, Objective(0.2, 0.01, 0.5), 0.01)
        return optimizer._progress.copy_to_host().tolist()

    with monkeypatch.context() as broken:
        broken.setattr(case.network, "changed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            step(0)
    assert optimizer.updates == 0
    assert [step(0), step(4), step(2)] == [[4, 1], [8, 2], [6, 3]]


def test_no_sum_can_overflow():
    for samples in (1, 100, 4096, 1 << 20, (1 << 31) - 1):
        for cell, paired in itertools.product((0, 1, 5, 16), (False, True)):
            most = samples * max(cell, 1) ** 2 * int(LARGEST) << paired
            assert most << fraction_bits(samples, cell, paired) < 1 << 62
    assert fraction_bits(4096, 0) == 36


@pytest.mark.parametrize("spoilt", ["weights", "heads of units that are 0", "large"])
def test_what_is_not_finite_stops_all_steps(spoilt):
    case = Case(InputSpec((0,)), 3, 2, 0, count=6)
    tensors = case.host.tensors()
    if spoilt == "weights":
        tensors["w2"][0, 1] = np.nan
        case.network.load(tensors)
    elif spoilt != "large":
        tensors["w1"][:], tensors["w2"][:] = 0, 0
        case.network.load(tensors)
        case.estimator[0].copy_to_device(np.full(6, np.inf, np.float32))
    else:
        case.estimator[0].copy_to_device(np.full(6, 1e7, np.float32))
    optimizer = DeviceOptimizer(case.network, ("mean", "square"))
    before = optimizer.tensors()
    optimizer.adam_step(case.buffer, minibatch(case.samples), *case.estimator, Objective(), 0.1)
    assert not optimizer.finite
    case.estimator[0].copy_to_device(np.zeros(6, np.float32))
    samples = cuda.to_device(case.samples)
    optimizer.rmsprop_step(case.buffer, samples, case.estimator[0], 0.1, 0.9)
    assert not optimizer.finite
    for name, tensor in case.network.tensors().items():
        np.testing.assert_array_equal(tensor, tensors[name])
    optimizer.load(before)
    assert optimizer.finite
    assert not optimizer._gradient.sums.copy_to_host().any()


# ---- steps ----------------------------------------------------------------------------------


def heads_of(tensors):
    return np.concatenate([tensors["w2"], tensors["value"]])


def check_sums_of_parts(network):
    """w1 as kernels read it is the sum of its parts."""
    w1, rows = network.layers.w1.copy_to_host(), network.weights.copy_to_host()
    both = network.inside(np.zeros((network.rows, network.hidden)), rows[network.rows :])
    both[: network.inputs] = w1
    outside = network.outside(both)[0][: network.inputs]
    np.testing.assert_array_equal(outside, network.tensors()["w1"])


@pytest.mark.parametrize("name", ["difference", "stack of cells"])
def test_adam_is_the_table_s_on_rows_that_lit(name):
    """Where they light; the others' weights and moments stand still, to the last bit."""
    case, kernels = Case(*INPUT_SPECS[name]), get_backend("cython")
    optimizer, network = DeviceOptimizer(case.network, ("mean", "square")), case.network
    rng, own = np.random.default_rng(3), "w1_parts" if network.cell else "w1"
    for step in range(1, 4):
        samples = rng.integers(0, 20, 3).astype(np.int32)
        before = network.tensors() | optimizer.tensors()
        probe = DeviceOptimizer(network, ("mean", "square"))
        loss = Loss(0.3, 0.05, 0.5, 1 / 3)
        (w1, heads), rows = case.gradients(probe, loss, samples)
        longest = probe.norm() * 0.3
        objective = Objective(loss.clip, loss.entropy, loss.value, longest)
        batch = case.buffer, minibatch(samples), *case.estimator
        optimizer.adam_step(*batch, objective, 0.01)
        after = network.tensors() | optimizer.tensors()
        assert after["updates"].tolist() == [step]
        assert 10 < rows.sum() < len(rows) // 2
        for part in (own, "mean_w1", "square_w1"):
            np.testing.assert_array_equal(after[part][~rows], before[part][~rows])
        both = heads_of(before), heads_of(after)
        for gradient, weights, got, part, at in (
            (w1[rows], before[own][rows], after[own][rows], "w1", rows),
            (heads, *both, "w2", slice(None)),
        ):
            slope = gradient.astype(np.float32) * np.float32(0.3)
            mean, square = (before[f"{moment}_{part}"][at].copy() for moment in ("mean", "square"))
            expected = weights.copy()
            kernels.adam_update(slope, step, 0.01, expected, mean, square, epsilon=1e-7)
            parts = np.abs(before[f"mean_{part}"][at]) + np.abs(slope)
            assert (np.abs(after[f"mean_{part}"][at] - mean) <= 3e-7 * parts).all()
            # 1 - beta2 differs: 0.999 is a float32 here
            np.testing.assert_allclose(after[f"square_{part}"][at], square, rtol=3e-5, atol=1e-18)
            np.testing.assert_allclose(got, expected, rtol=3e-7, atol=1e-4 * 0.01)
        check_sums_of_parts(network)


def test_rmsprop_is_the_cpu_s_though_rows_light_seldom():
    """Twelve steps of each, from the GPU's weights and moments before every step."""
    case = Case(InputSpec((0, 1), True), 4, 2, 0, value=False)
    optimizer, network = DeviceOptimizer(case.network, ("square",)), case.network
    cpu, buffer = make_optimizer(case.host), case.slots.buffer()
    cpu.moments = ("square",)
    rng, weights, far = np.random.default_rng(5), case.advantages, 0
    for step in range(1, 13):
        samples = rng.integers(0, 20, 2).astype(np.int32)
        before = network.tensors()
        case.host.load(before)
        cpu.load(optimizer.tensors())
        optimizer.rmsprop_step(case.buffer, cuda.to_device(samples), case.estimator[0], 1e-2, 0.9)
        cpu.rmsprop_step(buffer, samples, weights, 1e-2, 0.9)
        after, expected = network.tensors(), case.host.tensors()
        moments, others = optimizer.tensors(), cpu.tensors()
        np.testing.assert_array_equal(moments["updated"], others["updated"])
        assert moments["updates"].tolist() == others["updates"].tolist() == [step]
        for part in ("w1", "w2"):
            size = others[f"square_{part}"].max()
            square = moments[f"square_{part}"]
            np.testing.assert_allclose(
                square, others[f"square_{part}"], rtol=1e-4, atol=1e-7 * size
            )
            moved = np.abs(expected[part] - before[part])
            far += (moved > 1e-3).sum()
            # where a slope is about epsilon, its rounding is the step's
            assert (np.abs(after[part] - expected[part]) <= 1e-3 * moved + 1e-5).all()
    last = moments["updated"][: SIDE * SIDE]
    assert len(np.unique(last)) > 8
    assert far > 500


@pytest.mark.parametrize(
    "case",
    [
        INPUT_SPECS["stack of cells"],
        # hidden units in pairs, each other's mirror image
        (*INPUT_SPECS["stack of cells"], 20, True, (1, 0)),
        (InputSpec((0, 2), True, 1), 4, 3, 0, 20, True, (0, 2, 1)),
    ],
    ids=["apart", "pairs", "pairs of a difference"],
)
def test_both_learn_the_same(case):
    """Four steps of Adam by the CPU and the GPU, each from its own weights."""
    case, rng = Case(*case), np.random.default_rng(1)
    cpu, buffer = make_optimizer(case.host), case.slots.buffer()
    optimizer, first = DeviceOptimizer(case.network, ("mean", "square")), case.host.tensors()
    objective = Objective(0.2, 0.01, 0.5, 0.5)
    for _ in range(4):
        samples = rng.integers(0, 20, 12).astype(np.int32)
        batch = case.buffer, minibatch(samples), *case.estimator
        optimizer.adam_step(*batch, objective, 1e-3)
        cpu.adam_step(buffer, samples, case.advantages, case.returns, objective, 1e-3)
        assert optimizer.norm() == pytest.approx(cpu.core.norm(), rel=1e-4)
    assert optimizer.stats() == pytest.approx(cpu.stats(), rel=1e-4)
    after, expected = case.network.tensors(), case.host.tensors()
    for name in ("w1", "w2", "value"):
        moved = np.abs(expected[name] - first[name]).mean()
        assert np.abs(after[name] - expected[name]).mean() < 1e-3 * moved
    case.host.load(after)  # it refuses units that should be pairs and are none


def test_a_saved_optimizer_goes_on_as_if_nothing_had_been():
    """Through the CPU's optimizer, too."""
    ends = []
    for saved in (False, True):
        case, rng = Case(InputSpec((0,), False, 1), 3, 5, 7, count=8), np.random.default_rng(0)
        network, optimizer = case.network, DeviceOptimizer(case.network, ("mean", "square"))
        for step in range(4):
            buffer, samples = case.buffer, rng.integers(0, 8, 3).astype(np.int32)
            if step % 2:
                batch = buffer, minibatch(samples), *case.estimator
                optimizer.adam_step(*batch, Objective(0.2, 0.01, 0.5), 1e-2)
            else:
                batch = buffer, cuda.to_device(samples), case.estimator[0]
                optimizer.rmsprop_step(*batch, 1e-2, 0.9)
            if saved:
                host, cpu = case.host, make_optimizer(case.host)
                host.load(network.tensors())
                cpu.load(optimizer.tensors())
                network = DeviceNetwork(3, host.input_spec, 5, 5, True, 7)
                optimizer = DeviceOptimizer(network, ("mean", "square"))
                network.load(host.tensors())
                optimizer.load(cpu.tensors())
        ends.append(network.tensors() | optimizer.tensors())
    assert set(ends[0]) == set(cpu.tensors() | host.tensors())
    for name, tensor in ends[0].items():
        assert tensor.tobytes() == ends[1][name].tobytes(), name
        assert tensor.dtype == (cpu.tensors() | host.tensors())[name].dtype

"""DeviceOptimizer against the model in float64 and the CPU's optimizer."""

import itertools

import numpy as np
import pytest

from fastpg.cuda.gradients import MAX_DERIVATIVE
from fastpg.cuda.graph import GraphCache
from fastpg.cuda.learning_kernels import NORM
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.optimizer import DeviceOptimizer, fraction_bits
from fastpg.cuda.shuffle import Minibatch
from fastpg.kernels import get_backend
from fastpg.kernels._cuda.jit import cuda
from fastpg.network.input_spec import InputSpec
from fastpg.network.optimizer import Objective
from tests.gpu.networks import INPUT_SPECS, device_buffer, make_pair
from tests.support.tile_model import SIDE, Loss, Model, make_optimizer, make_slots

pytestmark = pytest.mark.gpu


# ---- gradients ------------------------------------------------------------------------------


LOSSES = {
    "reinforce": Loss(),
    "clip": Loss(clip=0.2, scale=0.1),
    "all": Loss(clip=0.3, entropy=0.05, value=0.5, scale=0.01),
}


def norm_of(optimizer):
    """Norm of the last gradient."""
    return float(optimizer._totals.copy_to_host()[NORM])


def minibatch(samples):
    """All samples as one minibatch on the GPU."""
    return Minibatch(cuda.to_device(samples), 0, len(samples))


class Case:
    """Networks and slots on CPU and GPU, advantages and returns, and samples to learn from."""

    def __init__(self, input_spec, hidden, actions, cell, count=20, value=True, mirrored=None):
        rng = np.random.default_rng(hidden)
        self.host, self.network = make_pair(
            input_spec, hidden, actions, cell, value, mirrored=mirrored
        )
        self.slots, self.games = make_slots(rng, count, actions), 1
        self.slots.views[count // 3] = 0  # instead of dots everywhere, which are slow
        self.buffer = device_buffer(self.slots.buffer(), 1)
        self.advantages, self.returns = rng.standard_normal((2, count)).astype(np.float32)
        self.targets = cuda.to_device(self.advantages), cuda.to_device(self.returns)
        self.model = Model(self.host, actions)
        # in any order, some of them several times
        self.samples = rng.permutation(
            np.concatenate([np.arange(count), rng.integers(0, count, 5)])
        ).astype(np.int32)

    def gradients(self, optimizer, loss, samples=None):
        """(w1, heads) as float64 matrices ordered as in ``tensors()``, and which rows were lit."""
        chosen = cuda.to_device(self.samples if samples is None else samples)
        objective = Objective(loss.clip, loss.entropy, loss.value)
        batch = chosen, optimizer._start, len(chosen), *self.targets, objective
        scale = optimizer._compute_gradient(self.buffer.slots, *batch, loss.scale)
        gradient, outside = optimizer._gradient, optimizer.network.outside
        matrix = gradient.sums.copy_to_host()
        lit = np.repeat(gradient.touched.copy_to_host()[:, None] > 0, matrix.shape[1], axis=1)
        assert (matrix[~lit] == 0).all()
        return outside(matrix * scale), outside(lit)[0][:, 0]

    def expected(self, loss, samples=None):
        """The model's gradients, the magnitudes of their terms, and which rows were lit."""
        i, slots = self.samples if samples is None else samples, self.slots
        x, terms = self.model.inputs(slots, i)
        rest = slots.actions[i], slots.action_probs[i], self.advantages[i], self.returns[i]
        return *self.model.gradients(x, terms, *rest, loss), terms.any(axis=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", INPUT_SPECS)
def test_gradients_are_the_models(name, loss):
    case, loss = Case(*INPUT_SPECS[name]), LOSSES[loss]
    optimizer = DeviceOptimizer(case.network, ("mean", "square"))
    got, lit = case.gradients(optimizer, loss)
    expected, magnitudes, rows = case.expected(loss)
    np.testing.assert_array_equal(lit, rows)
    for a, b, size in zip(got, expected, magnitudes, strict=True):
        assert np.abs(b).max() > 0
        # float32 sums of some hundred terms each, rounded to fixed point
        assert (np.abs(a - b) <= 2e-5 * size + 1e-12).all()
    norm = np.sqrt(sum(np.sum(g**2) for g in got))
    assert norm_of(optimizer) == pytest.approx(norm, rel=1e-6)
    assert optimizer.finite
    check_stats(case, loss, optimizer)


def check_stats(case, loss, optimizer):
    """The statistics are the CPU's, and add up until they are reset."""
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


def test_gradients_of_a_large_minibatch_are_the_models():
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
        results.append((w1.tobytes(), heads.tobytes(), norm_of(optimizer)))
    assert results[0] == results[1] == results[2]


def test_captured_steps_equal_launched_ones(monkeypatch):
    """With changing samples, sizes, objectives and arrays."""

    class OneByOne(GraphCache):
        def __call__(self, group, launch, arrays, numbers):
            launch(0)

    results = []
    for graphs in (GraphCache, OneByOne):
        monkeypatch.setattr("fastpg.cuda.optimizer.GraphCache", graphs)
        case = Case(*INPUT_SPECS["stack of cells"])
        optimizer = DeviceOptimizer(case.network, ("mean", "square"))
        order, objective = cuda.to_device(case.samples), Objective(0.2, 0.01, 0.5, 1.0)
        targets, rate = case.targets, 0.01
        for step, first in enumerate(
            (0, 5, 10, 13, 18, 4, 9, 0, 5)
        ):  # some follow their predecessor
            if step == 4:
                objective = objective._replace(entropy=0.1)
            if step == 6:
                targets = cuda.to_device(2 * case.advantages), cuda.to_device(-case.returns)
            if step == 7:
                order, rate = cuda.to_device(case.samples[::-1].copy()), 0.005
            batch = Minibatch(order, first, 3 if step in (2, 5) else 5)
            optimizer.adam_step(case.buffer, batch, *targets, objective, rate)
        results.append(optimizer.tensors() | case.network.tensors())
    for name, tensor in results[0].items():
        assert tensor.tobytes() == results[1][name].tobytes(), name


def test_the_step_after_an_interrupted_one_uses_its_own_samples(monkeypatch):
    case = Case(InputSpec((0,)), 3, 2, 0, count=6)
    optimizer = DeviceOptimizer(case.network, ("mean", "square"))

    def step(first):
        batch = Minibatch(cuda.to_device(case.samples), first, 4)
        optimizer.adam_step(case.buffer, batch, *case.targets, Objective(0.2, 0.01, 0.5), 0.01)
        return optimizer._progress.copy_to_host().tolist()

    with monkeypatch.context() as broken:
        broken.setattr(case.network, "changed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            step(0)
    assert optimizer.updates == 0
    assert [step(0), step(4), step(2)] == [[4, 1], [8, 2], [6, 3]]


def test_no_sum_can_overflow():
    for samples in (1, 100, 4096, 1 << 20, (1 << 31) - 1):
        for cell, mirrored in itertools.product((0, 1, 5, 16), (False, True)):
            most = samples * max(cell, 1) ** 2 * int(MAX_DERIVATIVE) << mirrored
            assert most << fraction_bits(samples, cell, mirrored) < 1 << 62
    assert fraction_bits(4096, 0) == 36


@pytest.mark.parametrize("spoiled", ["weights", "heads of units that are 0", "large"])
def test_a_derivative_that_is_not_finite_stops_all_steps(spoiled):
    case = Case(InputSpec((0,)), 3, 2, 0, count=6)
    tensors = case.host.tensors()
    if spoiled == "weights":
        tensors["w2"][0, 1] = np.nan
        case.network.load(tensors)
    elif spoiled != "large":
        tensors["w1"][:], tensors["w2"][:] = 0, 0
        case.network.load(tensors)
        case.targets[0].copy_to_device(np.full(6, np.inf, np.float32))
    else:
        case.targets[0].copy_to_device(np.full(6, 1e7, np.float32))
    optimizer = DeviceOptimizer(case.network, ("mean", "square"))
    before = optimizer.tensors()
    optimizer.adam_step(case.buffer, minibatch(case.samples), *case.targets, Objective(), 0.1)
    assert not optimizer.finite
    case.targets[0].copy_to_device(np.zeros(6, np.float32))
    samples = cuda.to_device(case.samples)
    optimizer.rmsprop_step(case.buffer, samples, case.targets[0], 0.1, 0.9)
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
    """The kernels' w1 is the sum of its parts."""
    w1, rows = network.layers.w1.copy_to_host(), network.weights.copy_to_host()
    both = network.inside(np.zeros((network.rows, network.hidden)), rows[network.rows :])
    both[: network.inputs] = w1
    outside = network.outside(both)[0][: network.inputs]
    np.testing.assert_array_equal(outside, network.tensors()["w1"])


@pytest.mark.parametrize("name", ["difference", "stack of cells"])
def test_adam_is_the_kernel_tables_on_rows_that_were_lit(name):
    """Weights and moments of the other rows keep every bit."""
    case, kernels = Case(*INPUT_SPECS[name]), get_backend("cython")
    optimizer, network = DeviceOptimizer(case.network, ("mean", "square")), case.network
    rng, own = np.random.default_rng(3), "w1_parts" if network.cell else "w1"
    for step in range(1, 4):
        samples = rng.integers(0, 20, 3).astype(np.int32)
        before = network.tensors() | optimizer.tensors()
        probe = DeviceOptimizer(network, ("mean", "square"))
        loss = Loss(0.3, 0.05, 0.5, 1 / 3)
        (w1, heads), rows = case.gradients(probe, loss, samples)
        max_grad_norm = norm_of(probe) * 0.3
        objective = Objective(loss.clip, loss.entropy, loss.value, max_grad_norm)
        batch = case.buffer, minibatch(samples), *case.targets
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


def test_rmsprop_is_the_cpus_though_rows_are_seldom_lit():
    """Twelve steps; before each, the CPU gets the GPU's weights and moments."""
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
        optimizer.rmsprop_step(case.buffer, cuda.to_device(samples), case.targets[0], 1e-2, 0.9)
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
            # where a gradient is about epsilon, its rounding decides the step
            assert (np.abs(after[part] - expected[part]) <= 1e-3 * moved + 1e-5).all()
    last = moments["updated"][: SIDE * SIDE]
    assert len(np.unique(last)) > 8
    assert far > 500


@pytest.mark.parametrize(
    "case",
    [
        INPUT_SPECS["stack of cells"],
        # mirrored hidden units
        (*INPUT_SPECS["stack of cells"], 20, True, (1, 0)),
        (InputSpec((0, 2), True, 1), 4, 3, 0, 20, True, (0, 2, 1)),
    ],
    ids=["independent", "mirrored", "mirrored, of a difference"],
)
def test_both_learn_the_same(case):
    """Four steps of Adam on CPU and GPU, each continuing from its own weights."""
    case, rng = Case(*case), np.random.default_rng(1)
    cpu, buffer = make_optimizer(case.host), case.slots.buffer()
    optimizer, first = DeviceOptimizer(case.network, ("mean", "square")), case.host.tensors()
    objective = Objective(0.2, 0.01, 0.5, 0.5)
    for _ in range(4):
        samples = rng.integers(0, 20, 12).astype(np.int32)
        batch = case.buffer, minibatch(samples), *case.targets
        optimizer.adam_step(*batch, objective, 1e-3)
        cpu.adam_step(buffer, samples, case.advantages, case.returns, objective, 1e-3)
        assert norm_of(optimizer) == pytest.approx(cpu.core.norm(), rel=1e-4)
    assert optimizer.stats() == pytest.approx(cpu.stats(), rel=1e-4)
    after, expected = case.network.tensors(), case.host.tensors()
    for name in ("w1", "w2", "value"):
        moved = np.abs(expected[name] - first[name]).mean()
        assert np.abs(after[name] - expected[name]).mean() < 1e-3 * moved
    case.host.load(after)  # raises unless mirrored units have mirrored weights


def test_a_saved_optimizer_continues_bit_for_bit():
    """Saved through the CPU's network and optimizer after every step."""
    ends = []
    for saved in (False, True):
        case, rng = Case(InputSpec((0,), False, 1), 3, 5, 7, count=8), np.random.default_rng(0)
        network, optimizer = case.network, DeviceOptimizer(case.network, ("mean", "square"))
        for step in range(4):
            buffer, samples = case.buffer, rng.integers(0, 8, 3).astype(np.int32)
            if step % 2:
                batch = buffer, minibatch(samples), *case.targets
                optimizer.adam_step(*batch, Objective(0.2, 0.01, 0.5), 1e-2)
            else:
                batch = buffer, cuda.to_device(samples), case.targets[0]
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

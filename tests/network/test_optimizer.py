"""The tile network's gradients and optimizer steps against NumPy and the kernel table."""

import numpy as np
import pytest

from fastpg.kernels import get_backend
from fastpg.network.input_spec import InputSpec
from tests.support.tile_model import PIXELS, Loss, Model, make_network, make_optimizer, make_slots

LOSSES = {
    "reinforce": Loss(),
    "clip": Loss(clip=0.2, scale=0.1),
    "all": Loss(clip=0.3, entropy=0.05, value=0.5, scale=0.01),
}
STACK = InputSpec((0, 1))


class Case:
    """A network, a rollout, and its advantages and returns."""

    def __init__(self, input_spec=STACK, hidden=70, actions=2, count=40, value=True, cell=0):
        rng = np.random.default_rng(hidden)
        outputs = 1 if actions == 2 else actions
        self.network = make_network(input_spec, hidden, actions, outputs, value, cell=cell)
        self.slots = make_slots(rng, count, actions)
        self.buffer = self.slots.buffer()
        self.advantages, self.returns = rng.standard_normal((2, count)).astype(np.float32)
        self.model = Model(self.network, actions)
        # some of them twice, in any order
        self.samples = rng.permutation(
            np.concatenate([np.arange(count), rng.integers(0, count, 9)])
        )

    def learn(self, optimizer, loss, samples=None):
        chosen = self.samples if samples is None else samples
        return loss.of(optimizer, self.buffer, chosen, self.advantages, self.returns)

    def expected(self, loss, samples=None):
        """The model's gradients by (w1, heads), and their terms' magnitudes."""
        i = self.samples if samples is None else samples
        slots, arguments = self.slots, self.model.inputs(self.slots, i)
        rest = slots.actions[i], slots.action_probs[i], self.advantages[i], self.returns[i]
        return self.model.gradients(*arguments, *rest, loss)


def gradients(optimizer):
    """Gradients by (w1, heads) as matrices; rows that are dark in all samples are 0."""
    core, network = optimizer.core, optimizer.network
    return network.rows_outside(core.gradient1), network.heads_outside(core.gradient2)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("actions", [2, 5])
@pytest.mark.parametrize(
    ("input_spec", "hidden", "cell"),
    [
        (InputSpec((0, 1), True), 70, 0),
        (InputSpec((0, 1, 4), False, 2), 5, 0),
        (InputSpec((0,), False, 1), 64, 1),
        (InputSpec((0, 2), False, 1), 64, 6),
        (InputSpec((0, 2), True), 7, 5),
    ],
    ids=str,
)
def test_gradients_equal_the_dense_ones(input_spec, hidden, cell, actions, loss):
    case = Case(input_spec, hidden, actions, cell=cell)
    optimizer = make_optimizer(case.network, at_once=32)  # fewer than there are
    sums = case.learn(optimizer, loss)
    expected, magnitudes = case.expected(loss)
    for got, wanted, size in zip(gradients(optimizer), expected, magnitudes, strict=True):
        # float32 sums of some hundred terms each
        assert (np.abs(got - wanted) <= 2e-5 * size + 1e-12).all()
    norm = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradients(optimizer)))
    assert optimizer.core.norm() == pytest.approx(norm, rel=1e-6)
    check_sums(case, loss, sums)


def check_sums(case, loss, sums):
    i, slots = case.samples, case.slots
    x, _ = case.model.inputs(slots, i)
    _, probabilities, values = case.model.forward(x)
    ratio = case.model.action_probs(probabilities, slots.actions[i]) / slots.action_probs[i]
    beyond = np.where(case.advantages[i] > 0, ratio - 1, 1 - ratio) > loss.clip
    expected = (
        case.model.entropy(probabilities).sum(),
        (ratio - 1 - np.log(ratio)).sum(),
        beyond.sum(),
        ((values - case.returns[i]) ** 2).sum(),
    )
    assert sums == pytest.approx(expected, rel=1e-4)
    if loss.clip < 1:
        assert 0 < sums[2] < len(i)


@pytest.mark.parametrize("actions", [2, 5])
def test_gradients_are_those_of_the_objective(actions):
    """The slopes of the objective in float64, by central differences along three directions."""
    case, loss = Case(InputSpec((0, 1), True, 1), 12, actions), LOSSES["all"]
    slots, model, i = case.slots, case.model, case.samples
    x, _ = model.inputs(slots, i)
    rest = slots.actions[i], slots.action_probs[i], case.advantages[i], case.returns[i]
    optimizer = make_optimizer(case.network)
    case.learn(optimizer, loss)
    rng, step = np.random.default_rng(1), 1e-7
    for name, gradient in zip(("w1", "heads"), gradients(optimizer), strict=True):
        weights = getattr(model, name)
        for _ in range(3):
            direction = np.sign(gradient) * rng.random(gradient.shape)
            ends = []
            for sign in (1, -1):
                setattr(model, name, weights + sign * step * direction)
                ends.append(model.objective(x, *rest, loss))
            setattr(model, name, weights)
            slope = (ends[0] - ends[1]) / (2 * step)
            assert np.vdot(gradient, direction) == pytest.approx(slope, rel=1e-3)


def test_gradients_equal_the_kernel_tables():
    """ppo_gradient and policy_backward_outputs, with the same weights."""
    case, loss, kernels = Case(InputSpec((0, 1), True), 70), LOSSES["all"], get_backend("cython")
    slots, i, tensors = case.slots, case.samples, case.network.tensors()
    before = slots.views[np.where(slots.episode_steps[i] > 0, i - 1, i)]
    rows = kernels.frame_difference(slots.views[i], before)
    hidden, probabilities = kernels.policy_forward(*rows, tensors["w1"], tensors["w2"])
    values = hidden @ tensors["value"][0]
    d_logits, d_values = kernels.ppo_gradient(
        probabilities,
        values,
        slots.actions[i],
        slots.action_probs[i],
        case.advantages[i],
        case.returns[i],
        loss.clip,
        loss.entropy,
        loss.value,
    )
    d_outputs = np.float32(loss.scale) * np.concatenate([d_logits, d_values[:, None]], axis=1)
    heads = np.concatenate([tensors["w2"], tensors["value"]])
    expected = np.zeros_like(tensors["w1"]), np.zeros_like(heads)
    kernels.policy_backward_outputs(*rows, hidden, d_outputs, heads, *expected)
    optimizer = make_optimizer(case.network)
    case.learn(optimizer, loss)
    _, magnitudes = case.expected(loss)
    for got, wanted, size in zip(gradients(optimizer), expected, magnitudes, strict=True):
        assert (np.abs(got - wanted) <= 2e-5 * size + 1e-12).all()


@pytest.mark.parametrize("cell", [0, 5])
def test_a_ratio_to_the_same_weights_is_one(cell):
    """Probabilities of the current weights: even a clip of 0 clips nothing."""
    for actions in (2, 5):
        case = Case(InputSpec((0, 1, 2), False, 2), 150, actions, cell=cell)
        for i in range(len(case.slots.episode_steps)):
            case.network.core.choose(case.buffer, i, 3, 0, i)
        assert len(set(case.buffer.actions)) == actions
        optimizer = make_optimizer(case.network)
        _, divergence, clipped, _ = case.learn(optimizer, Loss(clip=0.0))
        assert (divergence, clipped) == (0, 0)


@pytest.mark.parametrize(("difference", "cell"), [(False, 0), (False, 5), (True, 5)])
def test_passes_and_threads_change_no_bit(difference, cell):
    input_spec, results = InputSpec((0, 1), difference, 1), []
    case = Case(input_spec, 150, 5, count=300, cell=cell)
    for threads, at_once in ((1, 1000), (2, 1000), (3, 1000), (1, 130), (2, 7)):
        network = make_network(input_spec, 150, 5, 5, True, cell=cell)
        optimizer, norms = make_optimizer(network, threads, at_once), []
        for step in range(3):
            sums = case.learn(optimizer, LOSSES["all"])
            norms.append(optimizer.core.norm())
            if step < 2:
                optimizer.core.adam(1e-3, 0.7, 0.9, 0.999, 1e-5)
            else:
                optimizer.core.rmsprop(1e-3, 0.9, 1e-5)
        results.append((network.tensors() | optimizer.tensors(), norms, sums))
    tensors, norms, sums = results[0]
    for other, other_norms, other_sums in results[1:]:
        assert other_norms == norms
        assert other_sums == pytest.approx(sums, rel=1e-12)  # summed in several passes
        for name, tensor in tensors.items():
            assert other[name].tobytes() == tensor.tobytes(), name
    assert all(r[2] == sums for r in results[:3])


@pytest.mark.parametrize(
    ("input_spec", "cell"),
    [(STACK, 6), (InputSpec((0, 2), False, 2), 6), (STACK, 0), (InputSpec((0, 1), True, 1), 6)],
    ids=str,
)
def test_a_gradient_depends_on_its_own_minibatch_alone(input_spec, cell):
    """A learner that had other minibatches gives the results of a new one."""
    case = Case(input_spec, cell=cell, count=300)
    used = make_optimizer(case.network, threads=2)
    for samples in (np.arange(9), np.arange(300), np.array([250]), np.arange(30, 120)):
        new = make_optimizer(case.network)
        assert case.learn(used, LOSSES["all"], samples) == case.learn(new, LOSSES["all"], samples)
        assert used.core.norm() == new.core.norm()
        for got, expected in zip(gradients(used), gradients(new), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_no_samples_no_gradient():
    case = Case(count=3)
    optimizer = make_optimizer(case.network)
    assert case.learn(optimizer, LOSSES["all"], np.arange(0)) == (0, 0, 0, 0)
    assert optimizer.core.norm() == 0
    before = case.network.tensors()
    optimizer.core.adam(1e-3, 1.0, 0.9, 0.999, 1e-5)
    for name, tensor in case.network.tensors().items():
        np.testing.assert_array_equal(tensor, before[name])


# ---- steps ------------------------------------------------------------------------------------


def touched(case, samples):
    """Which rows of w1 (D,) have an input in some sample."""
    return case.model.inputs(case.slots, samples)[1].any(axis=0)


def test_adam_is_the_tables_on_rows_with_inputs():
    """Weights and moments of the other rows do not change in any bit."""
    case, kernels = Case(InputSpec((0, 1), True), 70), get_backend("cython")
    optimizer, network, factor = make_optimizer(case.network), case.network, np.float32(0.3)
    rng = np.random.default_rng(3)
    for step in range(1, 6):
        samples = rng.integers(0, 40, 6)
        before = network.tensors() | optimizer.tensors()
        case.learn(optimizer, LOSSES["all"], samples)
        w1, heads = gradients(optimizer)
        optimizer.core.adam(0.01, factor, 0.9, 0.999, 1e-5)
        after = network.tensors() | optimizer.tensors()
        assert after["updates"].tolist() == [step]
        rows = touched(case, samples)
        assert 10 < rows.sum() < PIXELS // 2
        for name in ("w1", "mean_w1", "square_w1"):
            np.testing.assert_array_equal(after[name][~rows], before[name][~rows])
        both = [np.concatenate([t["w2"], t["value"]]) for t in (before, after)]
        for gradient, weights, got, part, own in (
            (w1[rows], before["w1"][rows], after["w1"][rows], "w1", rows),
            (heads, *both, "w2", slice(None)),
        ):
            mean, square = (before[f"{moment}_{part}"][own].copy() for moment in ("mean", "square"))
            expected = weights.copy()
            kernels.adam_update(gradient * factor, step, 0.01, expected, mean, square)
            parts = np.abs(before[f"mean_{part}"][own]) + np.abs(gradient * factor)
            assert (np.abs(after[f"mean_{part}"][own] - mean) <= 3e-7 * parts).all()
            # 1 - beta2 differs: 0.999 is a float32 here
            np.testing.assert_allclose(after[f"square_{part}"][own], square, rtol=3e-5, atol=1e-18)
            np.testing.assert_allclose(got, expected, rtol=3e-7, atol=3e-5 * 0.01)


def test_rmsprop_with_skipped_rows_is_the_dense_one():
    """200 updates; most rows have inputs in few of them, and make up for the decay then."""
    case, rate, decay = (
        Case(InputSpec((0, 1), True), 8, value=False),
        1e-3,
        np.float64(np.float32(0.97)),
    )
    optimizer, network = make_optimizer(case.network), case.network
    tensors = network.tensors()
    weights = [tensors["w1"].astype(np.float64), tensors["w2"].astype(np.float64)]
    squares, path = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    rng, count = np.random.default_rng(5), np.zeros(PIXELS, int)
    for _ in range(200):
        samples = rng.integers(0, 40, 3)
        case.learn(optimizer, Loss(), samples)
        rows = touched(case, samples)
        count += rows
        w1, w2 = gradients(optimizer)
        optimizer.core.rmsprop(rate, decay, 1e-5)
        assert not w1[~rows].any()
        for k, gradient in enumerate((w1.astype(np.float64), w2)):
            squares[k] = decay * squares[k] + (1 - decay) * gradient**2
            step = rate * gradient / (np.sqrt(squares[k]) + 1e-5)
            weights[k] += step
            path[k] += np.abs(step)
    lit = count > 0
    assert (count[lit] < 30).sum() > 100
    tensors = network.tensors() | optimizer.tensors()
    for name, expected, way in zip(("w1", "w2"), weights, path, strict=True):
        assert (np.abs(tensors[name] - expected) <= 2e-5 * way + 3e-7 * np.abs(expected)).all()
    last = optimizer.core.updated[0][:PIXELS].reshape(80, 80).T.ravel()  # columns inside
    assert (last[lit] > 0).all()
    assert (last[~lit] == 0).all()
    made_up = tensors["square_w1"] * decay ** (200.0 - last[:, None])
    np.testing.assert_allclose(made_up, squares[0], rtol=2e-4, atol=1e-16)
    assert (optimizer.core.updated == optimizer.core.updated[0]).all()


def test_a_restored_optimizer_continues_bit_for_bit():
    case, ends = Case(InputSpec((0, 1), False, 1), 100, 5), []
    for saved in (False, True):
        network = make_network(InputSpec((0, 1), False, 1), 100, 5, 5, True)
        optimizer, rng = make_optimizer(network), np.random.default_rng(0)
        for step in range(6):
            case.learn(optimizer, LOSSES["all"], rng.integers(0, 40, 5))
            if step % 2:
                optimizer.core.adam(1e-2, 1.0, 0.9, 0.999, 1e-5)
            else:
                optimizer.core.rmsprop(1e-2, 0.9, 1e-5)
            if saved:
                tensors, weights = optimizer.tensors(), network.tensors()
                network = make_network(InputSpec((0, 1), False, 1), 100, 5, 5, True, seed=9)
                optimizer = make_optimizer(network)
                network.load(weights)
                optimizer.load(tensors)
        ends.append(network.tensors() | optimizer.tensors())
    for name, tensor in ends[0].items():
        assert tensor.tobytes() == ends[1][name].tobytes(), name


def test_denormals_are_flushed_while_learning_and_nowhere_else():
    """Learning sets the processor's flags, and resets them before it returns."""
    tiny, half = np.full(8, 1e-40, np.float32), np.float32(0.5)
    case = Case(count=8)
    for threads in (1, 2):
        optimizer = make_optimizer(case.network, threads)
        optimizer.core.mean1[:] = 1.2e-38  # times 0.9 it is denormal
        case.advantages[:] = 0
        case.learn(optimizer, Loss())
        assert ((tiny * half) > 0).all()
        optimizer.core.adam(1e-3, 1.0, 0.9, 0.999, 1e-5)
        means = optimizer.network.rows_outside(optimizer.core.mean1)
        rows = touched(case, case.samples)
        assert (means[rows] == 0).all()
        assert (means[~rows] != 0).all()
        assert ((tiny * half) > 0).all()
        assert float(tiny[0]) * 0.5 == pytest.approx(5e-41, rel=1e-3)
        optimizer.core.rmsprop(1e-3, 0.9, 1e-5)
        assert ((tiny * half) > 0).all()

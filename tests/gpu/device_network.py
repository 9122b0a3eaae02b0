"""DeviceNetwork, DeviceBuffer and the shuffle against the model in float64 and the CPU."""

import numpy as np
import pytest

from fastpg.cuda.forward import forward
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.network_kernels import BLOCKS, THREADS
from fastpg.cuda.shuffle import shuffle_samples
from fastpg.kernels._cuda.jit import cuda, kernel
from fastpg.network._network import SHUFFLE_KEYS, shuffled
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from tests.gpu.networks import INPUT_SPECS, MODEL_TILES, device_buffer, make_pair
from tests.support.tile_model import Model, Slots, make_slots

pytestmark = pytest.mark.gpu


def side_by_side(buffer, games):
    """For each slot of a buffer of the CPU, its number in a ``DeviceBuffer``."""
    steps = buffer.slots // games
    slots = np.arange(games * steps)
    return slots % steps * games + slots // steps


@kernel
def evaluate(net, buffer, chosen, hidden, heads):
    for i in range(cuda.blockIdx.x, chosen.shape[0], cuda.gridDim.x):
        forward(net, buffer, np.int64(chosen[i]), hidden[i], heads[i])


def evaluated(device, buffer, chosen):
    """Hidden units and heads of slots."""
    hidden = cuda.device_array((len(chosen), device.hidden), np.float32)
    heads = cuda.device_array((len(chosen), device.heads), np.float32)
    arguments = device.layers, buffer.slots, cuda.to_device(chosen.astype(np.int32))
    evaluate[BLOCKS, THREADS](*arguments, hidden, heads)
    return hidden.copy_to_host(), heads.copy_to_host()


# ---- weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [0, 6])
def test_weights_are_the_cpus_and_come_back(cell):
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
def test_heads_are_the_models(name):
    input_spec, hidden, actions, cell = INPUT_SPECS[name]
    host, device = make_pair(input_spec, hidden, actions, cell)
    slots = make_slots(np.random.default_rng(1), 24, actions)
    games = 1 + (input_spec.lookback == 0)
    buffer = device_buffer(slots.buffer(), games, MODEL_TILES)
    chosen = np.arange(24)
    units, heads = evaluated(device, buffer, side_by_side(slots.buffer(), games))
    model = Model(host, actions)
    x, terms = model.inputs(slots, chosen)
    expected = np.maximum(x @ model.w1, 0)
    assert (expected > 0).any()
    bound = (terms.sum(axis=1, keepdims=True) + 1) * 2.0**-24 * (terms @ np.abs(model.w1))
    assert (np.abs(units - expected) <= bound).all()
    assert (np.abs(heads - expected @ model.heads.T) <= model.rounding(x, terms)).all()


def test_games_look_back_at_their_own_slots():
    """Two games of 12 steps, each from an episode's beginning, equal each game alone."""
    input_spec, hidden, actions = InputSpec((0, 2), False, 2), 6, 5
    _, device = make_pair(input_spec, hidden, actions, 0)
    rng = np.random.default_rng(2)
    slots = make_slots(rng, 24, actions)
    slots.episode_steps[12:] = slots.episode_steps[:12]
    both = device_buffer(slots.buffer(), 2, MODEL_TILES)
    got = evaluated(device, both, side_by_side(slots.buffer(), 2))
    for game in range(2):
        own = slice(12 * game, 12 * (game + 1))
        part = Slots(*(getattr(slots, k)[own] for k in vars(slots)))
        alone = device_buffer(part.buffer(), 1, MODEL_TILES)
        for a, b in zip(got, evaluated(device, alone, np.arange(12)), strict=True):
            assert a[own].tobytes() == b.tobytes()


def test_rows_and_growth_of_a_buffer():
    slots = make_slots(np.random.default_rng(3), 12, 4)
    buffer = device_buffer(slots.buffer(), 3, MODEL_TILES)
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


# ---- minibatches ----------------------------------------------------------------------------


@pytest.mark.parametrize(("games", "steps", "lookback"), [(1, 1, 0), (3, 5, 2), (7, 40, 1)])
def test_samples_are_the_cpus(games, steps, lookback):
    for draw in range(3):
        keys = np.random.default_rng(draw).integers(0, 2**32, SHUFFLE_KEYS, np.uint32)
        order = shuffled(games * steps, keys)
        expected = (lookback + order % steps) * games + order // steps
        got = cuda.device_array((games * steps,), np.int32)
        shuffle_samples(games, steps, lookback, keys, got)
        np.testing.assert_array_equal(got.copy_to_host(), expected)
    assert games * steps < 10 or (np.diff(order) != 1).any()


def test_invalid_keys_and_sizes_are_refused():
    keys = np.zeros(SHUFFLE_KEYS, np.uint32)
    for wrong in (keys[:-1], keys.astype(np.int32)):
        with pytest.raises(ValueError, match=r"^keys: expected \(8,\) uint32, got "):
            shuffle_samples(2, 3, 0, wrong, None)
    for games, steps in ((0, 3), (2**16, 2**15)):
        with pytest.raises(ValueError, match=r"^games, steps: expected "):
            shuffle_samples(games, steps, 0, keys, None)

"""The network on tiles on a GPU beside its model in float64 and the CPU's learner.

Run by tests/test_device_learning.py in a process of its own: in numba's simulator, and on a GPU if
there is one.
"""

import numpy as np
import pytest
from numba.core import config

from fastpg.device import _network_kernels as kernels
from fastpg.device.network import DeviceNetwork
from fastpg.device.record import DeviceRecord
from fastpg.kernels._cuda_jit import cuda_module as cuda
from fastpg.tiles import Sight, TileNetwork
from tests.tile_model import Entries, Model, make_entries, make_network

SIMULATED = bool(config.ENABLE_CUDASIM)
MOST_TILES = 400  # a view of the model's entries has dots everywhere
SIGHTS = {  # with hidden units, actions, cells
    "difference": (Sight((0, 1), True), 5, 2, 0),
    "difference of cells": (Sight((0, 2), True, 1), 7, 5, 7),
    "stack": (Sight((0, 1, 4), False, 2), 5, 5, 0),
    "stack of cells": (Sight((0, 2), False, 1), 6, 2, 5),
    "one view": (Sight((0,), False, 0), 40, 3, 0),
}


def outputs_of(actions):
    return 1 if actions == 2 else actions


def twins(sight, hidden, actions, cell, value=True, seed=0):
    """Networks of CPU and GPU with equal weights."""
    outputs = outputs_of(actions)
    host = make_network(sight, hidden, actions, outputs, value, seed, cell)
    device = DeviceNetwork(hidden, sight, actions, outputs, value, cell)
    device.load(host.tensors())
    return host, device


def side_by_side(record, games):
    """A record's entries game by game as ``DeviceRecord`` has them: of each, its number there."""
    steps = record.entries // games
    entries = np.arange(games * steps)
    return entries % steps * games + entries // steps


def evaluated(device, record, chosen):
    """Hidden units and heads of entries."""
    hidden = cuda.device_array((len(chosen), device.hidden), np.float32)
    heads = cuda.device_array((len(chosen), device.heads), np.float32)
    arguments = device.layers, record.entries, cuda.to_device(chosen.astype(np.int32))
    kernels.evaluate[kernels.BLOCKS, kernels.THREADS](*arguments, hidden, heads)
    return hidden.copy_to_host(), heads.copy_to_host()


# ---- weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [0, 6])
def test_weights_are_the_cpu_s_and_come_back(cell):
    arguments = 9, Sight((0, 3), False, 2), 6, 6, True, cell
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


@pytest.mark.parametrize("name", SIGHTS)
def test_heads_are_the_model_s(name):
    sight, hidden, actions, cell = SIGHTS[name]
    host, device = twins(sight, hidden, actions, cell)
    entries = make_entries(np.random.default_rng(1), 24, actions)
    games = 1 + (sight.carry == 0)
    record = DeviceRecord.of_host(entries.record(), games, MOST_TILES)
    chosen = np.arange(24)
    units, heads = evaluated(device, record, side_by_side(entries.record(), games))
    model = Model(host, actions)
    x, terms = model.inputs(entries, chosen)
    expected = np.maximum(x @ model.w1, 0)
    assert (expected > 0).any()
    bound = (terms.sum(axis=1, keepdims=True) + 1) * 2.0**-24 * (terms @ np.abs(model.w1))
    assert (np.abs(units - expected) <= bound).all()
    assert (np.abs(heads - expected @ model.heads.T) <= model.rounding(x, terms)).all()


def test_games_look_back_at_their_own_entries():
    """Two games of 12 steps, each an episode's begin: equal to each alone."""
    sight, hidden, actions = Sight((0, 2), False, 2), 6, 5
    _, device = twins(sight, hidden, actions, 0)
    rng = np.random.default_rng(2)
    entries = make_entries(rng, 24, actions)
    entries.ages[12:] = entries.ages[:12]
    both = DeviceRecord.of_host(entries.record(), 2, MOST_TILES)
    got = evaluated(device, both, side_by_side(entries.record(), 2))
    for game in range(2):
        own = slice(12 * game, 12 * (game + 1))
        part = Entries(*(getattr(entries, k)[own] for k in vars(entries)))
        alone = DeviceRecord.of_host(part.record(), 1, MOST_TILES)
        for a, b in zip(got, evaluated(device, alone, np.arange(12)), strict=True):
            assert a[own].tobytes() == b.tobytes()


def test_a_record_s_rows_and_growth():
    entries = make_entries(np.random.default_rng(3), 12, 4)
    record = DeviceRecord.of_host(entries.record(), 3, MOST_TILES)
    before = record.entries.tiles.copy_to_host()
    np.testing.assert_array_equal(
        record.rows("actions", 1, 2).copy_to_host(), entries.actions.reshape(3, 4).T[1:3]
    )
    record.grow()
    assert record.steps == 8
    np.testing.assert_array_equal(record.entries.tiles.copy_to_host()[:12], before)
    np.testing.assert_array_equal(
        record.rows("chances", 0, 4).copy_to_host(), entries.chances.reshape(3, 4).T
    )
    record.check()
    record.entries.status.copy_to_device(np.ones(1, np.int32))
    with pytest.raises(MemoryError, match=r"^a view has more than 400 tiles, "):
        record.check()
    with pytest.raises(ValueError, match=r"^record: expected at most 32 tiles a view, got \d+$"):
        DeviceRecord.of_host(entries.record(), 3)

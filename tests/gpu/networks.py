"""Networks of CPU and GPU with equal weights: for the tests of both their parts."""

from fastpg.cuda.network import DeviceNetwork
from fastpg.network.input_spec import InputSpec
from tests.support.tile_model import make_network

MAX_TILES = 400  # the model's views have dots everywhere
INPUT_SPECS = {  # with hidden units, actions, cells
    "difference": (InputSpec((0, 1), True), 5, 2, 0),
    "difference of cells": (InputSpec((0, 2), True, 1), 7, 5, 7),
    "stack": (InputSpec((0, 1, 4), False, 2), 5, 5, 0),
    "stack of cells": (InputSpec((0, 2), False, 1), 6, 2, 5),
    "one view": (InputSpec((0,), False, 0), 40, 3, 0),
    # more units than a block has threads
    "many units": (InputSpec((0, 1, 4), False, 0), 300, 3, 5),
}


def make_pair(input_spec, hidden, actions, cell, value=True, seed=0, mirrored=None):
    """Networks of CPU and GPU with equal weights."""
    outputs = 1 if actions == 2 else actions
    host = make_network(input_spec, hidden, actions, outputs, value, seed, cell, mirrored)
    device = DeviceNetwork(hidden, input_spec, actions, outputs, value, cell, mirrored)
    device.load(host.tensors())
    return host, device

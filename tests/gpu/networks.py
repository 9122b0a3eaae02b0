"""Networks and rollout buffers on CPU and GPU with equal contents."""

import numpy as np

from fastpg.cuda.buffer import DTYPES, MAX_TILES, DeviceBuffer
from fastpg.cuda.network import DeviceNetwork
from fastpg.network.input_spec import InputSpec
from tests.support.tile_model import make_network

MODEL_TILES = 400  # tiles per view at most: the model's views have dots everywhere
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


def device_buffer(buffer, games, max_tiles=MAX_TILES):
    """Copy a rollout buffer of the CPU, whose slots lie game by game, to the GPU."""
    steps = buffer.slots // games
    order = np.arange(games * steps).reshape(games, steps).T.ravel()
    tiles = np.zeros((len(order), max_tiles), np.uint16)
    for row, slot in zip(tiles, order, strict=True):
        begin, count = int(buffer.tile_offsets[slot]), int(buffer.tile_counts[slot])
        row[:count] = buffer.tiles[begin : begin + count]  # raises if there are too many
    copy = DeviceBuffer(games, steps, max_tiles)
    copy.slots.tiles.copy_to_device(tiles)
    for name in DTYPES:
        getattr(copy.slots, name).copy_to_device(getattr(buffer, name)[order])
    return copy

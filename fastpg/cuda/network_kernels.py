"""Kernels of the network's own: its weights added up, its heads at any slots."""

import numpy as np

from fastpg.cuda.forward import forward
from fastpg.kernels._cuda.jit import SIMULATED, counted, cuda, device, index, kernel
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network._network import TILE_PIXELS

# Of every grid here and in _learning_kernels.py: the same on each GPU, so that sums are too.
BLOCKS, THREADS = (2, 4) if SIMULATED else (2048, 128)


@device
def cells_across(cell):
    """Cells along a view's side."""
    return (VIEW_SIDE + counted(cell) - 1) // counted(cell)


@device
def cell_row(net, row):
    """The row of ``parts`` that a pixel's row shares with the pixels of its cell."""
    cell, across, row = counted(net.cell), cells_across(net.cell), counted(row)
    pixel = row % TILE_PIXELS
    x, y = pixel // VIEW_SIDE // cell, pixel % VIEW_SIDE // cell
    return net.w1.shape[0] + (row // TILE_PIXELS * across + x) * across + y


@kernel
def add_up(net, changed):
    """Rows of w1 from their parts, where those changed; only for networks that have cells.

    A pixel's row changes with its cell's: ``changed`` (rows or more,) uint8 need not name it.
    """
    for row in range(cuda.blockIdx.x, net.w1.shape[0], cuda.gridDim.x):
        shared = cell_row(net, row) if row < net.past else row
        if changed[shared]:
            unit = cuda.threadIdx.x
            while unit < net.w1.shape[1]:
                total = net.parts[index(row), index(unit)]
                if shared != row:
                    total += net.parts[index(shared), index(unit)]
                net.w1[index(row), index(unit)] = total
                unit += cuda.blockDim.x


@kernel
def evaluate(net, buffer, chosen, hidden, heads):
    """Hidden units (C, H) and heads (C, heads) of the slots ``chosen`` (C,) int32."""
    for i in range(cuda.blockIdx.x, chosen.shape[0], cuda.gridDim.x):
        forward(net, buffer, np.int64(chosen[i]), hidden[i], heads[i])

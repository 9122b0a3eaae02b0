"""The network's kernel that adds up the parts of its weights, and the grid of learning."""

from fastpg.kernels._cuda.jit import counted, cuda, device, index, kernel
from fastpg.kernels.geometry import VIEW_SIDE
from fastpg.network._network import TILE_PIXELS

# Grid of every kernel here and in learning_kernels.py. It is the same on every GPU, and so is the
# order in which the blocks' sums are added.
BLOCKS, THREADS = 2048, 128


@device
def cells_per_side(cell):
    """Cells along a view's side."""
    return (VIEW_SIDE + counted(cell) - 1) // counted(cell)


@device
def cell_row(net, row):
    """Row of ``parts`` that a pixel's row shares with the other pixels of its cell."""
    cell, across, row = counted(net.cell), cells_per_side(net.cell), counted(row)
    pixel = row % TILE_PIXELS
    x, y = pixel // VIEW_SIDE // cell, pixel % VIEW_SIDE // cell
    return net.w1.shape[0] + (row // TILE_PIXELS * across + x) * across + y


@kernel
def add_parts(net, changed):
    """Recompute the rows of w1 whose parts changed; only for networks with cells.

    ``changed`` (at least rows,) uint8 is read at the cell's row, not at the pixel's: a pixel's part
    never changes without its cell's.
    """
    for row in range(cuda.blockIdx.x, net.w1.shape[0], cuda.gridDim.x):
        shared = cell_row(net, row) if row < net.action_rows else row
        if changed[shared]:
            unit = cuda.threadIdx.x
            while unit < net.w1.shape[1]:
                total = net.parts[index(row), index(unit)]
                if shared != row:
                    total += net.parts[index(shared), index(unit)]
                net.w1[index(row), index(unit)] = total
                unit += cuda.blockDim.x

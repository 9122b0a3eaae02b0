"""The kernels of :class:`fastpg.cuda.DevicePong`: one thread per game, or per pair of views.

numba cannot cache kernels that link foreign code. The emulator itself, which takes long to compile,
is cached by :mod:`fastpg.cuda.compiler`.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np

from fastpg.cuda.functions import load, pointer
from fastpg.kernels._cuda.jit import cuda, cuda_module


@cache
def kernels(capability: tuple[int, int]) -> SimpleNamespace:
    """Return the kernels for a compute capability.

    Raises:
        BackendUnavailable: as :func:`fastpg.cuda.functions.load`.
    """
    emulator = load(capability)
    begin_game, play_game = emulator.begin, emulator.play
    difference, tiles_of = emulator.difference, emulator.tiles

    @cuda_module.jit
    def begin(games, shared, seeds, scratch, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            begin_game(
                pointer(games),
                pointer(shared),
                pointer(seeds),
                pointer(scratch),
                pointer(views),
                np.int32(n),
            )

    @cuda_module.jit
    def play(games, shared, actions, scratch, rewards, dones, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            play_game(
                pointer(games),
                pointer(shared),
                pointer(actions),
                pointer(scratch),
                pointer(rewards),
                pointer(dones),
                pointer(views),
                np.int32(n),
                np.int32(games.shape[0]),
                np.int32(actions.shape[0]),
            )

    @cuda_module.jit
    def count_differences(current, previous, empty, offsets):
        """offsets[n + 1] = number of pixels in which views n differ."""
        for n in range(cuda.grid(1), current.shape[0], cuda.gridsize(1)):
            offsets[n + 1] = difference(
                pointer(current[n]),
                pointer(previous[n]),
                pointer(empty),
                pointer(empty),
                np.int32(0),
            )

    @cuda_module.jit
    def write_differences(current, previous, offsets, indices, signs):
        """Row n of the sparse difference, as far as it fits."""
        for n in range(cuda.grid(1), current.shape[0], cuda.gridsize(1)):
            first = min(offsets[n], indices.shape[0])
            difference(
                pointer(current[n]),
                pointer(previous[n]),
                pointer(indices[first:]),
                pointer(signs[first:]),
                np.int32(indices.shape[0] - first),
            )

    @cuda_module.jit
    def count_tiles(views, empty, offsets):
        """offsets[n + 1] = number of tiles of view n."""
        for n in range(cuda.grid(1), views.shape[0], cuda.gridsize(1)):
            offsets[n + 1] = tiles_of(pointer(views[n]), pointer(empty), np.int32(0))

    @cuda_module.jit
    def write_tiles(views, offsets, tiles):
        """Tiles of view n, as far as they fit."""
        for n in range(cuda.grid(1), views.shape[0], cuda.gridsize(1)):
            first = min(offsets[n], tiles.shape[0])
            capacity = np.int32(tiles.shape[0] - first)
            tiles_of(pointer(views[n]), pointer(tiles[first:]), capacity)

    return SimpleNamespace(
        begin=begin,
        play=play,
        count_differences=count_differences,
        write_differences=write_differences,
        count_tiles=count_tiles,
        write_tiles=write_tiles,
    )

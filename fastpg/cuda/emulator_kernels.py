"""The launches of :class:`fastpg.cuda.DevicePong`: a thread a game, or a pair of views.

Not cached by numba, which cannot keep what it links; the code that takes time to compile is.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np

from fastpg.cuda.functions import load, pointer
from fastpg.kernels._cuda.jit import cuda, cuda_module


@cache
def kernels(capability: tuple[int, int]) -> SimpleNamespace:
    """The kernels for a compute capability.

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
    def play(games, shared, actions, scratch, rewards, ends, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            play_game(
                pointer(games),
                pointer(shared),
                pointer(actions),
                pointer(scratch),
                pointer(rewards),
                pointer(ends),
                pointer(views),
                np.int32(n),
                np.int32(games.shape[0]),
                np.int32(actions.shape[0]),
            )

    @cuda_module.jit
    def count_differences(current, previous, nothing, offsets):
        """offsets[n + 1] = in how many pixels views n differ."""
        for n in range(cuda.grid(1), current.shape[0], cuda.gridsize(1)):
            offsets[n + 1] = difference(
                pointer(current[n]),
                pointer(previous[n]),
                pointer(nothing),
                pointer(nothing),
                np.int32(0),
            )

    @cuda_module.jit
    def write_differences(current, previous, offsets, indices, signs):
        """Row n of the sparse difference, as far as there is room."""
        for n in range(cuda.grid(1), current.shape[0], cuda.gridsize(1)):
            begins = min(offsets[n], indices.shape[0])
            difference(
                pointer(current[n]),
                pointer(previous[n]),
                pointer(indices[begins:]),
                pointer(signs[begins:]),
                np.int32(indices.shape[0] - begins),
            )

    @cuda_module.jit
    def count_tiles(views, nothing, offsets):
        """offsets[n + 1] = of how many tiles view n is made."""
        for n in range(cuda.grid(1), views.shape[0], cuda.gridsize(1)):
            offsets[n + 1] = tiles_of(pointer(views[n]), pointer(nothing), np.int32(0))

    @cuda_module.jit
    def write_tiles(views, offsets, tiles):
        """Tiles of view n, as far as there is room."""
        for n in range(cuda.grid(1), views.shape[0], cuda.gridsize(1)):
            begins = min(offsets[n], tiles.shape[0])
            room = np.int32(tiles.shape[0] - begins)
            tiles_of(pointer(views[n]), pointer(tiles[begins:]), room)

    return SimpleNamespace(
        begin=begin,
        play=play,
        count_differences=count_differences,
        write_differences=write_differences,
        count_tiles=count_tiles,
        write_tiles=write_tiles,
    )

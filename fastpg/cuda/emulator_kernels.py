"""The kernels of :class:`fastpg.cuda.DevicePong`: one thread per game.

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

    @cuda_module.jit
    def begin(games, shared, seeds, scratch, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            arrays = pointer(games), pointer(shared), pointer(seeds), pointer(scratch)
            begin_game(*arrays, pointer(views), np.int32(n))

    @cuda_module.jit
    def play(games, shared, actions, scratch, rewards, dones, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            arrays = pointer(games), pointer(shared), pointer(actions), pointer(scratch)
            results = pointer(rewards), pointer(dones), pointer(views)
            sizes = np.int32(games.shape[0]), np.int32(actions.shape[0])
            play_game(*arrays, *results, np.int32(n), *sizes)

    return SimpleNamespace(begin=begin, play=play)

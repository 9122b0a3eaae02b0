"""Launches over the record's rows: what is carried over, what is learned from, in which order."""

import numpy as np

from fastpg._training import SHUFFLE_KEYS
from fastpg.kernels._cuda_jit import cuda, device, kernel

_WORD = np.uint64(0xFFFFFFFF)


@kernel
def carry_over(games, first, rows, tiles, counts, ages, actions):
    """Copy ``rows`` rows of a record from row ``first`` to its begin, a thread a column.

    The rows may overlap: each column is copied in the order of its rows.
    """
    width = tiles.shape[1]
    for i in range(cuda.grid(1), games * width, cuda.gridsize(1)):
        game, column = i // width, i % width
        for row in range(rows):
            entry, source = row * games + game, (first + row) * games + game
            tiles[entry, column] = tiles[source, column]
            if column == 0:
                counts[entry] = counts[source]
                ages[entry] = ages[source]
                actions[entry] = actions[source]


@kernel
def emulated_frames(states, first, second, frames):
    """Frames of each game's life: the sum of two words of its state."""
    for n in range(cuda.grid(1), frames.shape[0], cuda.gridsize(1)):
        frames[n] = states[n, first] + states[n, second]


# ---- the order of samples --------------------------------------------------------------------


@device
def _mixed(x):
    """``fastpg_mix`` of csrc/fastpg_shuffle.h: 32 bits in 64."""
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & _WORD
    x = ((x ^ (x >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & _WORD
    return x ^ (x >> np.uint64(16))


@device
def shuffled(at, count, keys):
    """``fastpg_shuffled``: the number at place ``at`` of 0..count-1 in the order of the keys."""
    bits = np.uint64(2)
    while bits < np.uint64(32) and (np.uint64(count - 1) >> bits) != np.uint64(0):
        bits += np.uint64(1)
    low = bits >> np.uint64(1)
    low_mask = (np.uint64(1) << low) - np.uint64(1)
    high_mask = (np.uint64(1) << (bits - low)) - np.uint64(1)
    place = np.uint64(at)
    while True:
        left, right = place >> low, place & low_mask
        for k in range(0, SHUFFLE_KEYS, 2):
            left ^= _mixed((right + np.uint64(keys[k])) & _WORD) & high_mask
            right ^= _mixed((left + np.uint64(keys[k + 1])) & _WORD) & low_mask
        place = (left << low) | right
        if place < np.uint64(count):
            return np.int64(place)


@kernel
def shuffled_samples(games, steps, first, keys, samples):
    """Entries of ``steps`` rows from row ``first`` on, in the order in which the CPU shuffles.

    Its samples are numbered game by game, those of this record lie step by step.
    """
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        number = shuffled(i, games * steps, keys)
        samples[i] = (first + number % steps) * games + number // steps


# ---- whole episodes --------------------------------------------------------------------------


@kernel
def episode_samples(games, begins, offsets, samples):
    """Entries of episodes, a block an episode: number k begins with entry ``begins[k]``."""
    for k in range(cuda.blockIdx.x, begins.shape[0], cuda.gridDim.x):
        steps = offsets[k + 1] - offsets[k]
        for step in range(cuda.threadIdx.x, steps, cuda.blockDim.x):
            samples[offsets[k] + step] = begins[k] + step * games


@kernel
def gathered(values, samples, taken):
    """Write to each place of ``taken`` the value of its sample."""
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        taken[i] = values[samples[i]]


@kernel
def scattered(taken, samples, values):
    """Write the values of samples, each to its place."""
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        values[samples[i]] = taken[i]

"""Minibatches on the GPU: the permutation of csrc/network/shuffle.h, one element per thread."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda.network_kernels import BLOCKS, THREADS
from fastpg.kernels._cuda.jit import cuda, device, kernel
from fastpg.network._network import SHUFFLE_KEYS

_LOW = np.uint64(0xFFFFFFFF)


class Minibatch(NamedTuple):
    """A slice of a shuffled array of samples."""

    order: Any  #: int32 on the GPU, slots of a buffer: all samples of an epoch.
    first: int  #: index of the minibatch's first sample.
    size: int  #: number of samples.


@device
def _mix(x):
    """MurmurHash3's finalizer on 32 bits, held in 64."""
    x = ((x ^ x >> np.uint64(16)) * np.uint64(0x85EBCA6B)) & _LOW
    x = ((x ^ x >> np.uint64(13)) * np.uint64(0xC2B2AE35)) & _LOW
    return x ^ x >> np.uint64(16)


@device
def permuted(i, count, keys):
    """Element i of the permutation of 0..count-1 that ``SHUFFLE_KEYS`` uint32 keys select.

    A Feistel network on the bits of ``count - 1``, repeated until the result is below ``count``.
    ``i`` and ``count`` are uint64.
    """
    bits = np.uint64(2)
    while bits < np.uint64(32) and (count - np.uint64(1)) >> bits > np.uint64(0):
        bits += np.uint64(1)
    low = bits >> np.uint64(1)
    low_mask = (np.uint64(1) << low) - np.uint64(1)
    high_mask = (np.uint64(1) << (bits - low)) - np.uint64(1)
    outside = True
    while outside:
        left, right = i >> low, i & low_mask
        for k in range(0, len(keys), 2):
            left ^= _mix((right + np.uint64(keys[k])) & _LOW) & high_mask
            right ^= _mix((left + np.uint64(keys[k + 1])) & _LOW) & low_mask
        i = left << low | right
        outside = i >= count
    return i


@kernel
def shuffle(keys, games, steps, lookback, samples):
    """Write the slots of ``games * steps`` samples, numbered game by game, in the keys' order."""
    count = np.uint64(samples.shape[0])
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        number = np.int64(permuted(np.uint64(i), count, keys))
        samples[i] = (lookback + number % steps) * games + number // steps


def shuffle_samples(games: int, steps: int, lookback: int, keys: np.ndarray, samples: Any) -> None:
    """Write all samples of a rollout in shuffled order: that of the CPU's minibatches.

    Args:
        games: N.
        steps: T, steps of each game.
        lookback: look-back rows of the buffer before them.
        keys: (SHUFFLE_KEYS,) uint32.
        samples: (N * T,) int32 on the GPU, written: slots of a
            :class:`fastpg.cuda.buffer.DeviceBuffer`. Element i is the sample that
            ``RolloutCollector.minibatches`` of the CPU has at i before it sorts each minibatch.

    Raises:
        ValueError: keys of another shape or dtype, or more slots than int32 can number.
    """
    if keys.shape != (SHUFFLE_KEYS,) or keys.dtype != np.uint32:
        raise ValueError(f"keys: expected ({SHUFFLE_KEYS},) uint32, got {keys.shape} {keys.dtype}")
    if not 0 < games * (lookback + steps) < 2**31:
        raise ValueError(f"games, steps: expected 1 to 2**31 - 1 slots, got {games}, {steps}")
    # Keys are passed by value: a copy to the GPU would wait until it is idle.
    shuffle[BLOCKS, THREADS](tuple(keys), games, steps, lookback, samples)

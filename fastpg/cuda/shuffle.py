"""Minibatches on the GPU: samples in the order of csrc/network/shuffle.h, each found by itself."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda.network_kernels import BLOCKS, THREADS
from fastpg.kernels._cuda.jit import cuda, device, kernel
from fastpg.network._network import SHUFFLE_KEYS

_LOW = np.uint64(0xFFFFFFFF)


class Minibatch(NamedTuple):
    """Samples that lie one behind the other in an array.

    Attributes:
        order: (all,) int32 on the GPU, slots of a buffer.
        first: the place of the first.
        size: how many there are.
    """

    order: Any
    first: int
    size: int


@device
def _mix(x):
    """The finaliser of MurmurHash3 on 32 bits, held in 64."""
    x = ((x ^ x >> np.uint64(16)) * np.uint64(0x85EBCA6B)) & _LOW
    x = ((x ^ x >> np.uint64(13)) * np.uint64(0xC2B2AE35)) & _LOW
    return x ^ x >> np.uint64(16)


@device
def shuffled(at, count, keys):
    """The number at place ``at`` of 0..count-1 in the order of ``SHUFFLE_KEYS`` keys, uint32.

    ``at`` and ``count`` are uint64.
    """
    bits = np.uint64(2)
    while bits < np.uint64(32) and (count - np.uint64(1)) >> bits > np.uint64(0):
        bits += np.uint64(1)
    low = bits >> np.uint64(1)
    low_mask = (np.uint64(1) << low) - np.uint64(1)
    high_mask = (np.uint64(1) << (bits - low)) - np.uint64(1)
    beyond = True
    while beyond:
        left, right = at >> low, at & low_mask
        for k in range(0, len(keys), 2):
            left ^= _mix((right + np.uint64(keys[k])) & _LOW) & high_mask
            right ^= _mix((left + np.uint64(keys[k + 1])) & _LOW) & low_mask
        at = left << low | right
        beyond = at >= count
    return at


@kernel
def shuffle(keys, games, steps, lookback, samples):
    """The slots of ``games * steps`` samples, numbered game by game, in the order of keys."""
    count = np.uint64(samples.shape[0])
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        number = np.int64(shuffled(np.uint64(i), count, keys))
        samples[i] = (lookback + number % steps) * games + number // steps


def shuffled_samples(
    games: int, steps: int, lookback: int, keys: np.ndarray, out: Any = None
) -> Any:
    """All samples of some steps of the games once, in the order of the CPU's minibatches.

    Args:
        games: N.
        steps: T, of each game.
        lookback: the buffer's steps before them.
        keys: (SHUFFLE_KEYS,) uint32.
        out: where they are written to, as what is returned; None: to a new array.

    Returns:
        (N * T,) int32 on the GPU, slots of a :class:`fastpg.cuda.buffer.DeviceBuffer`: at each
        place the step of the game that ``RolloutCollector.minibatches`` of the CPU takes there
        (which then sorts each minibatch).

    Raises:
        ValueError: keys of another shape or dtype, or more samples than int32 can number.
    """
    if keys.shape != (SHUFFLE_KEYS,) or keys.dtype != np.uint32:
        raise ValueError(f"keys: expected ({SHUFFLE_KEYS},) uint32, got {keys.shape} {keys.dtype}")
    if not 0 < games * (lookback + steps) < 2**31:
        raise ValueError(f"games, steps: expected 1 to 2**31 - 1 slots, got {games}, {steps}")
    samples = cuda.device_array((games * steps,), np.int32) if out is None else out
    # by value: a copy to the GPU would wait until it is idle
    shuffle[BLOCKS, THREADS](tuple(keys), games, steps, lookback, samples)
    return samples

"""Sample an action in a thread of the GPU, as csrc/rollouts/rollout.h does."""

import numpy as np

from fastpg.kernels._cuda.jit import device
from fastpg.kernels._numba.scalar import ZERO, philox_uniform

MIN_PROBABILITY = np.finfo(np.float32).tiny  # stored at least: PPO's ratio divides by it


@device
def sample_action(probabilities, outputs, seed, stream, step):
    """Action selected by the uniform random number of three uint64 keys."""
    uniform = philox_uniform(stream, step, seed)
    if outputs == 1:
        return 1 if uniform < probabilities[0] else 0
    cumulative, action = ZERO, 0
    for a in range(outputs - 1):
        cumulative += probabilities[a]
        if uniform >= cumulative:
            action += 1
    return action

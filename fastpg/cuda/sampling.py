"""How a thread of the GPU draws an action: as csrc/rollouts/rollout.h does it."""

import numpy as np

from fastpg.kernels._cuda.jit import device
from fastpg.kernels._numba.scalar import ZERO, philox_uniform

LEAST_CHANCE = np.finfo(np.float32).tiny  # that is written down: ratios divide by it


@device
def drawn_action(probabilities, outputs, seed, stream, step):
    """The action that a keyed random number draws; all three keys are uint64."""
    uniform = philox_uniform(stream, step, seed)
    if outputs == 1:
        return 1 if uniform < probabilities[0] else 0
    cumulative, action = ZERO, 0
    for a in range(outputs - 1):
        cumulative += probabilities[a]
        if uniform >= cumulative:
            action += 1
    return action

"""How a game's seed becomes the seeds of its generators, as in ale-py's Gymnasium environment."""

from typing import Any

import numpy as np


def derive_seeds(seed: int | None) -> tuple[int, int]:
    """Return the seeds of NumPy's generator (frame skips, no-op starts) and of ALE, 32 bits each.

    Args:
        seed: at least 0; None takes entropy from the system.

    Raises:
        ValueError: ``seed`` is neither None nor an int >= 0.
    """
    if seed is not None and (
        isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0
    ):
        raise ValueError(f"seed: expected an int of at least 0, got {seed!r}")
    numpy_seed, ale_seed = np.random.SeedSequence(seed).generate_state(2)
    return int(numpy_seed), int(ale_seed)


def seed_words(seed: int | None) -> tuple[int, int, int]:
    """Return what our emulator is seeded with: PCG64 state, PCG64 increment and ALE's seed.

    Args:
        seed: as in :func:`derive_seeds`.

    Raises:
        ValueError: as in :func:`derive_seeds`.
    """
    return words_of_seeds(*derive_seeds(seed))


def words_of_seeds(numpy_seed: int, ale_seed: int) -> tuple[int, int, int]:
    """Return :func:`seed_words`, from the seeds that :func:`derive_seeds` returned."""
    state: Any = np.random.PCG64(numpy_seed).state["state"]
    return state["state"], state["inc"], ale_seed

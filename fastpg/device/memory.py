"""How much of a GPU's memory games take, and how many fit.

For N environments and launches of T steps::

    fixed + N * (state + scratch + seed + T * step)

    state    SNAPSHOT_BYTES   5,552  the game
    scratch  SCRATCH_BYTES   40,000  a picture of 33,600 bytes, a view's 6,400; without views 0
    step     806                     action 1, reward 4, end 1, view 800; without views 6
    fixed    STACK_BYTES of each thread that the GPU may hold at a time (the driver sets them aside
             when a kernel is loaded), what games share, the code
"""

from typing import Any

from fastpg._emulator import SCRATCH_BYTES, SNAPSHOT_BYTES

VIEW_BYTES = 800
STEP_BYTES = 6  # action, reward, end
SEED_BYTES = 64  # of a reset, rounded up
STACK_BYTES = 8 * 1024  # of a thread; tests/test_device_compile.py compares it with the code's
SHARED_BYTES = 4 << 20  # the code and what games share, rounded up


def bytes_needed(environments: int, steps: int = 1, views: bool = True, fixed: int = 0) -> int:
    """Bytes of the GPU's memory for so many environments and launches of so many steps."""
    each = SNAPSHOT_BYTES + SEED_BYTES + steps * (STEP_BYTES + VIEW_BYTES * views)
    return fixed + environments * (each + SCRATCH_BYTES * views)


def most_environments(free: int, steps: int = 1, views: bool = True, fixed: int = 0) -> int:
    """How many environments fit into so many free bytes."""
    return max(0, (free - fixed) // bytes_needed(1, steps, views))


def fixed_bytes(device: Any) -> int:
    """What a GPU takes whatever the number of environments: numba's ``Device``."""
    threads = device.MULTIPROCESSOR_COUNT * device.MAX_THREADS_PER_MULTIPROCESSOR
    return int(threads) * STACK_BYTES + SHARED_BYTES


def require_room(
    environments: int, free: int, steps: int = 1, views: bool = True, fixed: int = 0
) -> None:
    """Raise unless the environments fit.

    Args:
        environments: how many are wanted.
        free: bytes of the GPU's memory that nobody uses.
        steps: of a launch.
        views: whether views are made.
        fixed: see :func:`fixed_bytes`.

    Raises:
        MemoryError: they do not; the message names the largest number that does.
    """
    needed = bytes_needed(environments, steps, views, fixed)
    if needed > free:
        most = most_environments(free, steps, views, fixed)
        raise MemoryError(
            f"num_envs: {environments:,} environments with {steps} steps a launch need "
            f"{needed / 2**30:.1f} GiB of the GPU's memory, {free / 2**30:.1f} GiB are free; "
            f"{most:,} fit"
        )

"""Choose how many games share a block.

Games of a warp take turns where their control flow diverges, and games of a block wait for each
other's forward passes. So fewer games share a block while there are multiprocessors to spare. The
results do not depend on it.
"""

from fastpg.kernels._cuda.jit import cuda_module

FIXED: int | None = None  # overrides the choice; set by benchmarks/gpu.py --games-per-block


def games_per_block(games: int, blocks: int, lowest: int, highest: int) -> int:
    """Number from ``lowest`` to ``highest`` that gives each multiprocessor about ``blocks``."""
    if FIXED is not None:
        return FIXED
    multiprocessors = cuda_module.get_current_device().MULTIPROCESSOR_COUNT
    return max(lowest, min(highest, -(-games // (blocks * multiprocessors))))

"""How many games share a block.

Games of a warp take turns where their ways part, and games of a block wait for each other's forward
passes. So while there are multiprocessors to spare, fewer games share one. No bit depends on it.
"""

from fastpg.kernels._cuda.jit import SIMULATED, cuda_module

FIXED: int | None = None  # games a block whatever their number; benchmarks/gpu.py tries some


def games_a_block(games: int, blocks: int, least: int, most: int) -> int:
    """From ``least`` to ``most``, so that a multiprocessor has about so many blocks."""
    if FIXED is not None:
        return FIXED
    if SIMULATED:
        return most
    multiprocessors = cuda_module.get_current_device().MULTIPROCESSOR_COUNT
    return max(least, min(most, -(-games // (blocks * multiprocessors))))

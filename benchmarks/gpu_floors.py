"""Estimate a lower bound of each op's time on a GPU, from counts of its compiled code.

``python -m tests.gpu.ptx --counts=FILE python -m benchmarks.gpu_floors`` needs no GPU and measures
no time. It counts instructions of warps and bytes (tests/gpu/ptx/counts.c) and divides them by an
H100's peak rates. Where instructions take about as long as memory or longer, the op will hardly
reach the memory's rate. Latencies and launches are not included, PTX instructions are not the GPU's
instructions, some of which take two cycles, and small arrays stay in caches.
"""

import argparse
import json
import os
import sys
from pathlib import Path

INSTRUCTIONS = 132 * 4 * 1.98e9  # of warps per second, of an H100
MEMORY = 3.35e12  # bytes per second
CACHE = 132 * 64 * 1.98e9  # bytes per second between the L2 cache and the multiprocessors


def floors(size: int, op: str, counts: Path) -> str:
    """A row of the table."""
    from benchmarks.bench_kernels import options
    from benchmarks.gpu import on_device
    from fastpg.kernels import get_backend
    from fastpg.kernels._cuda.jit import cuda_module as cuda
    from tests.support.cases import case

    made = case(op, **options(op, size))
    there, moved = on_device(cuda, made)
    cuda.synchronize()
    before = len(counts.read_text().splitlines()) if counts.exists() else 0
    getattr(get_backend("cuda").loops, op)(*there)
    cuda.synchronize()
    launches = [json.loads(line) for line in counts.read_text().splitlines()[before:]]
    total = {key: sum(one[key] for one in launches) for key in launches[0] if key != "kernel"}
    touched = total["bytes_read"] + total["bytes_written"]
    times = {
        "memory": touched / MEMORY,
        "cache": 32 * total["transactions"] / CACHE,
        "instructions": total["instructions"] / INSTRUCTIONS,
    }
    share = moved / max(times.values()) / MEMORY
    cells = [f"{1e6 * time:,.3g}" for time in times.values()]
    active = total["thread_instructions"] / total["instructions"] / 32  # threads of a warp
    cells += [f"{active:.0%}", f"{share:.0%}"]
    return f"| {op} | {size:,} | {moved:,} | {touched:,} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    from fastpg.kernels.spec import BY_NAME

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("ops", nargs="*", default=list(BY_NAME), help="default: all")
    arguments = parser.parse_args()
    counts = os.environ.get("PTX_COUNTS")
    if not counts:
        sys.exit("benchmarks.gpu_floors: run it with python -m tests.gpu.ptx --counts=FILE")
    names = (
        "op | N | bytes of arrays | touched | memory, us | cache | instructions | active | share"
    )
    print(f"| {names} |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for op in arguments.ops:
        print(floors(arguments.size, op, Path(counts)), flush=True)


if __name__ == "__main__":
    main()

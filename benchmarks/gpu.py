"""Measure emulation, training and kernels on the GPU: Markdown tables, and a plot of the scaling.

``python -m benchmarks.gpu`` prints the report and writes it to benchmarks/results/, named after the
GPU. benchmarks/gpu.sh builds everything, runs the tests on the device, and then calls this. A time
is the median over rounds; a round is a number of launches and the wait until the GPU has finished.
"""

import argparse
import os
import platform
import re
import statistics
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.gpu_training import divergence_lines, error_cell, score_lines, training_table
from fastpg.kernels import BackendUnavailable

RESULTS = Path(__file__).parent / "results"
ENVIRONMENTS = (256, 1024, 4096, 16384, 65536)
SIZES = (128, 1024, 16384)  # of the kernels
SKIP = 4  # frames per step, which has one view


def seconds_each(call: Callable[[], object], wait: Callable[[], object], seconds: float) -> float:
    """Median seconds per call over five rounds, which take ``seconds`` together."""
    call()  # compiles
    wait()
    began = perf_counter()
    call()
    wait()
    calls = max(1, int(seconds / 5 / max(1e-6, perf_counter() - began)))
    rounds = []
    for _ in range(5):
        began = perf_counter()
        for _ in range(calls):
            call()
        wait()
        rounds.append((perf_counter() - began) / calls)
    return statistics.median(rounds)


def memory_rate(cuda, size: int, seconds: float) -> float:
    """Bytes per second, read and written, of a copy within the GPU's memory."""
    one, other = (cuda.device_array(size, np.uint8) for _ in range(2))
    call = lambda: other.copy_to_device(one)  # noqa: E731
    return 2 * size / seconds_each(call, cuda.synchronize, seconds)


def emulation(cuda, environments: int, steps: int, seconds: float) -> tuple[float, float]:
    """Frames per second with a view every fourth frame, and without views."""
    from fastpg.cuda import DevicePong
    from fastpg.envs.rules import rules

    played = rules("PongNoFrameskip-v4", frameskip=SKIP, noop_max=30)
    games = DevicePong(played, environments, steps=steps)
    games.reset(seed=0)
    rng = np.random.default_rng(0)
    held = rng.integers(len(games.actions), size=(-(-steps // 4), environments), dtype=np.uint8)
    actions = cuda.to_device(np.ascontiguousarray(np.repeat(held, 4, axis=0)[:steps]))
    rates = []
    for views in (True, False):
        out = games.play(actions, views=views)
        for _ in range(200 // steps):  # games that start together diverge
            games.play(actions, views=views, out=out)
        call = lambda: games.play(actions, views=views, out=out)  # noqa: B023, E731
        each = seconds_each(call, cuda.synchronize, seconds)
        rates.append(SKIP * steps * environments / each)
    return rates[0], rates[1]


def emulation_table(
    cuda, sizes: list[int], steps: int, seconds: float
) -> tuple[list[str], dict[str, list[tuple[int, float]]]]:
    """The table of emulation, and its curves: frames/s by the number of environments."""
    curves: dict[str, list[tuple[int, float]]] = {"a view every 4th frame": [], "no views": []}
    lines = ["| environments | frames/s, a view every 4th | frames/s, no views |", "|--:|--:|--:|"]
    for size in sizes:
        try:
            with_views, without = emulation(cuda, size, steps, seconds)
        except Exception as error:  # out of memory, a device error: go on with the other rows
            lines.append(f"| {size:,} | {error_cell(error)} | |")
            continue
        lines.append(f"| {size:,} | {with_views:,.0f} | {without:,.0f} |")
        for curve, rate in zip(curves.values(), (with_views, without), strict=True):
            curve.append((size, rate))
        print(lines[-1], file=sys.stderr, flush=True)
    return lines, curves


def draw(curves: dict[str, list[tuple[int, float]]], title: str, path: Path) -> list[str]:
    """Plot frames/s by the number of environments; returns the Markdown of the plot."""
    try:
        import matplotlib
    except ImportError:
        return ["No plot: install the extra [plot]."]
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.5))
    for name, points in curves.items():
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", label=name)
    axis.set(xscale="log", yscale="log", xlabel="environments", ylabel="frames/s", title=title)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    return [f"![frames/s by the number of environments]({path.name})"]


def on_device(cuda, made) -> tuple[list, int]:
    """A case's inputs and outputs on the GPU, and the bytes that its op reads and writes."""
    given, written = made.inputs.values(), made.outputs.values()
    both = made.op.given and made.inputs.get("accumulate", True)
    arrays = [v for v in (*given, *written, *both * [*written]) if isinstance(v, np.ndarray)]
    there = [cuda.to_device(v) if isinstance(v, np.ndarray) else v for v in (*given, *written)]
    return there, sum(array.nbytes for array in arrays)


def kernel_table(cuda, sizes: list[int], seconds: float, rate: float) -> list[str]:
    """The table of kernels, with the bodies and sizes of bench_kernels.py."""
    from benchmarks.bench_kernels import options
    from fastpg.kernels import get_backend
    from fastpg.kernels.spec import BY_NAME
    from tests.support.cases import case

    loops = get_backend("cuda").loops
    nothing = cuda.jit(lambda: None)
    launch = seconds_each(lambda: nothing[1, 32](), cuda.synchronize, seconds)
    lines = ["| op | N | us per call | us per sample | GB/s | of a copy's |"]
    lines += ["|---|--:|--:|--:|--:|--:|", f"| (an empty launch) | | {1e6 * launch:.3g} | | | |"]
    for op in BY_NAME:
        for size in sizes:
            made = case(op, **options(op, size))
            there, moved = on_device(cuda, made)
            call = lambda op=op, there=there: getattr(loops, op)(*there)  # noqa: E731
            each = seconds_each(call, cuda.synchronize, seconds)
            share = moved / each / rate
            cells = f"{1e6 * each:,.3g} | {1e6 * each / size:.3g} | {moved / each / 1e9:,.1f}"
            cells += f" | {share:.0%}"
            lines.append(f"| {op} | {size:,} | {cells} |")
    lines += [
        "",
        "GB/s: bytes of all arrays of the op (twice if read and written; all dense weights) over",
        "the time. Calls that take little longer than an empty launch measure the host. Small",
        "arrays stay in caches.",
    ]
    return lines


def about(cuda) -> tuple[str, list[str]]:
    """The GPU's name, and the report's lines about the GPU and the code."""
    from fastpg.cuda import compiler

    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else str(device.name)
    capability = ".".join(map(str, device.compute_capability))
    return name, [
        f"# {name}",
        "",
        f"Compute capability {capability}, {device.MULTIPROCESSOR_COUNT} multiprocessors; "
        f"at most {compiler.MAX_REGISTERS} registers per game; Python {platform.python_version()}.",
        "",
    ]


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", type=int, nargs="*", default=list(ENVIRONMENTS))
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), help="of the kernels")
    parser.add_argument("--steps", type=int, default=32, help="per launch")
    parser.add_argument(
        "--training", type=int, nargs="*", default=list(ENVIRONMENTS[:-1]), help="environments"
    )
    parser.add_argument("--seeds", type=int, default=3, help="for training to an evaluation of +18")
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement")
    parser.add_argument("--copy", type=int, default=1 << 30, help="bytes of the memory benchmark")
    parser.add_argument("--registers", type=int, help="limit per game; recompiles")
    parser.add_argument(
        "--games-per-block", type=int, choices=range(1, 33), metavar="1..32", help="fixed number"
    )
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/GPU.md")
    return parser.parse_args()


Section = tuple[str, object, Callable[[], list[str]]]  # title, falsy to skip it, its lines


def sections(
    cuda, arguments: argparse.Namespace, name: str, rate: float, plot: Path
) -> Iterator[Section]:
    """Yield the report's sections in order. ``rate``: of a copy within memory, bytes/s."""
    steps, seconds, seeds = arguments.steps, arguments.seconds, arguments.seeds
    curves: dict[str, list[tuple[int, float]]] = {}

    def emulated() -> list[str]:
        table, found = emulation_table(cuda, arguments.environments, steps, seconds)
        curves.update(found)
        return table

    def trained() -> list[str]:
        table, rates = training_table(arguments.training, seconds, "cuda")
        for algorithm, points in rates.items():
            curves[f"training, {algorithm}"] = [(size, SKIP * rate) for size, rate in points]
        return table

    yield f"Emulation, {steps} steps per launch", arguments.environments, emulated
    yield "Training", arguments.training, trained
    yield "Scaling", curves, lambda: draw(curves, name, plot)
    yield "From scratch to an evaluation of +18", seeds, lambda: score_lines(18, seeds, "cuda")
    yield "First difference from the CPU's run", seeds, lambda: divergence_lines(seeds, "cuda")
    kernels = lambda: kernel_table(cuda, arguments.sizes, seconds, rate)  # noqa: E731
    yield "Kernels", arguments.sizes, kernels


def write_report(out: Path, lines: list[str], measurements: Iterable[Section]) -> bool:
    """Measure, write and print the report that begins with ``lines``; returns whether all worked.

    It is written after each section, because the machine may go away.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    succeeded = True
    for title, wanted, measured in measurements:
        if not wanted:
            continue
        lines += [f"## {title}", ""]
        try:
            lines += [*measured(), ""]
        except Exception as error:  # go on with the other sections
            traceback.print_exc()
            lines += [f"Failed: {error_cell(error)}", ""]
            succeeded = False
        out.write_text("\n".join(lines))
    print("\n".join(lines))
    print(f"written to {os.path.relpath(out)}", file=sys.stderr)
    return succeeded


def main() -> None:
    """Measure, print and write the report."""
    arguments = parsed()
    try:
        from fastpg.cuda import compiler, launch_shape
        from fastpg.kernels._cuda.jit import cuda_module as cuda
        from fastpg.kernels._cuda.jit import require_device

        require_device()
    except BackendUnavailable as error:
        sys.exit(f"benchmarks.gpu: {error}")
    if arguments.registers:
        compiler.MAX_REGISTERS = arguments.registers
    launch_shape.FIXED = arguments.games_per_block
    name, lines = about(cuda)
    out = arguments.out or RESULTS / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".md")
    rate = memory_rate(cuda, arguments.copy, arguments.seconds)
    lines += [f"Copy within memory: {rate / 1e9:,.0f} GB/s read and written.", ""]
    measurements = sections(cuda, arguments, name, rate, out.with_suffix(".png"))
    sys.exit(not write_report(out, lines, measurements))


if __name__ == "__main__":
    main()

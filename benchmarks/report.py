"""Print the results of ``bench_kernels.py`` as a Markdown table.

    pytest --benchmark benchmarks/bench_kernels.py --benchmark-json=kernels.json
    python benchmarks/report.py kernels.json [--sizes 1 128]

Each row is an op at a size N, each column an implementation. Numbers are microseconds per sample,
medians of the rounds. A sample of ``discounted_returns``, ``generalized_advantages``,
``standardize``, ``rmsprop_update`` and ``adam_update`` is 1,000 steps or elements; of the other ops
it is one frame, one action or one number.
"""

import argparse
import json
from pathlib import Path

COLUMNS = ("numba", "cython", "numpy")


def number(microseconds: float) -> str:
    """Microseconds with two or three significant digits."""
    if microseconds < 0.1:
        return f"{microseconds:.2g}"
    return f"{microseconds:,.{0 if microseconds >= 100 else 1 if microseconds >= 10 else 2}f}"


def table(benchmarks: list[dict], sizes: list[int] | None = None) -> list[str]:
    """The table's lines, with ops and sizes in the order of the file."""
    rows: dict[tuple[str, int], dict[str, str]] = {}
    threads = set()
    for info in (b["extra_info"] for b in benchmarks):
        if "us_per_sample" not in info or (sizes and info["size"] not in sizes):
            continue
        row = rows.setdefault((info["op"], info["size"]), {})
        row[info["who"]] = number(info["us_per_sample"])
        if "blas_threads" in info:
            threads.add(info["blas_threads"])
    lines = ["| op | N | numba | cython | NumPy | other |", "|---|--:|--:|--:|--:|---|"]
    for (op, size), row in sorted(rows.items(), key=lambda r: [k[0] for k in rows].index(r[0][0])):
        others = [f"{who} {value}" for who, value in row.items() if who not in COLUMNS]
        cells = [op, f"{size}", *(row.get(who, "") for who in COLUMNS), ", ".join(others)]
        lines.append(f"| {' | '.join(cells)} |")
    if threads:
        known = ", ".join("unknown" if t is None else str(t) for t in sorted(threads, key=str))
        lines += ["", f"Microseconds per sample, median; BLAS threads: {known}."]
    return lines


def main() -> None:
    """Read the file named on the command line and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="a file of --benchmark-json")
    parser.add_argument("--sizes", type=int, nargs="+", help="only these sizes N")
    arguments = parser.parse_args()
    benchmarks = json.loads(arguments.file.read_text())["benchmarks"]
    print("\n".join(table(benchmarks, arguments.sizes)))


if __name__ == "__main__":
    main()

"""Print the kernels' timings of a pytest-benchmark file as one Markdown table.

    pytest --benchmark benchmarks/bench_kernels.py --benchmark-json=kernels.json
    python benchmarks/report.py kernels.json [--sizes 1 128]

A row is an op at a size N, a column who computes it; a number is microseconds per sample, the
median of the rounds. A sample of ``discounted_returns``, ``generalized_advantages``,
``standardize``, ``rmsprop_update`` and ``adam_update`` is 1,000 steps or elements, of the others
one picture, decision or number.
"""

import argparse
import json
from pathlib import Path

COLUMNS = ("numba", "cython", "numpy")


def number(microseconds: float) -> str:
    """Two or three digits that count."""
    if microseconds < 0.1:
        return f"{microseconds:.2g}"
    return f"{microseconds:,.{0 if microseconds >= 100 else 1 if microseconds >= 10 else 2}f}"


def table(benchmarks: list[dict], sizes: list[int] | None = None) -> list[str]:
    """Lines of the table, ops and sizes in the order of the file."""
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
    parser.add_argument("file", type=Path, help="what --benchmark-json wrote")
    parser.add_argument("--sizes", type=int, nargs="+", help="only these N")
    arguments = parser.parse_args()
    benchmarks = json.loads(arguments.file.read_text())["benchmarks"]
    print("\n".join(table(benchmarks, arguments.sizes)))


if __name__ == "__main__":
    main()

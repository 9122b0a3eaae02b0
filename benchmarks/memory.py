"""Does a long run's memory grow? Train, print the memory as it goes, and fail if it grows.

    python benchmarks/memory.py --seconds 3600 [-- options of fastpg.train]

The exit code is 1 if the median of the last third exceeds that of the first third by over 5 %.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OWN = ("Pss_Anon:", "Pss_Shmem:")


def own_megabytes(pid):
    """Memory of a process and its descendants in MB, without the programs' files (Linux).

    A file's pages are shared with every process that has it open, so their share would vary.
    """
    children, total = [pid], 0.0
    while children:
        current = children.pop()
        try:
            status = Path(f"/proc/{current}/smaps_rollup").read_text()
            tasks = list(Path(f"/proc/{current}/task").iterdir())
            for task in tasks:
                children += map(int, (task / "children").read_text().split())
        except OSError:
            continue
        # proportional set size: memory that processes share counts once
        total += sum(int(row.split()[1]) for row in status.splitlines() if row.startswith(OWN))
    return total / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="of training (600)")
    parser.add_argument("--every", type=float, default=30, help="seconds between two rows (30)")
    parser.add_argument("train", nargs="*", help="options of fastpg.train")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fastpg.train", "--run-dir", f"{folder}/run"]
        limits = ["--episodes", "None", "--max-seconds", str(arguments.seconds)]
        process = subprocess.Popen(
            [*command, *limits, *arguments.train], stdout=subprocess.DEVNULL, env=dict(os.environ)
        )
        began, sizes = time.monotonic(), []
        while process.poll() is None:
            time.sleep(arguments.every)
            megabytes = own_megabytes(process.pid)
            if process.poll() is None:
                sizes.append(megabytes)
                print(f"{time.monotonic() - began:7.0f} s {megabytes:8.1f} MB", flush=True)
    third = len(sizes) // 3
    if third:
        first, last = statistics.median(sizes[:third]), statistics.median(sizes[-third:])
        print(f"median of the first third {first:.1f} MB, of the last {last:.1f} MB")
        sys.exit(last > 1.05 * first)


if __name__ == "__main__":
    main()

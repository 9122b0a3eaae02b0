"""Does a long run's memory grow? Trains for a while, prints the size as it goes; fails on growth.

``python benchmarks/memory.py --seconds 3600 [-- options of fastpg.train]``
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
    """Memory that a process and all below it hold for themselves, in MB (Linux).

    Not the programs' files: whose they are depends on who else on the machine has them open.
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
        # proportional size: what processes share counts once
        total += sum(int(row.split()[1]) for row in status.splitlines() if row.startswith(OWN))
    return total / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--every", type=float, default=30)
    parser.add_argument("train", nargs="*")
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

"""``python -m tests.gpu.ptx [OPTIONS] COMMAND...``: see tests/gpu/ptx/__init__.py."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.gpu.ptx.build import driver

ROOT = Path(__file__).resolve().parents[3]


def before(name: str, *folders: Path) -> str:
    """A variable of the environment with more folders in front."""
    return ":".join([*map(str, folders), *filter(None, [os.getenv(name)])])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="look at each access to memory")
    parser.add_argument("--counts", type=Path, help="file: what launches take, JSON lines")
    parser.add_argument("--order", type=int, default=0, help="of threads and blocks: a seed")
    parser.add_argument("--idle", action="store_true", help="launch nothing")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("COMMAND: expected a command to run, got none")
    if arguments.check and arguments.counts:
        parser.error("--check, --counts: expected one of them, got both")
    if arguments.counts:
        try:
            arguments.counts.open("a").close()
        except OSError as error:
            parser.error(f"--counts: expected a file that can be written, got {error}")
    library = driver()
    with tempfile.TemporaryDirectory() as caches:
        changed = {
            "LD_LIBRARY_PATH": before("LD_LIBRARY_PATH", library.parent),
            "NUMBA_CUDA_DRIVER": str(library),
            "NUMBA_ENABLE_CUDASIM": "0",
            "PYTHONPATH": before("PYTHONPATH", ROOT / "tests/gpu/ptx/site", ROOT),
            # what would be kept of kernels names libraries of this command
            "NUMBA_CACHE_DIR": caches,
            "FASTPG_CACHE_DIR": caches,
            "PTX_CHECK": "1" if arguments.check else "",
            "PTX_COUNT": "1" if arguments.counts else "",
            "PTX_COUNTS": str(arguments.counts.absolute()) if arguments.counts else "",
            "PTX_ORDER": str(arguments.order),
            "PTX_IDLE": "1" if arguments.idle else "",
        }
        ran = subprocess.run(arguments.command, env={**os.environ, **changed}, check=False)
    sys.exit(ran.returncode if ran.returncode >= 0 else 128 - ran.returncode)


if __name__ == "__main__":
    main()

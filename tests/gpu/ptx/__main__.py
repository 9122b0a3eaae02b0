"""``python -m tests.gpu.ptx [OPTIONS] COMMAND...``: run a command on the stand-in for a GPU."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.gpu.ptx import requirements

ROOT = Path(__file__).resolve().parents[3]


def prepended(name: str, *folders: Path) -> str:
    """An environment variable with a list of folders, more of them in front."""
    return ":".join([*map(str, folders), *filter(None, [os.getenv(name)])])


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="check every memory access")
    parser.add_argument("--counts", type=Path, help="file for what launches take, JSON lines")
    parser.add_argument("--order", type=int, default=0, help="seed of the order of threads, blocks")
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
            parser.error(f"--counts: expected a writable file, got {error}")
    return arguments


def main() -> None:
    """Run the command."""
    arguments = parsed()
    if reason := requirements.missing():
        sys.exit(f"tests.gpu.ptx: {reason}")
    from tests.gpu.ptx.build import driver  # needs the extra cuda

    library = driver()
    with tempfile.TemporaryDirectory() as caches:
        environment = {
            "LD_LIBRARY_PATH": prepended("LD_LIBRARY_PATH", library.parent),
            "NUMBA_CUDA_DRIVER": str(library),
            "NUMBA_ENABLE_CUDASIM": "0",
            "PYTHONPATH": prepended("PYTHONPATH", Path(__file__).parent / "site", ROOT),
            # cached kernels would name libraries of this command
            "NUMBA_CACHE_DIR": caches,
            "FASTPG_CACHE_DIR": caches,
            "PTX_CHECK": "1" if arguments.check else "",
            "PTX_COUNT": "1" if arguments.counts else "",
            "PTX_COUNTS": str(arguments.counts.absolute()) if arguments.counts else "",
            "PTX_ORDER": str(arguments.order),
            "PTX_IDLE": "1" if arguments.idle else "",
        }
        ran = subprocess.run(arguments.command, env={**os.environ, **environment}, check=False)
    sys.exit(ran.returncode if ran.returncode >= 0 else 128 - ran.returncode)


if __name__ == "__main__":
    main()

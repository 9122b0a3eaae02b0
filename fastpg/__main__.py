"""Runs the command ``fastpg`` as ``python -m fastpg``."""

import sys

from fastpg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

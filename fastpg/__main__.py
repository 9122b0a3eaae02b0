"""``python -m fastpg``: the command ``fastpg``."""

import sys

from fastpg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""fastpg: train a policy network on Atari Pong from its raw pixels, fast.

Importing the package is cheap: compiled modules are imported on first use.
"""

import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from fastpg._registration import register_when_imported
from fastpg.system.extras import DISTRIBUTION

IMPORTED = perf_counter()  # the commands measure their start-up from here

_words = " ".join(sys.orig_argv[1:]).partition("-m")[2].split()
if sys.argv[:1] == ["-m"] and _words and _words[0].partition(".")[0] == __name__:
    from fastpg.system.uncaught import install_hook  # of a command, such as python -m fastpg.train

    install_hook()

_HERE = Path(__file__).parent
if not any((_HERE / "emulator" / f"_emulator{end}").exists() for end in EXTENSION_SUFFIXES):
    raise ImportError(
        f"{_HERE} has no compiled modules for Python {sys.version_info[0]}.{sys.version_info[1]}: "
        "a checkout hides the installed fastpg in its folder; run the command in another folder, "
        "or compile the checkout too: pip install -e ."
    )

try:
    __version__ = version(DISTRIBUTION)
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

register_when_imported()

_PUBLIC = ("checkpoint", "emulator", "envs", "kernels")


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_module(f"fastpg.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

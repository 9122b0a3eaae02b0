"""fastpg: train a policy network on Atari Pong from its raw pixels, fast.

Importing the package is cheap: compiled modules are imported on first use.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

from fastpg._registration import register_when_imported
from fastpg.system.extras import DISTRIBUTION

IMPORTED = perf_counter()  # the commands measure their start-up from here

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

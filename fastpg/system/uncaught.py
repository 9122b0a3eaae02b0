"""What goes wrong while a command's modules are imported, as one line instead of a traceback."""

import os
import sys
from types import TracebackType

from fastpg.system.extras import DISTRIBUTION
from fastpg.system.output import prepare_streams, print_error

FAILED, INTERRUPTED = 1, 130


def import_failure(error: BaseException) -> tuple[int, str] | None:
    """The exit code and the line for an error of imports; None for any other."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("fastpg"):
        install = f"pip install {DISTRIBUTION}, or pip install -e . in a checkout"
        return FAILED, f"the package {error.name} is missing: {install} installs it"
    if isinstance(error, ImportError):
        return FAILED, str(error)
    return None


def install_hook() -> None:
    """Let import errors and Ctrl-C end the process with a line and the commands' exit codes."""
    sys.excepthook = _hook


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    found = import_failure(error)
    if found is None:
        sys.__excepthook__(kind, error, traceback)
        return
    code, line = found
    prepare_streams()
    print_error(f"fastpg: {line}")
    os._exit(code)  # of an uncaught Ctrl-C, Python would make a signal

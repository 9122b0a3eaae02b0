"""Exit codes, and errors as one line."""

import errno
import sys
from collections.abc import Callable, Sequence

from fastpg.checkpoint import CheckpointError
from fastpg.config import ConfigError
from fastpg.envs.worker_pool import WorkerError
from fastpg.kernels import BackendUnavailable
from fastpg.show import ShowError
from fastpg.system.atomic_file import WriteError
from fastpg.system.output import lost_output, prepare_streams, print_error
from fastpg.system.uncaught import FAILED as FAILED
from fastpg.system.uncaught import INTERRUPTED as INTERRUPTED
from fastpg.system.uncaught import import_failure

DONE, WRONG_SETTINGS = 0, 2
_WRONG = (ConfigError, CheckpointError, ShowError, BackendUnavailable)
_FAILURES = (WorkerError, OSError, MemoryError)
_LOST = "standard output: {}"
_ALL: tuple[type[Exception], ...] = (*_WRONG, *_FAILURES)
_OF_OUTPUT = (errno.ENOSPC, errno.EBADF, errno.EIO)  # those of files have a name


def guarded(
    name: str,
    command: Callable[[Sequence[str]], int | None],
    argv: Sequence[str] | None,
    *,
    failures: tuple[type[Exception], ...] = (),
    interrupted: str = "interrupted",
    needs_output: bool = True,
) -> int:
    """Run a command, and print its error on one line.

    Args:
        name: printed before the error.
        command: takes the words of the command line, does the work, and may return an exit code.
        argv: the words; those of this process if None.
        failures: what else means that the command failed, and not that its settings are wrong.
        interrupted: what to print after Ctrl-C.
        needs_output: whether the command has failed if standard output cannot be written.

    Returns:
        The exit code.
    """
    prepare_streams()
    try:
        try:
            code = command(sys.argv[1:] if argv is None else argv) or DONE
        except SystemExit as leaving:  # after --help
            code = int(leaving.code or DONE)
        lost = lost_output()
        if lost is None or not needs_output:
            return code
        if isinstance(lost, BrokenPipeError):
            return FAILED
        code, message = FAILED, _LOST.format(lost.strerror)
    except BrokenPipeError:  # nobody reads our output any more
        lost_output()
        return FAILED
    except _ALL + failures as error:
        failed = isinstance(error, (*_FAILURES, *failures))
        code, message = FAILED if failed else WRONG_SETTINGS, _message(error)
    except (KeyboardInterrupt, ImportError) as error:
        found = import_failure(error)
        assert found is not None
        code, message = found
        message = interrupted if code == INTERRUPTED else message
    print_error(f"{name}: {message}")
    return code


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, WriteError):
        lost = lost_output()
        if lost is not None or (error.filename is None and error.errno in _OF_OUTPUT):
            return _LOST.format((lost or error).strerror)
        if error.filename is not None:
            return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__

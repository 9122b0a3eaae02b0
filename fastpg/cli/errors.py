"""Exit codes, and errors as one line."""

import os
import sys
from collections.abc import Callable, Sequence

from fastpg.checkpoint import CheckpointError
from fastpg.config import ConfigError
from fastpg.envs.worker_pool import WorkerError
from fastpg.kernels import BackendUnavailable
from fastpg.show import ShowError

DONE, FAILED, WRONG_SETTINGS, INTERRUPTED = 0, 1, 2, 130


def guarded(name: str, command: Callable[[Sequence[str]], None], argv: Sequence[str] | None) -> int:
    """Run a command that keeps no state on disk, and print its error on one line.

    Args:
        name: printed before the error.
        command: takes the words of the command line, and does the work.
        argv: the words; those of this process if None.

    Returns:
        The exit code.
    """
    try:
        command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return DONE
    except (ConfigError, CheckpointError, ShowError, BackendUnavailable) as error:
        code, message = WRONG_SETTINGS, str(error)
    except BrokenPipeError:
        # Nobody reads our output any more. Python would complain when it flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (WorkerError, OSError, MemoryError) as error:
        code, message = FAILED, str(error) or type(error).__name__
    except KeyboardInterrupt:
        code, message = INTERRUPTED, "interrupted"
    print(f"{name}: {message}", file=sys.stderr)
    return code

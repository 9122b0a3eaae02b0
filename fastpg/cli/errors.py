"""Exit codes, and errors in one line."""

import os
import sys
from collections.abc import Callable

from fastpg.checkpoint import CheckpointError
from fastpg.config import ConfigError
from fastpg.envs.worker_pool import WorkerError

DONE, FAILED, WRONG_SETTINGS, INTERRUPTED = 0, 1, 2, 130


def guarded(name: str, command: Callable[[], None]) -> int:
    """Run a command that writes nothing while it works: its exit code, its errors in one line."""
    try:
        command()
        sys.stdout.flush()
        return DONE
    except (ConfigError, CheckpointError) as error:
        code, said = WRONG_SETTINGS, str(error)
    except BrokenPipeError:  # nobody reads any more; nor may Python complain when it leaves
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (WorkerError, OSError, MemoryError) as error:
        code, said = FAILED, str(error) or type(error).__name__
    except KeyboardInterrupt:
        code, said = INTERRUPTED, "interrupted"
    print(f"{name}: {said}", file=sys.stderr)
    return code

"""Files that appear under their name only when they are complete."""

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Self

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.tmp-(?P<pid>\d+)")


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(OSError):
    """A file could not be written; the message is one line: the file, the reason, the cure.

    Attributes:
        reason: the reason and the cure.
    """

    def __init__(self, path: str | Path, error: OSError):
        """Describe the system's error."""
        self.reason: str = error.reason if isinstance(error, WriteError) else _reason(error)
        super().__init__(f"{path}: cannot be written: {self.reason}")


def _reason(error: OSError) -> str:
    cure = "; free some space there, or choose another folder" if error.errno in _FULL else ""
    return f"{error.strerror or error}{cure}"


class AtomicFile:
    """Replaces a file in one step: a reader sees the old file or the new one, never a part.

        with AtomicFile(path) as file:
            file.temporary.write_bytes(data)

    The new bytes and the folder are flushed to the disk. If the block raises, the old file stays as
    it was and nothing else is left behind.

    Raises:
        WriteError: for an OSError, also of the block.
    """

    def __init__(self, path: Path):
        self.path = path  #: the file to replace
        self._folder = path.with_name(f".{path.name}.tmp-{os.getpid()}")
        #: The path to write to. It has the same name, in a temporary folder beside the file:
        #: some writers put temporary files of their own beside their output.
        self.temporary = self._folder / path.name

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(self.path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        try:
            if kind is None:
                self._publish()
            elif isinstance(error, OSError):
                raise error
        except OSError as failure:
            raise WriteError(self.path, failure) from failure
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _publish(self) -> None:
        # some writers ignore the umask, which the folder's mode shows
        os.chmod(self.temporary, self._folder.stat().st_mode & 0o666)
        with open(self.temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(self.temporary, self.path)
        flush_folder(self.path.parent)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a renamed file survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path, names: re.Pattern[str]) -> None:
    """Remove the temporary folders of killed processes that were writing files with such names.

    Args:
        folder: where the files are.
        names: matches the whole name of a file.
    """
    for path in folder.iterdir():
        found = _TEMPORARY.fullmatch(path.name)
        if found and names.fullmatch(found["name"]) and not _other_process_lives(int(found["pid"])):
            shutil.rmtree(path, ignore_errors=True)


def _other_process_lives(pid: int) -> bool:
    if pid == os.getpid():  # in a container every run may have the same number
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True

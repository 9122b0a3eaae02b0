"""``metrics.jsonl``: one row of figures per update of a run."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastpg.system.atomic_file import AtomicFile, WriteError


@dataclass(frozen=True)
class Row:
    """The figures of one update. Counts and seconds cover the whole run, rates only this update.

    The last four are those of PPO's last epoch. REINFORCE has the entropy; the others are None.

    Attributes:
        update: updates done, including this one.
        episodes: episodes finished.
        agent_steps: agent steps played.
        emulator_frames: frames emulated, several per agent step.
        seconds: since the first frame of the run.
        seconds_startup: before the first frame: imports, compilation, the first reset.
        mean_score_100: mean score of the last 100 episodes; None before there are 100.
        mean_score_batch: mean score of this update's episodes; in Pong, each is -21 to 21. None
            without an episode.
        mean_length_batch: mean length of this update's episodes, in agent steps. None without one.
        agent_steps_per_second: agent steps of this update divided by its seconds.
        emulator_frames_per_second: emulator frames of this update divided by its seconds.
        seconds_emulation: part of ``seconds`` spent in the emulator and its pictures.
        seconds_forward: part of ``seconds`` spent choosing actions.
        seconds_learning: part of ``seconds`` spent on returns, gradients and the optimizer.
        entropy: of the policy, in nats; mean over the steps learned from.
        kl: divergence from the policy that played, estimated by the mean of r - 1 - log r, where r
            is the ratio of the new to the old probability.
        clip_fraction: share of steps without a gradient because of clipping.
        value_loss: mean squared error of the values.
    """

    update: int
    episodes: int
    agent_steps: int
    emulator_frames: int
    seconds: float
    seconds_startup: float
    mean_score_100: float | None
    mean_score_batch: float | None
    mean_length_batch: float | None
    agent_steps_per_second: float
    emulator_frames_per_second: float
    seconds_emulation: float
    seconds_forward: float
    seconds_learning: float
    entropy: float | None = None
    kl: float | None = None
    clip_fraction: float | None = None
    value_loss: float | None = None


class MetricsFile:
    """``metrics.jsonl``: one JSON object per line, appended and flushed row by row.

    NaN and infinity, which JSON does not have, are written as null.
    """

    def __init__(self, path: str | Path, _resumed: bool = False):
        """Start a new file.

        Raises:
            FileExistsError: the file has rows; :meth:`resume` continues it.
        """
        self.path = Path(path)
        if not _resumed and self.path.exists() and self.path.stat().st_size:
            raise FileExistsError(f"{self.path}: has rows of another run; MetricsFile.resume adds")
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)

    @classmethod
    def resume(cls, path: str | Path, last_update: int) -> "MetricsFile":
        """Continue the file of a run that is resumed from a checkpoint.

        Rows of later updates and a torn last line are dropped; other lines stay byte for byte. A
        missing file is started.

        Args:
            path: the file.
            last_update: of the checkpoint.

        Raises:
            ValueError: a line before the last is not a row.
        """
        path = Path(path)
        rows = list(_lines(path)) if path.exists() else []
        kept = b"".join(line + b"\n" for line, row in rows if row["update"] <= last_update)
        with AtomicFile(path) as file:
            file.temporary.write_bytes(kept)
        return cls(path, _resumed=True)

    def write(self, row: Row) -> None:
        """Append one row and flush it to the operating system.

        Raises:
            OSError: it cannot be written.
        """
        values = {name: plain(value) for name, value in asdict(row).items()}
        try:
            self._file.write(json.dumps(values, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise WriteError(self.path, error) from error

    def close(self) -> None:
        """Close the file. Calling it again does nothing."""
        with suppress(OSError):  # what could not be written before: write has raised then
            self._file.close()


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Read the rows of a ``metrics.jsonl``, except for a last line that a crash has torn.

    Raises:
        ValueError: a line before the last is not a row.
    """
    return [row for _, row in _lines(Path(path))]


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    lines = path.read_bytes().split(b"\n")
    if not lines[-1]:  # after the last newline
        lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row["update"], int):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            if number == len(lines):
                return
            raise ValueError(f"{path}: line {number} is not a row of metrics") from None
        yield line, row


def plain(value: Any) -> Any:
    """Convert a value for JSON: NumPy scalars to Python's, numbers that are not finite to None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value

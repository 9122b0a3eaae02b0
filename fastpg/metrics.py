"""What a run tells about itself: scores, a row per update, a display, TensorBoard events.

The trainer makes one :class:`Row` per update and hands it to a :class:`MetricsFile`, a
:class:`Progress` and a :class:`TensorBoard`, whichever of them it has.
"""

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text


@dataclass(frozen=True)
class Row:
    """The figures of one update. Counts and seconds are of the whole run, rates of this update.

    Attributes:
        update: updates done, this one counted.
        episodes: episodes finished.
        agent_steps: actions taken.
        emulator_frames: frames emulated: several an agent step.
        seconds: since the run's first played frame.
        seconds_startup: before it: imports, compilation, the first reset.
        mean_score_100: mean score of the last 100 episodes; None before there are 100.
        mean_score_batch: mean score of this update's episodes, -21 to 21 each.
        mean_length_batch: mean length of this update's episodes, in agent steps.
        agent_steps_per_second: agent steps of this update / its seconds.
        emulator_frames_per_second: emulator frames of this update / its seconds.
        seconds_emulation: of ``seconds``, those in the emulator and its pictures.
        seconds_forward: of ``seconds``, those in the policy's choice of actions.
        seconds_learning: of ``seconds``, those in returns, gradients and the optimizer.
        entropy: of the policy, in nats; mean over the steps learned from. None: not known, here
            and below, which are of PPO's last epoch.
        kl: divergence from the policy that played, estimated by the mean of r - 1 - log r.
        clip_fraction: share of steps whose gradient clipping silenced.
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


class ScoreWindow:
    """The scores of the last ``size`` finished episodes.

    In the order in which they are added: in training, in which they began.
    """

    def __init__(self, size: int = 100):
        if size < 1:
            raise ValueError(f"expected size >= 1, got {size}")
        self.size = size
        self._scores: deque[float] = deque(maxlen=size)

    def add(self, score: float) -> None:
        """Append the score of the next episode."""
        self._scores.append(float(score))

    @property
    def mean(self) -> float | None:
        """Mean of the last ``size`` scores; None before so many episodes have finished."""
        return math.fsum(self._scores) / self.size if len(self._scores) == self.size else None

    def array(self) -> np.ndarray:
        """The scores (n,) float32, oldest first, n <= size: for a checkpoint."""
        return np.array(self._scores, np.float32)

    @classmethod
    def from_array(cls, scores: np.ndarray, size: int = 100) -> "ScoreWindow":
        """The window that :meth:`array` came from; of more than ``size`` scores, the last.

        Raises:
            ValueError: scores is not one-dimensional.
        """
        if scores.ndim != 1:
            raise ValueError(f"scores: expected (n,), got {scores.shape}")
        window = cls(size)
        window._scores.extend(float(score) for score in scores)
        return window


# ---- metrics.jsonl ------------------------------------------------------------------------------


class _Closing:
    """What is closed at the end of its ``with`` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError


class MetricsFile(_Closing):
    """``metrics.jsonl``: one JSON object a line, appended and flushed row by row.

    A number that JSON has no word for (NaN, infinity) is written as null.
    """

    def __init__(self, path: str | Path, _resumed: bool = False):
        """Begin a new file.

        Raises:
            FileExistsError: the file has rows already; :meth:`resume` goes on with it.
        """
        self.path = Path(path)
        if not _resumed and self.path.exists() and self.path.stat().st_size:
            raise FileExistsError(f"{self.path}: has rows of another run; MetricsFile.resume adds")
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)

    @classmethod
    def resume(cls, path: str | Path, last_update: int) -> "MetricsFile":
        """Go on after a checkpoint: without the rows of later updates and a torn last line.

        The rest is rewritten in one step, line for line. A missing file is begun.

        Raises:
            ValueError: a line before the last is not a row.
        """
        path = Path(path)
        rows = list(_lines(path)) if path.exists() else []
        kept = b"".join(line + b"\n" for line, row in rows if row["update"] <= last_update)
        temporary = path.with_name(f".{path.name}.tmp")
        with open(temporary, "wb") as file:
            file.write(kept)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        return cls(path, _resumed=True)

    def write(self, row: Row) -> None:
        """Append one row and flush it to the operating system."""
        values = {name: _plain(value) for name, value in asdict(row).items()}
        self._file.write(json.dumps(values, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; again is harmless."""
        self._file.close()


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a ``metrics.jsonl``, without a last line that a crash has torn.

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


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---- the terminal -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """Where the run will stop, whichever comes first; None is no limit."""

    episodes: float | None = None
    agent_steps: float | None = None
    seconds: float | None = None


class Progress:
    """The display of a run: a live one on a terminal, plain lines elsewhere.

    On a terminal, two or more lines are redrawn in place, at most ten times a second. Elsewhere (a
    file, a pipe, a dumb terminal), a heading and then lines of less than 80 columns without
    control characters: the first row, one at most every ``every`` seconds, and the last row.

        with Progress({"episodes": 50_000}) as progress:
            progress.show(row)
    """

    def __init__(
        self,
        limits: Limits | Mapping[str, float | None],
        console: Console | None = None,
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Prepare the display, which begins with the ``with`` block.

        Args:
            limits: where the run stops: a :class:`Limits` or its fields as a mapping.
            console: where to write; standard output if None.
            every: seconds between plain lines.
            clock: gives seconds from any start.
        """
        self.limits = limits if isinstance(limits, Limits) else Limits(**limits)
        self.console = console or Console()
        terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = Live(console=self.console, auto_refresh=False) if terminal else None
        self._pause = 0.1 if terminal else every
        self._clock, self._next = clock, -math.inf
        self._pending = False  # the newest row is not drawn yet
        # Episodes grow longer as the policy learns, so only a recent pace foretells.
        self._recent: deque[Row] = deque(maxlen=50)

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._pending:
                self._draw()
        finally:
            if self._live:
                self._live.stop()

    def show(self, row: Row) -> None:
        """Take the newest row, and draw it if it is time."""
        if not self._recent and not self._live:
            self._print(_HEADING)
        self._recent.append(row)
        self._pending = True
        if self._clock() >= self._next:
            self._draw()

    def _draw(self) -> None:
        self._pending, self._next = False, self._clock() + self._pause
        row = self._recent[-1]
        left = time_left(self.limits, self._recent)
        if self._live:
            self._live.update(_Packed(_live_fields(row, self.limits, left)), refresh=True)
        else:
            self._print(_plain_line(row, left))

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def time_left(limits: Limits, recent: "deque[Row]") -> float | None:
    """Seconds until the first of the limits, at the pace of the recent rows; None if unknown."""
    last = recent[-1]
    # one row alone has no pace yet: the run's own so far
    start = replace(last, episodes=0, agent_steps=0, seconds=0.0)
    first = recent[0] if len(recent) > 1 else start
    estimates = []
    for name, limit in asdict(limits).items():
        now, done = getattr(last, name), getattr(last, name) - getattr(first, name)
        if limit is not None and now >= limit:
            return 0.0
        if limit is not None and done > 0:
            estimates.append((limit - now) * (last.seconds - first.seconds) / done)
    return min(estimates, default=None)


_HEADING = "elapsed    left  episodes score100 steps/s frames/s   emu   fwd learn other"


def _plain_line(row: Row, left: float | None) -> str:
    shares = " ".join(f"{share:>5}" for share in _shares(row).values())
    return (
        f"{_duration(row.seconds):>7} {_duration(left):>7} {row.episodes:>9,} "
        f"{_score(row.mean_score_100):>8} {short(row.agent_steps_per_second):>7} "
        f"{short(row.emulator_frames_per_second):>8} {shares}"
    )


def _live_fields(row: Row, limits: Limits, left: float | None) -> list[tuple[str, str]]:
    limit = f" of {limits.episodes:,.0f}" if limits.episodes is not None else ""
    return [
        ("episodes", f"{row.episodes:,}{limit}"),
        ("mean of last 100", _score(row.mean_score_100)),
        ("agent steps/s", short(row.agent_steps_per_second)),
        ("emulator frames/s", short(row.emulator_frames_per_second)),
        *_shares(row).items(),
        ("elapsed", _duration(row.seconds)),
        ("left", _duration(left)),
    ]


class _Packed:
    """Name and value pairs, as many to a line as the console is wide now."""

    def __init__(self, pairs: list[tuple[str, str]]):
        self.pairs = pairs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        line = Text(no_wrap=True, overflow="ellipsis")
        for name, value in self.pairs:
            pair = Text.assemble((name, "dim"), " ", (value, "bold"))
            if line and line.cell_len + 3 + pair.cell_len > options.max_width:
                yield line
                line = Text(no_wrap=True, overflow="ellipsis")
            line.append("   " if line else "").append_text(pair)
        yield line


def _shares(row: Row) -> dict[str, str]:
    parts = {
        "emulation": row.seconds_emulation,
        "forward": row.seconds_forward,
        "learning": row.seconds_learning,
    }
    parts["other"] = max(0.0, row.seconds - sum(parts.values()))
    total = row.seconds
    return {name: f"{part / total:.0%}" if total > 0 else "-" for name, part in parts.items()}


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:+.2f}"


def short(number: float) -> str:
    """Three digits and a unit: 812, 4.06k, 40.6k, 406k, 4.06M."""
    if not math.isfinite(number):
        return "-"
    for unit in ("", "k", "M", "G"):
        if abs(number) < 999.5 or unit == "G":
            break
        number /= 1000
    digits = 0 if not unit or abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
    return f"{number:.{digits}f}{unit}"


def _duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


# ---- TensorBoard --------------------------------------------------------------------------------


class TensorBoard(_Closing):
    """Event files in the run directory: a scalar ``fastpg/NAME`` per figure, at its update."""

    def __init__(self, run_dir: str | Path, last_update: int | None = None):
        """Open a new event file.

        Args:
            run_dir: folder of the run.
            last_update: of a resumed run: TensorBoard then hides what came after it.

        Raises:
            ImportError: tensorboardX is not installed.
        """
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError(
                "TensorBoard events need the [track] extra: pip install 'fastpg[track]'"
            ) from error
        purge = None if last_update is None else last_update + 1
        self._writer = tensorboardX.SummaryWriter(str(run_dir), purge_step=purge)

    def write(self, row: Row) -> None:
        """Add the row's scalars; those that are None or not finite are left out."""
        for name, value in asdict(row).items():
            value = _plain(value)
            if value is not None and name != "update":
                self._writer.add_scalar(f"fastpg/{name}", value, row.update)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()

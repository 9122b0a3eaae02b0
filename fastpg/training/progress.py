"""The display of a run: live on a terminal, plain lines elsewhere."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.text import Text

from fastpg.training.metrics_file import Row


@dataclass(frozen=True)
class Limits:
    """The limits of a run, which stops at the first that it reaches; None is no limit."""

    episodes: float | None = None
    agent_steps: float | None = None
    seconds: float | None = None


class Progress:
    """The display of a run: live on a terminal, plain lines elsewhere.

    On a terminal, two or more lines are redrawn in place, at most ten times a second. Elsewhere (a
    file, a pipe, a dumb terminal), it prints a heading and lines of less than 80 columns without
    control characters: the first row, at most one row every ``every`` seconds, and the last row.

        with Progress(Limits(episodes=50_000)) as progress:
            progress.show(row)
    """

    def __init__(
        self,
        limits: Limits,
        console: Console | None = None,
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Prepare the display, which starts with the ``with`` block.

        Args:
            limits: of the run.
            console: to write to; standard output if None.
            every: seconds between plain lines.
            clock: returns seconds, from any start.
        """
        self.limits, self.console = limits, console or Console()
        terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = Live(console=self.console, auto_refresh=False) if terminal else None
        self._pause = 0.1 if terminal else every
        self._clock, self._next = clock, -math.inf
        self._pending = False  # the newest row is not drawn yet
        # Episodes get longer as the policy learns, so only the recent pace predicts the rest.
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
        """Take the newest row, and draw it if the last drawing is long enough ago."""
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
    """Estimate the seconds until the first limit at the recent rows' pace; None if unknown."""
    last = recent[-1]
    # with only one row, the pace is the run's average so far
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
    """Pairs of name and value, as many on a line as fit the console's present width."""

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
    shares = {
        "emulation": row.seconds_emulation,
        "forward": row.seconds_forward,
        "learning": row.seconds_learning,
    }
    shares["other"] = max(0.0, row.seconds - sum(shares.values()))
    total = row.seconds
    return {name: f"{share / total:.0%}" if total > 0 else "-" for name, share in shares.items()}


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:+.2f}"


def short(number: float) -> str:
    """Format a number with three digits and a unit: 812, 4.06k, 40.6k, 406k, 4.06M."""
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

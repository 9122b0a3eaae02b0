"""``python -m fastpg.report RUN [RUN ...]``: runs as one HTML file, or as plots."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import fastpg
from fastpg.atomic_file import AtomicFile
from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.config import RESUMABLE, ConfigError
from fastpg.extras import missing_extra
from fastpg.show import ShowError
from fastpg.show.play.playback import FRAMES_PER_SECOND, Playback, policy_of_run
from fastpg.show.play.video import check_libraries, check_writable, save_video
from fastpg.show.report import page, plots
from fastpg.show.report.page import Section
from fastpg.show.report.runs import Group, Run, differing, grouped, read_run
from fastpg.show.report.saliency import Weights, most_salient_decisions
from fastpg.training.progress import short
from fastpg.watch import composer_of, game_of, pictures, refusals

_APART = frozenset({*RESUMABLE, "seed"})  # settings that runs of one curve may differ in
_LOOKS = 4


@dataclass(frozen=True)
class ReportConfig:
    """Make one HTML file of runs: curves, speed, settings, what was learned, a game.

    Runs of the same settings but the seed share a curve, their range a band.

    What was learned is that of the run with the best score. No network is needed.
    """

    runs: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)"),
    ]
    """Folders that fastpg.train wrote."""

    output: Path | None = None
    """File to write; None: report.html in the first RUN."""

    png: Path | None = None
    """Write the plots alone, as PNG files into this folder, and no page."""

    video_seconds: float = 20.0
    """Length of the game's video; 0: none, and the [video] extra is not needed."""

    env: str | None = None
    """Rules of the game that is shown, by ale-py's name; None: those of the training."""

    seed: int = 0
    """Seed of the game that is shown."""

    greedy: bool = False
    """Take the likeliest action in the game that is shown."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """Who emulates the game that is shown; auto: native for Pong, ale for other games."""


@dataclass(frozen=True)
class Plot:
    """A plot of the report.

    Attributes:
        name: of its PNG file.
        title: of its section.
        text: what it shows.
        figure: matplotlib's.
        drawn: whether it is lines and letters, not pixels.
    """

    name: str
    title: str
    text: str
    figure: Any
    drawn: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    words = sys.argv[1:] if argv is None else argv
    return guarded("fastpg.report", lambda: refusals(_command, words))


def _command(argv: Sequence[str]) -> None:
    config = parse(ReportConfig, argv, "python -m fastpg.report")
    output = _check(config)
    runs = [read_run(path) for path in config.runs]
    groups = grouped(runs, _APART)
    pong = all("pong" in str(run.config.get("env", "")).lower() for run in runs)
    with _saying() as say:
        say("curves")
        drawn = _of_runs(groups, pong)
        best = max(runs, key=lambda run: run.last_score)
        note, playback = None, None
        try:
            say("a game")
            playback = _playback(config, best)
            learned = _of_policy(playback, best)
            drawn += learned
            note = None if learned else "weights and saliency are drawn of UP and DOWN, in Pong"
        except ShowError as error:
            note = str(error)
            print(f"fastpg.report: without a game, weights and saliency: {note}", file=sys.stderr)
        if config.png is not None:
            say("plots")
            _write_plots(config.png, drawn)
            said = f"{config.png}: {', '.join(plot.name + '.png' for plot in drawn)}"
        else:
            say("video")
            sections = _sections(config, groups, drawn, best, playback, note)
            text = page.page(_title(groups), _subtitle(runs), _lead(best), sections, _foot())
            with AtomicFile(output) as file:
                file.temporary.write_text(text, encoding="utf-8")
            said = f"{output}: {output.stat().st_size / 1e6:.1f} MB, open it in a browser"
    print(said)


def _check(config: ReportConfig) -> Path:
    """Refuse what cannot work before any work; the file to write."""
    if not config.runs:
        raise ConfigError(
            "RUN: expected at least one run's folder, such as runs/Pong-v0-pong-seed0: a report is "
            "of what training wrote; fastpg watch shows the policy that ships"
        )
    if not 0 <= config.video_seconds <= 600:
        raise ConfigError(f"--video-seconds: expected 0 to 600, got {config.video_seconds:g}")
    if not 0 <= config.seed < 1 << 32:
        raise ConfigError(f"--seed: expected 0 to below 2**32, got {config.seed}")
    plots.check_plots()
    for run in config.runs:
        read_run(run)
    output = config.runs[0] / "report.html" if config.output is None else config.output
    if config.png is not None:
        try:
            config.png.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"--png {config.png}: cannot be made ({error.strerror}); give another folder"
            ) from None
        check_writable(config.png / "curves.png", "--png")
        return output
    check_writable(output, "--output")
    if config.video_seconds:
        check_libraries(
            f"the game's video {missing_extra('report')}; or leave the video out: --video-seconds 0"
        )
    return output


@contextlib.contextmanager
def _saying() -> Iterator[Callable[[str], None]]:
    """Says what is being done, on a terminal only, and leaves an empty line."""
    shown = sys.stderr.isatty()

    def say(what: str) -> None:
        if shown:
            print(f"\r{'report: ' + what + ' ..':<40}", end="", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        if shown:
            print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)


# ---- plots --------------------------------------------------------------------------------------


def _of_runs(groups: Sequence[Group], pong: bool) -> list[Plot]:
    curves = "The mean score of the last 100 episodes, from the 100th on."
    if any(run.short for group in groups for run in group.runs):
        curves += " Of runs that had fewer episodes: the mean of each update's."
    if any(len(group.runs) > 1 for group in groups):
        curves += " The line is the median of the seeds, the band their range; thin lines are runs."
    drawn = [Plot("curves", "Learning", curves, plots.learning_curves(groups, pong))]
    figure = plots.histogram(groups, pong)
    if figure is not None:
        text = "The last episodes of training, up to 100 of each run."
        drawn.append(Plot("scores", "Scores", text, figure))
    text = (
        "Counted from the first played frame. Steps a second include learning; other is "
        "time that goes to bookkeeping and checkpoints."
    )
    return [*drawn, Plot("speed", "Speed, and where the time went", text, plots.speed(groups))]


def _playback(config: ReportConfig, run: Run) -> Playback:
    policy, trained = policy_of_run(run.path)
    rules, emulator, _ = game_of(trained, config.env, config.emulator)
    return Playback(policy, rules, emulator, config.greedy, config.seed)


def _of_policy(playback: Playback, run: Run) -> list[Plot]:
    labels = playback.labels
    if "UP" not in labels or "DOWN" not in labels:
        return []
    weights = Weights(playback.player.policy, labels.index("UP"), labels.index("DOWN"))
    rows, columns = plots.units_shown(weights.input_spec.planes)
    units = weights.units(rows * columns)
    views = "" if len(units[0].planes) == 1 else " Views stand side by side, the present one first."
    grid = (
        f"Weights of the {len(units)} hidden units of run {run.path.name} that can move the choice "
        "most, each as a picture of the field, smoothed a little: lit pixels in orange places "
        f"excite a unit, in blue ones inhibit it.{views} The title says what an active unit "
        "speaks for, and how loudly."
    )
    looks = most_salient_decisions(playback, weights, _LOOKS)
    seen = (
        "Four decisions of a game on which single pixels weighed much. Below each picture: the lit "
        "pixels of the network's input, orange if they speak for UP, blue if for DOWN (their sum "
        "is the log-odds of UP against DOWN), over the smoothed gradient: what else lit there "
        "would say."
    )
    return [
        Plot("weights", "What the first layer looks for", grid, plots.weights_grid(units), False),
        Plot("saliency", "What it looks at", seen, plots.saliency(looks, playback), False),
    ]


def _write_plots(folder: Path, drawn: Sequence[Plot]) -> None:
    for plot in drawn:
        with AtomicFile(folder / f"{plot.name}.png") as file:
            file.temporary.write_bytes(plots.png(plot.figure))


# ---- the page -----------------------------------------------------------------------------------


def _sections(
    config: ReportConfig,
    groups: Sequence[Group],
    drawn: Sequence[Plot],
    best: Run,
    playback: Playback | None,
    note: str | None,
) -> list[Section]:
    sections = [_section(plot) for plot in drawn]
    if playback is not None and config.video_seconds:
        sections.insert(1, _game(config, playback, best))
    if note is not None:
        sections.append(Section("What it learned", f"Not shown: {note}.", ""))
    sections.insert(1, _table(groups))
    return [*sections, _settings(groups)]


def _section(plot: Plot) -> Section:
    if plot.drawn:
        body = page.picture(plots.svg(plot.figure), "svg+xml", plot.title, plot.name == "scores")
    else:
        body = page.picture(plots.png(plot.figure, 130), "png", plot.title)
    return Section(plot.title, plot.text, body)


def _game(config: ReportConfig, playback: Playback, best: Run) -> Section:
    frames = max(round(config.video_seconds * FRAMES_PER_SECOND), 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "game.mp4"
        moments = islice(playback.episode(0), frames)
        save_video(path, pictures(moments, composer_of(playback), lambda number, moment: None))
        data = path.read_bytes()
    paddle = " The policy has the right paddle." if playback.up is not None else ""
    how = "its likeliest actions" if config.greedy else "actions drawn by their probability"
    text = (
        f"The start of a game of run {best.path.name}, at real speed, with {how}.{paddle} Beside "
        "it the network's input, orange where it adds and blue where it "
        "subtracts, and how likely each action is; the one taken is green."
    )
    return Section("A game", text, page.video(data))


def _title(groups: Sequence[Group]) -> str:
    return groups[0].label if len(groups) == 1 else f"{len(groups)} settings compared"


def _subtitle(runs: Sequence[Run]) -> str:
    seeds = f"{len(runs)} run{'s'[: len(runs) != 1]}"
    return f"fastpg, policy gradients on Atari from pixels · {seeds}"


def _foot() -> str:
    return f"made by fastpg {fastpg.__version__}, python -m fastpg.report"


def _lead(best: Run) -> str:
    last = best.last
    _, scores = best.curve("episodes")
    score = f"{scores[-1]:+.1f}" if len(scores) else "-"
    named = "mean of an update's episodes" if best.short else "mean of the last 100 episodes"
    return page.cards(
        [
            (named, score),
            ("episodes", f"{last['episodes']:,}"),
            ("agent steps", short(last["agent_steps"])),
            ("wall time", _time(last["seconds"])),
            ("agent steps a second", short(last["agent_steps"] / max(last["seconds"], 1e-9))),
        ]
    )


def _table(groups: Sequence[Group]) -> Section:
    head = ["run", "seed", "score", "best", "episodes", "agent steps", "frames", "wall", "steps/s"]
    rows, keys = [], []
    for number, group in enumerate(groups):
        for run in group.runs:
            last, (_, scores) = run.last, run.curve("episodes")
            rows.append(
                [
                    run.path.name,
                    str(run.config.get("seed", "-")),
                    f"{scores[-1]:+.2f}" if len(scores) else "-",
                    f"{scores.max():+.2f}" if len(scores) else "-",
                    f"{last['episodes']:,}",
                    f"{last['agent_steps']:,}",
                    f"{last['emulator_frames']:,}",
                    _time(last["seconds"]),
                    f"{last['agent_steps'] / max(last['seconds'], 1e-9):,.0f}",
                ]
            )
            keys.append(plots.colour_of(number))
    text = "As they ended; figures at the top are those of the run with the best score."
    return Section("Runs", text, page.table(head, rows, keys))


def _settings(groups: Sequence[Group]) -> Section:
    configs = [group.runs[0].config for group in groups]
    names = dict.fromkeys(name for config in configs for name in config)
    other = set(differing(configs, _APART)) if len(groups) > 1 else set()
    rows = [[name, *(str(config.get(name, "-")) for config in configs)] for name in names]
    head = ["setting", *(group.label for group in groups)]
    text = "As config.json has them, of the first run of each curve."
    if other:
        text += " Those that tell the curves apart stand out."
    return Section("Settings", text, page.settings(head, rows, other))


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{seconds:.1f} s"
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d} min"
    )


if __name__ == "__main__":
    sys.exit(main())

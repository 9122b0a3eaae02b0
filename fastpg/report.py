"""``python -m fastpg.report RUN [RUN ...]``: runs as one HTML file, or as plots."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fastpg.checkpoint import CheckpointError, load
from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.cli.shown_game import playback_of
from fastpg.cli.status_line import StatusLine
from fastpg.cli.validate import check_seed
from fastpg.config import RESUMABLE, ConfigError
from fastpg.show import ShowError
from fastpg.show.report.matplotlib_plots import check_plots
from fastpg.show.report.plot_sections import plots_of_policy, plots_of_runs, write_plots
from fastpg.show.report.report_page import check_output, game_section, write_page
from fastpg.show.report.runs import grouped, read_run
from fastpg.system.output import print_error

_APART = frozenset({*RESUMABLE, "seed"})  # settings that runs of one curve may differ in


@dataclass(frozen=True)
class ReportConfig:
    """Make one HTML file about runs: curves, speed, settings, learned weights, a game.

    Runs that differ only in the seed share a curve. A band shows their range.

    The run with the best score gives weights and game. The page works offline.
    """

    runs: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)"),
    ]
    """Run folders that fastpg.train wrote."""

    output: Path | None = None
    """File to write. None: report.html in the first RUN."""

    png: Path | None = None
    """Write only the plots, as PNG files into this folder, and no HTML page."""

    video_seconds: float = 20.0
    """Length of the game's video. 0: no video, and the [video] extra is not needed."""

    env: str | None = None
    """Rules of the game in the video, by ale-py's name. None: the rules of the training run."""

    seed: int = 0
    """Seed of the game in the video."""

    greedy: bool = False
    """Take the most likely action in the video instead of sampling one."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """Emulator of the game in the video. auto: native for Pong, ale for other games."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    return guarded("fastpg.report", _command, argv)


def _command(argv: Sequence[str]) -> None:
    config = parse(ReportConfig, argv, "python -m fastpg.report")
    _check(config)
    check_plots()
    runs = [read_run(path) for path in config.runs]
    output = config.runs[0] / "report.html" if config.output is None else config.output
    check_output(output, config.png, config.video_seconds)
    groups, best = grouped(runs, _APART), max(runs, key=lambda run: run.last_score)
    name, playback, note = best.name, None, None
    with StatusLine() as status:
        status.show("report: curves ...")
        drawn = plots_of_runs(groups)
        try:
            status.show("report: a game ...")
            playback, _ = playback_of(load(best.path), config)
            drawn += (learned := plots_of_policy(playback, name))
            note = None if learned else "weights and saliency are drawn of UP and DOWN, in Pong"
        except (ShowError, CheckpointError, ConfigError) as error:
            print_error(
                f"fastpg.report: without a game, weights and saliency: {(note := str(error))}"
            )
        if config.png is not None:
            status.show("report: plots ...")
            written = write_plots(config.png, drawn)
        else:
            status.show("report: video ...")
            game = game_section(playback, config.video_seconds, name)
            written = write_page(output, groups, drawn, best, game, note, _APART)
    print(written)


def _check(config: ReportConfig) -> None:
    if not config.runs:
        raise ConfigError(
            "RUN: expected at least one run's folder, such as runs/Pong-v0-pong-seed0: a report is "
            "of what training wrote; fastpg watch shows the pretrained policy"
        )
    if not 0 <= config.video_seconds <= 600:
        raise ConfigError(f"--video-seconds: expected 0 to 600, got {config.video_seconds:g}")
    check_seed(config.seed)


if __name__ == "__main__":
    sys.exit(main())

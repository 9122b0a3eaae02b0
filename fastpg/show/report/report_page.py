"""Builds the report's page: figures at the top, then a section for each plot, game and table."""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import fastpg
from fastpg.show import ShowError
from fastpg.show.play.playback import Playback
from fastpg.show.play.video import check_libraries, check_writable, record
from fastpg.show.report import html_elements as html
from fastpg.show.report import matplotlib_plots as plots
from fastpg.show.report.html_elements import Section
from fastpg.show.report.plot_sections import Plot
from fastpg.show.report.runs import Group, Run, differing
from fastpg.system.atomic_file import AtomicFile
from fastpg.system.extras import missing_extra
from fastpg.training.progress import short


def check_output(output: Path, png: Path | None, video_seconds: float) -> None:
    """Check, before the work begins, that the report can be written.

    Args:
        output: file of the page.
        png: folder to write only plots to, which is created; None for a page.
        video_seconds: length of the game's video; 0 for none.

    Raises:
        ShowError: a file or folder cannot be written, or the video's libraries are missing.
    """
    if png is None:
        check_writable(output, "--output")
        if video_seconds:
            check_libraries(
                ".mp4",
                f"the game's video {missing_extra('report')}; or leave the video out: "
                "--video-seconds 0",
            )
        return
    try:
        png.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShowError(
            f"--png {png}: cannot be made ({error.strerror}); give another folder"
        ) from None
    check_writable(png / "curves.png", "--png")


def write_page(
    output: Path,
    groups: Sequence[Group],
    drawn: Sequence[Plot],
    best: Run,
    game: Section | None,
    note: str | None,
    apart: Collection[str],
) -> str:
    """Write the page, and return a line that says so.

    Args:
        output: file to write.
        groups: the runs, grouped by their settings.
        drawn: plots, at least one.
        best: run whose figures are at the top.
        game: section with the video of a game; None for none.
        note: reason why weights and saliency are missing; None if they are not.
        apart: names of settings in which runs of one group may differ.
    """
    sections = [plot.section() for plot in drawn]
    if game is not None:
        sections.insert(1, game)
    if note is not None:
        sections.append(Section("What it learned", f"Not shown: {note}.", ""))
    sections.insert(1, _table(groups))
    sections.append(_settings(groups, apart))
    count = sum(len(group.runs) for group in groups)
    title = groups[0].label if len(groups) == 1 else f"{len(groups)} settings compared"
    subtitle = f"fastpg, policy gradients on Atari from pixels · {count} run{'s'[: count != 1]}"
    foot = f"made by fastpg {fastpg.__version__}, python -m fastpg.report"
    text = html.page(title, subtitle, _lead(best), sections, foot)
    with AtomicFile(output) as file:
        file.temporary.write_bytes(text.encode("utf-8", "replace"))  # of odd names of files
    return f"{output}: {output.stat().st_size / 1e6:.1f} MB, open it in a browser"


def game_section(playback: Playback | None, seconds: float, name: str) -> Section | None:
    """Record the start of a game as a video; None without a playback or without seconds.

    Args:
        playback: plays the game.
        seconds: seconds of game time.
        name: name of the policy's run.
    """
    if playback is None or not seconds:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "game.mp4"
        record(path, playback, playback.frames(1, seconds))
        data = path.read_bytes()
    paddle = " The policy has the right paddle." if playback.up is not None else ""
    choice = "the most likely actions" if playback.player.greedy else "sampled actions"
    text = (
        f"The start of a game of run {name}, at real speed, with {choice}.{paddle} Beside it: the "
        "network's input, orange where it adds and blue where it subtracts, and the probability "
        "of each action; the chosen action is green."
    )
    return Section("A game", text, html.video(data))


def _lead(best: Run) -> str:
    last = best.last
    _, scores = best.curve("episodes")
    score = f"{scores[-1]:+.1f}" if len(scores) else "-"
    named = "mean of an update's episodes" if best.short else "mean of the last 100 episodes"
    return html.cards(
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
                    run.name,
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
    text = (
        "At the end of each run. The figures at the top are those of the run with the best score."
    )
    return Section("Runs", text, html.table(head, rows, keys))


def _settings(groups: Sequence[Group], apart: Collection[str]) -> Section:
    configs = [group.runs[0].config for group in groups]
    names = dict.fromkeys(name for config in configs for name in config)
    other = set(differing(configs, apart)) if len(groups) > 1 else set()
    rows = [[name, *(str(config.get(name, "-")) for config in configs)] for name in names]
    head = ["setting", *(group.label for group in groups)]
    text = "From config.json of the first run of each curve."
    if other:
        text += " The settings in which the curves differ are highlighted."
    return Section("Settings", text, html.settings(head, rows, other))


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{seconds:.1f} s"
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"

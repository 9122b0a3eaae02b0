"""The plots of a report with their titles and texts: runs, and what a policy learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastpg.show.play.playback import Playback
from fastpg.show.report import html_elements as html
from fastpg.show.report import matplotlib_plots as plots
from fastpg.show.report.html_elements import Section
from fastpg.show.report.runs import Group
from fastpg.show.report.saliency import Weights, most_salient_decisions
from fastpg.system.atomic_file import AtomicFile

_DECISIONS = 4  # decisions whose saliency is shown


@dataclass(frozen=True)
class Plot:
    """A plot of the report."""

    name: str  #: name of its PNG file, without the suffix
    title: str  #: title of its section
    text: str  #: explanation below the title
    figure: Any  #: figure of matplotlib
    drawn: bool = True  #: True if it consists of lines and letters, False if of pixels

    def section(self) -> Section:
        """Return the plot as a section of the page."""
        if self.drawn:
            narrow = self.name == "scores"
            body = html.picture(plots.svg(self.figure), "svg+xml", self.title, narrow)
        else:
            body = html.picture(plots.png(self.figure, 130), "png", self.title)
        return Section(self.title, self.text, body)


def plots_of_runs(groups: Sequence[Group]) -> list[Plot]:
    """Draw the learning curves, scores and speed of runs, grouped by their settings."""
    runs = [run for group in groups for run in group.runs]
    pong = all("pong" in str(run.config.get("env", "")).lower() for run in runs)
    curves = "The mean score of the last 100 episodes, from the 100th on."
    if any(run.short for run in runs):
        curves += " For runs of fewer episodes: the mean score of each update's episodes."
    if any(len(group.runs) > 1 for group in groups):
        curves += " The line is the median of the seeds, the band their range; thin lines are runs."
    drawn = [Plot("curves", "Learning", curves, plots.learning_curves(groups, pong))]
    figure = plots.histogram(groups, pong)
    if figure is not None:
        text = "The last episodes of training, up to 100 of each run."
        drawn.append(Plot("scores", "Scores", text, figure))
    text = (
        "Counted from the first frame played. Steps a second include learning. Other is the time "
        "for bookkeeping and checkpoints."
    )
    return [*drawn, Plot("speed", "Speed, and where the time went", text, plots.speed(groups))]


def plots_of_policy(playback: Playback, name: str) -> list[Plot]:
    """Draw weights and saliency; empty for games without the actions UP and DOWN.

    Args:
        playback: plays with the policy.
        name: name of the policy's run.

    Raises:
        ShowError: the policy's weights cannot be shown.
    """
    labels = playback.labels
    if "UP" not in labels or "DOWN" not in labels:
        return []
    weights = Weights(playback.player.policy, labels.index("UP"), labels.index("DOWN"))
    rows, columns = plots.units_shown(weights.input_spec.planes)
    units = weights.units(rows * columns)
    views = "" if len(units[0].planes) == 1 else " Views stand side by side, the present one first."
    grid = (
        f"Weights of the {len(units)} hidden units of run {name} with the largest influence on the "
        "choice, each as a picture of the field, slightly smoothed. Lit pixels in orange places "
        f"excite a unit, those in blue places inhibit it.{views} The title gives the action that "
        "an active unit favours, and how strongly."
    )
    decisions = most_salient_decisions(playback, weights, _DECISIONS)
    pixels = (
        f"{len(decisions)} decisions of a game in which single pixels had a large effect. Below "
        "each picture: the lit pixels of the network's input, orange if they favour UP, blue if "
        "DOWN (their sum is the log-odds of UP against DOWN), over the smoothed gradient, which "
        "shows the effect of other pixels if they were lit."
    )
    return [
        Plot("weights", "What the first layer looks for", grid, plots.weights_grid(units), False),
        Plot("saliency", "What it looks at", pixels, plots.saliency(decisions, playback), False),
    ]


def write_plots(folder: Path, drawn: Sequence[Plot]) -> str:
    """Write each plot as a PNG file of its name, and return a line that says so."""
    for plot in drawn:
        with AtomicFile(folder / f"{plot.name}.png") as file:
            file.temporary.write_bytes(plots.png(plot.figure))
    return f"{folder}: {', '.join(plot.name + '.png' for plot in drawn)}"

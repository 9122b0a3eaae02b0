"""Plots of runs and of what their policies learned, with matplotlib (extra ``[plot]``)."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastpg.kernels.geometry import FIRST_ROW, VIEW_SIDE
from fastpg.show import ShowError
from fastpg.show.play.playback import Playback
from fastpg.show.report.runs import AXES, Group, Run
from fastpg.show.report.saliency import OBJECT_SIGMA, SalientDecision, Unit, blurred
from fastpg.system.extras import install_extra

COLOURS = ("#c8641e", "#3f7fc4", "#4f9a4f", "#8e5bb5", "#b8952c", "#c2507a", "#4aa3a3", "#7a6a60")
INK, DIM, GRID = "#2c2622", "#85796f", "#e9e3dc"
_WEIGHT_COLOURS = ("#2f6fc0", "#fbf9f6", "#d9651a")  # below 0, at 0, above 0
_PIXEL_COLOURS = ("#0a3fd0", "#2b2622", "#d83a00")  # more saturated, for single pixels
RANDOM_SCORE = -20.3  # mean score of random actions in Pong
_NAMES = {"episodes": "episodes", "agent_steps": "agent steps", "seconds": "wall time (s)"}
_TICKS = (-21, -14, -7, 0, 7, 14, 21)  # of Pong's scores
_TOP = FIRST_ROW - 1  # first screen line of the drawn field
_BOTTOM = _TOP + 2 * VIEW_SIDE
_UNITS = {1: (4, 10), 2: (4, 7)}  # planes of a unit: rows and columns of the grid
_ACTIVITIES = {"emulation": "#c8641e", "choosing actions": "#3f7fc4", "learning": "#4f9a4f"}
_OTHER = "#b9afa6"


def check_plots() -> None:
    """Raise ShowError if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ShowError(
            f"plots need matplotlib, in the [report] extra: {install_extra('report')}"
        ) from None


def _figure(width: float, height: float) -> Any:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(
        {
            "font.size": 9,
            "text.color": INK,
            "axes.labelcolor": DIM,
            "axes.edgecolor": "#cfc6bd",
            "xtick.color": DIM,
            "ytick.color": DIM,
            "axes.grid": True,
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "fastpg",
        }
    )
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def svg(figure: Any) -> bytes:
    """Return a figure as an SVG file, with letters as outlines: the same on any machine."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def png(figure: Any, dots_per_inch: int = 150) -> bytes:
    """Return a figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dots_per_inch)
    return file.getvalue()


def _all(groups: Sequence[Group]) -> list[Run]:
    return [run for group in groups for run in group.runs]


def colour_of(number: int) -> str:
    """Return the colour of a group."""
    return COLOURS[number % len(COLOURS)]


# ---- runs ---------------------------------------------------------------------------------------


def learning_curves(groups: Sequence[Group], pong: bool) -> Any:
    """Plot mean scores over episodes, agent steps and wall time, the range of seeds as a band."""
    figure = _figure(11, 3.7)
    plots = figure.subplots(1, len(AXES), sharey=True)
    for plot, axis in zip(plots, AXES, strict=True):
        for number, group in enumerate(groups):
            colour = colour_of(number)
            band = group.band(axis)
            for run in group.runs:
                x, y = run.curve(axis)
                faint = band is not None
                plot.plot(x, y, color=colour, lw=0.7 if faint else 1.7, alpha=0.45 if faint else 1)
            if band is not None:
                x, low, median, high = band
                plot.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
                plot.plot(x, median, color=colour, lw=2)
        plot.set_xlabel(_NAMES[axis])
        plot.xaxis.set_major_formatter(_engineering())
        plot.locator_params(axis="x", nbins=5)
        plot.set_xlim(left=0)
        if pong:
            plot.axhline(0, color="#cfc6bd", lw=1, zorder=1)  # as good as the computer's player
            plot.axhline(RANDOM_SCORE, color=DIM, lw=0.9, ls=(0, (4, 3)), zorder=1)
    if pong:
        highest = max(run.curve("episodes")[1].max(initial=-21) for run in _all(groups))
        ticks = [tick for tick in _TICKS if tick - 7 < highest or tick < 0]
        plots[0].set_yticks(ticks)
        plots[0].set_ylim(_TICKS[0] - 0.9, ticks[-1] + 0.9)
        plots[-1].annotate(
            "random play", (1, RANDOM_SCORE), (0, 3), color=DIM, fontsize=7.5, ha="right",
            xycoords=("axes fraction", "data"), textcoords="offset points",
        )  # fmt: skip
    short = all(run.short for run in _all(groups))
    plots[0].set_ylabel("mean score, an update's episodes" if short else "mean score, 100 episodes")
    if len(groups) > 1:
        _legend(figure, groups)
    return figure


def histogram(groups: Sequence[Group], pong: bool) -> Any | None:
    """Plot the scores of the last episodes, up to 100 of each run; None if no run has any."""
    scores = [np.concatenate([run.scores for run in group.runs]) for group in groups]
    known = [group for group in scores if len(group)]
    if not known:
        return None
    pooled = np.concatenate(known)
    low, high = (-21, 21) if pong else (np.floor(pooled.min()), np.ceil(pooled.max()))
    bins = np.arange(low - 0.5, high + 1) if high - low <= 60 else np.linspace(low, high, 41)
    figure = _figure(6.4, 3.1)
    plot = figure.subplots()
    for number, values in enumerate(scores):
        if len(values):
            colour, alpha = colour_of(number), 0.85 if len(known) == 1 else 0.55
            plot.hist(values, bins, color=colour, alpha=alpha, edgecolor="white", linewidth=0.5)
            plot.axvline(values.mean(), color=colour, lw=1.4, ls=(0, (4, 2)))
            plot.annotate(
                f" mean {values.mean():+.1f}", (values.mean(), 1 - 0.08 * number), color=colour,
                xycoords=("data", "axes fraction"), va="top", fontsize=8,
                ha="right" if values.mean() > (low + high) / 2 else "left",
            )  # fmt: skip
    plot.margins(y=0.18)
    plot.set_xlabel("score of an episode")
    plot.set_ylabel("episodes")
    plot.grid(axis="x", visible=False)
    if pong:
        plot.set_xticks(_TICKS)
    return figure


def speed(groups: Sequence[Group]) -> Any:
    """Plot agent steps a second over wall time, and each run's share of time by activity."""
    runs = [(number, run) for number, group in enumerate(groups) for run in group.runs]
    figure = _figure(11, max(3.1, 0.9 + 0.42 * len(runs)))
    rates, shares = figure.subplots(1, 2, width_ratios=(1, 1.15))
    for number, run in runs:
        x, y = _steps_a_second(run)
        rates.plot(x, y, color=colour_of(number), lw=1.2, alpha=0.85)
    rates.set(xlabel="wall time (s)", ylabel="agent steps a second", ylim=(0, None), xlim=(0, None))
    rates.yaxis.set_major_formatter(_engineering())
    for row, (_, run) in enumerate(runs):
        left = 0.0
        for name, seconds in time_spent(run).items():
            share = 100 * seconds / max(run.last["seconds"], 1e-9)
            colour = _ACTIVITIES.get(name, _OTHER)
            shares.barh(
                row, share, left=left, color=colour, height=0.62, label=name if not row else None
            )
            if share >= 7:
                text = f"{share:.0f} %"
                shares.text(
                    left + share / 2, row, text, ha="center", va="center", color="white", fontsize=8
                )
            left += share
    names = [f"{run.name}\n{run.last['seconds']:,.0f} s" for _, run in runs]
    shares.set_yticks(range(len(runs)), names, fontsize=8)
    shares.invert_yaxis()
    shares.set(xlim=(0, 100), xlabel="% of the wall time")
    shares.grid(visible=False)
    shares.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False, fontsize=8)
    return figure


def time_spent(run: Run) -> dict[str, float]:
    """Return the seconds of a run by activity."""
    last = run.last
    names = ("seconds_emulation", "seconds_forward", "seconds_learning")
    spent = dict(zip(_ACTIVITIES, (last[name] for name in names), strict=True))
    return spent | {"other": max(last["seconds"] - sum(spent.values()), 0.0)}


def _steps_a_second(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return wall times and the mean rates up to each, over at most 50 intervals of a run."""
    seconds, steps = run.column("seconds"), run.column("agent_steps")
    ends = np.unique(np.linspace(0, len(seconds) - 1, min(50, len(seconds))).astype(int))
    x, y = np.append(0, seconds[ends]), np.append(0, steps[ends])
    rising = np.append(True, np.diff(x) > 0)
    x, y = x[rising], y[rising]
    return x[1:], np.diff(y) / np.diff(x)


def _engineering() -> Any:
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")


def _legend(figure: Any, groups: Sequence[Group]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour_of(k), lw=2) for k in range(len(groups))]
    labels = [f"{group.label} ({len(group.runs)})" for group in groups]
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)


# ---- what was learned ---------------------------------------------------------------------------


def _show_weights(
    plot: Any, picture: np.ndarray, colours: tuple[str, str, str], most: float, **settings: Any
) -> None:
    """Draw values from -most to most in colours for below 0, 0 and above 0."""
    from matplotlib.colors import LinearSegmentedColormap

    colour_map = LinearSegmentedColormap.from_list("fastpg", colours)
    plot.imshow(picture, cmap=colour_map, vmin=-most, vmax=most, **settings)


def units_shown(planes: int) -> tuple[int, int]:
    """Return rows and columns of the grid in :func:`weights_grid`."""
    return _UNITS.get(planes, (4, 4))


def weights_grid(units: Sequence[Unit]) -> Any:
    """Plot each unit's weights as pictures: orange excites, blue inhibits."""
    planes = len(units[0].planes)
    down, across = units_shown(planes)
    side = 11 / (across * planes)
    figure = _figure(11, down * (side + 0.24))
    plots = np.array(figure.subplots(down, across, squeeze=False))
    for plot in plots.flat:
        plot.set_axis_off()
    gap = np.full((VIEW_SIDE, 3), np.nan)
    for plot, unit in zip(plots.flat, units, strict=False):
        views = [image for plane in unit.planes for image in (blurred(plane, 1.0), gap)][:-1]
        picture = np.concatenate(views, 1)
        most = max(float(np.nanquantile(np.abs(picture), 0.998)), 1e-9)
        _show_weights(plot, picture, _WEIGHT_COLOURS, most, interpolation="nearest")
        favoured = "UP" if unit.up_preference > 0 else "DOWN"
        plot.set_title(f"{favoured} {abs(unit.up_preference):.2f}", fontsize=7, pad=2)
    return figure


def saliency(decisions: Sequence[SalientDecision], playback: Playback) -> Any:
    """Plot pictures of the game and below them the saliency: orange is for UP, blue for DOWN."""
    figure = _figure(11, 4.6)
    plots = figure.subplots(2, max(len(decisions), 1), squeeze=False)
    up = playback.up
    for column, salient in zip(plots.T, decisions, strict=False):
        decision = salient.frame.decision
        field = salient.frame.picture[_TOP:_BOTTOM]
        extent = (0, field.shape[1], field.shape[0], 0)
        for plot in column:
            plot.set_axis_off()
        column[0].imshow(field, extent=extent, interpolation="nearest")
        chance = "" if up is None else f"UP {decision.probabilities[up]:.0%}"
        title = f"step {decision.step}: {chance}, took {playback.labels[decision.action]}"
        column[0].set_title(title, fontsize=8.5)
        _show_saliency(column[1], salient, extent)
    return figure


def _show_saliency(plot: Any, salient: SalientDecision, extent: tuple[int, ...]) -> None:
    """Draw the lit pixels, coloured by their saliency, over the smoothed saliency, paler."""
    smooth = blurred(salient.saliency[0], OBJECT_SIGMA)
    most = max(float(np.quantile(np.abs(smooth), 0.998)), 1e-9)
    _show_weights(
        plot, smooth, _WEIGHT_COLOURS, 2.2 * most, extent=extent, interpolation="bilinear"
    )
    planes = salient.frame.decision.planes
    added = (planes * salient.saliency).sum(0)
    lit = np.ma.masked_array(added, ~(planes != 0).any(0))
    # One ball pixel can outweigh a paddle; on a scale set by it, all other pixels would look grey.
    most = max(float(np.quantile(np.abs(lit.compressed()), 0.8)) if lit.count() else 0.0, 1e-9)
    _show_weights(plot, lit, _PIXEL_COLOURS, most, extent=extent, interpolation="nearest")

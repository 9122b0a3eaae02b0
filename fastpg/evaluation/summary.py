"""An evaluation's figures, and their text for a terminal."""

from typing import Any

import numpy as np

from fastpg.envs.rules import Rules
from fastpg.evaluation.episodes import Evaluation
from fastpg.evaluation.statistics import confidence_interval, histogram

_FRAMES_PER_MINUTE = 60 * 60  # the console draws 60 frames a second


def summary(evaluation: Evaluation, rules: Rules) -> dict[str, Any]:
    """Compute the figures that ``fastpg.evaluate --json`` prints.

    Args:
        evaluation: at least one episode.
        rules: of the game. Wins, losses and draws are None in games other than Pong.
    """
    scores, frames = evaluation.scores, int(evaluation.frames.sum())
    minutes = frames / _FRAMES_PER_MINUTE
    interval, pong = confidence_interval(scores), rules.game == "pong"
    return {
        "episodes": len(scores),
        "mean_score": float(scores.mean()),
        "confidence": 0.95,
        "confidence_interval": None if interval is None else list(interval),
        "confidence_method": "Student's t",
        "wins": int((scores > 0).sum()) if pong else None,
        "losses": int((scores < 0).sum()) if pong else None,
        "draws": int((scores == 0).sum()) if pong else None,
        "points_won_per_minute": float(evaluation.won.sum()) / minutes if minutes else None,
        "points_lost_per_minute": float(evaluation.lost.sum()) / minutes if minutes else None,
        "agent_steps": int(evaluation.steps.sum()),
        "emulator_frames": frames,
    }


def text_lines(result: dict[str, Any], evaluation: Evaluation) -> list[str]:
    """Format the result of ``fastpg.evaluate`` in lines of at most 80 characters.

    Args:
        result: what ``--json`` prints.
        evaluation: the episodes.
    """
    policy = "fastpg's pretrained policy" if result["run"] is None else result["checkpoint"]
    count, frames = result["episodes"], result["emulator_frames"]
    choice = "greedy" if result["greedy"] else "sampled"
    interval = result["confidence_interval"]
    spread = "no interval of one episode"
    if interval is not None:
        low, high = interval
        spread = f"95 % confidence interval {low:+.2f} to {high:+.2f} (Student's t)"
    lines = [
        f"{policy}, update {result['update']:,}",
        f"{count:,} episode{'s'[: count != 1]} of {result['env']}, {choice}, "
        f"seed {result['seed']}, emulator {result['emulator']}",
        "",
        f"mean score    {result['mean_score']:+.2f}, {spread}",
    ]
    if result["wins"] is not None:
        draws = f", {result['draws']:,} drawn" if result["draws"] else ""
        lines.append(f"games         {result['wins']:,} won, {result['losses']:,} lost{draws}")
    if frames:
        won, lost = result["points_won_per_minute"], result["points_lost_per_minute"]
        lines.append(f"points        {won:.2f} won, {lost:.2f} lost a minute of game time")
    lines += [
        f"an episode    {np.mean(evaluation.steps):,.0f} agent steps, "
        f"{frames / count / _FRAMES_PER_MINUTE:.1f} minutes of game time",
        f"took          {result['seconds']:.1f} s, "
        f"{frames / max(result['seconds'], 1e-9):,.0f} emulator frames/s",
        "",
        *histogram(evaluation.scores),
    ]
    return lines

"""``python -m fastpg.evaluate [RUN]``: how well a trained policy plays, over whole episodes."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from fastpg.checkpoint import Checkpoint, CheckpointError, load
from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.cli.resolve import resolve_emulator, resolve_rules
from fastpg.config import ConfigError, TrainConfig
from fastpg.envs.rules import Rules
from fastpg.envs.worker_pool import available_cores
from fastpg.evaluation.episodes import Evaluation, evaluate
from fastpg.evaluation.policy import load_pretrained
from fastpg.evaluation.statistics import confidence_interval, histogram

_FRAMES_A_MINUTE = 60 * 60  # the console draws 60 frames a second
_MOST_EPISODES = 1_000_000


@dataclass(frozen=True)
class EvaluateConfig:
    """Play whole episodes with a trained policy, and say how well it did."""

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """A run's folder, its checkpoints folder or a checkpoint file; without it the policy that ships
    with fastpg."""

    episodes: int = 100
    """Episodes to play, all to their end, so that short ones are not favoured. Those of fewer are
    the first ones of more."""

    seed: int = 0
    """Seed of the games and the actions: the same seed gives the same scores."""

    env: str | None = None
    """Rules by ale-py's name: ALE/Pong-v5 (sticky actions), PongNoFrameskip-v4 (skip 4, up to 30
    idle frames at the start), Pong-v0, ...; None: those of the training."""

    greedy: bool = False
    """Take the likeliest action instead of drawing one by its probability."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """native is our own, for Pong, ale is ale-py, hundreds of times slower: the same scores. auto:
    native for Pong, ale for other games."""

    threads: int | None = None
    """Threads (worker processes on ale-py); any number gives the same scores. None: all cores."""

    json: bool = False
    """Print one JSON object instead, with every episode's score and length."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    words = sys.argv[1:] if argv is None else argv
    return guarded("fastpg.evaluate", lambda: _command(words))


def _command(argv: Sequence[str]) -> None:
    config = parse(EvaluateConfig, argv, "python -m fastpg.evaluate")
    _check(config)
    saved = load_pretrained() if config.run is None else _load(config.run)
    rules, env = _rules(config, saved)
    emulator = resolve_emulator(config.emulator, rules, env)
    progress = _Progress(config.episodes)
    began = perf_counter()
    try:
        played = evaluate(
            saved,
            rules,
            emulator=emulator,
            episodes=config.episodes,
            seed=config.seed,
            greedy=config.greedy,
            threads=config.threads or available_cores(),
            progress=progress,
        )
    finally:
        progress.end()
    result = {
        "run": None if config.run is None else str(config.run),
        "checkpoint": str(saved.path),
        "update": saved.update,
        "env": env,
        "rules": asdict(rules),
        "emulator": emulator,
        "seed": config.seed,
        "greedy": config.greedy,
        **summary(played, rules),
        "seconds": perf_counter() - began,
        "scores": played.scores.tolist(),
        "lengths": played.steps.tolist(),
    }
    print(json.dumps(result) if config.json else "\n".join(_lines(result, played)))


def _check(config: EvaluateConfig) -> None:
    if not 1 <= config.episodes <= _MOST_EPISODES:
        raise ConfigError(f"--episodes: expected 1 to {_MOST_EPISODES}, got {config.episodes}")
    if not 0 <= config.seed < 1 << 32:
        raise ConfigError(f"--seed: expected 0 to below 2**32, got {config.seed}")
    if config.threads is not None and config.threads < 1:
        raise ConfigError(f"--threads: expected at least 1, got {config.threads}")


def _load(path: Path) -> Checkpoint:
    try:
        return load(path)
    except CheckpointError as error:
        cure = "RUN is a run's folder, such as runs/Pong-v0-pong-seed0, or a checkpoint file"
        raise CheckpointError(f"{error}; {cure}") from None


def _rules(config: EvaluateConfig, saved: Checkpoint) -> tuple[Rules, str]:
    """The rules, and their name."""
    if config.env is not None:
        return resolve_rules(TrainConfig(env=config.env)), config.env
    if "config" not in saved.state:
        raise CheckpointError(f"{saved.path}: is no checkpoint of fastpg.train")
    trained = TrainConfig.from_json(saved.state["config"])
    return resolve_rules(trained), trained.env


class _Progress:
    """Episodes so far, on a terminal only."""

    def __init__(self, episodes: int):
        self.episodes, self._shown = episodes, False
        self._next = perf_counter() + 0.5

    def __call__(self, played: int) -> None:
        if sys.stderr.isatty() and perf_counter() >= self._next:
            self._shown, self._next = True, perf_counter() + 0.1
            print(f"\r{played:,} of {self.episodes:,} episodes ", end="", file=sys.stderr)
            sys.stderr.flush()

    def end(self) -> None:
        """Leave an empty line."""
        if self._shown:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
            sys.stderr.flush()


# ---- what is said -------------------------------------------------------------------------------


def summary(played: Evaluation, rules: Rules) -> dict[str, Any]:
    """Figures of episodes, as ``--json`` names them; wins, losses and draws are Pong's alone."""
    scores, frames = played.scores, int(played.frames.sum())
    minutes = frames / _FRAMES_A_MINUTE
    interval = confidence_interval(scores)
    figures: dict[str, Any] = {
        "episodes": len(scores),
        "mean_score": float(scores.mean()),
        "confidence": 0.95,
        "confidence_interval": None if interval is None else list(interval),
        "confidence_method": "Student's t",
        "wins": None,
        "losses": None,
        "draws": None,
        "points_won_per_minute": float(played.won.sum()) / minutes if minutes else None,
        "points_lost_per_minute": float(played.lost.sum()) / minutes if minutes else None,
        "agent_steps": int(played.steps.sum()),
        "emulator_frames": frames,
    }
    if rules.game == "pong":
        counts = (scores > 0).sum(), (scores < 0).sum(), (scores == 0).sum()
        figures |= dict(zip(("wins", "losses", "draws"), map(int, counts), strict=True))
    return figures


def _lines(result: dict[str, Any], played: Evaluation) -> list[str]:
    policy = "fastpg's pretrained policy" if result["run"] is None else result["checkpoint"]
    count, frames = result["episodes"], result["emulator_frames"]
    how = "greedy" if result["greedy"] else "sampled"
    interval = result["confidence_interval"]
    spread = "no interval of one episode"
    if interval is not None:
        low, high = interval
        spread = f"95 % confidence interval {low:+.2f} to {high:+.2f} (Student's t)"
    lines = [
        f"{policy}, update {result['update']:,}",
        f"{count:,} episode{'s'[: count != 1]} of {result['env']}, {how}, "
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
        f"an episode    {np.mean(played.steps):,.0f} agent steps, "
        f"{frames / count / _FRAMES_A_MINUTE:.1f} minutes of game time",
        f"took          {result['seconds']:.1f} s, "
        f"{frames / max(result['seconds'], 1e-9):,.0f} emulator frames/s",
        "",
        *histogram(played.scores),
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())

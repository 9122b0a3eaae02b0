"""``python -m fastpg.evaluate [RUN]``: how well a trained policy plays, over whole episodes."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import tyro

from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.cli.read_policy import saved_policy
from fastpg.cli.resolve import game_to_show
from fastpg.cli.status_line import StatusLine
from fastpg.cli.validate import check_seed
from fastpg.config import ConfigError
from fastpg.evaluation.episodes import evaluate
from fastpg.evaluation.summary import summary, text_lines
from fastpg.system.cores import available_cores

_MAX_EPISODES = 1_000_000


@dataclass(frozen=True)
class EvaluateConfig:
    """Play whole episodes with a trained policy and report its score."""

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """A run folder, its checkpoints folder, a checkpoint file, a .npz or the article's save.p.
    Without it: the pretrained policy of the package."""

    episodes: int = 100
    """Episodes to play. All are played to their end, so short ones are not favoured. The first 10
    of 100 episodes are the same as with 10 episodes."""

    seed: int = 0
    """Seed of the games and the actions: the same seed gives the same scores."""

    env: str | None = None
    """Rules by ale-py's name: ALE/Pong-v5 (sticky actions), PongNoFrameskip-v4 (frame skip 4, up to
    30 no-op frames at the start), Pong-v0, ... None: the rules of the training run."""

    greedy: bool = False
    """Take the most likely action instead of sampling one."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """native: fastpg's own, for Pong. ale: ale-py, tens of times slower, with the same scores.
    auto: native for Pong, ale for other games."""

    threads: int | None = None
    """Threads (worker processes with ale-py); any number gives the same scores. None: all cores."""

    json: bool = False
    """Print one JSON object instead of text, with every episode's score and length."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    return guarded("fastpg.evaluate", _command, argv)


def _command(argv: Sequence[str]) -> None:
    config = parse(EvaluateConfig, argv, "python -m fastpg.evaluate")
    _check(config)
    saved = saved_policy(config.run)
    rules, emulator, env = game_to_show(saved, config.env, config.emulator)
    began = perf_counter()
    with StatusLine(delay=0.5, interval=0.1) as status:
        evaluation = evaluate(
            saved,
            rules,
            emulator=emulator,
            episodes=config.episodes,
            seed=config.seed,
            greedy=config.greedy,
            threads=config.threads or available_cores(),
            progress=lambda count: status.show(f"{count:,} of {config.episodes:,} episodes "),
        )
    result = {
        "run": None if config.run is None else str(config.run),
        "checkpoint": str(saved.path),
        "update": saved.update,
        "env": env,
        "rules": asdict(rules),
        "emulator": emulator,
        "seed": config.seed,
        "greedy": config.greedy,
        **summary(evaluation, rules),
        "seconds": perf_counter() - began,
        "scores": evaluation.scores.tolist(),
        "lengths": evaluation.steps.tolist(),
    }
    print(json.dumps(result) if config.json else "\n".join(text_lines(result, evaluation)))


def _check(config: EvaluateConfig) -> None:
    if not 1 <= config.episodes <= _MAX_EPISODES:
        raise ConfigError(f"--episodes: expected 1 to {_MAX_EPISODES}, got {config.episodes}")
    check_seed(config.seed)
    if config.threads is not None and config.threads < 1:
        raise ConfigError(f"--threads: expected at least 1, got {config.threads}")


if __name__ == "__main__":
    sys.exit(main())

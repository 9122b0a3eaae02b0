"""``python -m fastpg.watch [RUN]``: a policy at play, in the terminal, a window or a video."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.cli.read_policy import saved_policy
from fastpg.cli.shown_game import playback_of
from fastpg.cli.status_line import StatusLine
from fastpg.cli.validate import check_seed
from fastpg.config import ConfigError
from fastpg.show.play.drawing import composer_of
from fastpg.show.play.live import TerminalView, Window, play_live
from fastpg.show.play.playback import FRAMES_PER_SECOND, Playback
from fastpg.show.play.terminal import Terminal
from fastpg.show.play.video import check_video, record


@dataclass(frozen=True)
class WatchConfig:
    """Watch a trained policy play, with its input and the probability of each action.

    By default it plays in the terminal, at 60 frames per second. q quits.
    """

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """A run folder, its checkpoints folder, a checkpoint file, a .npz or the article's save.p.
    Without it: the pretrained policy of the package."""

    video: Path | None = None
    """Write a video instead: FILE.mp4 (60 frames per second) or FILE.gif (20). Needs the [video]
    extra."""

    window: bool = False
    """Play in a window instead. Needs a display and the [window] extra."""

    env: str | None = None
    """Rules by ale-py's name: ALE/Pong-v5 (sticky actions), PongNoFrameskip-v4 (frame skip 4, up to
    30 no-op frames at the start), Pong-v0, ... None: the rules of the training run."""

    seed: int = 0
    """Seed of the games and the actions: the same seed shows the same games."""

    greedy: bool = False
    """Take the most likely action instead of sampling one."""

    episodes: int | None = None
    """Stop after this many games. None: one game in a video, otherwise until you quit."""

    seconds: float | None = None
    """Stop after this many seconds of game time."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """native: fastpg's own, for Pong. ale: ale-py, with the same games. auto: native for Pong, ale
    for other games."""

    colours: Literal["auto", "24bit", "256"] = "auto"
    """Colours of the terminal. auto: use COLORTERM and TERM."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    return guarded("fastpg.watch", _command, argv)


def _command(argv: Sequence[str]) -> None:
    config = parse(WatchConfig, argv, "python -m fastpg.watch")
    _check(config)
    playback, env = playback_of(saved_policy(config.run), config)
    if config.video is not None:
        _write(config, config.video, playback)
        return
    frames = playback.frames(config.episodes, config.seconds)
    title = f"{config.run or 'pretrained policy'}, {env}"
    if config.window:
        with Window(composer_of(playback), f"fastpg: {title}") as window:
            play_live(frames, window.show, window.key)
    else:
        true_colour = None if config.colours == "auto" else config.colours == "24bit"
        with Terminal(true_colour) as terminal:
            play_live(
                frames, TerminalView(terminal, playback.labels, playback.up).show, terminal.key
            )
    print(f"{title}: {_scores(playback) or 'no game was played to its end'}")


def _scores(playback: Playback) -> str:
    return ", ".join(f"{score:+.0f}" for score in playback.scores)


def _check(config: WatchConfig) -> None:
    if config.window and config.video is not None:
        raise ConfigError("--window: expected one of --window and --video, got both")
    if config.episodes is not None and config.episodes < 1:
        raise ConfigError(f"--episodes: expected at least 1, got {config.episodes}")
    if config.seconds is not None and not 0 < config.seconds < 1e9:
        raise ConfigError(f"--seconds: expected above 0, got {config.seconds:g}")
    check_seed(config.seed)
    if config.video is not None:
        check_video(config.video)


def _write(config: WatchConfig, path: Path, playback: Playback) -> None:
    episodes = 1 if config.episodes is None and config.seconds is None else config.episodes
    with StatusLine() as status:
        frames = playback.frames(episodes, config.seconds)
        count = record(path, playback, frames, status.show)
    ended = f", games ended {_scores(playback)}" if playback.scores else ""
    size = f"{count / FRAMES_PER_SECOND:.1f} seconds, {path.stat().st_size / 1e6:.1f} MB"
    print(f"{path}: {size}{ended}")


if __name__ == "__main__":
    sys.exit(main())

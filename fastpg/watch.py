"""``python -m fastpg.watch [RUN]``: a policy at play, in the terminal, a window or a video."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.cli.resolve import resolve_emulator, resolve_rules
from fastpg.config import ConfigError, TrainConfig
from fastpg.envs.rules import Rules
from fastpg.show import ShowError
from fastpg.show.play.drawing import Composer, plane_names
from fastpg.show.play.live import TerminalView, Window, play_live
from fastpg.show.play.playback import FRAMES_PER_SECOND, Playback, PlaybackFrame, policy_of_run
from fastpg.show.play.terminal import Terminal
from fastpg.show.play.video import check_video, save_video


@dataclass(frozen=True)
class WatchConfig:
    """Watch a trained policy play, with its input and how likely each action is.

    In the terminal by default, at the console's 60 frames a second: q quits.
    """

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """A run's folder, its checkpoints folder or a checkpoint file; without it the policy that ships
    with fastpg."""

    video: Path | None = None
    """Write a video instead: FILE.mp4 (60 pictures a second) or FILE.gif (20); needs the [video]
    extra."""

    window: bool = False
    """Show it in a window instead; needs a display and the [window] extra."""

    env: str | None = None
    """Rules by ale-py's name: ALE/Pong-v5 (sticky actions), PongNoFrameskip-v4 (skip 4, up to 30
    idle frames at the start), Pong-v0, ...; None: those of the training."""

    seed: int = 0
    """Seed of the games and the actions: the same seed shows the same games."""

    greedy: bool = False
    """Take the likeliest action instead of drawing one by its probability."""

    episodes: int | None = None
    """Stop after this many games; None: one in a video, else when you quit."""

    seconds: float | None = None
    """Stop after this many seconds of the game's time."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """native is our own, for Pong, ale is ale-py: the same games. auto: native for Pong, ale for
    other games."""

    colours: Literal["auto", "24bit", "256"] = "auto"
    """Colours of the terminal. auto: what COLORTERM and TERM say."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    words = sys.argv[1:] if argv is None else argv
    return guarded("fastpg.watch", lambda: refusals(_command, words))


def refusals(command: Callable[[Sequence[str]], None], argv: Sequence[str]) -> None:
    """Run a command; what cannot be shown is a wrong setting."""
    try:
        command(argv)
    except ShowError as error:
        raise ConfigError(str(error)) from None


def _command(argv: Sequence[str]) -> None:
    config = parse(WatchConfig, argv, "python -m fastpg.watch")
    _check(config)
    policy, trained = policy_of_run(config.run)
    rules, emulator, env = game_of(trained, config.env, config.emulator)
    playback = Playback(policy, rules, emulator, config.greedy, config.seed)
    if config.video is not None:
        _write(config, config.video, playback)
        return
    finished: list[str] = []
    moments = _noted(_limited(playback, config, config.episodes), finished)
    title = f"{config.run or 'pretrained policy'}, {env}"
    if config.window:
        with Window(composer_of(playback), f"fastpg: {title}") as window:
            play_live(moments, window.show, window.key)
    else:
        true_colour = None if config.colours == "auto" else config.colours == "24bit"
        with Terminal(true_colour) as terminal:
            view = TerminalView(terminal, playback.labels, playback.up)
            play_live(moments, view.show, terminal.key)
    print(f"{title}: {', '.join(finished) if finished else 'no game was played to its end'}")


def _check(config: WatchConfig) -> None:
    if config.window and config.video is not None:
        raise ConfigError("--window: expected one of --window and --video, got both")
    if config.episodes is not None and config.episodes < 1:
        raise ConfigError(f"--episodes: expected at least 1, got {config.episodes}")
    if config.seconds is not None and not 0 < config.seconds < 1e9:
        raise ConfigError(f"--seconds: expected above 0, got {config.seconds:g}")
    if not 0 <= config.seed < 1 << 32:
        raise ConfigError(f"--seed: expected 0 to below 2**32, got {config.seed}")
    if config.video is not None:
        check_video(config.video)


def game_of(trained: dict[str, Any], env: str | None, emulator: str) -> tuple[Rules, str, str]:
    """The rules, the emulator and the rules' name for a policy that was trained with settings.

    Args:
        trained: the settings.
        env: other rules by name, or None.
        emulator: ``"native"``, ``"ale"`` or ``"auto"``.
    """
    config = TrainConfig.from_json(trained) if env is None else TrainConfig(env=env)
    rules = resolve_rules(config)
    return rules, resolve_emulator(emulator, rules, config.env), config.env


def composer_of(playback: Playback) -> Composer:
    """What draws a playback."""
    input_spec = playback.player.policy.network.input_spec
    return Composer(
        playback.labels, plane_names(input_spec.views, input_spec.difference), playback.up
    )


def _limited(
    playback: Playback, config: WatchConfig, episodes: int | None
) -> Iterator[PlaybackFrame]:
    frames = None if config.seconds is None else max(round(config.seconds * FRAMES_PER_SECOND), 1)
    return islice(playback.frames(episodes), frames)


def _noted(moments: Iterator[PlaybackFrame], finished: list[str]) -> Iterator[PlaybackFrame]:
    for moment in moments:
        if moment.over:
            finished.append(f"{moment.score:+.0f}")
        yield moment


def pictures(
    moments: Iterator[PlaybackFrame],
    composer: Composer,
    progress: Callable[[int, PlaybackFrame], None],
) -> Iterator[Callable[[], np.ndarray]]:
    """What :func:`~fastpg.show.play.video.save_video` takes; ``progress`` hears of every frame."""
    for number, moment in enumerate(moments, 1):
        yield partial(composer.draw, moment)
        progress(number, moment)


def _write(config: WatchConfig, path: Path, playback: Playback) -> None:
    episodes = config.episodes
    if episodes is None and config.seconds is None:
        episodes = 1
    finished: list[str] = []
    moments = _noted(_limited(playback, config, episodes), finished)
    progress = Progress()
    try:
        save_video(path, pictures(moments, composer_of(playback), progress))
    finally:
        progress.end()
    played = progress.frames / FRAMES_PER_SECOND
    scores = f", games ended {', '.join(finished)}" if finished else ""
    size = path.stat().st_size / 1e6
    print(f"{path}: {played:.1f} seconds, {size:.1f} MB{scores}")


class Progress:
    """Seconds of a video so far, on a terminal only.

    Attributes:
        frames: written so far.
    """

    def __init__(self) -> None:
        self.frames, self._shown = 0, False

    def __call__(self, number: int, moment: PlaybackFrame) -> None:
        """Hear of a frame."""
        self.frames = number
        if number % FRAMES_PER_SECOND == 0 and sys.stderr.isatty():
            self._shown = True
            said = f"video: {number // FRAMES_PER_SECOND} s, score {moment.score:+.0f}"
            print(f"\r{said:<40}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave an empty line."""
        if self._shown:
            print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

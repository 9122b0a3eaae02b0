"""Limits a playback to a number of episodes or seconds, and records it as a video."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from fastpg.show.play.drawing import Composer, plane_names
from fastpg.show.play.playback import FRAMES_PER_SECOND, Playback, PlaybackFrame
from fastpg.show.play.video import save_video


def composer_of(playback: Playback) -> Composer:
    """Make the composer that draws a playback's frames."""
    spec = playback.player.policy.network.input_spec
    return Composer(playback.labels, plane_names(spec.views, spec.difference), playback.up)


def frames_of(
    playback: Playback, episodes: int | None, seconds: float | None, scores: list[str]
) -> Iterator[PlaybackFrame]:
    """Yield the frames of a playback until a limit is reached, at least one.

    Args:
        playback: the playback.
        episodes: number of episodes; None for no limit.
        seconds: seconds of game time; None for no limit.
        scores: receives the score of each finished episode, such as ``"+21"``.
    """
    limit = None if seconds is None else max(round(seconds * FRAMES_PER_SECOND), 1)
    for frame in islice(playback.frames(episodes), limit):
        if frame.over:
            scores.append(f"{frame.score:+.0f}")
        yield frame


def record(
    path: Path,
    playback: Playback,
    frames: Iterator[PlaybackFrame],
    progress: Callable[[str], None] | None = None,
) -> int:
    """Write frames of a playback as a video, and return their number.

    Args:
        path: file to write; see :func:`fastpg.show.play.video.save_video`.
        playback: the playback.
        frames: frames of the playback.
        progress: called with a line of text once per second of the video.
    """
    composer, count = composer_of(playback), 0

    def pictures() -> Iterator[Callable[[], np.ndarray]]:
        nonlocal count
        for frame in frames:
            yield partial(composer.draw, frame)
            count += 1
            if progress is not None and count % FRAMES_PER_SECOND == 0:
                progress(f"video: {count // FRAMES_PER_SECOND} s, score {frame.score:+.0f}")

    save_video(path, pictures())
    return count

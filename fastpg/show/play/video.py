"""Video files, complete or not written at all: ``.mp4`` at 60 pictures a second, ``.gif`` at 20."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from fastpg.show import ShowError
from fastpg.show.play.drawing import composer_of
from fastpg.show.play.playback import FRAMES_PER_SECOND, Playback, PlaybackFrame
from fastpg.system.atomic_file import AtomicFile
from fastpg.system.extras import missing_extra

KINDS = (".mp4", ".gif")
# Emulator frames a picture. GIF delays are multiples of 10 ms, so 60 pictures a second are
# impossible.
GIF_EVERY = 3


def check_video(path: Path) -> None:
    """Check that a video can be written, before anything is played.

    Raises:
        ShowError: its suffix is unknown, the extra is missing, or its folder cannot be written.
    """
    if path.suffix.lower() not in KINDS:
        raise ShowError(f"--video {path}: expected a name that ends in {' or '.join(KINDS)}")
    check_libraries(path.suffix.lower(), f"--video: {missing_extra('video')}")
    check_writable(path, "--video")


def check_libraries(kind: str, cure: str) -> None:
    """Raise ShowError, with ``cure`` for a missing package, if no video of a kind can be made."""
    try:
        import PIL  # noqa: F401

        if kind == ".mp4":
            from imageio_ffmpeg import get_ffmpeg_version

            if not get_ffmpeg_version():
                raise OSError("it says no version")
    except ImportError:
        raise ShowError(cure) from None
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        named = os.environ.get("IMAGEIO_FFMPEG_EXE")
        reason = getattr(error, "strerror", None) or error
        what = f"IMAGEIO_FFMPEG_EXE={named}: is no ffmpeg that runs ({reason})"
        none = "imageio-ffmpeg brings no ffmpeg for this machine"
        raise ShowError(
            f"{what if named else none}; install ffmpeg and name it in IMAGEIO_FFMPEG_EXE"
        ) from None


def check_writable(path: Path, option: str) -> None:
    """Raise ShowError, which names the option and the cure, if a file cannot be written."""
    reason = None
    if path.is_dir():
        reason = "is a folder; give a file's name"
    elif not path.parent.is_dir():
        reason = f"there is no folder {path.parent}; make it, or give another name"
    elif not os.access(path.parent, os.W_OK):
        reason = f"the folder {path.parent} cannot be written; give another name"
    if reason:
        raise ShowError(f"{option} {path}: {reason}")


def record(
    path: Path,
    playback: Playback,
    frames: Iterator[PlaybackFrame],
    progress: Callable[[str], None] | None = None,
) -> int:
    """Write frames of a playback as a video, and return their number.

    Args:
        path: file to write; see :func:`save_video`.
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


def save_video(path: Path, pictures: Iterable[Callable[[], np.ndarray]]) -> None:
    """Write a video of emulator frames: all of them, in a GIF every third.

    An error or Ctrl-C leaves no file behind.

    Args:
        path: file to write; see :func:`check_video`.
        pictures: for each frame a function that draws its picture, (rows, columns, 3) uint8. It is
            not called for frames that the video leaves out.
    """
    with AtomicFile(path) as file:
        write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
        write(file.temporary, iter(pictures))


def _write_mp4(path: Path, pictures: Iterator[Callable[[], np.ndarray]]) -> None:
    """Pipe the pictures into ffmpeg.

    Raises:
        OSError: it failed; the message has its last words.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    first = next(pictures)()
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{first.shape[1]}x{first.shape[0]}"]
    # constant quality; the header first, so a browser can start at once
    codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-preset", "fast"]
    words = [get_ffmpeg_exe(), "-y", "-loglevel", "error", "-xerror", *source]
    words += ["-r", str(FRAMES_PER_SECOND), "-i", "-", *codec, "-movflags", "+faststart", str(path)]
    with TemporaryFile() as said, subprocess.Popen(words, stdin=subprocess.PIPE, stderr=said) as on:
        assert on.stdin is not None
        try:
            with suppress(BrokenPipeError), on.stdin:  # its exit status tells why
                on.stdin.write(first.data)
                for draw in pictures:
                    on.stdin.write(draw().data)
            code = on.wait()
        except BaseException:
            on.kill()
            raise
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-1:]
    if code or not path.exists():
        raise OSError(f"ffmpeg failed with exit code {code}: {''.join(last) or 'it says nothing'}")


def _write_gif(path: Path, pictures: Iterator[Callable[[], np.ndarray]]) -> None:
    # With Pillow, because imageio would keep all pictures in memory.
    from PIL import Image

    frames = (
        Image.fromarray(draw()).quantize(64, Image.Quantize.FASTOCTREE)
        for draw in islice(pictures, 0, None, GIF_EVERY)
    )
    milliseconds = 1000 * GIF_EVERY // FRAMES_PER_SECOND
    kept = {"save_all": True, "append_images": frames, "duration": milliseconds, "loop": 0}
    with open(path, "wb") as file:  # Pillow would leave its own file open after an interrupt
        next(frames).save(file, "GIF", **kept)

"""Videos, whole or not there: ``.mp4`` at 60 pictures a second, ``.gif`` at 20."""

import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from fastpg.atomic_file import AtomicFile
from fastpg.extras import missing_extra
from fastpg.show import ShowError
from fastpg.show.play.playback import FRAMES_PER_SECOND

KINDS = (".mp4", ".gif")
GIF_EVERY = 3  # emulated frames to a picture: GIF counts hundredths of a second, 60 a second do not


def check_video(path: Path) -> None:
    """Refuse, before anything is played, a video that could not be written.

    Raises:
        ShowError: its ending is unknown, the extra is missing, or its folder cannot be written.
    """
    if path.suffix.lower() not in KINDS:
        raise ShowError(f"--video {path}: expected a name that ends in {' or '.join(KINDS)}")
    check_libraries(f"--video: {missing_extra('video')}")
    check_writable(path, "--video")


def check_libraries(cure: str) -> None:
    """Raise ShowError, with what to do, if no videos can be made here."""
    try:
        import imageio_ffmpeg
        from imageio.v2 import get_writer  # noqa: F401

        imageio_ffmpeg.get_ffmpeg_exe()
    except ImportError:
        raise ShowError(cure) from None
    except RuntimeError:
        raise ShowError(
            "imageio-ffmpeg brings no ffmpeg for this machine; install ffmpeg and name it in "
            "IMAGEIO_FFMPEG_EXE"
        ) from None


def check_writable(path: Path, option: str) -> None:
    """Refuse a file that cannot be written; ShowError names the option and the cure."""
    reason = None
    if path.is_dir():
        reason = "is a folder; give a file's name"
    elif not path.parent.is_dir():
        reason = f"there is no folder {path.parent}; make it, or give another name"
    elif not os.access(path.parent, os.W_OK):
        reason = f"the folder {path.parent} cannot be written; give another name"
    if reason:
        raise ShowError(f"{option} {path}: {reason}")


def save_video(path: Path, pictures: Iterable[Callable[[], np.ndarray]]) -> None:
    """Write a video of emulated frames, or of those of them that its format has room for.

    Nothing is left behind when it ends by an error or by Ctrl-C.

    Args:
        path: see :func:`check_video` for what may be wrong with it.
        pictures: each frame's, (rows, columns, 3) uint8, when called: not for frames left out.
    """
    with AtomicFile(path) as file:
        write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
        write(file.temporary, pictures)


def _write_mp4(path: Path, pictures: Iterable[Callable[[], np.ndarray]]) -> None:
    from imageio.v2 import get_writer

    writer = get_writer(
        str(path),
        format="FFMPEG",
        fps=FRAMES_PER_SECOND,
        codec="libx264",
        quality=None,
        ffmpeg_log_level="error",
        # plain surfaces: constant quality, and a header that a browser can start from
        output_params=["-crf", "20", "-preset", "fast", "-movflags", "+faststart"],
    )
    try:
        with writer:
            for draw in pictures:
                writer.append_data(draw())
    except BrokenPipeError:
        raise OSError(f"{path}: ffmpeg stopped; is the disk full?") from None


def _write_gif(path: Path, pictures: Iterable[Callable[[], np.ndarray]]) -> None:
    # Pillow, which imageio brings along: imageio keeps all pictures in memory until the last
    from PIL import Image

    frames = (
        Image.fromarray(draw()).quantize(64, Image.Quantize.FASTOCTREE)
        for draw in islice(pictures, 0, None, GIF_EVERY)
    )
    milliseconds = 1000 * GIF_EVERY // FRAMES_PER_SECOND
    kept = {"save_all": True, "append_images": frames, "duration": milliseconds, "loop": 0}
    with open(path, "wb") as file:  # Pillow leaves its own open when it is interrupted
        next(frames).save(file, "GIF", **kept)

"""python -m fastpg.watch: pictures, videos, a window and error messages."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from fastpg.checkpoint import load
from fastpg.envs.rules import rules
from fastpg.evaluation.policy import load_policy, policy_of
from fastpg.show.play.drawing import BACKGROUND, CHOSEN, DIM, SIZE, Composer, composer_of
from fastpg.show.play.font import text_mask
from fastpg.show.play.playback import Playback
from fastpg.show.play.video import save_video
from fastpg.watch import main
from tests.support.small_runs import ARTICLE, FAST, LOOKS_BACK, refused, small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("watch") / "run", FAST)


# ---- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [FAST, LOOKS_BACK, ARTICLE])
def test_a_picture_holds_the_game_the_input_and_the_probabilities(tmp_path, settings):
    policy = load_policy(small_run(tmp_path / "run", settings))
    playback = Playback(policy, rules("Pong-v0"), "native", False, 0)
    composer = composer_of(playback)
    for number, frame in enumerate(playback.episode(0)):
        picture = composer.draw(frame)
        if number == 150:
            break
    assert picture.shape == (*SIZE, 3)
    assert SIZE[0] % 16 == SIZE[1] % 16 == 0  # a video codec works on blocks of 16
    game = picture[5 : 5 + 630, 5 : 5 + 480]
    np.testing.assert_array_equal(game[1::3, 1::3], frame.picture)
    chosen = frame.decision.action
    for k, p in enumerate(frame.decision.probabilities):
        length = (picture == (CHOSEN if k == chosen else DIM)).all(-1)[:, 509 + 60 :].sum(1).max()
        if k == chosen:
            assert abs(length - p * 220) < 30
    assert (picture[:, -20:] == BACKGROUND).all()


def test_many_views_and_actions_fit():
    composer = Composer([f"ACTION{k}" for k in range(18)], ["NOW"] * 8, None)

    class Decision:
        step, action, value = 3, 17, -0.5
        planes = np.ones((8, 80, 80), np.int8)
        probabilities = np.full(18, 1 / 18, np.float32)

    class PlaybackFrame:
        picture = np.zeros((210, 160, 3), np.uint8)
        decision, episode, score = Decision(), 0, 1234.0

    picture = composer.draw(PlaybackFrame())
    lowest = np.flatnonzero((picture[:, 509:] != BACKGROUND).any((1, 2))).max()
    assert SIZE[0] - 120 < lowest < SIZE[0] - 5


def test_letters_differ():
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.,:%/=()?'_*!<>"
    masks = {text_mask(letter).tobytes() for letter in letters}
    assert len(masks) == len(letters)
    assert not text_mask(" ").any()
    assert text_mask("UP").shape == (7, 11)
    np.testing.assert_array_equal(text_mask("t"), text_mask("T"))
    rows = ["".join(".#"[int(x)] for x in row) for row in text_mask("T")]
    assert rows == ["#####", *["..#.."] * 6]


# ---- files --------------------------------------------------------------------------------------


def test_mp4(run, tmp_path, capsys):
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    path = tmp_path / "game.mp4"
    assert main([str(run), "--video", str(path), "--seconds", "1", "--seed", "2"]) == 0
    assert "1.0 seconds" in capsys.readouterr().out
    words = [ffmpeg, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    read = subprocess.run(words, capture_output=True, check=True)
    assert re.search(rb"Video: h264 .*yuv420p.* 60 fps", read.stderr)
    pictures = np.frombuffer(read.stdout, np.uint8).reshape(-1, *SIZE, 3)
    assert len(pictures) == 60
    saved = load(run)
    playback = Playback(
        policy_of(saved), rules("PongNoFrameskip-v4", frameskip=4, noop_max=30), "native", False, 2
    )
    composer = composer_of(playback)
    for frame, picture in zip(playback.episode(0), pictures, strict=False):
        expected = composer.draw(frame).astype(int)
        assert np.abs(expected - picture).mean() < 3  # the codec halves the colours' resolution
    assert saved.state["config"]["env"] == "PongNoFrameskip-v4"
    assert os.listdir(tmp_path) == ["game.mp4"]


def test_without_a_run_the_pretrained_policy_plays(tmp_path, capsys):
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "game.mp4"
    assert main(["--video", str(path), "--seconds", "0.2", "--env", "ALE/Pong-v5"]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: 0.2 seconds")
    assert path.stat().st_size > 1000


def test_gif(run, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    from PIL import Image

    path = tmp_path / "game.gif"
    assert main([str(run), "--video", str(path), "--seconds", "2", "--greedy"]) == 0
    with Image.open(path) as image:
        assert image.size == (SIZE[1], SIZE[0])
        assert image.info["loop"] == 0
        milliseconds = 0
        for frame in range(image.n_frames):
            image.seek(frame)
            milliseconds += image.info["duration"]
    assert milliseconds == 2000
    assert os.listdir(tmp_path) == ["game.gif"]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_interrupted_video_leaves_the_old_file_alone(tmp_path, name):
    pytest.importorskip("imageio_ffmpeg")
    (tmp_path / name).write_text("before")

    def interrupted():
        for _ in range(9):
            yield lambda: np.zeros((*SIZE, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_video(tmp_path / name, interrupted())
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "before"


_VERSION = "if [ $1 = -version ]; then echo ffmpeg version 7.0; exit; fi\n"


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        (_VERSION + "cat > /dev/null; echo No space >&2; exit 1", 1, "exit code 1: No space"),
        (_VERSION + "exit 3", 1, "a.mp4: cannot be written: ffmpeg failed with exit code 3: it"),
        (_VERSION + "cat > /dev/null; exit 0", 1, "ffmpeg failed with exit code 0"),
        (_VERSION + "kill -9 $$", 1, "exit code -9"),
        ("exit 0", 2, "is no ffmpeg that runs (it says no version); install ffmpeg"),
        ("exit 1", 2, "is no ffmpeg that runs"),
        (None, 2, "is no ffmpeg that runs (No such file or directory)"),
    ],
)
def test_an_encoder_that_fails(run, tmp_path, capsys, monkeypatch, script, code, said):
    pytest.importorskip("imageio_ffmpeg")
    encoder, folder = tmp_path / "encoder", tmp_path / "videos"
    folder.mkdir()
    if script is not None:
        encoder.write_text(f"#!/bin/sh\n{script}\n")
        encoder.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(encoder))
    assert main([str(run), "--video", str(folder / "a.mp4"), "--seconds", "0.2"]) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert list(folder.iterdir()) == []
    assert main([str(run), "--video", str(folder / "a.gif"), "--seconds", "0.2"]) == 0


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_full_disk_leaves_no_video(run, tmp_path, name):
    """A limit on the size of files, as a full disk for ffmpeg and for us."""
    pytest.importorskip("imageio_ffmpeg")
    words = ["watch", str(run), "--video", str(tmp_path / name), "--seconds", "2"]
    code = (
        "import resource, sys; sys.dont_write_bytecode = True; from fastpg.cli.main import main; "
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        f"sys.exit(main({words!r}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"fastpg.watch: {tmp_path / name}: cannot be written: ")
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""
    assert list(tmp_path.glob("*a.*")) == []


# ---- refusals -----------------------------------------------------------------------------------


def test_wrong_runs_and_settings(run, tmp_path, capsys):
    missing = refused(main, capsys, tmp_path / "none")
    assert "RUN is a run's folder, which python -m fastpg.train makes and names" in missing
    assert "no checkpoint" in refused(main, capsys, tmp_path)
    assert "--video FILE.mp4" in refused(main, capsys, run)  # standard output is no terminal here
    assert "near are" in refused(main, capsys, run, "--env", "Pnog-v0")
    assert "a policy of 3 actions, breakout needs 4" in refused(
        main, capsys, run, "--env", "ALE/Breakout-v5"
    )
    native = refused(main, capsys, run, "--env", "ALE/Breakout-v5", "--emulator", "native")
    assert "plays Pong only" in native
    assert "--episodes" in refused(main, capsys, run, "--episodes", "0")
    assert "--seconds" in refused(main, capsys, run, "--seconds", "-1")
    assert "--seed" in refused(main, capsys, run, "--seed", "-1")
    assert "near is --video" in refused(main, capsys, run, "--vdeo", "a.mp4")
    assert "got both" in refused(main, capsys, run, "--window", "--video", "a.mp4")


def test_unwritable_videos(run, tmp_path, capsys, monkeypatch):
    assert ".mp4 or .gif" in refused(main, capsys, run, "--video", tmp_path / "a.avi")
    for name in ("PIL", "imageio_ffmpeg"):
        monkeypatch.setitem(sys.modules, name, None)
    missing = refused(main, capsys, run, "--video", tmp_path / "a.mp4")
    assert "pip install 'fastpg-rl[video]'" in missing
    monkeypatch.undo()
    pytest.importorskip("imageio_ffmpeg")
    assert "there is no folder" in refused(main, capsys, run, "--video", tmp_path / "no" / "a.mp4")
    (tmp_path / "folder.mp4").mkdir()
    assert "is a folder" in refused(main, capsys, run, "--video", tmp_path / "folder.mp4")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "cannot be written" in refused(main, capsys, run, "--video", tmp_path / "a.mp4")


def test_no_display(run, capsys, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform == "linux":
        assert "there is no display" in refused(main, capsys, run, "--window")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setitem(sys.modules, "pygame", None)
    assert "pip install 'fastpg-rl[window]'" in refused(main, capsys, run, "--window")


def test_window(run, capsys, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "no such driver")
    assert "no window can be opened" in refused(main, capsys, run, "--window")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert main([str(run), "--window", "--seconds", "0.3"]) == 0
    assert "no game was played to its end" in capsys.readouterr().out
    assert main(["--window", "--seconds", "0.1"]) == 0
    assert capsys.readouterr().out.startswith("pretrained policy, PongNoFrameskip-v4: no game")

"""The terminal: the output draws the page, any size works, and quitting restores the terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from itertools import islice

import numpy as np
import pytest

from fastpg.envs.rules import rules
from fastpg.evaluation.policy import load_policy
from fastpg.show.play.live import TerminalView, combined_input, play_live
from fastpg.show.play.playback import Playback
from fastpg.show.play.terminal import HALF, Cells, changes, nearest_of_256, shrunk
from tests.support.small_runs import ARTICLE, LOOKS_BACK, small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("terminal") / "run", LOOKS_BACK)


class Screen:
    """A terminal that understands only the sequences that we send."""

    def __init__(self, rows, columns):
        self.cells = {(y, x): None for y in range(rows) for x in range(columns)}
        self.y = self.x = 0
        self.colours = None

    def feed(self, text):
        for place, colours, other, letter in re.findall(
            r"\x1b\[(\d+;\d+)H|\x1b\[(38;[\d;]+)m|(\x1b\[0m\x1b\[2J)|([^\x1b])", text
        ):
            if place:
                self.y, self.x = (int(number) - 1 for number in place.split(";"))
            elif colours:
                self.colours = colours
            elif letter:
                assert (self.y, self.x) in self.cells
                self.cells[self.y, self.x] = letter, self.colours
                self.x += 1
            else:
                assert other
                self.cells = dict.fromkeys(self.cells)


def colours_of(cell):
    words = list(map(int, cell[1].split(";")))
    return tuple(words[2:5]), tuple(words[7:10])


def test_what_is_sent_draws_each_page():
    rng = np.random.default_rng(0)
    screen, before, lengths = Screen(6, 9), None, []
    for _ in range(30):
        cells = Cells(6, 9, (1, 2, 3))
        palette = rng.integers(0, 256, (3, 3))
        cells.picture(0, 0, palette[rng.integers(0, 3, (8, 7))].astype(np.uint8))
        cells.write(5, 4, "score +3", (9, 9, 9))  # longer than the page
        codes = cells.codes()
        lengths.append(len(changes(codes, before, True)))
        screen.feed(changes(codes, before, True))
        before = codes
        for (y, x), cell in screen.cells.items():
            ink, paper = colours_of(cell)
            assert paper == tuple(cells.paper[y, x])
            if cell[0] == " ":
                one_colour = (cells.ink[y, x] == cells.paper[y, x]).all()
                assert one_colour or cells.letters[y, x] == " "
            else:
                assert (cell[0], ink) == (cells.letters[y, x], tuple(cells.ink[y, x]))
    assert "".join(screen.cells[5, x][0] for x in range(9)) == "    score"
    assert changes(before, before, True) == ""


def test_nearest_of_256_is_the_nearest():
    levels = [0, 95, 135, 175, 215, 255]
    table = {16 + 36 * r + 6 * g + b: (levels[r], levels[g], levels[b])
             for r in range(6) for g in range(6) for b in range(6)}  # fmt: skip
    table |= {232 + k: (8 + 10 * k,) * 3 for k in range(24)}
    for colour in np.random.default_rng(1).integers(0, 256, (300, 3)).tolist():
        found = nearest_of_256(tuple(colour))
        distance = {k: sum((a - b) ** 2 for a, b in zip(c, colour, strict=True))
                    for k, c in table.items()}  # fmt: skip
        assert distance[found] == min(distance.values())


def test_a_ball_is_seen_wherever_it_is():
    for y in range(50, 90, 7):
        for x in range(40, 80, 3):
            picture = np.full((210, 160, 3), (144, 72, 17), np.uint8)
            picture[y : y + 4, x : x + 2] = 236
            small = shrunk(picture, 42, 57).astype(int)
            apart = np.abs(small - (144, 72, 17)).sum(-1)
            assert apart.max() >= 0.25 * (92 + 164 + 219)
            near = np.argwhere(apart)
            assert (abs(near - [y * 42 / 210, x * 57 / 160]) <= 2).all()


SIZES = [(24, 80), (50, 200), (10, 20), (1, 1), (3, 300), (60, 45)]


@pytest.mark.parametrize("settings", [LOOKS_BACK, ARTICLE])
def test_pages_of_any_size(tmp_path, settings):
    policy = load_policy(small_run(tmp_path / "run", settings))
    playback = Playback(policy, rules("Pong-v0"), "native", False, 0)

    class Nowhere:
        size = (24, 80)

        def show(self, cells):
            assert cells.letters.shape == (24, 80)

    view = TerminalView(Nowhere(), playback.labels, playback.up)
    for frame in islice(playback.episode(0), 70):
        view.show(frame)
    for size in SIZES:
        cells = view.cells(frame, *size)
        assert cells.letters.shape == size
        assert (cells.letters == HALF).any() or size == (1, 1)
    text = "\n".join("".join(line) for line in view.cells(frame, 24, 80).letters)
    shares = re.findall(r"(\w+) +(\d+)%", text)
    assert [name for name, _ in shares] == playback.labels
    for (_, share), p in zip(shares, frame.decision.probabilities, strict=True):
        assert abs(int(share) - 100 * p) <= 0.51


def test_input_in_one_picture():
    planes = np.zeros((2, 80, 80), np.int8)
    planes[0, 10, 20] = planes[1, 40, 60] = 1
    lit = [combined_input(planes, side) for side in (20, 80, 100)]
    now, before = [(2, 5), (10, 20), (13, 25)], [(10, 15), (40, 60), (50, 75)]
    for picture, one, other in zip(lit, now, before, strict=True):
        assert tuple(picture[one]) != tuple(picture[other]) != tuple(picture[0, 0])
    assert len({tuple(picture[one]), tuple(picture[other]), tuple(picture[0, 0])}) == 3
    assert (lit[1] != lit[1][0, 0]).any(-1).sum() == 2


def test_live_play_keeps_time_and_quits():
    class PlaybackFrame:
        over = False

    shown = []
    began = time.perf_counter()
    play_live(iter([PlaybackFrame()] * 12), shown.append, lambda seconds: time.sleep(seconds) or "")
    assert time.perf_counter() - began >= 0.19
    assert shown
    keys = iter(["", "x", "q"])
    count = iter(range(100))
    endless = (PlaybackFrame() for _ in count)
    play_live(endless, shown.append, lambda seconds: next(keys))
    assert next(count) < 5


class InTerminal:
    """Runs the command in its own terminal."""

    def __init__(self, run, *words, terminal="xterm-256color"):
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        environment = {**os.environ, "TERM": terminal, "COLORTERM": ""}
        command = [sys.executable, "-m", "fastpg.watch", str(run), *words]

        def begin():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # background jobs ignore it

        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True, preexec_fn=begin,
        )  # fmt: skip
        self.said = b""

    def read_until(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.said and time.monotonic() < end:
            ready, _, _ = select.select([self.master], [], [], 0.2)
            if ready:
                try:
                    self.said += os.read(self.master, 1 << 16)
                except OSError:
                    break
            elif self.process.poll() is not None:
                break
        assert text in self.said, self.said[-500:]

    def end(self):
        self.read_until(b"\x1b[?1049l")
        code = self.process.wait(timeout=60)
        after = termios.tcgetattr(self.slave)
        assert after[:4] == self.before[:4]
        assert b"\x1b[?25h" in self.said[self.said.rindex(b"\x1b[?25l") :]
        os.close(self.slave)
        os.close(self.master)
        return code


@pytest.mark.parametrize("how", ["q", "ctrl-c", "term"])
def test_the_terminal_is_given_back(run, how):
    terminal = InTerminal(run)
    terminal.read_until(b"what the network sees")
    assert b"48;5;" in terminal.said
    assert b"48;2;" not in terminal.said
    if how == "term":
        terminal.process.send_signal(signal.SIGTERM)
    else:
        os.write(terminal.master, b"q" if how == "q" else b"\x03")
    assert terminal.end() == (0 if how == "q" else 130)


def test_a_terminal_without_places_is_refused(run):
    terminal = InTerminal(run, terminal="dumb")
    terminal.read_until(b"TERM=dumb")
    assert terminal.process.wait(timeout=60) == 2
    assert b"\x1b" not in terminal.said
    os.close(terminal.slave)
    os.close(terminal.master)


def test_colours_can_be_asked_for(run):
    terminal = InTerminal(run, "--colours", "24bit", "--seconds", "0.5")
    assert terminal.end() == 0
    assert b"48;2;144;72;17" in terminal.said

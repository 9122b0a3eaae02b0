"""python -m fastpg.report: one self-contained file whose figures are those of the runs."""

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from fastpg.checkpoint import checkpoints, load
from fastpg.report import main
from fastpg.show import ShowError
from fastpg.show.report import html_elements
from fastpg.show.report.runs import Group, Run, grouped, read_run
from fastpg.training.metrics_file import read_metrics
from tests.support.browser import AVAILABLE, Browser
from tests.support.small_runs import ARTICLE, FAST, refused, small_run

APART = {"seed", "run_dir"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that differ by their seed, and one with other settings."""
    folder = tmp_path_factory.mktemp("runs")
    seeds = [small_run(folder / f"seed{seed}", ARTICLE, seed) for seed in (1, 2)]
    return [*seeds, small_run(folder / "fast<1>", FAST)]


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    pytest.importorskip("matplotlib")
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path_factory.mktemp("report") / "all.html"
    words = [*map(str, runs), "--output", str(path), "--video-seconds", "0.5"]
    assert main(words) == 0
    assert [file.name for file in path.parent.iterdir()] == ["all.html"]
    return path


def made_up(points, **config):
    """Return a run whose curve goes through (episodes, score) points."""
    rows = [
        {"update": k, "episodes": x, "agent_steps": 10 * x, "seconds": x / 10,
         "mean_score_100": y, "mean_score_batch": -21.0}
        for k, (x, y) in enumerate(points)
    ]  # fmt: skip
    return Run(None, config, rows, np.zeros(0, np.float32))


# ---- runs ---------------------------------------------------------------------------------------


def test_band_is_the_range_where_all_seeds_are():
    one = made_up([(0, None), (100, -20), (300, 0)])
    two = made_up([(200, -15), (400, 5), (500, 6)])
    three = made_up([(150, -12), (350, -2)])
    positions, low, median, high = Group("", [one, two, three]).band("agent_steps")
    assert (positions[0], positions[-1]) == (2000, 3000)
    assert (low[0], median[0], high[0]) == (-15, -10, -9.5)
    assert (low[-1], median[-1], high[-1]) == (-5, -4.5, 0)
    assert Group("", [one]).band("episodes") is None
    assert (
        Group("", [made_up([(1, 0), (2, 0)]), made_up([(3, 0), (4, 0)])]).band("episodes") is None
    )


def test_curves_of_short_runs_are_of_updates():
    run = made_up([(10, None), (20, None)])
    assert run.short
    x, y = run.curve("episodes")
    assert (x.tolist(), y.tolist()) == ([10, 20], [-21, -21])
    longer = made_up([(10, None), (100, -20.5)])
    assert not longer.short
    assert longer.curve("seconds")[0].tolist() == [10]


def test_the_best_run_is_the_one_of_the_highest_last_score():
    """0 is above negative scores; a run without scores is last."""
    scores = [made_up([(100, -5), (110, score)]).last_score for score in (-20, 0, 3)]
    assert scores == [-20, 0, 3]
    assert Run(None, {}, [{"episodes": 1, "mean_score_100": None, "mean_score_batch": None}],
               np.zeros(0)).last_score == -np.inf  # fmt: skip


def test_seeds_share_a_group_and_other_settings_tell_groups_apart():
    same = {"preset": "pong", "env": "Pong-v0", "hidden": 200}
    runs = [made_up([(1, 0)], **{**same, **more}) for more in (
        {"seed": 1}, {"seed": 2, "run_dir": "x"}, {"hidden": 8}, {"seed": 3})]  # fmt: skip
    groups = grouped(runs, APART)
    assert [group.runs for group in groups] == [[runs[0], runs[1], runs[3]], [runs[2]]]
    assert [group.label for group in groups] == [
        "pong, Pong-v0, hidden 200", "pong, Pong-v0, hidden 8"]  # fmt: skip
    assert grouped(runs[:1], APART)[0].label == "pong, Pong-v0"


def test_a_run_is_read(runs):
    run = read_run(runs[0])
    assert run.rows == read_metrics(runs[0] / "metrics.jsonl")
    assert run.config == json.loads((runs[0] / "config.json").read_text())
    np.testing.assert_array_equal(run.scores, load(checkpoints(runs[0])[-1]).tensors["scores"])
    assert len(run.scores) == run.last["episodes"] == 10


# ---- the page -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects tags and text."""

    EMPTY = ("meta", "link", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)


def test_everything_is_in_the_file(report):
    text = report.read_text()
    page = Page(text)
    assert not [tag for tag, _ in page.found if tag in ("script", "iframe")]
    refers = [a[name] for _, a in page.found for name in ("src", "href") if name in a]
    assert all(link.startswith("data:") for link in refers)
    assert "url(" not in text
    assert "@import" not in text
    kinds = []
    for link in refers:
        head, _, data = link.partition(",")
        data = base64.b64decode(data)
        if head.startswith("data:image/svg"):
            root = ElementTree.parse(io.BytesIO(data)).getroot()
            assert root.tag.endswith("svg")
            outside = re.findall(rb'href="(?!#|data:)[^"]*"', data)
            assert outside == []
            kinds.append("svg")
        elif head.startswith("data:image/png"):
            assert data.startswith(b"\x89PNG")
            kinds.append("png")
        elif head.startswith("data:video/mp4"):
            assert data[4:8] == b"ftyp"
            assert data.index(b"moov") < data.index(
                b"mdat"
            )  # so a browser can play it before it has all of it
            kinds.append("mp4")
    assert sorted(kinds) == ["mp4", "png", "png", "svg", "svg", "svg"]
    assert all(a.get("alt") for tag, a in page.found if tag == "img")


def test_figures_and_settings_are_the_runs(report, runs):
    words = " ".join(Page(report.read_text()).text)
    for path in runs:
        last = read_run(path).last
        assert f"{last['agent_steps']:,}" in words
        assert f"{last['emulator_frames']:,}" in words
        assert path.name in words
    for setting in ("learning_rate", "PongNoFrameskip-v4", "reinforce", "[0, 1]"):
        assert setting in words
    assert "3 runs" in words


def test_plots_alone(runs, tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    assert main([str(runs[0]), "--png", str(tmp_path / "a" / "b")]) == 0
    names = ["curves", "saliency", "scores", "speed", "weights"]
    files = sorted((tmp_path / "a" / "b").iterdir())
    assert [file.name for file in files] == [f"{name}.png" for name in names]
    for file in files:
        picture = imread(file)[..., :3]
        assert min(picture.shape[:2]) > 300
        assert picture.std() > 0.01
    assert not (runs[0] / "report.html").exists()


@pytest.mark.skipif(not AVAILABLE, reason="needs chromium and chromedriver")
def test_in_a_browser(report):
    with Browser() as browser:
        browser.open(report)
        sizes = browser.run("return [...document.images].map(i => [i.complete, i.naturalWidth])")
        assert len(sizes) == 5
        assert all(complete and width > 300 for complete, width in sizes)
        video = browser.run(
            "const v = document.querySelector('video'); await v.play();"
            "await new Promise(f => { v.loop = false; v.onended = f; });"
            "return [v.error, v.duration, v.currentTime, v.videoWidth, v.videoHeight];"
        )
        assert video[0] is None
        assert video[1] == pytest.approx(0.5, abs=0.02)
        assert video[2:] == [pytest.approx(video[1]), 864, 640]
        wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
        assert browser.console() == []


@pytest.mark.skipif(not AVAILABLE, reason="needs chromium and chromedriver")
def test_a_long_title_stays_in_the_header(tmp_path):
    title = "fast, PongNoFrameskip-v4, learning_rate 0.001, hidden 256, cells 5, " * 3
    (tmp_path / "a.html").write_text(html_elements.page(title, "2 runs", "", [], ""))
    with Browser(width=500) as browser:
        browser.open(tmp_path / "a.html")
        below = browser.run(
            "const [p, h] = ['header p', 'header'].map(s => document.querySelector(s)"
            ".getBoundingClientRect().bottom); return p - h;"
        )
        assert below < -10


# ---- refusals -----------------------------------------------------------------------------------


def test_wrong_runs_and_paths(runs, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    assert "no such folder" in refused(main, capsys, tmp_path / "none")
    assert "has no config.json; RUN is" in refused(main, capsys, tmp_path)
    assert "has no config.json" in refused(main, capsys, checkpoints(runs[0])[-1])
    assert "RUN: expected at least one run's folder" in refused(main, capsys)
    file = tmp_path / "file"
    file.write_text("")
    assert "--png" in refused(main, capsys, runs[0], "--png", file)
    assert "no folder" in refused(main, capsys, runs[0], "--output", tmp_path / "no" / "a.html")
    assert "--video-seconds" in refused(main, capsys, runs[0], "--video-seconds", "-1")
    for name in ("PIL", "imageio_ffmpeg"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "--video-seconds 0" in refused(main, capsys, runs[0])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'fastpg-rl[report]'" in refused(main, capsys, runs[0])


def test_a_run_without_a_row_or_with_a_torn_config(runs, tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ShowError, match="cannot be read"):
        read_run(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ShowError, match="cannot be read: No such file"):
        read_run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(ShowError, match="no update yet"):
        read_run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"update": 1}\n')
    with pytest.raises(ShowError, match=r"metrics\.jsonl has rows without episodes, .*seconds"):
        read_run(tmp_path)


def test_without_a_policy_the_rest_is_reported(runs, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_bytes((runs[0] / name).read_bytes())
    assert main([str(tmp_path), "--video-seconds", "0"]) == 0
    out, err = capsys.readouterr()
    assert str(tmp_path / "report.html") in out
    assert "no checkpoint" in err
    page = Page((tmp_path / "report.html").read_text())
    assert "Not shown" in " ".join(page.text)
    assert len([tag for tag, _ in page.found if tag == "img"]) == 2

"""Conversion between checkpoints, the article's pickle and .npz: equal play, or a clear error."""

import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from fastpg import checkpoint
from fastpg.checkpoint import load, load_article_weights
from fastpg.cli.train_options import parse_training, training_command
from fastpg.config import TrainConfig, preset
from fastpg.convert import main
from fastpg.envs.rules import rules
from fastpg.evaluate import main as evaluate_main
from fastpg.evaluation.episodes import evaluate
from fastpg.evaluation.policy import load_pretrained
from fastpg.network.quantize import BITS, pack, unpack
from fastpg.train import main as train_main
from fastpg.watch import main as watch_main

SHORT = rules("Pong-v0", max_num_frames_per_episode=400)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the article's algorithm, whose network the article's script can hold."""
    folder = tmp_path_factory.mktemp("article") / "run"
    small = "--episodes 1 --episodes-per-batch 1 --hidden 8 --learning-rate 0.01".split()
    assert train_main([*small, "--run-dir", str(folder)]) == 0
    return folder


def converted(source, target, *words):
    assert main([str(source), str(target), *words]) == 0
    return target


def other(folder, tensors=None, **settings):
    """Save a checkpoint of a policy with other settings."""
    config = replace(TrainConfig(), hidden=2, **settings)
    usual = {"w1": np.ones((6400, 2), np.float32), "w2": np.ones((1, 2), np.float32)}
    tensors = usual | {name: np.ones(shape, np.float32) for name, shape in (tensors or {}).items()}
    return checkpoint.save(folder, 1, tensors, {"config": config.to_json()})


def plays_as(a, b):
    first, second = (evaluate(x, SHORT, emulator="native", episodes=2) for x in (a, b))
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.frames, second.frames)


def test_every_way_round_gives_the_same_weights_and_play(run, tmp_path, capsys):
    first = load(run)
    at = run
    for k, end in enumerate([".safetensors", ".npz", ".p", ".npz", ".p", ".safetensors"]):
        at = converted(at, tmp_path / f"{k}{end}")
    last = load(at)
    assert set(last.tensors) == {"w1", "w2"}
    for name in last.tensors:
        np.testing.assert_array_equal(last.tensors[name], first.tensors[name])
        assert last.tensors[name].dtype == np.float32
    assert TrainConfig.from_json(last.state["config"]).input == "difference"
    plays_as(run, at)
    assert "left out: what only --resume needs" in capsys.readouterr().out


def test_the_pickle_is_the_articles(run, tmp_path):
    path = converted(run, tmp_path / "save.p")
    model = pickle.loads(path.read_bytes())
    tensors = load(run).tensors
    np.testing.assert_array_equal(model["W1"], tensors["w1"].T)
    np.testing.assert_array_equal(model["W2"], tensors["w2"][0])
    np.testing.assert_array_equal(load_article_weights(path)[0], tensors["w1"])


def test_a_pickle_becomes_a_policy_of_the_articles_settings(tmp_path):
    rng = np.random.default_rng(0)
    model = {"W1": rng.standard_normal((3, 6400)), "W2": rng.standard_normal(3)}
    (tmp_path / "save.p").write_bytes(pickle.dumps(model))
    saved = load(converted(tmp_path / "save.p", tmp_path / "policy.safetensors"))
    config = TrainConfig.from_json(saved.state["config"])
    assert config == replace(preset("blog"), hidden=3)
    assert "trained_by" not in saved.state
    np.testing.assert_array_equal(saved.tensors["w1"], model["W1"].T.astype(np.float32))
    assert evaluate(saved, SHORT, emulator="native", episodes=1).steps[0] > 50


def test_npz_keeps_what_the_checkpoint_says(tmp_path):
    policy = load_pretrained()
    npz = converted(policy.path, tmp_path / "policy.npz")
    with np.load(npz) as arrays:
        assert arrays["w1"].shape == (12800, 128)
        assert json.loads(str(arrays["config"]))["views"] == [0, 1]
    back = load(converted(npz, tmp_path / "back.safetensors"))
    settings = [TrainConfig.from_json(saved.state["config"]) for saved in (back, policy)]
    assert (back.update, settings[0]) == (policy.update, settings[1])
    assert back.state["trained_by"] == policy.state["trained_by"]
    for name, tensor in policy.tensors.items():
        np.testing.assert_array_equal(back.tensors[name], tensor)


def test_npz_with_the_articles_names(run, tmp_path):
    tensors = load(run).tensors
    np.savez(tmp_path / "a.npz", W1=tensors["w1"].T.astype(np.float64), W2=tensors["w2"][0])
    back = load(converted(tmp_path / "a.npz", tmp_path / "a.safetensors"))
    np.testing.assert_array_equal(back.tensors["w1"], tensors["w1"])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("hidden", [1, 4, 7])
def test_fewer_bits_are_near(bits, hidden):
    rng = np.random.default_rng(bits)
    w1 = (rng.standard_normal((50, hidden)) * rng.uniform(0, 3, (50, 1))).astype(np.float32)
    w1[3] = 0
    w2 = np.zeros((1, hidden), np.float32)
    packed = pack(w1, bits)
    back = unpack(packed | {"w2": w2})
    assert set(back) == {"w1", "w2"}
    assert back["w1"].dtype == np.float32
    largest = np.abs(w1).max(axis=1, keepdims=True)
    step = {32: 0, 16: 2.0**-10, 8: 1 / 127, 4: 1 / 7}[bits]
    assert (np.abs(back["w1"] - w1) <= largest * step / 2 * 1.0001).all()
    room = sum(array.nbytes for array in packed.values())
    assert room <= 50 * (-(-hidden * bits // 8) + (4 if bits < 16 else 0))


def test_the_score_of_what_is_written_is_kept(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fastpg.cli.write_policy.resolve_rules", lambda config: SHORT)
    path = converted(run, tmp_path / "p.safetensors", "--bits", "4", "--evaluate", "2")
    saved = load(path)
    played = evaluate(saved, SHORT, emulator="native", episodes=2)
    assert saved.state["evaluation"]["mean_score"] == played.scores.mean()
    assert f"mean score {played.scores.mean():+.2f}" in capsys.readouterr().out
    again = converted(path, tmp_path / "again.safetensors")
    assert "evaluation" not in load(again).state


@pytest.mark.parametrize(
    "words",
    [
        "--preset fast --seed 1",
        "--hidden 7",
        "--preset sticky --no-allow-noop --views 0 2 --past-actions 1 --agent-steps 5",
        "--preset blog --env ALE/Pong-v5 --noop-max 3 --learning-rate 0.1",
    ],
)
def test_training_command(words):
    config, _ = parse_training(words.split())
    resolved = replace(config, emulator="native", backend="tiles", threads=3)
    assert training_command(resolved) == f"python -m fastpg.train {words}"


REFUSED = [
    ({"input": "stack"}, {"w1": (12800, 2)}, "sees 2 views side by side"),
    ({"views": (0, 3)}, {}, "sees the view 3 steps back"),
    ({"past_actions": 2}, {"w1": (6404, 2)}, "sees 2 past actions"),
    ({"allow_noop": True}, {"w2": (3, 2)}, "chooses among 3 actions"),
    ({"env": "ALE/Breakout-v5"}, {"w2": (4, 2)}, "chooses among 4 actions"),
    ({"input": "raw"}, {"w1": (100_800, 2)}, "sees whole pictures"),
]


@pytest.mark.parametrize(("settings", "tensors", "message"), REFUSED)
def test_the_article_has_no_such_network(tmp_path, capsys, settings, tensors, message):
    file = other(tmp_path / "run", tensors, **settings)
    assert main([str(file), str(tmp_path / "save.p")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "a .npz or .safetensors holds any policy" in captured.err
    assert captured.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["run"]
    converted(file, tmp_path / "all.npz")


def test_a_value_head_is_left_out_and_said(tmp_path, capsys):
    file = other(tmp_path / "run", {"value": (1, 2)}, background="blog")
    path = converted(file, tmp_path / "save.p")
    said = capsys.readouterr().out
    assert said.splitlines()[1:] == ["left out: the value head, which only learning needs"]
    assert set(pickle.loads(path.read_bytes())) == {"W1", "W2"}
    converted(file, tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as arrays:
        assert arrays["value"].shape == (1, 2)


def test_a_found_background_is_said(run, tmp_path, capsys):
    converted(run, tmp_path / "save.p")
    assert "erases two colours by number" in capsys.readouterr().out


def test_nothing_is_overwritten_without_force(run, tmp_path, capsys):
    target = tmp_path / "policy.npz"
    target.write_text("mine")
    assert main([str(run), str(target)]) == 2
    assert "exists; --force replaces it" in capsys.readouterr().err
    assert target.read_text() == "mine"
    converted(run, target, "--force")
    with np.load(target) as arrays:
        assert "w1" in arrays


@pytest.mark.parametrize("end", ["safetensors", "npz", "p"])
def test_an_interrupt_leaves_what_was_there(run, tmp_path, monkeypatch, capsys, end):
    target = tmp_path / f"policy.{end}"
    target.write_text("mine")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert main([str(run), str(target), "--force"]) == 130
    assert capsys.readouterr().err == "fastpg.convert: interrupted\n"
    assert target.read_text() == "mine"
    assert os.listdir(tmp_path) == [target.name]


@pytest.mark.parametrize("policy", ["pickle", "pretrained"])
def test_a_run_can_begin_with_given_weights(run, tmp_path, policy):
    source = load_pretrained().path
    if policy == "pickle":
        source = converted(run, tmp_path / "save.p")
    begin = converted(source, tmp_path / "begin.safetensors", "--resumable")
    plays_as(begin, converted(source, tmp_path / "alone.safetensors"))
    before = load(begin)
    words = ["--resume", str(begin), "--run-dir", str(tmp_path / "new"), "--agent-steps", "1"]
    assert train_main(words) == 0
    after = load(tmp_path / "new")
    assert after.update == 1
    assert after.state["counters"]["agent_steps"] > 1
    first, second = before.tensors["w1"].ravel(), after.tensors["w1"].ravel()
    assert not np.array_equal(first, second)
    assert np.corrcoef(first, second)[0, 1] > 0.9


def test_weights_alone_cannot_be_resumed(run, tmp_path, capsys):
    path = converted(run, tmp_path / "policy.safetensors")
    assert train_main(["--resume", str(path), "--run-dir", str(tmp_path / "new")]) == 2
    assert "has only weights" in capsys.readouterr().err
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "a.npz"], "nowhere: No such file or directory"),
        (["nowhere.p", "a.npz"], "nowhere.p: No such file or directory"),
        (["nowhere.npz", "a.npz"], "nowhere.npz: No such file or directory"),
        (["a-file.npz", "a.npz"], "a-file.npz: not a .npz of arrays"),
        (["a-file.p", "a.npz"], "a-file.p: not a pickle of the article's weights"),
        (["objects.npz", "a.npz"], "objects.npz: not a .npz of arrays"),
        (["else.npz", "a.npz"], "else.npz: expected arrays w1 and w2, got ['x']"),
        (["shapes.npz", "a.npz"], "shapes.npz: expected w1 (D, H), w2 (A, H), value (1, H)"),
        (["unknown.npz", "a.npz"], "unknown.npz: has no config, which says what the network sees"),
        (["nan.npz", "a.npz"], "nan.npz: w1 has weights that are not finite"),
        (["array.npz", "a.npz"], "array.npz: not a .npz of arrays"),
        (["torn.npz", "a.npz"], "torn.npz: not a .npz of arrays"),
        (["words.npz", "a.npz"], "words.npz: expected arrays of numbers"),
        (["scalar.npz", "a.npz"], "scalar.npz: expected w1 (D, H), w2 (A, H), value (1, H)"),
        (["values.npz", "a.npz"], "values.npz: expected w1 (D, H), w2 (A, H), value (1, H)"),
        (["partial.npz", "a.npz"], "partial.npz: config, update: config: has no background, input"),
        (
            ["misfit.npz", "a.npz"],
            "misfit.npz: weights do not fit their config: w1: expected (12800",
        ),
        (["config.npz", "a.npz"], "config.npz: config, update: "),
        (["."], "TARGET"),
        ([".", "a.npz"], "no checkpoint in checkpoints"),
        (["good.npz", "a.txt"], "a.txt: expected a name that ends in .safetensors, .npz or .p"),
        (["good.npz", "none/a.npz"], "none/a.npz: cannot save: No such file or directory"),
        (["good.npz", "a-file.npz/a.p"], "a-file.npz/a.p: cannot save: Not a directory"),
        (["good.npz", "dir.npz"], "dir.npz: is a folder"),
        (["good.npz", "a.npz", "--bits", "4"], "--bits: is for a target of .safetensors"),
        (["good.npz", "a.npz", "--bits", "5"], "--bits"),
        (["good.npz", "a.safetensors", "--evaluate", "-1"], "--evaluate: expected at least 0"),
    ],
)
def test_wrong_words_end_with_one_clear_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    good = {"w1": np.ones((6400, 2)), "w2": np.ones((1, 2))}
    files = {
        "good": good,
        "objects": {"w1": np.array([None]), "w2": np.ones((1, 2))},
        "else": {"x": np.ones(2)},
        "shapes": good | {"w1": np.ones((6400, 3))},
        "unknown": good | {"w1": np.ones((12800, 2))},
        "nan": good | {"w1": np.full((6400, 2), np.nan)},
        "config": good | {"config": "{"},
        "words": good | {"w1": np.full((6400, 2), "one")},
        "scalar": good | {"w2": np.ones(())},
        "values": good | {"value": np.ones((5, 2)), "config": json.dumps(TrainConfig().to_json())},
        "partial": good | {"config": '{"hidden": 2}'},
        "misfit": good | {"config": json.dumps(preset("fast").to_json())},
    }
    for name, arrays in files.items():
        np.savez(f"{name}.npz", **arrays)
    with open("array.npz", "wb") as file:
        np.save(file, good["w1"])
    np.savez_compressed("torn.npz", **good)
    torn = bytearray((tmp_path / "torn.npz").read_bytes())
    torn[60] ^= 0xFF  # of the compressed stream
    (tmp_path / "torn.npz").write_bytes(torn)
    for name in ("a-file.npz", "a-file.p"):
        (tmp_path / name).write_text("no")
    (tmp_path / "dir.npz").mkdir()
    before = sorted(os.listdir())
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fastpg.convert: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["w1", "w2", "value"])
def test_weights_that_are_not_finite_are_refused_everywhere(tmp_path, capsys, name, bad):
    saved = load_pretrained()
    tensors = {key: array.copy() for key, array in saved.tensors.items()}
    tensors[name].flat[-1] = bad
    run = checkpoint.save(tmp_path / "run", 1, tensors, saved.state)
    arrays = {**tensors, "config": json.dumps(saved.state["config"]), "update": 1}
    np.savez(tmp_path / "policy.npz", **arrays)
    said = f"{name} has weights that are not finite\n"
    for source in (run, tmp_path / "policy.npz"):
        for target in ("a.safetensors", "a.npz", "a.p"):
            assert main([str(source), str(tmp_path / target)]) == 2
            assert capsys.readouterr().err == f"fastpg.convert: {source}: {said}"
            assert not (tmp_path / target).exists()
        assert evaluate_main([str(source), "--episodes", "1"]) == 2
        assert capsys.readouterr().err == f"fastpg.evaluate: {source}: {said}"
        assert watch_main([str(source), "--video", str(tmp_path / "a.gif")]) == 2
        assert capsys.readouterr().err == f"fastpg.watch: {source}: {said}"


def test_a_pickle_of_weights_that_are_not_finite_is_refused(tmp_path, capsys):
    model = {"W1": np.ones((3, 6400)), "W2": np.array([1.0, 1e39, 1.0])}  # over float32's range
    (tmp_path / "save.p").write_bytes(pickle.dumps(model))
    assert main([str(tmp_path / "save.p"), str(tmp_path / "a.npz")]) == 2
    assert "W2: a weight is not finite as float32" in capsys.readouterr().err


def test_a_weight_too_large_for_its_bits_is_refused(tmp_path, capsys):
    path = other(tmp_path / "run")
    saved = load(path)
    saved.tensors["w1"][7, 1] = 1e5
    path = checkpoint.save(tmp_path / "run", 2, saved.tensors, saved.state)
    target = tmp_path / "a.safetensors"
    assert main([str(path), str(target), "--bits", "16"]) == 2
    assert "--bits 16: a weight is too large for it" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize("name", ["save.p", "policy.npz"])
def test_other_kinds_of_files_play_as_the_run_does(run, tmp_path, capsys, name):
    path = converted(run, tmp_path / name)
    capsys.readouterr()
    scores = []
    for source in (run, path):
        words = [str(source), "--episodes", "2", "--env", "Pong-v0", "--json"]
        assert evaluate_main(words) == 0
        scores.append(json.loads(capsys.readouterr().out)["lengths"])
    assert scores[0] == scores[1]
    assert watch_main([str(path), "--video", str(tmp_path / "a.gif"), "--seconds", "0.2"]) == 0

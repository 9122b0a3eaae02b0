"""The books of a run against values computed apart, and its random streams."""

import os
import signal
import stat
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fastpg import checkpoint
from fastpg.algorithms.base import GAMES, ORDER, WEIGHTS, stream_seed
from fastpg.evaluation.episodes import game_seed
from fastpg.kernels import get_backend
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.train import main
from fastpg.training.interrupt import Interruptible
from fastpg.training.metrics_file import read_metrics
from fastpg.training.trainer import Trainer
from tests.support.tile_model import Model
from tests.training.test_algorithms import FAST, PONG, make, played_model

SMALL = ["--hidden", "8", "--threads", "1", "--checkpoint-every", "1"]
RUNS = {
    "reinforce": [*SMALL, "--episodes-per-batch", "3", "--episodes", "120"],
    "ppo": [
        *SMALL,
        "--preset",
        "fast",
        "--num-envs",
        "5",
        "--steps-per-update",
        "400",
        "--agent-steps",
        "60000",
        "--frameskip",
        "7",
    ],
}


# ---- rows of metrics --------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_every_figure_of_every_row(tmp_path, monkeypatch, name):
    rounds, learn = [], Trainer._learn
    monkeypatch.setattr(Trainer, "_learn", lambda self, p: rounds.append(p) or learn(self, p))
    assert main([*RUNS[name], "--run-dir", str(tmp_path / "run")]) == 0
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len(rows) == len(rounds) > 20
    scores = []
    totals = dict.fromkeys(("agent_steps", "emulator_frames"), 0)
    seconds = dict.fromkeys(("emulation", "forward"), 0.0)
    for number, (row, played) in enumerate(zip(rows, rounds, strict=True), 1):
        scores += played.scores
        assert row["update"] == number
        assert row["episodes"] == len(scores)
        for count in totals:
            totals[count] += getattr(played, count)
            assert row[count] == totals[count]
        for part in seconds:
            seconds[part] += getattr(played, f"seconds_{part}")
            assert row[f"seconds_{part}"] == pytest.approx(seconds[part])
        mean = np.mean(scores[-100:]) if len(scores) >= 100 else None
        assert row["mean_score_100"] == (None if mean is None else pytest.approx(mean))
        for figure, values in (("score", played.scores), ("length", played.lengths)):
            expected = pytest.approx(np.mean(values)) if values else None
            assert row[f"mean_{figure}_batch"] == expected
        frames_a_step = played.emulator_frames / played.agent_steps
        rates = row["emulator_frames_per_second"], row["agent_steps_per_second"]
        assert rates[0] / rates[1] == pytest.approx(frames_a_step)
        assert 1 < frames_a_step < 8
    assert rows[-1]["mean_score_100"] is not None
    for before, row in pairwise(rows):
        took = row["seconds"] - before["seconds"]
        assert took > 0
        # a round ends within the time between two rows, and takes most of it
        played = row["agent_steps"] - before["agent_steps"]
        assert row["agent_steps_per_second"] >= 0.999 * played / took
        parts = [row[f"seconds_{p}"] for p in ("emulation", "forward", "learning")]
        assert all(part > 0 for part in parts)
        assert sum(parts) <= row["seconds"]
        assert row["seconds_learning"] > before["seconds_learning"]
        assert row["seconds_startup"] == rows[0]["seconds_startup"] > 0
    times = [row["seconds"] for row in rows]
    rates = np.array([row["agent_steps_per_second"] for row in rows[1:]])
    overall = (rows[-1]["agent_steps"] - rows[0]["agent_steps"]) / (times[-1] - times[0])
    assert np.median(rates) < 10 * overall


def test_figures_of_ppo_are_those_of_the_last_epoch():
    """One epoch fewer gives the weights that the last epoch began with."""
    config = replace(FAST, minibatch=10_000, learning_rate=0.1, final_learning_rate=0.1)
    before, after = make(replace(config, epochs=2)), make(replace(config, epochs=3))
    played = before.play()
    _, x, _, (actions, old, advantages, returns) = played_model(before, config)
    before.learn(played)
    figures = after.learn(after.play())
    model = Model(before.network, 2)
    _, probabilities, values = model.forward(x)
    ratio = model.action_probs(probabilities, actions) / old
    clipped = np.abs(ratio - 1) > config.clip
    assert figures["entropy"] == pytest.approx(model.entropy(probabilities).mean(), rel=1e-4)
    assert figures["kl"] == pytest.approx((ratio - 1 - np.log(ratio)).mean(), rel=1e-2)
    assert figures["value_loss"] == pytest.approx(((values - returns) ** 2).mean(), rel=1e-4)
    assert figures["kl"] > 1e-4
    hidden = clipped & (np.sign(ratio - 1) == np.sign(advantages))  # no gradient passes there
    assert figures["clip_fraction"] == pytest.approx(hidden.mean(), abs=1 / len(x))


def test_the_entropy_of_reinforce_is_that_of_its_samples():
    algorithm = make(PONG)
    played = algorithm.play()
    samples = played.batch[0]
    p = algorithm.collector.buffer.action_probs[samples].astype(np.float64)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert algorithm.learn(played)["entropy"] == pytest.approx(entropy, rel=1e-5)


# ---- a resumed run -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_seconds_go_on_in_a_resumed_run(tmp_path, capsys, name):
    folder = tmp_path / "run"
    limit = ["--episodes", "6"] if name == "reinforce" else ["--agent-steps", "4000"]
    assert main([*RUNS[name], *limit, "--run-dir", str(folder)]) == 0
    first = read_metrics(folder / "metrics.jsonl")
    more = ["--episodes", "9"] if name == "reinforce" else ["--agent-steps", "6000"]
    assert main(["--resume", str(folder), *more]) == 0
    rows = read_metrics(folder / "metrics.jsonl")
    assert len(rows) == len(first) + 1
    for part in ("", "_emulation", "_forward", "_learning"):
        times = [row[f"seconds{part}"] for row in rows]
        assert times == sorted(times)
    saved = checkpoint.load(folder)
    later = {**saved.state["seconds"], "total": 1000.0}
    checkpoint.save(folder, saved.update, saved.tensors, {**saved.state, "seconds": later})
    capsys.readouterr()
    none = ["--episodes", "None", "--agent-steps", "None", "--max-seconds", "1000"]
    assert main(["--resume", str(folder), *none]) == 0
    assert "done, --max-seconds 1000 reached" in capsys.readouterr().out.replace("\n", " ")
    assert len(read_metrics(folder / "metrics.jsonl")) == len(rows)  # there was no time left


# ---- settings act -------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(("gamma", "lam"), [(0.0, 0.95), (1.0, 1.0), (0.9, 0.0), (0.97, 0.5)])
def test_rewards_of_any_size_weigh_as_they_should(gamma, lam, lost):
    """Also on steps where an episode ends without a reward."""
    algorithm = make(replace(FAST, gamma=gamma, gae_lambda=lam, lost_point_weight=lost))
    config = algorithm.settings
    algorithm.play()
    rng, buffer = np.random.default_rng(0), algorithm.collector.buffer
    steps = config.steps_per_update
    played = algorithm.collector.samples(steps)
    buffer.rewards[played] = rng.choice([-3.0, -1.0, -0.25, 0, 0, 0, 0.5, 2.0], played.size)
    buffer.dones[played] = rng.random(played.size) < 0.1
    got, returns = algorithm.collector.advantages(steps, gamma, lam, lost)
    _, _, _, (_, _, standard, expected) = played_model(algorithm, config)
    np.testing.assert_allclose(returns[played], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[played], standard, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_credit_of_rewards_of_any_size(cut, gamma):
    rng = np.random.default_rng(1)
    lengths = [5, 1, 9, 4]
    rewards = rng.choice([-2.0, -0.5, 0, 0, 0, 0.25, 3.0], sum(lengths)).astype(np.float32)
    rewards[[4, 5]] = 0  # two episodes end without one
    expected, begin = [], 0
    for length in lengths:
        own = rewards[begin : begin + length].astype(float)
        for t in range(length):
            total = 0.0
            for k in range(t, length):
                total += gamma ** (k - t) * own[k]
                if cut and own[k]:
                    break
            expected.append(total)
        begin += length
    estimator = ReturnEstimator(gamma, cut, "none")
    got = estimator.advantages(get_backend("cython"), rewards, lengths)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_a_short_gradient_keeps_its_length():
    """Bounds above the norm change nothing."""
    results = []
    for bound in (50.0, 1000.0):
        algorithm = make(replace(FAST, max_grad_norm=bound, epochs=1))
        algorithm.learn(algorithm.play())
        results.append(algorithm.tensors()["w1"].tobytes())
    cut = make(replace(FAST, max_grad_norm=1e-6, epochs=1))
    cut.learn(cut.play())
    assert results[0] == results[1] != cut.tensors()["w1"].tobytes()


# ---- random streams ------------------------------------------------------------------------------


def test_streams_of_a_run_have_seeds_of_their_own():
    seeds = []
    for seed in (0, 1, 2**32 - 1):
        seeds.append(stream_seed(seed, WEIGHTS))
        for number in range(300):
            seeds += [stream_seed(seed, stream, number) for stream in (GAMES, ORDER)]
            seeds.append(game_seed(seed, number))
    assert len(set(seeds)) == len(seeds)
    assert len({WEIGHTS, GAMES, ORDER}) == 3


def test_minibatches_have_another_order_in_every_epoch_round_and_run(monkeypatch):
    orders = set()
    for seed in (0, 1):
        algorithm = make(replace(FAST, epochs=3, seed=seed))
        minibatches = algorithm.collector.minibatches

        def recorded(steps, size, keys, minibatches=minibatches):
            orders.add(tuple(keys.tolist()))
            return minibatches(steps, size, keys)

        monkeypatch.setattr(algorithm.collector, "minibatches", recorded)
        for _ in range(4):
            algorithm.learn(algorithm.play())
    assert len(orders) == 2 * 3 * 4


@pytest.mark.parametrize("config", [PONG, FAST], ids=["reinforce", "ppo"])
def test_games_rounds_and_seeds_draw_other_numbers(config):
    """Before anything is learned, with equal weights: only the random numbers differ."""
    config = replace(config, num_envs=3, learning_rate=0.0, final_learning_rate=0.0)
    plays = []
    for seed in (0, 1):
        algorithm = make(replace(config, seed=seed))
        for _ in range(2):
            played = algorithm.play()
            if algorithm is not None and config.algorithm == "ppo":
                plays += [row.tobytes() for row in algorithm.collector.rows("actions", 50).T]
            else:
                samples, _, lengths = played.batch
                actions = algorithm.collector.buffer.actions[samples]
                begins = np.cumsum([0, *lengths[:-1]])
                plays += [actions[begin : begin + 50].tobytes() for begin in begins]
            algorithm.learn(played)
    assert len(set(plays)) == len(plays) == 2 * 2 * 3


# ---- crashes and signals -------------------------------------------------------------------------


def test_an_old_checkpoint_goes_only_when_the_new_one_is_safe(tmp_path, monkeypatch):
    good = checkpoint.save(tmp_path, 1, {}, {}, keep=1)
    events, replace_file, flush, unlink = [], os.replace, os.fsync, type(good).unlink

    def flushed(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        events.append(f"flush {kind}")
        flush(descriptor)

    def replaced(source, target):
        events.append("rename")
        replace_file(source, target)

    def unlinked(path, missing_ok=False):
        events.append("unlink")
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(type(good), "unlink", unlinked)
    newer = checkpoint.save(tmp_path, 2, {}, {}, keep=1)
    assert events == ["flush file", "rename", "flush folder", "unlink"]
    assert checkpoint.checkpoints(tmp_path) == [newer]

    def failed(source, target):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", failed)
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.save(tmp_path, 3, {}, {}, keep=1)
    assert checkpoint.checkpoints(tmp_path) == [newer]


@pytest.fixture
def own_sigint():
    """SIGINT as a terminal has it; in a background job it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("own_sigint")
def test_a_second_signal_is_not_held_back():
    with Interruptible() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    with Interruptible() as interrupt:
        assert interrupt.run(lambda: os.kill(os.getpid(), signal.SIGTERM) or "done") is None
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):  # during learning, after a round was dropped
            os.kill(os.getpid(), signal.SIGINT)

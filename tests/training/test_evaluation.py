"""Evaluation: the same scores on both emulators, and what the network looks back at."""

import shlex

import numpy as np
import pytest

from fastpg.checkpoint import CheckpointError, save
from fastpg.cli.resolve import resolve_rules
from fastpg.cli.train_options import parse_training, training_command
from fastpg.config import TrainConfig
from fastpg.envs.rules import rules
from fastpg.evaluation import episodes as evaluation
from fastpg.evaluation.episodes import Evaluation, Player, evaluate
from fastpg.evaluation.policy import load_policy, load_pretrained, policy_of
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network._network import RolloutBuffer
from fastpg.train import main

SHORT = rules("Pong-v0", max_num_frames_per_episode=900)


def trained(folder, *settings):
    """A small run's folder."""
    arguments = ["--hidden", "8", "--run-dir", str(folder), *settings]
    assert main(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    settings = "--preset fast --num-envs 4 --steps-per-update 64 --agent-steps 512".split()
    input_spec = ["--views", "0", "2", "5", "--past-actions", "2"]
    return trained(tmp_path_factory.mktemp("fast") / "run", *settings, *input_spec)


def same(a, b):
    """Equal episodes, one by one."""
    for name in ("won", "lost", "steps", "frames"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("greedy", [False, True])
def test_both_emulators_threads_and_processes_play_the_same_episodes(fast, greedy, monkeypatch):
    monkeypatch.setattr(evaluation, "_GAMES", 2)  # and the third in another round
    ours = evaluate(fast, SHORT, emulator="native", episodes=3, greedy=greedy, threads=1)
    assert ours.scores.shape == (3,)
    reference = evaluate(fast, SHORT, emulator="ale", episodes=3, greedy=greedy, threads=2)
    same(ours, reference)
    policy = load_policy(fast)
    player = Player(policy, SHORT, "native", greedy)
    assert [player.play(number)[2:] for number in range(3)] == list(
        zip(ours.steps.tolist(), ours.frames.tolist(), strict=True)
    )
    monkeypatch.setattr(evaluation, "_GAMES", 64)
    more = evaluate(fast, SHORT, emulator="native", episodes=5, greedy=greedy, threads=3)
    same(ours, Evaluation(more.won[:3], more.lost[:3], more.steps[:3], more.frames[:3]))
    other = evaluate(fast, SHORT, emulator="native", episodes=3, greedy=greedy, seed=1)
    assert (other.steps != ours.steps).any()


@pytest.mark.parametrize("env", ["Pong-v0", "PongNoFrameskip-v4"])
def test_a_policy_of_one_output_plays_the_same_on_both(tmp_path, env):
    run = trained(tmp_path / "run", "--episodes", "1", "--episodes-per-batch", "1")
    game = rules(env, max_num_frames_per_episode=600, noop_max=9)
    for greedy in (False, True):
        ours = evaluate(run, game, emulator="native", episodes=2, greedy=greedy)
        same(ours, evaluate(run, game, emulator="ale", episodes=2, greedy=greedy))


def test_greedy_takes_the_likeliest_action():
    player = Player(policy_of(load_pretrained()), SHORT, "native", greedy=True)
    player.begin(0)
    taken = set()
    for step in range(60):
        action = player.choose(step, 0)
        probabilities, _ = player.policy.network.core.evaluate(player.buffer, step)
        assert action == np.argmax(probabilities)
        taken.add(action)
        player.game.step(step % 6)
    assert len(taken) > 1


def test_whole_games_end_at_21(fast):
    played = evaluate(fast, rules("ALE/Pong-v5"), emulator="native", episodes=2)
    assert (np.maximum(played.won, played.lost) == 21).all()
    np.testing.assert_array_equal(played.scores, played.won - played.lost)
    assert (played.steps > 700).all()
    assert (played.frames >= 4 * (played.steps - 1)).all()


def test_a_player_looks_back_as_one_that_forgets_nothing(fast):
    """Its short buffer against one that holds the whole episode."""
    player = Player(load_policy(fast), SHORT, "native", greedy=False, seed=5)
    network = player.policy.network.core
    whole = RolloutBuffer(400, 401 * VIEW_PIXELS)
    player.begin(7)
    chances = []
    for step in range(200):
        action = player.choose(step, 7)
        slot = step if step < 64 else 32 + step % 32
        begin, count = int(player.buffer.tile_offsets[slot]), int(player.buffer.tile_counts[slot])
        tile = step * VIEW_PIXELS
        whole.tiles[tile : tile + count] = player.buffer.tiles[begin : begin + count]
        whole.tile_offsets[step], whole.tile_counts[step], whole.episode_steps[step] = (
            tile,
            count,
            min(step, 255),
        )
        assert network.choose(whole, step, 5, 7, step) == action
        assert whole.action_probs[step] == player.buffer.action_probs[slot]
        chances.append(player.buffer.action_probs[slot])
        player.game.step(player.actions[action])
    assert len(set(chances)) > 50


def test_progress_counts_every_episode(fast):
    counts = []
    evaluate(fast, SHORT, emulator="native", episodes=3, progress=counts.append)
    assert counts == [1, 2, 3]


def test_a_policy_of_another_game_is_refused(fast):
    with pytest.raises(CheckpointError, match="a policy of 3 actions, breakout needs 4"):
        evaluate(fast, rules("ALE/Breakout-v5"), emulator="ale", episodes=1)


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path):
    state = {"config": {"input": "stack", "background": "frame"}}
    tensors = {"w1": np.zeros((6400, 2), np.float32), "w2": np.zeros((3, 2), np.float32)}
    for name in ("w1", "w2"):
        save(tmp_path / name, 1, {name: tensors[name]}, state)
    save(tmp_path / "both", 1, tensors, state)
    for name, said in (("w1", "'w2'"), ("w2", "'w1'"), ("both", "w1: expected")):
        with pytest.raises(CheckpointError, match=said):
            load_policy(tmp_path / name)


def test_all_18_actions_play_the_same_game(fast):
    """A policy's UP and DOWN are found by their names, wherever the rules list them."""
    usual, all_18 = (
        evaluate(
            fast,
            rules("PongNoFrameskip-v4", frameskip=4, max_num_frames_per_episode=2000, **more),
            emulator="native",
            episodes=2,
        )
        for more in ({}, {"full_action_space": True})
    )
    same(usual, all_18)
    assert usual.scores.any()


@pytest.mark.parametrize(("name", "value"), [("threads", 0), ("episodes", -1)])
def test_counts_below_their_least_are_refused(fast, name, value):
    for emulator in ("ale", "native"):
        with pytest.raises(
            ValueError, match=f"^{name}: expected at least {value + 1}, got {value}"
        ):
            evaluate(fast, SHORT, emulator=emulator, **{name: value})


def test_the_pretrained_policy_is_small_plays_and_says_where_it_is_from():
    saved = load_pretrained()
    assert saved.path.stat().st_size < 1_000_000
    config = TrainConfig.from_json(saved.state["config"])
    assert (config.run_dir, config.resume, config.threads) == (None, None, None)
    assert training_command(config) == saved.state["trained_by"]
    parse_training(shlex.split(saved.state["trained_by"])[3:])
    stated = saved.state["evaluation"]
    low, high = stated["confidence_interval"]
    assert low < stated["mean_score"] < high
    played = evaluate(saved, resolve_rules(config), emulator="native", episodes=8)
    assert played.scores.mean() > stated["mean_score"] - 3


def test_policies_that_see_pictures_are_refused(tmp_path):
    state = {"config": {"input": "raw", "background": "frame"}}
    save(tmp_path, 1, {"w2": np.zeros((1, 2), np.float32)}, state)
    with pytest.raises(CheckpointError, match="--input raw"):
        load_policy(tmp_path)
    save(tmp_path, 2, {"w2": np.zeros((1, 2), np.float32)}, {})
    with pytest.raises(CheckpointError, match="no checkpoint of"):
        load_policy(tmp_path)

"""Evaluation: the same scores on both emulators, and what the network looks back at."""

import numpy as np
import pytest

from fastpg._training import Record
from fastpg.checkpoint import CheckpointError, save
from fastpg.envs.rules import rules
from fastpg.evaluation import Player, evaluate, load_policy
from fastpg.kernels.spec import VIEW_PIXELS
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
    sight = ["--views", "0", "2", "5", "--past-actions", "2"]
    return trained(tmp_path_factory.mktemp("fast") / "run", *settings, *sight)


@pytest.mark.parametrize("greedy", [False, True])
def test_both_emulators_and_processes_give_the_same_scores(fast, greedy):
    ours = evaluate(fast, SHORT, emulator="native", episodes=3, greedy=greedy)
    assert ours.shape == (3, 2)
    reference = evaluate(fast, SHORT, episodes=3, greedy=greedy, processes=2)
    np.testing.assert_array_equal(ours, reference)
    assert (evaluate(fast, SHORT, emulator="native", episodes=2, seed=1) != ours[:2]).any()


def test_whole_games_end_at_21(fast):
    played = evaluate(fast, rules("ALE/Pong-v5"), emulator="native", episodes=2)
    assert (played[:, 0] >= -21).all()
    assert (played[:, 0] <= 21).all()
    assert (played[:, 1] > 700).all()


def test_a_player_looks_back_as_one_that_forgets_nothing(fast):
    """Its short record against one that holds the whole episode."""
    player = Player(load_policy(fast), SHORT, "native", greedy=False)
    network = player.policy.network.core
    whole = Record(400, 401 * VIEW_PIXELS)
    player.game.reset(seed=5)
    chances = []
    for step in range(200):
        action = player.choose(step, 5)
        entry = step if step < 64 else 32 + step % 32
        begin, count = int(player.record.begins[entry]), int(player.record.counts[entry])
        tile = step * VIEW_PIXELS
        whole.tiles[tile : tile + count] = player.record.tiles[begin : begin + count]
        whole.begins[step], whole.counts[step], whole.ages[step] = tile, count, min(step, 255)
        assert network.choose(whole, step, 5, 0, step) == action
        assert whole.chances[step] == player.record.chances[entry]
        chances.append(player.record.chances[entry])
        player.game.step(player.actions[action])
    assert len(set(chances)) > 50


def test_policies_that_see_pictures_are_refused(tmp_path):
    state = {"config": {"input": "raw", "background": "frame"}}
    save(tmp_path, 1, {"w2": np.zeros((1, 2), np.float32)}, state)
    with pytest.raises(CheckpointError, match="--input raw"):
        load_policy(tmp_path)
    save(tmp_path, 2, {"w2": np.zeros((1, 2), np.float32)}, {})
    with pytest.raises(CheckpointError, match="no checkpoint of"):
        load_policy(tmp_path)

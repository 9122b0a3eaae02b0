"""Playback: the frames are those of the evaluated episodes, with the network's true input."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fastpg.checkpoint import CheckpointError, save
from fastpg.cli.read_policy import saved_policy
from fastpg.cli.resolve import game_to_show
from fastpg.emulator.palette import PALETTE_RGB
from fastpg.envs.rules import rules
from fastpg.evaluation.episodes import evaluate
from fastpg.evaluation.policy import load_policy, load_pretrained, policy_of
from fastpg.show.play.playback import Playback
from fastpg.show.report.saliency import Weights, blurred, most_salient_decisions
from tests.support.small_runs import ARTICLE, LOOKS_BACK, small_run

RANDOM_SKIP = rules("Pong-v0", max_num_frames_per_episode=700)
IDLE_START = rules("PongNoFrameskip-v4", frameskip=4, noop_max=30, max_num_frames_per_episode=700)


def log_odds(weights, decision):
    """The log-odds of UP against DOWN."""
    return float(weights.active(decision) @ weights.up_preference)


@pytest.fixture(scope="module")
def back(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("back") / "run", LOOKS_BACK)


@pytest.fixture(scope="module")
def article(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("article") / "run", ARTICLE)


@pytest.mark.parametrize("game_rules", [RANDOM_SKIP, IDLE_START])
@pytest.mark.parametrize(
    ("emulator", "greedy"), [("native", False), ("native", True), ("ale", False)]
)
def test_every_frame_of_the_evaluated_episode_is_shown(back, emulator, greedy, game_rules):
    policy = load_policy(back)
    playback = Playback(policy, game_rules, emulator, greedy, seed=3)
    own = np.zeros((210, 160, 3), np.uint8)
    frames, steps, last, begin = 0, 0, None, 0
    for frame in playback.episode(1):
        if frame.first:
            if last is not None:  # the replay has just finished the step before
                np.testing.assert_array_equal(PALETTE_RGB[playback.player.agent.screen], last)
            else:
                begin = playback.player.game.episode_frame_number
            steps += 1
        frames, last = frames + 1, frame.picture.copy()
    assert frame.over
    playback.player.game.rgb(own)
    np.testing.assert_array_equal(last, own)
    reached = playback.player.game.episode_frame_number
    assert reached >= 700
    assert begin <= 4 + 30
    assert 0 <= reached - frames <= 30
    scored = evaluate(back, game_rules, emulator="native", episodes=2, seed=3, greedy=greedy)
    assert (frame.score, steps) == (scored.scores[1], scored.steps[1])
    assert reached == scored.frames[1]


def test_frames_differ_within_a_step(back):
    policy = load_policy(back)
    playback = Playback(policy, IDLE_START, "native", greedy=False, seed=0)
    pictures = [frame.picture.copy() for frame in playback.episode(0)]
    changed = [(a != b).any() for a, b in pairwise(pictures)]
    assert np.mean(changed[200:]) > 0.5  # with one new picture per four frames it would be 0.25


@pytest.mark.parametrize("run", ["back", "article"])
def test_planes_and_past_actions_are_what_the_network_saw(run, request):
    """Their product with the weights gives the compiled network's probabilities."""
    policy = load_policy(request.getfixturevalue(run))
    playback = Playback(policy, RANDOM_SKIP, "native", greedy=False, seed=0)
    up, down = playback.labels.index("UP"), playback.labels.index("DOWN")
    weights = Weights(policy, up, down)
    seen = set()
    for frame in playback.episode(0):
        p = frame.decision.probabilities.astype(np.float64)
        odds = log_odds(weights, frame.decision)
        assert np.log(p[up] / p[down]) == pytest.approx(odds, abs=2e-5)
        seen.add(round(odds, 4))
    assert len(seen) > 50


def test_salient_decisions_differ_though_a_rally_is_played_again():
    saved = load_pretrained()
    policy = policy_of(saved)
    rules, emulator, _ = game_to_show(saved, None, "auto")
    playback = Playback(policy, rules, emulator, greedy=False, seed=0)
    up, down = playback.labels.index("UP"), playback.labels.index("DOWN")
    decisions = most_salient_decisions(playback, Weights(policy, up, down), 4)
    assert len({salient.frame.decision.planes.tobytes() for salient in decisions}) == 4


def test_lit_pixels_add_up_to_the_log_odds(article):
    policy = load_policy(article)
    playback = Playback(policy, RANDOM_SKIP, "native", greedy=False, seed=0)
    weights = Weights(policy, 1, 0)
    decisions = most_salient_decisions(playback, weights, 4)
    assert len(decisions) == 4
    assert len({salient.frame.decision.step // 70 for salient in decisions}) > 1
    for salient in decisions:
        decision = salient.frame.decision
        assert (decision.planes != 0).any()
        added = float((decision.planes * salient.saliency).sum())
        assert added == pytest.approx(log_odds(weights, decision), abs=1e-5)
        # one more lit pixel adds its saliency as long as the same units are active
        on = weights.active(decision) > 0
        y, x = np.argwhere(decision.planes[0] == 0)[2000]
        more = decision.planes.copy()
        more[0, y, x] = 1
        lit = replace(decision, planes=more)
        if ((weights.active(lit) > 0) == on).all():
            gained = log_odds(weights, lit) - log_odds(weights, decision)
            assert gained == pytest.approx(salient.saliency[0, y, x], abs=1e-5)


def test_greedy_takes_the_likeliest(back):
    policy = load_policy(back)
    playback = Playback(policy, RANDOM_SKIP, "native", greedy=True, seed=0)
    for frame in playback.episode(0):
        assert frame.decision.action == np.argmax(frame.decision.probabilities)


def test_units_are_ranked_by_their_smoothed_weights(article):
    policy = load_policy(article)
    weights = Weights(policy, 1, 0)
    units = weights.units(5)
    assert len({unit.number for unit in units}) == 5
    for unit in units:
        np.testing.assert_array_equal(unit.planes.ravel(), weights.w1[:, unit.number])
        assert unit.up_preference == weights.up_preference[unit.number]


def test_blurred_keeps_the_sum_and_is_a_gaussian():
    dot = np.zeros((2, 41, 41))
    dot[1, 20, 18] = 3.0
    smooth = blurred(dot, 2.0)
    assert smooth[0].sum() == 0
    assert smooth[1].sum() == pytest.approx(3.0, abs=1e-6)
    assert smooth[1, 22, 18] / smooth[1, 20, 18] == pytest.approx(np.exp(-0.5))
    assert smooth[1, 22, 21] / smooth[1, 20, 18] == pytest.approx(np.exp(-0.5 * (1 + 2.25)))


def test_other_games_and_missing_runs_are_refused_in_a_line(back, tmp_path):
    policy = load_policy(back)
    with pytest.raises(CheckpointError, match=r"a policy of 3 actions, breakout needs 4"):
        Playback(policy, rules("ALE/Breakout-v5"), "ale", False, 0)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_policy(tmp_path)
    state = {"config": {"input": "raw", "background": "frame"}}
    save(tmp_path, 1, {"w2": np.zeros((1, 2), np.float32)}, state)
    with pytest.raises(CheckpointError, match="--input raw"):
        load_policy(tmp_path)


def test_without_a_run_the_pretrained_policy_plays():
    loaded, saved = saved_policy(None), load_pretrained()
    assert loaded.state == saved.state
    np.testing.assert_array_equal(loaded.tensors["w1"], saved.tensors["w1"])

"""Rollouts in worker processes: those of compiled code, whoever plays which part of them."""

import numpy as np
import pytest

from fastpg.envs import game_class
from fastpg.envs.rules import rules
from fastpg.network._network import Pool
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.rollouts import processes
from fastpg.rollouts.actions import action_table
from fastpg.rollouts.native import NativeCollector
from fastpg.rollouts.processes import StepwiseCollector
from fastpg.rollouts.stepwise import SLOT_ARRAYS, StepwiseSetup

SHORT = rules("Pong-v0", max_num_frames_per_episode=900)
LOOKING_BACK = InputSpec((0, 2, 5), past_actions=3)
SEED = 7


def make_setup(emulator, input_spec):
    meanings = game_class(emulator)(SHORT).action_meanings
    outputs, table = action_table("pong", meanings)
    return StepwiseSetup(SHORT, emulator, SEED, True, 8, outputs, table, input_spec)


def stepwise(emulator, input_spec, workers, games, steps=None):
    setup = make_setup(emulator, input_spec)
    network = TileNetwork(**setup.network_shape(value=steps is not None))
    network.initialize(3, None, None)
    return StepwiseCollector(network, setup, games, workers, steps)


def native(input_spec, games, steps=None):
    setup = make_setup("native", input_spec)
    network = TileNetwork(**setup.network_shape(value=steps is not None))
    network.initialize(3, None, None)
    numbers = game_class("native")(SHORT).emulator_actions
    collector = NativeCollector(
        network,
        Pool(1),
        SHORT,
        games,
        actions=[numbers[action] for action in setup.action_table],
        seed=SEED,
        whole_episodes=steps is None,
    )
    if steps is not None:
        collector.allocate(collector.lookback + steps + 1)
    return collector


def episodes_of(collector, first, count):
    """Each episode's arrays, with the tiles of each of its slots."""
    played = collector.play_episodes(first, count)
    buffer = collector.buffer
    episodes = []
    for begin, end in played.episode_slices:
        arrays = [getattr(buffer, name)[begin:end].tolist() for name in SLOT_ARRAYS]
        offsets = buffer.tile_offsets[begin:end].astype(int)
        tiles = [
            buffer.tiles[at : at + int(count)].tolist()
            for at, count in zip(offsets, buffer.tile_counts[begin:end], strict=True)
        ]
        episodes.append((arrays, tiles))
    return played.emulator_frames, episodes


@pytest.mark.parametrize("emulator", ["native", "ale"])
@pytest.mark.parametrize("input_spec", [InputSpec(difference=True), LOOKING_BACK])
def test_whole_episodes_do_not_depend_on_workers_and_fragments(monkeypatch, emulator, input_spec):
    compiled = native(input_spec, games=2)
    compiled.seed([1, 2])
    expected = [episodes_of(compiled, 0, 3), episodes_of(compiled, 3, 2)]  # random numbers run on
    for workers, steps in ((1, 10_000), (1, 37), (2, 256)):
        monkeypatch.setattr(processes, "_FRAGMENT_STEPS", steps)
        collector = stepwise(emulator, input_spec, workers, games=2)
        collector.seed([1, 2])
        assert [episodes_of(collector, 0, 3), episodes_of(collector, 3, 2)] == expected
        collector.close()


@pytest.mark.parametrize("emulator", ["native", "ale"])
def test_steps_of_each_game_do_not_depend_on_workers(emulator):
    steps, games = 170, 3
    compiled = native(LOOKING_BACK, games, steps)
    others = [stepwise(emulator, LOOKING_BACK, workers, games, steps) for workers in (1, 2)]
    for collector in (compiled, *others):
        collector.seed([4, 5, 6])
    ended = 0
    for _ in range(3):
        frames = [collector.play_steps(steps).emulator_frames for collector in (compiled, *others)]
        assert len(set(frames)) == 1
        for name in SLOT_ARRAYS:
            expected = compiled.rows(name, steps + (name == "values"))
            for collector in others:
                found = collector.rows(name, steps + (name == "values"))
                np.testing.assert_array_equal(found, expected, err_msg=name)
        for collector in others:
            for name, array in compiled.lookback_frames().items():
                np.testing.assert_array_equal(collector.lookback_frames()[name], array)
        ended += compiled.rows("dones", steps).sum()
    assert ended == games
    for collector in others:
        collector.close()


def test_a_round_that_was_broken_off_is_played_again():
    collector = stepwise("native", LOOKING_BACK, 1, games=2, steps=50)
    collector.seed([4, 5])
    collector.end_round()
    rewards = []
    for _ in range(2):  # the second time from the snapshot
        collector.begin_round()
        collector.play_steps(50)
        rewards.append(collector.rows("episode_steps", 50))
    np.testing.assert_array_equal(*rewards)
    collector.end_round()
    kept = collector.round_tensors()
    collector.begin_round()
    collector.play_steps(50)
    after = collector.rows("actions", 50)
    again = stepwise("native", LOOKING_BACK, 2, games=2, steps=50)
    again.restore_round(kept)
    again.begin_round()
    again.play_steps(50)
    np.testing.assert_array_equal(again.rows("actions", 50), after)
    collector.close()
    again.close()


def test_a_number_of_steps_that_the_workers_were_not_made_for_is_refused():
    collector = stepwise("native", LOOKING_BACK, 1, games=2, steps=50)
    collector.seed([4, 5])
    with pytest.raises(ValueError, match="steps: expected 50, as the workers play, got 51"):
        collector.play_steps(51)
    collector.close()

"""Playing in fragments: who plays which part of an episode changes nothing of it."""

from functools import partial

import numpy as np
import pytest

from fastpg.emulator.palette import PALETTE_RGB
from fastpg.envs import SharedArray, WorkerPool
from fastpg.envs.rules import rules
from fastpg.kernels import get_backend
from fastpg.rollouts.episode import Growing
from fastpg.rollouts.fragments import RolloutWorker, play_batch
from fastpg.rollouts.stepwise_player import RolloutSetup, StepwisePlayer, input_size

HIDDEN = 4


def make_pool(kind, workers=1, emulator="native"):
    weights = SharedArray(((input_size(kind) + 1) * HIDDEN,), "float32")
    weights.array[:] = np.random.default_rng(0).standard_normal(weights.array.size) / 80
    short = rules("Pong-v0", max_num_frames_per_episode=900)
    setup = RolloutSetup(short, emulator, 7, "cython", kind, True, HIDDEN, 1, (3, 2))
    factories = [partial(RolloutWorker, setup, weights)] * workers
    return WorkerPool(factories, inline=workers == 1), weights.array


@pytest.mark.parametrize("emulator", ["native", "ale"])
@pytest.mark.parametrize("kind", ["difference", "stack", "raw"])
def test_fragments_and_workers_change_nothing(monkeypatch, kind, emulator):
    batches = []
    for workers, steps in ((1, 10_000), (1, 37), (2, None)):
        if steps:
            monkeypatch.setattr(StepwisePlayer, "STEPS", steps)
        with make_pool(kind, workers, emulator)[0] as pool:
            states = pool.call("first_states", [([1, 2],)] * workers)[0]
            batches.append(play_batch(pool, [[0, 2], [1]], states))
    first = batches[0]
    assert [episode.number for episode in first.episodes] == [0, 1, 2]
    for other in batches[1:]:
        assert other.states == first.states
        assert_equal_episodes(first.episodes, other.episodes, kind)


def assert_equal_episodes(first, second, kind):
    for a, b in zip(first, second, strict=True):
        assert (a.number, a.emulator_frames) == (b.number, b.emulator_frames)
        np.testing.assert_array_equal(a.actions, b.actions)
        np.testing.assert_array_equal(a.rewards, b.rewards)
        for name in ("palette",) if kind == "raw" else ("indices", "signs", "offsets"):
            np.testing.assert_array_equal(getattr(a.inputs, name), getattr(b.inputs, name))


@pytest.mark.parametrize("kind", ["difference", "stack", "raw"])
def test_both_emulators_play_the_same(kind):
    played = []
    for emulator in ("native", "ale"):
        with make_pool(kind, 1, emulator)[0] as pool:
            states = pool.call("first_states", [([1, 2],)])[0]
            batch = play_batch(pool, [[0, 2], [1]], states)
            batch = play_batch(pool, [[3], [4]], batch.states)  # random numbers run on
        played.append(batch.episodes)
    assert_equal_episodes(*played, kind)


def test_inputs_are_the_differences_of_the_pictures_played():
    """The recorded sparse inputs against the recorded pictures of an equal episode."""
    with make_pool("raw")[0] as pool:
        state = pool.call("first_states", [([5],)])[0][0]
        raw = play_batch(pool, [[3]], [state]).episodes[0]
    reference = get_backend("reference")
    red = np.ascontiguousarray(PALETTE_RGB[:, 0])
    views = reference.preprocess_palette(raw.inputs.palette, red)
    expected = reference.frame_difference(views, np.concatenate([views[:1], views[:-1]]))
    pool, _ = make_pool("difference", emulator="ale")
    with pool:
        state = pool.call("first_states", [([5],)])[0][0]
        decide = pool._inline.host.player.decide

        def sample():  # the raw episode's action, whatever this network thinks
            decide.step += 1
            return int(raw.actions[decide.step - 1])

        decide.sample = sample
        sparse = play_batch(pool, [[3]], [state]).episodes[0]
    np.testing.assert_array_equal(sparse.actions, raw.actions)
    np.testing.assert_array_equal(sparse.rewards, raw.rewards)
    for got, wanted in zip(
        (sparse.inputs.indices, sparse.inputs.signs, sparse.inputs.offsets), expected, strict=True
    ):
        np.testing.assert_array_equal(got, wanted)
    assert sparse.inputs.offsets[1] == 0  # an episode's first input is zeros


def test_growing_array_keeps_what_it_has():
    growing = Growing(np.int64, (2,))
    expected = np.arange(6000).reshape(-1, 2)
    for begin in range(0, 3000, 500):
        growing.extend(expected[begin : begin + 500])
    assert growing.size == 3000
    np.testing.assert_array_equal(growing.used, expected)

"""What the compiled rollout refuses: arguments, calls and states that would lead out of memory."""

import numpy as np
import pytest

from fastpg.emulator.palette import PALETTE_RED
from fastpg.envs.native_game import pong_cartridge
from fastpg.network._network import Pool, RolloutBuffer
from fastpg.network.input_spec import InputSpec
from fastpg.rollouts._rollouts import Rollout
from tests.rollouts.test_native import EMULATOR_ACTIONS, RULES, make_games
from tests.support.tile_model import PIXELS, make_network


def make_rollout(network, **changed):
    options = {
        "frameskip": (4, 5),
        "repeat": 0.0,
        "max_frames": 0,
        "noop_max": 0,
        "red": PALETTE_RED,
    }
    options |= {
        "find_background": True,
        "seed": 0,
        "emulator_actions": EMULATOR_ACTIONS,
        "whole_episodes": False,
    }
    games = changed.pop("games", 2)
    return Rollout(pong_cartridge(), network.core, Pool(1), games, **(options | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"games": 0},
        {"emulator_actions": (3,)},
        {"emulator_actions": (3, 18)},
        {"emulator_actions": (-1, 3)},
        {"red": PALETTE_RED[:-1]},
    ],
)
def test_rollouts_that_cannot_be(changed):
    with pytest.raises(ValueError, match="expected"):
        make_rollout(make_network(InputSpec((0, 1)), 3, 2, 1, False), **changed)


def test_calls_that_cannot_be():
    core = make_rollout(make_network(InputSpec((0, 1), False, 3), 3, 2, 1, False))
    few = np.zeros(4, np.uint8)
    for call in (
        core.play,
        core.shift_lookback,
        core.bootstrap_values,
        lambda: core.plan(0, 0, 1, 1),
        lambda: core.set_lookback_frames(0, few[:0], few, few, few),
        lambda: core.move_to(RolloutBuffer(100, 10 * PIXELS)),
    ):
        with pytest.raises(RuntimeError, match="write_to"):
            call()
    for slots, room in ((1, 4 * PIXELS), (9, 4 * PIXELS), (10, 4 * PIXELS - 1)):
        with pytest.raises(ValueError, match="buffer: expected capacity"):
            core.write_to(RolloutBuffer(slots, room))
    core.write_to(RolloutBuffer(40, 10 * PIXELS))
    with pytest.raises(ValueError, match=r"rows of at least 20 slots, .* got 19,"):
        core.move_to(RolloutBuffer(38, 10 * PIXELS))
    with pytest.raises(RuntimeError, match="with a value"):
        core.bootstrap_values()
    for game in (-1, 2):
        with pytest.raises(IndexError, match=f"game {game}"):
            core.state(game)
    for tiles, counts, said in (
        (np.zeros(2, np.uint16), few, "tiles: expected 0"),
        (np.full(1, 8 * PIXELS, np.uint16), few + np.eye(4, dtype=np.uint8)[0], "all below"),
        (np.zeros(0, np.uint16), few[1:], "expected 4 of each"),
    ):
        with pytest.raises(ValueError, match=said):
            core.set_lookback_frames(0, tiles, counts, few, few)


def test_states_are_checked():
    _, games = make_games(RULES["long"])
    state = games.states()[0]
    games.core.restore(0, state)
    other_layout = (np.frombuffer(state[:8], np.uint64) + 1).tobytes() + state[8:]
    for wrong in (state[:-1], state + b"0", other_layout, state[:32] + b"\xff" * (len(state) - 32)):
        with pytest.raises(ValueError, match="state: expected"):
            games.core.restore(0, wrong)
    assert games.states()[0] == state
    with pytest.raises(ValueError, match="argument"):
        games.restore([state])
    with pytest.raises(ValueError, match="argument"):
        games.seed([1])

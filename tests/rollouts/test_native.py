"""Games that the network plays, compiled, against the same steps one by one in Python."""

import numpy as np
import pytest

from fastpg.emulator.palette import PALETTE_RED
from fastpg.envs.native_game import NativeGame
from fastpg.envs.native_vector_env import NativeVectorEnv
from fastpg.envs.rules import rules
from fastpg.kernels import get_backend
from fastpg.network._network import Pool, RolloutBuffer
from fastpg.network.input_spec import InputSpec
from fastpg.rollouts.native import NativeCollector
from tests.support.tile_model import PIXELS, make_network

ACTIONS, EMULATOR_ACTIONS = (3, 2), (4, 3)  # DOWN and UP: of the environments, and as ALE numbers
STEP_ARRAYS = (
    "actions",
    "rewards",
    "dones",
    "action_probs",
    "values",
    "episode_steps",
    "tile_counts",
)
RULES = {  # episodes of some dozen steps
    "random skips, sticky": {"env_id": "Pong-v0", "max_num_frames_per_episode": 190},
    "no-op starts": {"env_id": "PongNoFrameskip-v4", "frameskip": 4, "noop_max": 30}
    | {"max_num_frames_per_episode": 150},
    "over at once": {"env_id": "ALE/Pong-v5", "max_num_frames_per_episode": 3},
    "long": {"env_id": "ALE/Pong-v5"},
}
INPUT_SPECS = (InputSpec((0, 1), True), InputSpec((0, 1, 4), False, 4))
SEED = 11


def make_games(named, input_spec=INPUT_SPECS[1], games=3, threads=1, **options):
    """(network, games), seeded; the network has weights of its own."""
    network = make_network(input_spec, 40, 2, 1, True)
    env = dict(named)
    made = rules(env.pop("env_id"), **env)
    played = NativeCollector(
        network, Pool(threads), made, games, actions=EMULATOR_ACTIONS, seed=SEED, **options
    )
    played.seed(range(100, 100 + games))
    return network, played


class Stepwise:
    """One game of the vector environment, and the network upon it, a step at a time."""

    def __init__(self, network, slots):
        self.network, self.buffer = network, RolloutBuffer(slots, slots * 64 + PIXELS)
        self.slot = self.tile = 0

    def see(self, view, age):
        self.tile = self.buffer.observe(self.slot, self.tile, min(age, 255), view)

    def choose(self, stream, step):
        return self.network.core.choose(self.buffer, self.slot, SEED, stream, step)

    def write(self, reward, over):
        self.buffer.rewards[self.slot], self.buffer.dones[self.slot] = reward, over
        self.slot += 1

    def tiles(self, slot):
        begin = int(self.buffer.tile_offsets[slot])
        return self.buffer.tiles[begin : begin + int(self.buffer.tile_counts[slot])]


def play_stepwise(named, network, games, steps):
    """The same games on NativeVectorEnv: a player each, with one slot more than steps."""
    envs = NativeVectorEnv(
        num_envs=games, obs_type="pong80", autoreset_mode="Disabled", num_threads=1, **named
    )
    players = [Stepwise(network, steps + 1) for _ in range(games)]
    envs.reset(seed=list(range(100, 100 + games)))
    # a run's first episodes begin with a reset of their own, as every later one does
    observations, _ = envs.reset(options={"reset_mask": np.ones(games, np.bool_)})
    ages = [0] * games
    for step in range(steps):
        for player, view, age in zip(players, observations, ages, strict=True):
            player.see(view, age)
        actions = [player.choose(game, step) for game, player in enumerate(players)]
        table = [ACTIONS[action] for action in actions]
        observations, rewards, terminated, truncated, _ = envs.step(np.array(table))
        over = terminated | truncated
        for player, reward, end in zip(players, rewards, over, strict=True):
            player.write(reward, end)
        if over.any():
            observations, _ = envs.reset(options={"reset_mask": over})
        ages = [0 if end else age + 1 for age, end in zip(ages, over, strict=True)]
    for player, view, age in zip(players, observations, ages, strict=True):
        player.see(view, age)
        player.choose(0, 0)  # the value of the last frame
    envs.close()
    return players


def assert_played(games, players, steps):
    """The buffer of one round, to the last bit."""
    buffer, lookback = games.buffer, games.lookback
    for (begin, slot, _), player in zip(games.core.rows(), players, strict=True):
        first = begin + lookback
        assert slot == first + steps
        for name in STEP_ARRAYS:
            got = getattr(buffer, name)[first : first + steps]
            np.testing.assert_array_equal(got, getattr(player.buffer, name)[:steps], name)
        for k in range(steps + 1):
            at = int(buffer.tile_offsets[first + k])
            tiles = buffer.tiles[at : at + int(buffer.tile_counts[first + k])]
            np.testing.assert_array_equal(tiles, player.tiles(k))
        assert buffer.values[slot] == player.buffer.values[steps]
        assert buffer.episode_steps[slot] == player.buffer.episode_steps[steps]


@pytest.mark.parametrize("input_spec", INPUT_SPECS, ids=str)
@pytest.mark.parametrize("named", RULES.values(), ids=RULES)
def test_rollouts_equal_the_environment_step_by_step(named, input_spec):
    steps = 320 if named == RULES["long"] else 150
    network, games = make_games(named, input_spec)
    players = play_stepwise(named, network, 3, steps)
    games.allocate(games.lookback + steps + 1)
    games.core.shift_lookback()
    games.core.play(games.lookback + steps)
    assert not games.short_of(steps)
    games.core.bootstrap_values()
    assert_played(games, players, steps)
    ends, ages = games.rows("dones", steps), games.rows("episode_steps", steps)
    if named == RULES["long"]:
        assert ages.max() == 255
        assert not ends.any()
    elif named == RULES["over at once"]:
        assert ends.all()
        assert not ages.any()
    else:
        assert 2 <= ends[:, 0].sum() <= 8
    assert set(games.rows("actions", steps).ravel()) == {0, 1}


def play_rounds(games, steps, rounds, room=None):
    """Arrays (rounds * steps, N) of what was played in rounds."""
    games.allocate(room or games.lookback + steps + 1)
    parts = []
    for _ in range(rounds):
        games.core.shift_lookback()
        games.core.play(games.lookback + steps)
        while games.short_of(steps):
            games.grow()
            games.core.play(games.lookback + steps)
        games.core.bootstrap_values()
        parts.append([games.rows(name, steps) for name in STEP_ARRAYS])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def assert_same(first, second):
    for name, a, b in zip(STEP_ARRAYS, first, second, strict=True):
        np.testing.assert_array_equal(a, b, name)


@pytest.mark.parametrize("input_spec", INPUT_SPECS, ids=str)
def test_rounds_threads_and_short_rows_change_nothing(input_spec):
    """One long round, many short ones, rows that grow: the same games, and the same states."""
    named, results = RULES["random skips, sticky"], []
    for threads, steps, rounds, room in (
        (1, 120, 1, None),
        (2, 120, 1, None),
        (3, 5, 24, None),
        (1, 1, 120, None),
        (2, 40, 3, 8),
    ):
        _, games = make_games(named, input_spec, 5, threads)
        played = play_rounds(games, steps, rounds, room)
        frames = games.lookback_frames()
        results.append((played, games.states(), frames))
        assert games.buffer.slots >= 5 * (games.lookback + steps + 1)
    played, states, frames = results[0]
    assert played[STEP_ARRAYS.index("dones")].sum() >= 5
    for other, other_states, other_tail in results[1:]:
        assert_same(other, played)
        assert other_states == states
        for name in frames:
            np.testing.assert_array_equal(other_tail[name], frames[name], name)


def test_rows_of_tiles_grow_where_everything_is_lit(monkeypatch):
    """400 tiles a frame, without end: as if there had been room from the start."""
    monkeypatch.setattr("fastpg.rollouts.native.PALETTE_RED", np.full(256, 7, np.uint8))
    results = []
    for room in (None, 4096):
        _, games = make_games(RULES["no-op starts"], INPUT_SPECS[1], 2, find_background=False)
        results.append((play_rounds(games, 60, 2, room), games.lookback_frames(), games.states()))
        assert games.buffer.slots == 2 * (room or 4 * (games.lookback + 61))
    (first, frames, states), (second, other_tail, other_states) = results
    assert (first[STEP_ARRAYS.index("tile_counts")] == 400).all()
    assert_same(first, second)
    assert states == other_states
    for name in frames:
        np.testing.assert_array_equal(other_tail[name], frames[name], name)


def test_a_record_that_cannot_grow_is_an_error_that_says_what_to_do(monkeypatch):
    """Rows grow to what a buffer holds at most; where even that is too little, nothing is lost."""
    monkeypatch.setattr("fastpg.rollouts.native.MOST_SLOTS", 2 * 100 + 1)
    _, games = make_games(RULES["no-op starts"], INPUT_SPECS[1], 2)
    games.allocate(64)
    games.grow()
    assert games.buffer.slots == 2 * 100
    monkeypatch.setattr("fastpg.rollouts.native.MOST_TILES", games.buffer.tile_capacity)
    with pytest.raises(MemoryError, match=r"^2 games at once, of 100 steps .*--episodes-per-batch"):
        games.grow()
    assert games.buffer.slots == 2 * 100


def test_games_go_on_from_states_and_tails():
    named = RULES["no-op starts"]
    _, games = make_games(named, games=3)
    play_rounds(games, 50, 1)
    states, frames = games.states(), games.lookback_frames()
    assert frames["lookback_episode_steps"].shape == (3, games.lookback + 1)
    straight = play_rounds_on(games, 50)
    _, other = make_games(named, games=3, threads=2)
    other.allocate(other.lookback + 51)
    other.restore(states)
    other.set_lookback_frames({name: array.copy() for name, array in frames.items()})
    assert_same(play_rounds_on(other, 50), straight)
    games.restore(states)  # the same games again
    games.set_lookback_frames(frames)
    assert_same(play_rounds_on(games, 50), straight)
    assert (games.core.frames() == other.core.frames()).all()


def spoilt(frames, name, change):
    array = frames[f"lookback_{name}"].copy()
    return frames | {f"lookback_{name}": change(array)}


def set_last(value):
    def change(array):
        array.flat[-1] = value
        return array

    return change


BAD_TAILS = {
    "another game's counts": (
        "tile_counts",
        lambda a: a[:2],
        r"^lookback_tile_counts: expected \(3, 5\) uint16, ",
    ),
    "a tile too many": (
        "tile_counts",
        set_last(40_000),
        r"^lookback_tiles: expected \(\d+,\) uint16, got",
    ),
    "other numbers": (
        "episode_steps",
        lambda a: a.astype(np.int64),
        "^lookback_episode_steps: expected .* got .* int64$",
    ),
    "no such tile": (
        "tiles",
        set_last(51_200),
        "^lookback_tiles: expected all below 51200, got 51200$",
    ),
    "no such action": ("actions", set_last(2), "^lookback_actions: expected all below 2, got 2$"),
}


@pytest.mark.parametrize("name", BAD_TAILS)
def test_tails_that_no_games_have_are_refused(name):
    _, games = make_games(RULES["no-op starts"], games=3)
    play_rounds(games, 5, 1)
    games.played = True
    tensors = games.tensors()
    part, change, said = BAD_TAILS[name]
    with pytest.raises(ValueError, match=said):
        games.load(spoilt(tensors, part, change))
    games.load(tensors)
    with pytest.raises(KeyError, match="lookback_episode_steps"):
        games.load(
            {name: array for name, array in tensors.items() if name != "lookback_episode_steps"}
        )


def play_rounds_on(games, steps):
    games.core.shift_lookback()
    games.core.play(games.lookback + steps)
    games.core.bootstrap_values()
    return [games.rows(name, steps) for name in STEP_ARRAYS]


# ---- whole episodes ---------------------------------------------------------------------------


def play_episode(network, game, number, steps):
    """One whole episode of a NativeGame that is between two."""
    player, kernels = Stepwise(network, steps + 1), get_backend("reference")
    screen, over, step = np.empty((1, 210, 160), np.uint8), False, 0
    game.reset()
    while not over:
        game.palette(screen[0])
        player.see(kernels.preprocess_palette(screen, PALETTE_RED)[0], step)
        reward, terminated, truncated = game.step(ACTIONS[player.choose(number, step)])
        over = terminated or truncated
        player.write(reward, over)
        step += 1
    return player


@pytest.mark.parametrize("threads", [1, 2])
def test_whole_episodes_play_by_number_into_rows_that_grow(threads):
    """Game g has episodes g, g + 2, ..; two batches of three, the games go on in between."""
    named = RULES["random skips, sticky"]
    network, games = make_games(named, games=2, threads=threads, whole_episodes=True)
    made = rules("Pong-v0", max_num_frames_per_episode=190)
    alone = [NativeGame(made), NativeGame(made)]
    for seed, game in enumerate(alone):
        game.reset(seed=100 + seed)
    games.allocate(9 if threads == 2 else 300)
    for first in (0, 3):
        for game in range(2):
            games.core.plan(game, first + game, 2 - game, 2)
        games.core.play()
        while games.core.unfinished():
            games.grow()
            games.core.play()
        buffer = games.buffer
        for game, numbers in ((0, (first, first + 2)), (1, (first + 1,))):
            begin, last, _ = games.core.rows()[game]
            for number in numbers:
                player = play_episode(network, alone[game], number, 120)
                end = begin + player.slot
                for name in STEP_ARRAYS:
                    got = getattr(buffer, name)[begin:end]
                    np.testing.assert_array_equal(got, getattr(player.buffer, name)[: player.slot])
                begin = end
            assert begin == last
            assert games.core.frames()[game] == alone[game].emulated_frames

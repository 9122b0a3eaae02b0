"""DeviceCollector against the CPU's collector: slots, snapshots, advantages, minibatches.

No action differs: no random number falls between the two probabilities, which differ by rounding.
"""

import numpy as np
import pytest

from fastpg.cuda import rollouts
from fastpg.cuda.network import DeviceNetwork
from fastpg.cuda.rollouts import DeviceCollector
from fastpg.envs.rules import rules
from fastpg.kernels._cuda.jit import cuda_module as cuda
from fastpg.network._network import SHUFFLE_KEYS, Pool
from fastpg.network.input_spec import InputSpec
from fastpg.rollouts.native import NativeCollector
from fastpg.rollouts.returns import ReturnEstimator
from tests.support.tile_model import make_network

pytestmark = pytest.mark.gpu
SEED = 11
RULES = {  # short episodes
    "random skips": rules("Pong-v0", max_num_frames_per_episode=70),
    "no-op starts": rules(
        "PongNoFrameskip-v4", frameskip=4, noop_max=30, max_num_frames_per_episode=90
    ),
    "one step": rules("ALE/Pong-v5", max_num_frames_per_episode=3),
}
INPUT_SPECS = {  # with the number of actions, cells, games, hidden units
    "difference": (InputSpec((0, 1), True), 2, 0, 3, 6),
    "stack": (InputSpec((0, 1, 4), False, 2), 3, 9, 2, 6),
    # more units than a block has threads, more games than a block has
    "several blocks": (InputSpec((0, 1), True), 2, 0, 70, 200),
}
EXACT = ("actions", "rewards", "dones", "episode_steps", "tile_counts")


def make_pair(input_spec="difference", named="random skips", whole=False, seeded=True):
    """Collectors of CPU and GPU with the same games and weights."""
    spec, actions, cell, games, hidden = INPUT_SPECS[input_spec]
    outputs, table = (1, (4, 3)) if actions == 2 else (actions, (0, 3, 4))
    network = make_network(spec, hidden, actions, outputs, True, cell=cell)
    device_network = DeviceNetwork(hidden, spec, actions, outputs, True, cell)
    device_network.load(network.tensors())
    options = {"actions": table, "seed": SEED, "whole_episodes": whole}
    host = NativeCollector(network, Pool(1), RULES[named], games, **options)
    device = DeviceCollector(device_network, RULES[named], games, **options)
    for collector in (host, device) if seeded else ():
        collector.seed(range(100, 100 + games))
    return host, device


def allocated(steps, *collectors):
    for collector in collectors:
        collector.allocate(collector.lookback + steps + 1)
    return collectors


def tiles_of(games, steps):
    """For each game, the tiles of its steps' frames and of the frame after the last."""
    buffer, rows = games.buffer, range(games.lookback, games.lookback + steps + 1)
    if isinstance(games, DeviceCollector):
        counts, tiles = (getattr(buffer.slots, k).copy_to_host() for k in ("tile_counts", "tiles"))
        slots = [[t * games.games + n for t in rows] for n in range(games.games)]
        return [[tiles[i, : counts[i]].tolist() for i in row] for row in slots]
    stride = buffer.slots // games.games
    slots = [[n * stride + t for t in rows] for n in range(games.games)]
    spans = [[(buffer.tile_offsets[i], buffer.tile_counts[i]) for i in row] for row in slots]
    return [[buffer.tiles[int(i) : int(i + size)].tolist() for i, size in row] for row in spans]


def device_samples(device, steps):
    """Slots (N * steps,) of the last rollout's steps, game by game."""
    rows = (device.lookback + np.arange(steps)) * device.games
    return (np.arange(device.games)[:, None] + rows).ravel()


def assert_same_rows(host, device, steps):
    for name in EXACT:
        got, wanted = device.rows(name, steps), host.rows(name, steps)
        np.testing.assert_array_equal(got, wanted, err_msg=name)
    for name, more in (("action_probs", 0), ("values", 1)):
        got, wanted = device.rows(name, steps + more), host.rows(name, steps + more)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6, err_msg=name)
    assert tiles_of(device, steps) == tiles_of(host, steps)


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert tensor.tobytes() == second[name].tobytes(), name


# ---- rows of steps ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("input_spec", "named", "rounds"),
    [
        ("difference", "random skips", (12, 30, 12)),
        ("stack", "no-op starts", (30, 3)),
        ("stack", "one step", (5, 2)),
    ],
)
def test_games_are_those_of_the_cpu(input_spec, named, rounds, monkeypatch):
    """Over ends of episodes, several rollouts (some shorter than the look-back) and launches."""
    monkeypatch.setattr(rollouts, "LAUNCH_STEPS", 16)
    assert_same_games(*make_pair(input_spec, named), rounds)


def test_the_number_of_games_per_block_does_not_matter(monkeypatch):
    monkeypatch.setattr("fastpg.cuda.launch_shape.FIXED", 1)
    assert_same_games(*make_pair("stack", "no-op starts"), (30,))


def test_games_of_several_blocks_are_those_of_the_cpu():
    """The last of three blocks is not full, and there are more steps than a launch has."""
    assert rollouts.LAUNCH_STEPS < 300
    assert_same_games(*make_pair("several blocks"), (300, 40))


def assert_same_games(host, device, rounds):
    allocated(max(rounds), host, device)
    ended = 0
    for steps in rounds:
        wanted, got = host.play_steps(steps), device.play_steps(steps)
        assert got.emulator_frames == wanted.emulator_frames
        assert_same_rows(host, device, steps)
        assert_same_tensors(device.tensors(), host.tensors())
        assert device.states() == host.states()
        ended += host.rows("dones", steps).sum()
    assert ended >= host.games


@pytest.mark.parametrize("lost_point_weight", [1.0, 2.5])
def test_advantages_and_returns_are_the_cpus(lost_point_weight):
    host, device = allocated(9, *make_pair("stack"))
    # points are rare: replace the rewards
    dealt = np.random.default_rng(3).integers(-1, 2, 9 * host.games).astype(np.float32)
    for games in (host, device):
        games.play_steps(9)
    host.buffer.rewards[host.samples(9)] = dealt
    whole = device.buffer.slots.rewards.copy_to_host()
    whole[device_samples(device, 9)] = dealt
    device.buffer.slots.rewards.copy_to_device(whole)
    wanted, got = (games.advantages(9, 0.9, 0.8, lost_point_weight) for games in (host, device))
    order = host.samples(9)
    for a, b in zip(wanted, got, strict=True):
        there = b.copy_to_host()[device_samples(device, 9)]
        np.testing.assert_allclose(there, a[order], rtol=0, atol=3e-6)
    assert np.abs(wanted[0][order]).max() > 0.1


def test_minibatches_are_the_cpus():
    host, device = allocated(8, *make_pair())
    keys = np.arange(SHUFFLE_KEYS, dtype=np.uint32) * 77
    wanted, got = list(host.minibatches(8, 10, keys)), list(device.minibatches(8, 10, keys))
    place = dict(zip(device_samples(device, 8).tolist(), host.samples(8).tolist(), strict=True))
    assert [len(part) for part in wanted] == [10, 10, 4]
    for a, (order, first, size) in zip(wanted, got, strict=True):
        taken = order.copy_to_host()[first : first + size].tolist()
        assert sorted(place[slot] for slot in taken) == a.tolist()


# ---- whole episodes --------------------------------------------------------------------------


def test_whole_episodes_are_those_of_the_cpu(monkeypatch):
    """In buffers that grow; some games have more episodes than others."""
    monkeypatch.setattr(rollouts, "LAUNCH_STEPS", 16)
    monkeypatch.setattr(rollouts, "_FIRST_STEPS", 20)
    assert_same_episodes(*make_pair(whole=True), (4, 3))


def test_whole_episodes_of_several_blocks_are_those_of_the_cpu(monkeypatch):
    monkeypatch.setattr(rollouts, "LAUNCH_STEPS", 8)
    monkeypatch.setattr(rollouts, "_FIRST_STEPS", 9)
    assert_same_episodes(*make_pair("several blocks", whole=True), (150, 70))


def assert_same_episodes(host, device, batches):
    first = 5
    for episodes in batches:
        wanted, got = (games.play_episodes(first, episodes) for games in (host, device))
        assert got.emulator_frames == wanted.emulator_frames
        samples, rewards, lengths = host.transitions(wanted.episode_slices)
        there, found, sizes = device.transitions(got.episode_slices)
        assert sizes == lengths
        assert max(lengths) > 16
        np.testing.assert_array_equal(found, rewards)
        slots = there.copy_to_host()
        for name in ("actions", "episode_steps", "tile_counts"):
            whole = getattr(device.buffer.slots, name).copy_to_host()
            np.testing.assert_array_equal(whole[slots], getattr(host.buffer, name)[samples])
        assert device.states() == host.states()
        first += episodes


@pytest.mark.parametrize("standardize", ["episode", "batch", "none"])
def test_advantages_of_episodes_are_the_cpus(standardize, monkeypatch):
    monkeypatch.setattr(rollouts, "_FIRST_STEPS", rollouts.LAUNCH_STEPS + 1)
    host, device = make_pair("stack", whole=True)
    estimator = ReturnEstimator(0.9, standardize != "batch", standardize)
    results = []
    for games in (host, device):
        samples, rewards, lengths = games.transitions(games.play_episodes(0, 3).episode_slices)
        # points are rare: replace the rewards
        dealt = np.random.default_rng(3).integers(-1, 2, len(rewards)).astype(np.float32)
        if games is host:
            games.buffer.rewards[samples] = dealt
            weights = games.episode_advantages(estimator, samples, dealt, lengths)[samples]
        else:
            slots = samples.copy_to_host()
            whole = games.buffer.slots.rewards.copy_to_host()
            whole[slots] = dealt
            games.buffer.slots.rewards.copy_to_device(whole)
            weights = games.episode_advantages(estimator, samples, dealt, lengths).copy_to_host()[
                slots
            ]
        results.append(weights)
    np.testing.assert_allclose(*results, rtol=0, atol=3e-6)
    assert np.abs(results[0]).max() > 0.5


# ---- snapshots --------------------------------------------------------------------------------


def test_rollback_restores_a_snapshot():
    _, device = allocated(7, *make_pair("stack"))
    for _ in range(2):
        snapshot, tensors = device.snapshot(), device.tensors()
        assert_same_tensors(snapshot.tensors(), tensors)
        played = []
        for _ in range(2):
            device.rollback(snapshot)
            assert_same_tensors(device.tensors(), tensors)
            device.play_steps(7)
            played.append([device.rows(name, 7) for name in EXACT] + [device.tensors()])
        assert_same_tensors(played[0].pop(), played[1].pop())
        np.testing.assert_array_equal(*played)


def test_games_travel_between_cpu_and_gpu():
    host, device = allocated(20, *make_pair("stack"))
    host.play_steps(20)
    device.load(host.tensors())
    assert_same_tensors(device.tensors(), host.tensors())
    for games in (host, device):
        games.play_steps(12)
    assert_same_rows(host, device, 12)
    other, _ = allocated(20, *make_pair("stack"))
    other.load(device.tensors())
    for games in (other, device):
        games.play_steps(6)
    assert_same_rows(other, device, 6)


def test_invalid_states_are_refused():
    host, device = make_pair()
    states = host.states()
    with pytest.raises(ValueError, match=r"^state: expected \d+ bytes, got 3"):
        device.restore([b"123", *states[1:]])
    with pytest.raises(ValueError, match=r"^state: expected one of layout \d+, got 7"):
        device.restore([np.uint64(7).tobytes() + states[0][8:], *states[1:]])
    with pytest.raises(ValueError, match=r"^states: expected states from states\(\)"):
        device.restore([states[0][:32] + b"\xff" * (len(states[0]) - 32), *states[1:]])
    with pytest.raises(ValueError, match=r"^states: expected \(3, "):
        device.restore(states[:2])
    device.restore(states)
    assert device.states() == states


def test_views_of_too_many_tiles_are_refused():
    _, device = allocated(2, *make_pair())
    buffer = device.buffer
    cut = cuda.device_array((buffer.slots.tiles.shape[0], 1), np.uint16)
    buffer.slots = buffer.slots._replace(tiles=cut)
    with pytest.raises(MemoryError, match="a view has more than 1 tiles"):
        device.play_steps(2)

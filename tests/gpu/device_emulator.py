"""DevicePong against the CPU's vector environment: states, rewards, dones, views, in every bit."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from fastpg.cuda import DevicePong
from fastpg.cuda.emulator import StepResults
from fastpg.cuda.functions import load, pointer
from fastpg.emulator._emulator import SNAPSHOT_BYTES
from fastpg.envs import NativeVectorEnv
from fastpg.envs.rules import rules
from fastpg.kernels import get_backend
from fastpg.kernels._cuda.jit import cuda_module as cuda
from fastpg.network._network import RolloutBuffer

pytestmark = pytest.mark.gpu
RULES = {  # sticky actions; random frame skips; no-op starts and truncated episodes
    "ALE/Pong-v5": {},
    "PongNoFrameskip-v4": {"frameskip": 4, "noop_max": 30, "max_num_frames_per_episode": 300},
    "Pong-v0": {"max_num_frames_per_episode": 200, "noop_max": 3},
}


class OnTheCpu:
    """The same games in the vector environment."""

    def __init__(self, env_id, games, seed, **changes):
        self.env = NativeVectorEnv(
            env_id,
            games,
            obs_type="pong80",
            autoreset_mode=AutoresetMode.SAME_STEP,
            copy=False,
            **changes,
        )
        self.views = self.env.reset(seed=seed)[0]

    def play(self, actions, views=True):
        """Rewards, dones and packed views of (T, N) actions."""
        rewards, dones, seen = [], [], []
        for row in actions.astype(np.int64):
            shown, gained, terminated, truncated, _ = self.env.step(row)
            rewards.append(gained.astype(np.float32))
            dones.append(terminated.astype(np.uint8) | truncated.astype(np.uint8) << 1)
            seen.append(packed(shown) if views else np.zeros((len(row), 0), np.uint8))
        return np.array(rewards), np.array(dones), np.array(seen)

    def states(self):
        states = np.zeros((self.env.num_envs, SNAPSHOT_BYTES), np.uint8)
        self.env._games.states(states)
        return states


def packed(views):
    return np.packbits(views, axis=-1, bitorder="little")


def unpacked(views):
    return np.unpackbits(views, axis=-1, bitorder="little")


def both(env_id, games, seed=5, **changes):
    """The same games on GPU and CPU, after a comparison of their first views."""
    device = DevicePong(rules(env_id, **changes), games)
    shown = device.reset(seed=seed).copy_to_host()
    host = OnTheCpu(env_id, games, seed, **changes)
    np.testing.assert_array_equal(shown, packed(host.views))
    return device, host


def drawn(device, steps, seed=0):
    """Random actions, each held for seven steps: without holding, no paddle ever meets the ball."""
    rng = np.random.default_rng(seed)
    held = rng.integers(len(device.actions), size=(-(-steps // 7), device.num_envs))
    return np.repeat(held, 7, axis=0)[:steps].astype(np.uint8)


def assert_same(played, expected):
    for name, a, b in zip(StepResults._fields, played, expected, strict=True):
        np.testing.assert_array_equal(a.copy_to_host(), b, err_msg=name)


@pytest.mark.parametrize("env_id", RULES)
def test_games_are_those_of_the_cpu(env_id):
    games, steps = 200, 600
    device, host = both(env_id, games, **RULES[env_id])
    np.testing.assert_array_equal(device.states(), host.states())
    actions, ended = drawn(device, steps), 0
    for part in np.split(actions, [1, 2, 30]):  # launches of several lengths
        expected = host.play(part)
        assert_same(device.play(part), expected)
        np.testing.assert_array_equal(device.states(), host.states())
        ended += np.count_nonzero(expected[1])
    assert ended or not RULES[env_id]


def test_whole_games_are_those_of_the_cpu():
    """Until every game is lost: the score's rows, the end, the next serve."""
    device, host = both("PongNoFrameskip-v4", 3, frameskip=4)
    idle = np.zeros((1100, 3), np.uint8)
    expected = host.play(idle)
    assert (expected[1] == 1).any()
    assert_same(device.play(idle), expected)
    np.testing.assert_array_equal(device.states(), host.states())


def test_a_thousand_games_after_ten_thousand_frames():
    device, host = both("ALE/Pong-v5", 1024)
    actions = drawn(device, 2500)
    for part in np.split(actions, 10):
        assert_same(device.play(part), host.play(part))
        np.testing.assert_array_equal(device.states(), host.states())


def test_every_run_is_the_same():
    runs = []
    for _ in range(3):
        device = DevicePong(rules("ALE/Pong-v5"), 1000)
        device.reset(seed=1)
        device.play(drawn(device, 200))
        runs.append(device.states())
    assert (runs[0] == runs[1]).all()
    assert (runs[0] == runs[2]).all()


def test_without_views_the_games_are_the_same():
    seen, host = both("ALE/Pong-v5", 4)
    blind = DevicePong(rules("ALE/Pong-v5"), 4, views=False)
    assert blind.reset(seed=5).shape == (4, 0)
    actions = drawn(seen, 40)
    expected = host.play(actions, views=False)
    assert_same(blind.play(actions, views=False), expected)
    assert_same(seen.play(actions, views=False), expected)
    with pytest.raises(ValueError, match=r"^views: expected False, as views=False"):
        blind.play(actions)
    both_go_on = drawn(seen, 5, seed=1)
    assert_same(seen.play(both_go_on), host.play(both_go_on))


def test_results_are_overwritten():
    device, host = both("ALE/Pong-v5", 3)
    actions = drawn(device, 20)
    first = device.play(actions[:10])
    again = device.play(actions[10:], out=first)
    assert again is first
    host.play(actions[:10])
    assert_same(again, host.play(actions[10:]))
    with pytest.raises(ValueError, match=r"^out: expected .*\(20, 3\), True.*, got .*\(10, 3\)"):
        device.play(actions, out=first)


def test_states_travel():
    device, _ = both("Pong-v0", 4, **RULES["Pong-v0"])
    device.play(drawn(device, 50))
    other = DevicePong(device.rules, 4)
    other.restore(device.states())
    more = drawn(device, 30, seed=2)
    expected = [a.copy_to_host() for a in device.play(more)]
    assert_same(other.play(more), expected)
    np.testing.assert_array_equal(other.states(), device.states())
    sooner = DevicePong(rules("Pong-v0", max_num_frames_per_episode=8), 4)
    sooner.restore(device.states())  # rules of its own
    assert (sooner.play(drawn(sooner, 4)).dones.copy_to_host().sum(axis=0) > 0).all()
    with pytest.raises(ValueError, match=r"^states: expected states from states\(\)"):
        other.restore(np.full_like(device.states(), 255))
    with pytest.raises(ValueError, match=r"^states: expected \(4, "):
        other.restore(device.states()[:3])


def test_resets_continue_the_random_generators():
    device, host = both("PongNoFrameskip-v4", 4, frameskip=4, noop_max=30)
    shown = device.reset()
    np.testing.assert_array_equal(shown.copy_to_host(), packed(host.env.reset()[0]))
    np.testing.assert_array_equal(device.states(), host.states())
    seeds = [9, 2, 7, 2]
    shown = device.reset(seeds)
    np.testing.assert_array_equal(shown.copy_to_host(), packed(host.env.reset(seed=seeds)[0]))
    np.testing.assert_array_equal(device.states(), host.states())
    assert (shown.copy_to_host()[1] == shown.copy_to_host()[3]).all()


def test_seeds_from_the_system_differ():
    device = DevicePong(rules("ALE/Pong-v5"), 2)
    device.reset()
    assert (device.states()[0] != device.states()[1]).any()


def expected_tiles(views):
    buffer = RolloutBuffer(len(views), 6400 * len(views))
    end = 0
    for k, view in enumerate(unpacked(views)):
        end = buffer.observe(k, end, 0, view)
    return buffer.tiles[:end], np.append(0, np.cumsum(buffer.tile_counts))


@pytest.mark.parametrize("missing", [0, 2, 10**6])
def test_tiles_are_those_of_the_compiled_rollouts(missing):
    device, _ = both("ALE/Pong-v5", 4)
    views = device.play(drawn(device, 12)).views.copy_to_host()[11]
    rng = np.random.default_rng(0)
    noise = rng.integers(256, size=(4, 800), dtype=np.uint8) & rng.integers(256, size=(4, 800))
    views = np.concatenate([views, noise.astype(np.uint8), [np.full(800, 255, np.uint8)]])
    views[1] = 0
    tiles, offsets = expected_tiles(views)
    room = max(0, len(tiles) - missing)
    given = cuda.to_device(np.full(len(tiles), 55, np.uint16))
    tiles_of = load().tiles

    @cuda.jit
    def write_tiles(views, offsets, tiles, counts):
        n = cuda.grid(1)
        if n < views.shape[0]:
            first = min(offsets[n], tiles.shape[0])
            capacity = np.int32(tiles.shape[0] - first)
            counts[n] = tiles_of(pointer(views[n]), pointer(tiles[first:]), capacity)

    counts = cuda.to_device(np.zeros(len(views), np.int32))
    write_tiles[1, 32](cuda.to_device(views), cuda.to_device(offsets), given[:room], counts)
    np.testing.assert_array_equal(counts.copy_to_host(), np.diff(offsets))
    np.testing.assert_array_equal(given.copy_to_host()[:room], tiles[:room])
    assert (given.copy_to_host()[room:] == 55).all()


def test_your_own_kernels_call_the_emulator():
    device, host = both("ALE/Pong-v5", 3)
    play = load().play

    @cuda.jit
    def kernel(games, shared, actions, scratch, rewards, dones, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            for _ in range(3):  # each call overwrites the results of the one before
                play(
                    pointer(games),
                    pointer(shared),
                    pointer(actions),
                    pointer(scratch),
                    pointer(rewards),
                    pointer(dones),
                    pointer(views),
                    np.int32(n),
                    np.int32(games.shape[0]),
                    np.int32(1),
                )

    actions = drawn(device, 1)
    out = device._allocate_results(1, True)
    on_device = cuda.to_device(actions)
    kernel[1, 32](device._games, device._shared, on_device, device._scratch, *out)
    expected = [host.play(actions) for _ in range(3)][-1]
    assert_same(out, expected)
    np.testing.assert_array_equal(device.states(), host.states())


def test_an_unknown_action_does_nothing():
    device, host = both("ALE/Pong-v5", 2)
    assert_same(device.play(np.full((5, 2), 255, np.uint8)), host.play(np.zeros((5, 2), int)))


def test_invalid_arguments_are_refused():
    pong = rules("ALE/Pong-v5")
    with pytest.raises(ValueError, match=r"^rules: expected those of pong, got 'breakout'"):
        DevicePong(rules("ALE/Breakout-v5"), 2)
    with pytest.raises(ValueError, match=r"^num_envs: expected at least 1, got 0"):
        DevicePong(pong, 0)
    device = DevicePong(pong, 2)
    with pytest.raises(RuntimeError, match=r"^play: expected reset\(\)"):
        device.play(np.zeros((1, 2), np.uint8))
    with pytest.raises(ValueError, match=r"^seed: expected 2 seeds, got 1"):
        device.reset([3])
    device.reset(3)
    for bad, error, message in (
        (np.zeros((1, 2), np.int64), TypeError, "actions: expected uint8, got int64"),
        (np.zeros((1, 3), np.uint8), ValueError, r"actions: expected \(T, 2\), got \(1, 3\)"),
        (np.zeros((0, 2), np.uint8), ValueError, r"actions: expected \(T, 2\), got \(0, 2\)"),
        (np.zeros(2, np.uint8), ValueError, r"actions: expected \(T, 2\), got \(2,\)"),
        ([[0, 1]], TypeError, "actions: expected uint8, got"),
    ):
        with pytest.raises(error, match=f"^{message}"):
            device.play(bad)


class Policy:
    """A policy of six actions for all games, on the GPU or with the CPU's kernels."""

    def __init__(self, backend, games, to_device, empty):
        rng = np.random.default_rng(3)
        inputs, hidden, outputs = 6400, 16, 6
        w1 = rng.normal(size=(inputs, hidden)).astype(np.float32)
        w2 = rng.normal(size=(outputs, hidden)).astype(np.float32)
        self.w1, self.w2 = to_device(w1), to_device(w2)
        self.kernels, self.to_device = get_backend(backend), to_device
        self.hidden = empty((games, hidden), np.float32)
        self.probabilities = empty((games, outputs), np.float32)
        self.uniforms, self.actions = empty((games,), np.float32), empty((1, games), np.uint8)
        self.streams = to_device(np.arange(games, dtype=np.uint64))

    def choose(self, rows, step):
        """Actions (1, games) for sparse rows of difference frames."""
        steps = self.to_device(np.full(self.uniforms.shape[0], step, np.uint64))
        loops, outputs = self.kernels.loops, (self.hidden, self.probabilities)
        loops.policy_forward(*rows, self.w1, self.w2, *outputs)
        loops.counter_uniforms(self.streams, steps, np.uint64(11), self.uniforms)
        actions = self.actions.reshape(self.actions.shape[1])
        loops.sample_actions(self.probabilities, self.uniforms, actions)
        return self.actions


def test_a_policy_plays_the_same_games_as_on_the_cpu():
    """Emulator, difference frames, forward pass and sampling by the kernel table's ops."""
    games, steps = 300, 400
    device, host = both("ALE/Pong-v5", games)
    there = Policy("cuda", games, cuda.to_device, cuda.device_array)
    here = Policy("cython", games, np.asarray, np.empty)
    shown, played = host.views.copy(), []
    before = np.zeros_like(shown)
    seen, seen_before = cuda.to_device(shown), cuda.to_device(before)
    out = None
    for step in range(steps):
        chosen = there.choose(there.kernels.frame_difference(seen, seen_before), step)
        expected = here.choose(here.kernels.frame_difference(shown, before), step)
        np.testing.assert_array_equal(chosen.copy_to_host(), expected)
        out = device.play(chosen, out=out)
        host.play(expected)
        before, shown = shown, host.views.copy()
        seen_before, seen = seen, cuda.to_device(unpacked(out.views.copy_to_host()[0]))
        played.append(expected.copy())
    assert len(np.unique(played)) > 3
    np.testing.assert_array_equal(device.states(), host.states())

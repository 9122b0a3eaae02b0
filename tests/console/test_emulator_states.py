"""States of ``fastpg.emulator.Emulator``: saved and restored as ALE does; bad ones are refused."""

import contextlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ale_py import ALEInterface, roms
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpg.emulator import Emulator, EmulatorState, pong_rom
from fastpg.emulator._emulator import Cartridge
from fastpg.envs import NativeGame
from fastpg.envs.rules import rules
from tests.console.test_emulator import make, seen, steps
from tests.proofs.lockstep import compare

# ---- states of long games --------------------------------------------------------------------


def no_timer_no_motion():
    """A cartridge that leaves the timer, the paddles and HMOVE alone: their times grow old."""
    code = "78d8 a902 8500 8502 8502 8502 a900 8500 a0ff 8502 88 d0fb e680 4c02f0"
    return bytes.fromhex(code).ljust(4092, b"\0") + bytes.fromhex("00f0 00f0")


@pytest.mark.filterwarnings("ignore:.*unknown ROM")
@pytest.mark.parametrize(
    ("pong", "ages"),
    # 13,480 frames are 2**28 cycles, 18,000 are 2**30 clocks; 107,850 and twice that wrap
    [(True, (13_600, 18_200, 107_900, 215_800)), (False, (13_600, 18_200))],
    ids=["pong", "other"],
)
def test_a_state_of_any_age_is_restored(tmp_path, pong, ages):
    rom = tmp_path / "pong.bin"
    rom.write_bytes(no_timer_no_motion())
    game, other = make(skip=100), make(skip=100)
    for one in (game, other):
        one.setInt("max_num_frames_per_episode", 0)
        one.loadROM(pong_rom() if pong else rom)
    for age in ages:
        while game.getFrameNumber() < age:
            game.act(3)
            if pong:
                game.setRAM(13, 0)  # the scores: a game without an end
                game.setRAM(14, 0)
        other.restoreState(game.cloneState(include_rng=True))
        for _ in range(3):
            assert game.act(4) == other.act(4)
            assert seen(game) == seen(other)
        assert not game.game_over()


# ---- memory and states -----------------------------------------------------------------------


def test_memory_can_be_set():
    ours, theirs = make(sticky=0.0), make(sticky=0.0, kind=ALEInterface)
    rng = np.random.default_rng(1)
    for k, action in enumerate(steps(2000)):
        if k % 50 == 0:  # the paddles', the ball's and other places
            at, value = int(rng.choice([0x36, 0x33, 0x31, 0x3A, 0x04])), int(rng.integers(30, 200))
            ours.setRAM(at, value)
            theirs.setRAM(at, value)
        rewards = ours.act(action), theirs.act(action)
        assert compare(ours, theirs, k % 3 == 0, rewards) == ""
    for at, value in ((-1, 0), (128, 0)):
        with pytest.raises(ValueError, match=f"index: expected an int of 0 to 127, got {at}"):
            ours.setRAM(at, value)
    with pytest.raises(ValueError, match="value: expected an int of 0 to 255, got 256"):
        ours.setRAM(0, 256)


@pytest.mark.parametrize("include_rng", [False, True])
def test_states_are_restored_as_ale_does(include_rng):
    ours, theirs = make(), make(kind=ALEInterface)
    saved = []
    for k, action in enumerate(steps(1500)):
        rewards = ours.act(action), theirs.act(action)
        if k % 250 == 100:
            saved.append((ours.cloneState(include_rng), theirs.cloneState(include_rng)))
        if k % 250 == 200:
            mine, other = saved[(k // 250) // 2]
            ours.restoreState(mine)
            theirs.restoreState(other)
            rewards = 0, 0
        assert compare(ours, theirs, True, rewards) == "", k
        numbers = ours.getFrameNumber(), ours.getEpisodeFrameNumber()
        assert numbers == (theirs.getFrameNumber(), theirs.getEpisodeFrameNumber())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.integers(1, 60), st.integers(1, 4))
def test_a_restored_state_goes_on_as_it_would_have(seed, before, after, skip):
    game = make(seed % 1000, 0.0, skip)
    first, rest = steps(before, seed), steps(after, seed + 1)
    for action in first:
        game.act(action)
    state = game.cloneState(include_rng=True)
    expected = [(game.act(action), *seen(game)) for action in rest]
    copy = make(1, 0.0, skip)
    for other in (game, copy):
        other.restoreState(EmulatorState(state.serialize()))
        assert other.cloneState(True) == pickle.loads(pickle.dumps(state))
        assert [(other.act(action), *seen(other)) for action in rest] == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 200), st.integers(1, 60), st.booleans())
def test_a_restored_game_goes_on_as_it_would_have(seed, before, after, looked):
    """Sticky actions, random frame skips and ends included."""
    game, copy = (NativeGame(rules("Pong-v0", max_num_frames_per_episode=250)) for _ in range(2))
    picture = np.zeros((210, 160), np.uint8)

    def log(played):
        lines = []
        for action in np.random.default_rng(seed).integers(6, size=after).tolist():
            lines.append((*played.step(action), played.frame_number, played.emulated_frames))
            if looked:
                played.palette(picture)
                lines.append(picture.tobytes())
            if any(lines[-1 - looked][1:3]):
                played.reset()
        return lines

    game.reset(seed)
    for action in steps(before, seed):
        if any(game.step(action % 6)[1:]):
            game.reset()
    state = game.state()
    expected = log(game)
    for other in (game, copy):
        other.restore(state)
        assert log(other) == expected


def test_states_with_any_values_are_refused_or_played():
    """What a state says may lie: that leads to an error, or to some game, never out of memory."""
    game, rng, refused = make(), np.random.default_rng(0), 0
    game.act(0)
    good = np.frombuffer(game.snapshot(), np.uint8)
    for _ in range(400):
        bad = good.copy()
        at = rng.integers(512 if rng.random() < 0.8 else bad.size, size=rng.integers(1, 30))
        bad[at] = rng.integers(256, size=at.size)
        try:
            game.restore(bad.tobytes(), True, True)
        except ValueError as error:
            refused += "values that none has" in str(error)
            continue
        with contextlib.suppress(RuntimeError):  # an unknown opcode
            for action in steps(4):
                game.act(action)
                game.getScreen()
        game.reset_game()
    assert 0 < refused < 400


def test_one_thread_at_a_time():
    """A second thread in one emulator is refused; in others many run at once, each as if alone."""
    expected = [seen(make(seed, skip=1)) for seed in range(3)]
    games = [make(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(seen, games)) == expected

    shared = make(skip=500)  # frames of an action: time enough for the other thread to come

    def hammer(_):
        errors = 0
        for action in steps(200):
            try:
                if shared.game_over():
                    shared.reset_game()
                shared.act(action)
            except RuntimeError as error:
                errors += "another thread is using this emulator" in str(error)
        return errors

    with ThreadPoolExecutor(2) as pool:
        errors = sum(pool.map(hammer, range(2)))
    assert 0 < errors < 400
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        pickle.dumps(games[0])


def test_what_would_lead_out_of_memory_is_refused():
    game = make()
    for call in (
        lambda: game.poke(1000, 1),
        lambda: game.ram(np.zeros(1, np.uint8)),
        lambda: game.palette(np.zeros((2, 2), np.uint8)),
        lambda: game.rgb(np.zeros((2, 2, 3), np.uint8)),
        lambda: game.step_episode(99),
        lambda: game.restore(b"1", True, True),
        lambda: Cartridge(b""),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()
    with pytest.raises(RuntimeError, match="no ROM is loaded"):
        Emulator().begin_episode(None)


def test_bad_states():
    game = make()
    game.act(0)
    data = game.cloneState().serialize()
    assert EmulatorState(data) == game.cloneState()
    for bad, message in (
        (b"", "state: expected bytes from EmulatorState.serialize"),
        (data[:40], "state: it is damaged"),
        (data[:-1], "state: it is damaged"),
        (data[:-1] + bytes([data[-1] ^ 1]), "state: it is damaged"),
        (data[:8] + b"\xff" + data[9:], "state: expected one of layout"),
    ):
        with pytest.raises(ValueError, match=message):
            EmulatorState(bad)
    other = Emulator()
    with pytest.warns(UserWarning, match="breakout is played with paddles, reward and end are not"):
        other.loadROM(roms.get_rom_path("breakout"))
    with pytest.raises(TypeError, match="state: expected a state from cloneState"):
        game.restoreState(None)
    with pytest.raises(ValueError, match="state: expected one of the loaded ROM"):
        other.restoreState(game.cloneState())

"""``fastpg.emulator.Emulator`` against ale-py: the same games, the same methods."""

import itertools

import numpy as np
import pytest
from ale_py import Action, ALEInterface, roms

from fastpg.emulator import Emulator, emulator, pong_rom
from fastpg.emulator import roms as our_roms
from tests.proofs.lockstep import Difference, Plan, compare, plans, play, start

FRAMES = 8_400
PLANS = list(itertools.islice(plans(), 0, 120, 5))  # 24 of the 120 ways to play


def make(seed=3, sticky=0.25, skip=1, kind=Emulator):
    return start(kind, Plan("random", seed, sticky, skip))


def steps(count, seed=0):
    return np.random.default_rng(seed).choice([0, 1, 3, 4, 11, 12], count).tolist()


def seen(ours):
    return ours.getRAM().tobytes(), ours.getScreen().tobytes()


# ---- lockstep: 200,000 frames in all ---------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_lockstep(plan):
    counts = play(plan, FRAMES)
    assert counts["frames"] >= FRAMES
    assert (counts["pictures"] > FRAMES / 20) == bool(plan.look)


def test_lockstep_has_games_that_are_won_and_lost():
    assert {plan.play for plan in PLANS} == {"follow", "random", "mixed", "held", "away"}
    for plan in (Plan("away", 1, look=4), Plan("held", 2, 0.25, 4), Plan("random", 3, 0.0, 3, 4)):
        assert play(plan, 9_000)["lost"] >= 1
    assert play(Plan("follow", 1, look=4), 40_000)["won"] >= 1


def test_a_difference_is_found_and_replayed(monkeypatch):
    plan = Plan("random", 5, 0.25, 2)
    act, count = Emulator.act, itertools.count(1)

    class Faulty(Emulator):
        def act(self, action):
            return act(self, 0 if next(count) == 300 else action)

    with monkeypatch.context() as patched:
        patched.setattr("tests.proofs.lockstep.Emulator", Faulty)
        with pytest.raises(Difference, match=r"action \d+, frame \d+: .*(memory|picture)") as found:
            play(plan, 5_000)
        count = itertools.count(1)
        script = found.value.script
        with pytest.raises(Difference) as again:
            play(Plan(**script["plan"]), 5_000, script["actions"])
    assert str(again.value) == str(found.value)
    assert play(Plan(**script["plan"]), 5_000, script["actions"])["frames"] > 500


# ---- the interface ---------------------------------------------------------------------------


def test_pictures_in_every_form():
    ours, theirs = make(), make(kind=ALEInterface)
    for action in steps(300):
        ours.act(action)
        theirs.act(action)
        for name in ("getScreen", "getScreenGrayscale", "getScreenRGB", "getRAM"):
            mine, other = getattr(ours, name)(), getattr(theirs, name)()
            assert mine.dtype == other.dtype
            np.testing.assert_array_equal(mine, other)
            buffer = np.zeros_like(mine)
            assert getattr(ours, name)(buffer) is None
            np.testing.assert_array_equal(buffer, mine)
    assert ours.getScreenDims() == theirs.getScreenDims()
    assert ours.getRAMSize() == theirs.getRAMSize()
    assert ours.lives() == theirs.lives()


def test_actions():
    ours, theirs = make(), make(kind=ALEInterface)
    assert ours.getMinimalActionSet() == theirs.getMinimalActionSet()
    assert ours.getLegalActionSet() == theirs.getLegalActionSet()
    for action in (*theirs.getLegalActionSet(), np.int64(3), True):
        number = getattr(action, "value", action)
        assert ours.act(action) == theirs.act(int(number))
        assert compare(ours, theirs, True, (0, 0)) == ""
    for bad in (-1, 18, 99, 2**70):
        with pytest.raises(ValueError, match=f"action: expected 0 to 17, got {bad}"):
            ours.act(bad)
    for bad in (1.5, "1", None):
        with pytest.raises(TypeError, match="action: expected an integer or an Action, got "):
            ours.act(bad)
    assert ours.act(Action.LEFT, 1.0) == 0
    with pytest.raises(ValueError, match=r"paddle_strength: expected 1, got 0\.5"):
        ours.act(0, 0.5)


def test_episodes_are_cut_off_and_counted_as_ale_does():
    for kind in (Emulator, ALEInterface):
        game = kind()
        game.setInt("max_num_frames_per_episode", 5)
        game.setInt("random_seed", 1)
        game.loadROM(pong_rom())
        log = []
        for _ in range(7):
            game.act(0)
            over = game.game_over(), game.game_over(with_truncation=False), game.game_truncated()
            log.append((*over, game.getEpisodeFrameNumber(), game.getFrameNumber()))
        game.reset_game()
        log.append((game.getEpisodeFrameNumber(), game.getFrameNumber()))
        if kind is Emulator:
            expected = log
    assert log == expected
    assert log[-3:] == [(True, False, True, 5, 5)] * 2 + [(0, 5)]


def test_settings():
    game = Emulator()
    game.setInt("random_seed", -5)
    game.setFloat("repeat_action_probability", 0.5)
    assert (game.getInt("random_seed"), game.getInt("frame_skip")) == (-5, 1)
    assert game.getFloat("repeat_action_probability") == 0.5
    assert game.getString("rom_file") == ""
    game.setBool("sound", False)
    assert game.getBool("sound") is False
    for call, message in (
        (lambda: game.setInt("nope", 1), "key: expected one of random_seed, .*, got 'nope'"),
        (lambda: game.getFloat("nope"), "key: expected one of repeat_action_pro.*, got 'nope'"),
        (lambda: game.setBool("sound", True), "sound: expected False .*, got True"),
        (lambda: game.setBool("nope", True), "key: expected one of sound, .*, got 'nope'"),
        (
            lambda: game.setInt("frame_skip", 0),
            "frame_skip: expected an int of 1 to 1000000, got 0",
        ),
        (
            lambda: game.setInt("random_seed", 2**31),
            "random_seed: expected an int of -2147483648 to",
        ),
        (lambda: game.setFloat("repeat_action_probability", 2), "expected 0 to 1, got 2"),
        (lambda: game.setMode(1), "mode: expected 0, got 1"),
        (lambda: game.setDifficulty(1), "difficulty: expected 0, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match=r"frame_skip: expected an int, got 1\.5"):
        game.setInt("frame_skip", 1.5)
    game.loadROM(pong_rom())
    assert game.getString("rom_file") == str(pong_rom())


def test_a_seed_from_the_system():
    def play_one():
        game = Emulator()
        game.loadROM(pong_rom())
        for action in steps(200):
            game.act(action)
        return game.getRAM().tobytes()

    assert len({play_one() for _ in range(4)}) > 1


def test_without_a_rom():
    game = Emulator()
    uses = (game.reset_game, game.getRAM, game.getScreen, game.cloneState, game.getMinimalActionSet)
    for use in (*uses, lambda: game.act(0), lambda: game.setRAM(0, 0)):
        with pytest.raises(RuntimeError, match=r"no ROM is loaded: call loadROM\(\) first"):
            use()


def test_bad_buffers():
    game = make()
    for buffer in (
        np.zeros((210, 161), np.uint8),
        np.zeros((210, 160), np.int32),
        np.zeros((160, 210), np.uint8).T,
        [1],
    ):
        with pytest.raises(ValueError, match=r"buffer: expected \(210, 160\) uint8, C-contiguous"):
            game.getScreen(buffer)


# ---- ROMs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["breakout", "freeway", "space_invaders", "boxing"])
def test_other_games_are_played_though_not_scored(name):
    """Every other picture is taken, so that none may be skipped by the emulator."""
    ours, theirs = Emulator(), ALEInterface()
    for game in (ours, theirs):
        game.setInt("random_seed", 2)
    theirs.loadROM(roms.get_rom_path(name))
    with pytest.warns(UserWarning, match=f"{name} is played with"):
        ours.loadROM(roms.get_rom_path(name))
    assert ours.getMinimalActionSet() == theirs.getMinimalActionSet()
    rng = np.random.default_rng(4)
    for k in range(600):
        action = int(rng.integers(18))
        assert ours.act(action) == 0
        theirs.act(action)
        np.testing.assert_array_equal(ours.getRAM(), theirs.getRAM())
        if k % 2:
            np.testing.assert_array_equal(ours.getScreen(), theirs.getScreen())
        if theirs.game_over():
            theirs.reset_game()
            ours.reset_game()
            np.testing.assert_array_equal(ours.getScreen(), theirs.getScreen())


def test_files_that_are_no_roms(tmp_path):
    game = Emulator()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bin"):
        game.loadROM(tmp_path / "nowhere.bin")
    for size in (0, 2047, 8192):
        path = tmp_path / "odd.bin"
        path.write_bytes(bytes(size))
        expected = rf"odd\.bin: expected a ROM of 2048 or 4096 bytes .*, got {size}"
        with pytest.raises(ValueError, match=expected):
            game.loadROM(path)
    stops = tmp_path / "stops.bin"
    stops.write_bytes(bytes([0x02]) * 4092 + bytes.fromhex("00f0 00f0"))
    with pytest.raises(
        ValueError, match=r"stops\.bin: its program stops at the unknown opcode \$02"
    ):
        game.loadROM(stops)


def test_unknown_roms_have_joysticks_and_a_warning(tmp_path):
    path = tmp_path / "pong.bin"
    path.write_bytes(bytes.fromhex("4c00f0").ljust(4092, b"\0") + bytes.fromhex("00f0 00f0"))
    game = Emulator()
    with pytest.warns(UserWarning, match=r"pong\.bin: unknown ROM; played with joysticks"):
        game.loadROM(path)
    assert game.act(3) == 0  # its endless loop ends each frame at a limit
    assert game.getFrameNumber() == 1


def test_pongs_rom_is_found_and_checked(monkeypatch, tmp_path):
    assert our_roms.identify(pong_rom().read_bytes()) is our_roms.PONG
    other = tmp_path / "pong.bin"
    other.write_bytes(bytes(2048))
    monkeypatch.setattr(roms, "get_rom_path", lambda name: other)
    with pytest.raises(RuntimeError, match=r"expected SHA-256 4162.*pip install 'ale-py"):
        emulator.pong_rom()
    monkeypatch.setattr(roms, "get_rom_path", lambda name: None)
    with pytest.raises(RuntimeError, match=r"not in the installed ale-py; install ale-py"):
        emulator.pong_rom()

"""Properties of the console of csrc/: its state is a value, and the picture changes nothing."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proofs.random_roms import make_rom
from tests.support.emulator_core import CONSOLES, JOYSTICKS, Core, pointer, rom_bytes

ACTIONS = st.lists(st.integers(0, 17), min_size=1, max_size=30)
PLAYED = ("pong", "pong translated", "generated", "generated translated")
quick = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def fresh(core):
    """Environments right after the load, by what is played; to be copied."""
    made = {}
    for sticky in (0.0, 0.25):
        for name, rom in (("pong", rom_bytes("pong")), ("generated", make_rom("tia", 5).data)):
            console = CONSOLES.get(name, JOYSTICKS)
            for label, run in ((name, None), (name + " translated", name)):
                made[label, sticky] = Core(core, rom, console, run, seed=9, sticky=sticky)
    return made


def copy(core):
    """Another environment in the same state: the bytes of a26_env_t."""
    other = object.__new__(Core)
    other.__dict__.update(core.__dict__)
    other.state, other.screens = core.state.copy(), [screen.copy() for screen in core.screens]
    other.fixed = (pointer(other.state), *core.fixed[1:])
    return other


def assert_same(one, other, screens=True):
    np.testing.assert_array_equal(one.ram(), other.ram())
    np.testing.assert_array_equal(one.registers(), other.registers())
    assert (one.latches(), one.over(), one.error()) == (
        other.latches(),
        other.over(),
        other.error(),
    )
    if screens:
        np.testing.assert_array_equal(one.screens[0], other.screens[0])


@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize("played", PLAYED)
@quick
@given(before=ACTIONS, lost=ACTIONS, after=ACTIONS, skip=st.integers(1, 4))
def test_a_saved_state_continues_alike(fresh, played, sticky, before, lost, after, skip):
    core = copy(fresh[played, sticky])
    for action in before:
        core.act(action, skip)
    saved = copy(core)
    expected = [(core.act(action, skip), core.ram().tolist()) for action in after]
    end = copy(core)
    for action in lost:
        core.act(action, skip)
    core.state[:] = saved.state
    core.screens = [screen.copy() for screen in saved.screens]
    assert [(core.act(action, skip), core.ram().tolist()) for action in after] == expected
    assert_same(core, end)


@pytest.mark.parametrize("played", PLAYED)
@quick
@given(steps=st.lists(st.tuples(st.integers(0, 17), st.booleans()), min_size=1, max_size=40))
def test_drawing_changes_nothing(fresh, played, steps):
    always, sometimes = copy(fresh[played, 0.0]), copy(fresh[played, 0.0])
    for action, draw in steps:
        assert always.act(action) == sometimes.act(action, draw=draw)
        assert_same(always, sometimes, screens=draw)


@pytest.mark.parametrize("played", PLAYED)
@quick
@given(actions=ACTIONS, skip=st.integers(2, 5))
def test_a_skip_is_so_many_single_frames(fresh, played, actions, skip):
    whole, split = copy(fresh[played, 0.0]), copy(fresh[played, 0.0])
    for action in actions:
        reward = sum(split.act(action) for _ in range(skip))
        assert whole.act(action, skip) == reward
        assert_same(whole, split)


@pytest.mark.parametrize("name", ["pong", "generated"])
@quick
@given(actions=ACTIONS)
def test_the_translation_equals_the_interpreter(fresh, name, actions):
    plain, translated = copy(fresh[name, 0.0]), copy(fresh[name + " translated", 0.0])
    for action in actions:
        assert plain.act(action) == translated.act(action)
        assert_same(plain, translated)


@quick
@given(actions=ACTIONS, pokes=st.lists(st.tuples(st.integers(0, 127), st.integers(0, 255))))
def test_corrupted_memory_never_hangs_or_crashes(fresh, actions, pokes):
    """A game whose RAM is garbage goes on, or stops in the error state for good."""
    core = copy(fresh["pong translated", 0.0])
    for at, value in pokes:
        core.poke(at, value)
    for action in actions:
        core.act(action)
    if core.error():
        ram = core.ram()
        core.act(0)
        np.testing.assert_array_equal(core.ram(), ram)


def test_a_program_that_never_ends_a_frame_stays_defined(interpreter):
    rom = bytearray(make_rom("frames", 0).data)
    at = rom[0xFFC] | (rom[0xFFD] & 0x0F) << 8
    rom[at : at + 3] = bytes((0x4C, rom[0xFFC], rom[0xFFD]))  # JMP to itself, from the reset on
    core = Core(interpreter, bytes(rom))
    for _ in range(20):
        assert core.act(0) == 0
        assert (core.unfinished(), core.error()) == (True, 0)

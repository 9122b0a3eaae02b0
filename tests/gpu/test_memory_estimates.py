"""The estimates of GPU memory: their limits, and the sizes that the documentation states."""

from types import SimpleNamespace

import pytest

from fastpg.config import preset
from fastpg.cuda import bytes_needed, max_environments, memory
from fastpg.emulator._emulator import SCRATCH_BYTES, SNAPSHOT_BYTES
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork


def test_sizes_are_those_of_the_documentation():
    assert (SNAPSHOT_BYTES, SCRATCH_BYTES) == (5552, 40000)
    for size in (SNAPSHOT_BYTES, SCRATCH_BYTES):
        assert f"{size:,}" in memory.__doc__
    assert bytes_needed(1, steps=10) == 5552 + 40000 + 64 + 10 * 806
    assert bytes_needed(1, steps=10, views=False) == 5552 + 64 + 10 * 6
    assert bytes_needed(7, fixed=100) == 100 + 7 * bytes_needed(1)


@pytest.mark.parametrize("steps", [1, 128])
@pytest.mark.parametrize("views", [False, True])
def test_the_largest_number_fits_and_one_more_does_not(steps, views):
    free, fixed = 80 << 30, 2 << 30
    most = max_environments(free, steps, views, fixed)
    memory.require_environments_fit(most, free, steps, views, fixed)
    with pytest.raises(MemoryError, match=f"^num_envs: {most + 1:,} environments .* {most:,} fit$"):
        memory.require_environments_fit(most + 1, free, steps, views, fixed)
    assert max_environments(fixed - 1, steps, views, fixed) == 0


def test_stacks_are_reserved_for_all_threads():
    h100 = SimpleNamespace(MULTIPROCESSOR_COUNT=132, MAX_THREADS_PER_MULTIPROCESSOR=2048)
    fixed = memory.fixed_bytes(h100)
    assert fixed == 132 * 2048 * 2304 + (4 << 20)
    assert max_environments(80 << 30, fixed=fixed) > 65536


# ---- training --------------------------------------------------------------------------------


def test_the_largest_number_in_training_fits_and_one_more_does_not():
    sizes, free, fixed = (261, 4, 256), 80 << 30, 3 << 30
    each = memory.training_bytes(1, *sizes)
    assert memory.training_bytes(7, *sizes, fixed=100) == 100 + 7 * each
    most = (free - fixed) // each
    memory.require_training_fits(most, free, *sizes, fixed)
    said = f"^num_envs: {most + 1:,} environments with 261 stored steps .* {most:,} fit$"
    with pytest.raises(MemoryError, match=said):
        memory.require_training_fits(most + 1, free, *sizes, fixed)
    with pytest.raises(MemoryError, match=r"; 0 fit$"):
        memory.require_training_fits(1, fixed - 1, *sizes, fixed)


def test_the_largest_network_fits_and_one_more_unit_does_not():
    sizes, free = (28_000, 25_600, 4), 8 << 30
    for cell in (0, 5):
        most = 1
        while memory.learner_bytes(*sizes, most + 1, cell) <= free:
            most += 1
        memory.require_learner_fits(free, *sizes, most, cell)
        said = rf"^hidden: {most + 1:,} hidden units, .* {most:,} fit$"
        with pytest.raises(MemoryError, match=said):
            memory.require_learner_fits(free, *sizes, most + 1, cell)
    with pytest.raises(MemoryError, match=r"; 0 fit$"):
        memory.require_learner_fits(1000, *sizes, 1, 0)


@pytest.mark.parametrize(("name", "said"), [("pong", 27), ("sticky", 124)])
def test_sizes_of_learners_are_those_of_the_documentation(name, said):
    config = preset(name)
    input_spec = InputSpec(config.views, config.input == "difference", config.past_actions)
    actions, outputs = (3, 3) if config.allow_noop else (2, 1)
    value = config.algorithm == "ppo"
    core = TileNetwork(config.hidden, input_spec, actions, outputs, value, config.cells).core
    sizes = core.rows, core.inputs, core.heads, config.hidden, config.cells
    assert round(memory.learner_bytes(*sizes) / 1e6) == said
    assert f"{said} MB of " in memory.__doc__

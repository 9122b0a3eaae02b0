"""Training on a GPU: in numba's simulator and on the device in processes of their own; memory."""

import pytest

from fastpg.config import preset
from fastpg.cuda import memory
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from tests.gpu.test_cuda import in_a_process, passes_on_the_gpu

TRAINING = "tests/gpu/device_training.py"


def test_training_on_the_gpu():
    passes_on_the_gpu(TRAINING)


@pytest.mark.parametrize("name", ["pong", "fast"])
def test_without_a_gpu_one_line_says_so(name, tmp_path):
    words = ["--device", "cuda", "--preset", name, "--run-dir", str(tmp_path / "run")]
    environment = {"NUMBA_ENABLE_CUDASIM": "0", "NUMBA_DISABLE_CUDA": "1"}
    ran = in_a_process("-m", "fastpg.train", *words, **environment)
    assert ran.returncode == 2
    assert ran.stderr.startswith("fastpg.train: --device cuda: the cuda backend ")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


# ---- memory ---------------------------------------------------------------------------------


def test_the_largest_number_fits_and_one_more_does_not():
    sizes, free, fixed = (261, 4, 256), 80 << 30, 3 << 30
    each = memory.training_bytes(1, *sizes)
    assert memory.training_bytes(7, *sizes, fixed=100) == 100 + 7 * each
    most = (free - fixed) // each
    memory.require_room_to_train(most, free, *sizes, fixed)
    said = f"^num_envs: {most + 1:,} environments with 261 stored steps .* {most:,} fit$"
    with pytest.raises(MemoryError, match=said):
        memory.require_room_to_train(most + 1, free, *sizes, fixed)
    with pytest.raises(MemoryError, match=r"; 0 fit$"):
        memory.require_room_to_train(1, fixed - 1, *sizes, fixed)


def test_the_largest_network_fits_and_one_more_unit_does_not():
    sizes, free = (28_000, 25_600, 4), 8 << 30
    for cell in (0, 5):
        most = 1
        while memory.learner_bytes(*sizes, most + 1, cell) <= free:
            most += 1
        memory.require_room_to_learn(free, *sizes, most, cell)
        said = rf"^hidden: {most + 1:,} hidden units, .* {most:,} fit$"
        with pytest.raises(MemoryError, match=said):
            memory.require_room_to_learn(free, *sizes, most + 1, cell)
    with pytest.raises(MemoryError, match=r"; 0 fit$"):
        memory.require_room_to_learn(1000, *sizes, 1, 0)


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

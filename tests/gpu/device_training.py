"""Training on a GPU against the CPU: rounds, resumed runs, runs that change their device."""

from dataclasses import replace

import numpy as np
import pytest
from numba.cuda.cudadrv import driver

from fastpg import checkpoint
from fastpg.algorithms.base import Diverged
from fastpg.algorithms.build import make_algorithm
from fastpg.algorithms.ppo import PPO as PPOAlgorithm
from fastpg.algorithms.reinforce import Reinforce
from fastpg.cli.resolve import resolve
from fastpg.config import preset
from fastpg.cuda import DeviceCollector
from fastpg.evaluate import main as evaluate
from fastpg.train import main
from fastpg.training.metrics_file import read_metrics

pytestmark = pytest.mark.gpu
SMALL = {"emulator": "native", "backend": "tiles", "hidden": 2, "threads": 1}
PPO = replace(preset("sticky"), **SMALL, num_envs=2, steps_per_update=8, minibatch=16, epochs=1)
PPO = replace(PPO, input="difference", views=(0, 2), cells=9, past_actions=1, anneal_steps=0)
PONG = replace(preset("pong"), **SMALL, episodes_per_batch=2, num_envs=2)
CONFIGS = {"ppo": PPO, "reinforce": PONG}
MORE = {
    "ppo on a stack": replace(PPO, input="stack", cells=0, allow_noop=False),
    "reinforce on a stack": replace(PONG, input="stack", cells=7, standardize="batch"),
}


def make(config, device):
    """An algorithm with episodes of at most forty frames, some fifteen steps."""
    spec = resolve(config)
    rules = replace(spec.rules, max_num_frames_per_episode=40)
    return make_algorithm(replace(spec, rules=rules, device=device))


def assert_same(first, second, exact=lambda name: True):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert tensor.shape == second[name].shape, name
        if exact(name):
            assert tensor.tobytes() == second[name].tobytes(), name


def with_rewards(algorithm, played):
    """REINFORCE's batch with random rewards: such short episodes have none."""
    samples, rewards, lengths = played.batch
    rewards = np.random.default_rng(len(rewards)).integers(-1, 2, len(rewards)).astype(np.float32)
    buffer = algorithm.collector.buffer
    if isinstance(algorithm.collector, DeviceCollector):
        whole = buffer.slots.rewards.copy_to_host()
        whole[samples.copy_to_host()] = rewards
        buffer.slots.rewards.copy_to_device(whole)
    else:
        buffer.rewards[samples] = rewards
    return replace(played, batch=(samples, rewards, lengths))


def rounds(algorithm, count):
    """Statistics of each round: counts, scores, lengths, and those of learning."""
    books = []
    for _ in range(count):
        played = algorithm.play()
        if isinstance(algorithm, Reinforce):
            played = with_rewards(algorithm, played)
        learned = algorithm.learn(played)
        steps = played.agent_steps, played.emulator_frames
        books.append(((*steps, played.scores, played.lengths), learned))
    return books


def assert_close(got, wanted, before):
    """Assert weights that differ by rounding, and not at all where they did not move.

    Where a gradient is almost 0, its rounding decides the direction of the step.
    """
    for name in ("w1", "w2"):
        moved = np.abs(wanted[name] - before[name])
        off = np.abs(got[name] - wanted[name])
        assert moved.max() > 1e-4
        assert np.quantile(off[moved > 0], 0.95) < 1e-3 * moved.max(), name
        assert (off[moved == 0] == 0).all()


def assert_same_books(host, device):
    for (wanted, known), (got, learned) in zip(host, device, strict=True):
        assert got == wanted
        assert learned.keys() == known.keys()
        for name, value in known.items():
            assert learned[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def interrupt(algorithm):
    """Interrupt two rounds of playing; play a third to its end without learning from it."""
    play = algorithm.collector._play

    def interrupted(*arguments):
        play(*arguments)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(algorithm.collector, "_play", interrupted)
            with pytest.raises(KeyboardInterrupt):
                algorithm.play()
    algorithm.play()


@pytest.mark.parametrize("name", CONFIGS)
def test_rounds_resumed_interrupted_and_on_the_other_device(name):
    host, device = (make(CONFIGS[name], place) for place in ("cpu", "cuda"))
    before = host.tensors()
    assert_same(device.tensors(), before)
    assert_same_books(rounds(host, 1), rounds(device, 1))
    wanted, saved = host.tensors(), device.tensors()
    assert_same(saved, wanted, lambda name: wanted[name].dtype != np.float32)
    assert_close(saved, wanted, before)
    # an interrupted round leaves no trace, and a resumed run is bit-identical
    interrupt(device)
    assert_same(device.tensors(), saved)
    resumed, away = make(CONFIGS[name], "cuda"), make(CONFIGS[name], "cpu")
    for other in (resumed, away):
        other.restore(saved)
        assert_same(other.tensors(), saved)
    books = rounds(device, 1)
    assert rounds(resumed, 1) == books
    assert_same(resumed.tensors(), device.tensors())
    # and on the CPU up to rounding
    assert_same_books(books, rounds(away, 1))
    assert_close(device.tensors(), away.tensors(), saved)


def test_a_run_of_the_cpu_continues_on_the_gpu():
    host, device = (make(MORE["ppo on a stack"], place) for place in ("cpu", "cuda"))
    rounds(host, 1)
    before = host.tensors()
    device.restore(before)
    assert_same(device.tensors(), before)
    assert_same_books(rounds(host, 1), rounds(device, 1))
    assert_close(device.tensors(), host.tensors(), before)


def test_reinforce_on_stacks_learns_as_on_the_cpu():
    host, device = (make(MORE["reinforce on a stack"], place) for place in ("cpu", "cuda"))
    before = host.tensors()
    assert_same_books(rounds(host, 1), rounds(device, 1))
    assert_close(device.tensors(), host.tensors(), before)


def test_gradients_that_are_not_finite_are_refused():
    algorithm = make(PPO, "cuda")
    tensors = algorithm.network.tensors()
    tensors["w2"][:] = np.nan
    algorithm.network.load(tensors)
    with pytest.raises(Diverged, match="the gradient is not finite"):
        algorithm.learn(algorithm.play())


# ---- the command -----------------------------------------------------------------------------

COMMAND = (
    "--preset fast --hidden 2 --num-envs 2 --steps-per-update 8 --minibatch 16 --epochs 1 "
    "--input difference --cells 0 --checkpoint-every 1"
).split()


def run(folder, *words):
    assert main([*COMMAND, "--run-dir", str(folder), *words]) == 0
    return checkpoint.load(folder)


def test_the_command_trains_and_resumes(tmp_path, capsys):
    there = "--device", "cuda", "--agent-steps"
    straight = run(tmp_path / "straight", *there, "32")
    assert straight.update == 2
    assert run(tmp_path / "run", *there, "16").update == 1
    assert main(["--resume", str(tmp_path / "run"), "--agent-steps", "32"]) == 0
    saved = checkpoint.load(tmp_path / "run")
    assert saved.state["counters"] == straight.state["counters"]
    assert_same(saved.tensors, straight.tensors)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["agent_steps"] for row in rows] == [16, 32]
    assert all(row["entropy"] > 0 and row["seconds_emulation"] > 0 for row in rows)
    host = run(tmp_path / "host", "--agent-steps", "32")
    assert host.state["counters"] == straight.state["counters"]
    assert host.tensors.keys() == straight.tensors.keys()


def test_runs_change_their_device(tmp_path, capsys):
    folder = tmp_path / "run"
    run(folder, "--agent-steps", "16")
    for device, steps in (("cuda", "32"), ("cpu", "48")):
        words = ["--resume", str(folder), "--device", device, "--agent-steps", steps]
        assert main(words) == 0
        assert checkpoint.load(folder).state["config"]["device"] == device
        assert evaluate([str(folder), "--episodes", "1"]) == 0
    assert checkpoint.load(folder).update == 3


REFUSED = {
    "--emulator ale": "--emulator ale: --device cuda needs native",
    "--input raw": "--input raw: --algorithm ppo needs difference or stack",
    "--backend cython": "--backend cython: --algorithm ppo needs tiles",
    "--algorithm reinforce --input raw": "--input raw: --device cuda needs difference or stack",
    "--algorithm reinforce --backend numba": "--backend numba: --device cuda needs tiles",
    "--env ALE/Breakout-v5": "--env ALE/Breakout-v5: --device cuda plays Pong alone",
}


@pytest.mark.parametrize("words", REFUSED)
def test_unsupported_options_are_refused(words, tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["--run-dir", str(folder), "--device", "cuda", *words.split()]
    assert main([*COMMAND, *options]) == 2
    error = capsys.readouterr().err
    assert REFUSED[words] in error
    assert error.count("\n") == 1
    assert not folder.exists()


def test_too_many_environments_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fastpg.cuda.rollouts.free_and_fixed_bytes", lambda: (1 << 20, 1000))
    options = ["--run-dir", str(tmp_path / "run"), "--device", "cuda", "--num-envs", "30"]
    assert main([*COMMAND, *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastpg.train: num_envs: 30 environments with ")
    assert error.endswith(" fit\n")
    assert error.count("\n") == 1


# ---- failures ------------------------------------------------------------------------------------


def fail_in_round(monkeypatch, number, error):
    """Raise an error in round ``number`` and from then on, as the driver does after a fault."""
    learn, rounds_begun = PPOAlgorithm.learn, [0]

    def refuse(*_):
        raise error

    def failing(self, played):
        rounds_begun[0] += 1
        if rounds_begun[0] == number:
            monkeypatch.setattr(PPOAlgorithm, "tensors", refuse)
            refuse()
        return learn(self, played)

    monkeypatch.setattr(PPOAlgorithm, "learn", failing)


@pytest.mark.parametrize("every", ["1", "1000"])
def test_a_failure_of_the_gpu_ends_a_run_in_one_line(every, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    error = driver.CudaAPIError(700, "Call to cuCtxSynchronize results in\nILLEGAL_ADDRESS")
    fail_in_round(monkeypatch, 3, error)
    words = [*COMMAND, "--run-dir", str(folder), "--device", "cuda", "--agent-steps", "64"]
    assert main([*words, "--checkpoint-every", every]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("fastpg.train: the GPU failed (")
    assert "cuCtxSynchronize" in said
    assert "ILLEGAL_ADDRESS" in said
    if every == "1000":
        assert said.endswith("nothing was saved before\n")
        assert not folder.exists()
        return
    assert f"--resume {folder}" in said
    assert checkpoint.load(folder).update == 2
    monkeypatch.undo()
    assert main(["--resume", str(folder), "--agent-steps", "48"]) == 0
    assert checkpoint.load(folder).update == 3


def test_errors_of_our_own_keep_their_traceback(tmp_path, monkeypatch):
    fail_in_round(monkeypatch, 1, ValueError("ours"))
    words = [*COMMAND, "--run-dir", str(tmp_path / "run"), "--device", "cuda"]
    with pytest.raises(ValueError, match="ours"):
        main([*words, "--agent-steps", "16"])

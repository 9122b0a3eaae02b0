"""Digests of all that must not change when code is only moved, renamed or restructured.

    python -m tests.proofs.digests > FILE      before, and again after; then: diff

One line each: a training run's checkpoint tensors, the scores of an evaluation, the observations
of an environment, the outputs of a kernel. Everything is called through what users call, so the
command runs in any version of the project. Words after the command choose the groups (``runs``,
``scores``, ``environments``, ``kernels``); all of them take a quarter of an hour on two cores.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product

import gymnasium
import numpy as np

import fastpg  # noqa: F401 (registers the environments)
from fastpg.checkpoint import load
from fastpg.kernels import get_backend
from tests.support.cases import HOST_BACKENDS, OPTIONS, cases

EPISODES = ["--episodes", "20"]  # two updates
STEPS = ["--agent-steps", "17000"]  # three updates of 32 games
PRESETS = {"pong": EPISODES, "blog": EPISODES, "fast": STEPS, "sticky": STEPS, "random-skip": STEPS}
OTHERS = {
    "batch": ["--standardize", "batch", "--no-cut-at-rewards", "--num-envs", "4", *EPISODES],
    "cells": ["--cells", "4", "--past-actions", "2", "--allow-noop", "--mirror", *EPISODES],
    "stack": ["--input", "stack", "--views", "0", "2", "5", *EPISODES],
    "a2c": ["--algorithm", "ppo", "--epochs", "1", "--clip", "inf", "--agent-steps", "9000"],
    "ppo": [
        "--algorithm",
        "ppo",
        "--past-actions",
        "3",
        "--num-envs",
        "5",
        "--agent-steps",
        "4000",
    ],
    "breakout": ["--env", "ALE/Breakout-v5", *EPISODES],
    "breakout-ppo": ["--env", "ALE/Breakout-v5", "--preset", "fast", "--agent-steps", "9000"],
}
OBSERVATIONS = ("rgb", "grayscale", "palette", "ram", "pong80", "dqn")
# Names that tensors of a checkpoint had before: a digest is of the old name.
RENAMED = {
    "lookback_tiles": "tail_tiles",
    "lookback_tile_counts": "tail_counts",
    "lookback_episode_steps": "tail_ages",
    "lookback_actions": "tail_actions",
}
IDS = ("Pong-v0", "Pong-v5", "PongNoFrameskip-v4")


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes."""
    total = hashlib.sha256()
    for name, array in sorted((RENAMED.get(name, name), array) for name, array in arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:32]


def train(*words: str) -> str:
    """Digest of all tensors of a run's last checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fastpg.train", *words, "--run-dir", f"{folder}/run"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return digest(load(f"{folder}/run").tensors)


def runs() -> Iterator[tuple[str, str]]:
    """Training: presets and other settings, seeds, threads, emulators."""
    for emulator, name, seed in product(("native", "ale"), PRESETS, ("0", "1")):
        settings = ["--preset", name, "--seed", seed, "--emulator", emulator, *PRESETS[name]]
        for threads in ("1", "2"):
            yield f"{emulator} {name} seed {seed} {threads}", train(*settings, "--threads", threads)
    for name, settings in OTHERS.items():
        for emulator in ("ale",) if "Breakout" in str(settings) else ("native", "ale"):
            yield f"{emulator} {name}", train(*settings, "--emulator", emulator)


def scores() -> Iterator[tuple[str, str]]:
    """Evaluations of the pretrained policy."""
    for emulator, greedy, env in product(("native", "ale"), ([], ["--greedy"]), IDS):
        rules = env.replace("Pong-v5", "ALE/Pong-v5")
        command = [sys.executable, "-m", "fastpg.evaluate", "--emulator", emulator, "--env", rules]
        command += ["--episodes", "6", "--json", *greedy]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(said[said.index("{") :])
        yield f"{emulator} {rules} {greedy}", json.dumps(found["scores"])


def environments() -> Iterator[tuple[str, str]]:
    """10,000 steps of each observation type: the vector environment, and the single one."""
    for env, kind in product(IDS, OBSERVATIONS):
        made = {"obs_type": kind}
        vector = gymnasium.make_vec(f"fastpg/{env}", 8, "vector_entry_point", **made)
        yield f"vector {env} {kind}", _played(vector, vector.single_action_space.n, 1250, 8)
    for env, kind in product(IDS, OBSERVATIONS[:4]):
        single = gymnasium.make(f"fastpg/{env}", obs_type=kind, disable_env_checker=True)
        yield f"single {env} {kind}", _played(single, single.action_space.n, 10_000, None)


def _played(env, actions: int, steps: int, games: int | None) -> str:
    total, rng = hashlib.sha256(), np.random.default_rng(3)
    observation, info = env.reset(seed=7)
    for _ in range(steps):
        total.update(np.ascontiguousarray(observation).tobytes())
        action = rng.integers(actions, size=games)
        observation, *rest, info = env.step(action if games else int(action))
        total.update(repr([np.asarray(part).tolist() for part in rest]).encode())
        if games is None and (rest[1] or rest[2]):
            observation, info = env.reset()
    total.update(repr({name: np.asarray(value).tolist() for name, value in info.items()}).encode())
    env.close()
    return total.hexdigest()[:32]


def kernels() -> Iterator[tuple[str, str]]:
    """Each op of each backend of the CPU over all its cases."""
    for backend, name in product(HOST_BACKENDS, OPTIONS):
        loop, parts = getattr(get_backend(backend).loops, name), {}
        for number, one in enumerate(cases(name)):
            outputs = {key: array.copy() for key, array in one.outputs.items()}
            needed = loop(*one.inputs.values(), *outputs.values())
            parts |= {f"{number} {key}": array for key, array in outputs.items()}
            parts[f"{number}"] = np.array([-1 if needed is None else needed])
        yield f"{backend} {name}", digest(parts)


GROUPS = {"runs": runs, "scores": scores, "environments": environments, "kernels": kernels}


def main() -> None:
    """Print the digests of the groups that are named; of all if none is."""
    for group in sys.argv[1:] or GROUPS:
        for what, found in GROUPS[group]():
            print(f"{group}: {what}: {found}", flush=True)


if __name__ == "__main__":
    main()

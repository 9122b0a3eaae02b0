"""Writes a policy as a checkpoint: its weights alone, with a score, or as a run to resume."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastpg.algorithms.build import make_algorithm
from fastpg.checkpoint import Checkpoint, save_file
from fastpg.cli.policy_files import PolicyFile, left_out_lines
from fastpg.cli.resolve import resolve, resolve_emulator, resolve_rules, settings_to_save
from fastpg.cli.train_options import training_command
from fastpg.config import ConfigError
from fastpg.evaluation.episodes import evaluate
from fastpg.evaluation.summary import summary
from fastpg.network.quantize import pack, unpack
from fastpg.system.cores import available_cores
from fastpg.training.run_state import RunState


def write_checkpoint(
    target: Path, policy: PolicyFile, *, source: Path, bits: int, episodes: int, resumable: bool
) -> list[str]:
    """Write a policy as a checkpoint file.

    Args:
        target: the file.
        policy: the weights and the settings of their training.
        source: the policy's file, for errors.
        bits: per weight of the first layer.
        episodes: to play with the policy as it is written, to keep their score in the file.
        resumable: add what a run of these weights needs that has learned nothing yet.

    Returns:
        Lines about what the file leaves out, and about the score.

    Raises:
        ConfigError: it cannot be made resumable.
        CheckpointError: it cannot be written, or cannot play.
    """
    first = pack(policy.tensors["w1"], bits)
    rest = {name: array for name, array in policy.tensors.items() if name != "w1"}
    update, lines = policy.update, left_out_lines(policy.left_out)
    state: dict[str, Any] = {
        "config": policy.config.to_json(),
        "counters": policy.counters,
        "weights_only": True,
    }
    if update:
        state["trained_by"] = training_command(policy.config)
    if resumable:
        del state["weights_only"]
        update = 0
        rest, run_state = _new_run(policy, unpack(first | rest), source)
        state |= run_state
    if episodes:
        tensors = unpack(first | rest)
        state["evaluation"] = _score(policy, Checkpoint(update, tensors, state, source), episodes)
        low, high = state["evaluation"]["confidence_interval"] or (None, None)
        spread = f" ({low:+.2f} to {high:+.2f})" if low is not None else ""
        lines.append(f"mean score {state['evaluation']['mean_score']:+.2f}{spread}")
    save_file(target, update, first | rest, state)
    return lines


def _new_run(
    policy: PolicyFile, weights: Mapping[str, np.ndarray], source: Path
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors except w1, and the state, of a new run that has these weights."""
    spec = resolve(policy.config)
    if spec.backend != "tiles":
        raise ConfigError(f"--resumable: needs weights of --backend tiles, got {spec.backend}")
    algorithm: Any = make_algorithm(spec)
    try:
        algorithm.network.load(weights)
        config = settings_to_save(policy.config, spec)
        tensors, state = RunState().to_save(config, algorithm.tensors())
    except ValueError as error:
        raise ConfigError(f"--resumable: {source}: {error}") from None
    finally:
        algorithm.close()
    del tensors["w1"]
    return tensors, state


def _score(policy: PolicyFile, saved: Checkpoint, episodes: int) -> dict[str, Any]:
    """Evaluate a policy under the rules that it was trained on."""
    env, rules = policy.config.env, resolve_rules(policy.config)
    played = evaluate(
        saved,
        rules,
        emulator=resolve_emulator("auto", rules, env),
        episodes=episodes,
        threads=available_cores(),
    )
    return {"env": env, "rules": asdict(rules), "seed": 0, **summary(played, rules)}

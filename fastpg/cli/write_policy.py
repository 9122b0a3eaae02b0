"""Writes policies: as our checkpoints, as NumPy's .npz, as the article's save.p."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastpg.algorithms.build import make_algorithm
from fastpg.checkpoint import Checkpoint, save_article_weights, save_file, write
from fastpg.cli.read_policy import NPZ, OURS, PolicyFile
from fastpg.cli.resolve import resolve, resolve_emulator, resolve_rules, settings_to_save
from fastpg.cli.train_options import training_command
from fastpg.config import ConfigError, TrainConfig
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
    with np.errstate(over="ignore"):  # refused below
        first = pack(policy.tensors["w1"], bits)
    rest = {name: array for name, array in policy.tensors.items() if name != "w1"}
    if not np.isfinite(unpack(first | rest)["w1"]).all():
        raise ConfigError(f"--bits {bits}: a weight is too large for it; give another number")
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
    evaluation = evaluate(
        saved,
        rules,
        emulator=resolve_emulator("auto", rules, env),
        episodes=episodes,
        threads=available_cores(),
    )
    return {"env": env, "rules": asdict(rules), "seed": 0, **summary(evaluation, rules)}


def write_npz(target: Path, policy: PolicyFile) -> list[str]:
    """Write a policy as a .npz, and return lines about what it leaves out."""
    arrays: dict[str, Any] = dict(policy.tensors)
    arrays |= {"config": json.dumps(policy.config.to_json()), "update": policy.update}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write(target, buffer.getvalue())
    return left_out_lines(policy.left_out)


def write_article_pickle(target: Path, policy: PolicyFile) -> list[str]:
    """Write a policy as the article's ``save.p``, and return lines about what it leaves out.

    Raises:
        ConfigError: the article's script cannot hold such a network.
    """
    reason = _unlike_article(policy.config, policy.tensors)
    if reason:
        raise ConfigError(f"{target}: {reason}; a {NPZ} or {OURS} holds any policy")
    left_out = list(policy.left_out)
    if "value" in policy.tensors:
        left_out.append("the value head, which only learning needs")
    save_article_weights(target, policy.tensors["w1"], policy.tensors["w2"])
    lines = left_out_lines(left_out)
    if policy.config.background == "frame":
        lines.append(
            "the script erases two colours by number: it sees the same until a game of more than "
            "18 minutes, when the ROM cycles its colours"
        )
    return lines


def _unlike_article(config: TrainConfig, tensors: Mapping[str, np.ndarray]) -> str:
    """Return why the article's script cannot hold a network; empty if it can."""
    actions = max(len(tensors["w2"]), 2)
    if config.input == "raw":
        return "sees whole pictures, the article's script the difference of two views"
    if config.input == "stack":
        return f"sees {len(config.views)} views side by side, the article's script their difference"
    if config.views != (0, 1):
        return f"sees the view {config.views[-1]} steps back, the article's script that of 1"
    if config.past_actions:
        return f"sees {config.past_actions} past actions, the article's script none"
    if len(tensors["w2"]) != 1:
        return f"chooses among {actions} actions, the article's script among UP and DOWN"
    return ""


def left_out_lines(names: list[str]) -> list[str]:
    """Return a line about each thing that a file leaves out."""
    return [f"left out: {name}" for name in names]

"""Reads and writes policies: as our checkpoints, as NumPy's .npz, as the article's save.p."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastpg.algorithms.build import make_algorithm
from fastpg.checkpoint import (
    Checkpoint,
    CheckpointError,
    load,
    load_article_weights,
    save_article_weights,
    save_file,
    write,
)
from fastpg.cli.resolve import resolve, resolve_emulator, resolve_rules, settings_to_save
from fastpg.cli.train_options import training_command
from fastpg.config import ConfigError, TrainConfig, preset
from fastpg.evaluation.episodes import evaluate
from fastpg.evaluation.policy import policy_of, saved_settings
from fastpg.evaluation.summary import summary
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network.network import weights_of
from fastpg.network.quantize import pack, unpack
from fastpg.system.cores import available_cores
from fastpg.training.run_state import RunState

PICKLES, NPZ, OURS = (".p", ".pkl", ".pickle"), ".npz", ".safetensors"


@dataclass(frozen=True)
class PolicyFile:
    """A policy as a file holds it."""

    #: w1 (D, H), w2 (A, H) and, if there is a value head, value (1, H); float32.
    tensors: dict[str, np.ndarray]
    config: TrainConfig  #: settings of its run, without those of the machine that trained it
    counters: dict[str, int]  #: of its run; empty if unknown
    update: int  #: number of updates done
    left_out: list[str]  #: parts of its file that are not weights


# ---- reading ------------------------------------------------------------------------------------


def read_policy(path: Path) -> PolicyFile:
    """Read a run's folder, a checkpoint file, a .npz or a .p.

    Raises:
        CheckpointError: it cannot be read, or holds no policy.
    """
    if path.suffix in PICKLES and not path.is_dir():
        return _article_policy(*load_article_weights(path))
    if path.suffix == NPZ and not path.is_dir():
        return _read_npz(path)
    saved = load(path)
    settings = saved_settings(saved)
    if not {"w1", "w2"} <= set(saved.tensors):
        raise CheckpointError(f"{saved.path}: is no checkpoint of fastpg.train")
    tensors = weights_of(saved.tensors)
    more = len(saved.tensors) > len(tensors)
    left_out = ["what only --resume needs: moments, games and scores"] if more else []
    settings = replace(settings, run_dir=None, resume=None, threads=None, device="cpu")
    return PolicyFile(tensors, settings, saved.state.get("counters", {}), saved.update, left_out)


def _article_policy(w1: np.ndarray, w2: np.ndarray) -> PolicyFile:
    settings = replace(preset("blog"), hidden=w1.shape[1])  # those of the article's script
    return PolicyFile({"w1": w1, "w2": w2}, settings, {}, 0, [])


def _read_npz(path: Path) -> PolicyFile:
    arrays = _npz_arrays(path)
    tensors = _npz_weights(path, arrays)
    if "config" not in arrays:
        hidden = tensors["w1"].shape[1]
        shapes = {name: array.shape for name, array in tensors.items()}
        if shapes != {"w1": (VIEW_PIXELS, hidden), "w2": (1, hidden)}:
            raise CheckpointError(
                f"{path}: has no config, which says what the network sees: only weights of the "
                f"article's form can do without, w1 ({VIEW_PIXELS}, H) and w2 (1, H)"
            )
        return _article_policy(tensors["w1"], tensors["w2"])
    try:
        values = json.loads(str(arrays["config"]))
        settings = TrainConfig.from_json(values)
        update = int(arrays.get("update", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: config, update: {error}") from None
    if settings.input != "raw":
        policy_of(Checkpoint(update, dict(tensors), {"config": values}, path))  # do they fit?
    return PolicyFile(tensors, settings, {}, update, [])


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise CheckpointError(f"{path}: not a .npz of arrays: {error}") from None
    if set(arrays) == {"W1", "W2"}:  # the names and layout of the article's script
        arrays = {"w1": arrays["W1"].T, "w2": arrays["W2"].reshape(1, -1)}
    if not {"w1", "w2"} <= set(arrays):
        raise CheckpointError(f"{path}: expected arrays w1 and w2, got {sorted(arrays)}")
    return arrays


def _npz_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    try:
        weights = weights_of(arrays).items()
        tensors = {name: np.array(array, np.float32, order="C") for name, array in weights}
    except ValueError as error:
        raise CheckpointError(f"{path}: expected arrays of numbers: {error}") from None
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise CheckpointError(f"{path}: a weight is not finite as float32")
    shapes = {name: array.shape for name, array in tensors.items()}
    hidden = {shape[-1:] for shape in shapes.values()}
    one_value = shapes.get("value", (1,))[:1] == (1,)
    if any(len(shape) != 2 for shape in shapes.values()) or len(hidden) > 1 or not one_value:
        raise CheckpointError(f"{path}: expected w1 (D, H), w2 (A, H), value (1, H), got {shapes}")
    return tensors


# ---- writing ------------------------------------------------------------------------------------


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

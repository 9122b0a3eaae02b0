"""Reads and writes a policy's weights: our checkpoints, NumPy's .npz and the article's save.p."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastpg.checkpoint import (
    Checkpoint,
    CheckpointError,
    load,
    load_article_weights,
    save_article_weights,
    write,
)
from fastpg.cli.resolve import saved_settings
from fastpg.config import ConfigError, TrainConfig, preset
from fastpg.evaluation.policy import policy_of
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network.network import WEIGHT_NAMES

PICKLES, NPZ, OURS = (".p", ".pkl", ".pickle"), ".npz", ".safetensors"


@dataclass(frozen=True)
class PolicyFile:
    """A policy as a file holds it.

    Attributes:
        tensors: w1 (D, H), w2 (A, H) and, if there is a value head, value (1, H); float32.
        config: settings of its run, without those of the machine that trained it.
        counters: of its run; empty if unknown.
        update: number of updates done.
        left_out: parts of its file that are not weights.
    """

    tensors: dict[str, np.ndarray]
    config: TrainConfig
    counters: dict[str, int]
    update: int
    left_out: list[str]


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
    tensors = {name: saved.tensors[name] for name in WEIGHT_NAMES if name in saved.tensors}
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
        tensors = {
            n: np.array(arrays[n], np.float32, order="C") for n in WEIGHT_NAMES if n in arrays
        }
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

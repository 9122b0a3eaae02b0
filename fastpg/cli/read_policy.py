"""Reads policies: from our checkpoints, from NumPy's .npz, from the article's save.p."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fastpg.checkpoint import Checkpoint, CheckpointError, load, load_article_weights
from fastpg.config import TrainConfig, preset
from fastpg.evaluation.policy import check_finite, load_pretrained, policy_of, saved_settings
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network.network import weights_of

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


def saved_policy(run: Path | None) -> Checkpoint:
    """The checkpoint of a run's folder, a checkpoint file, a .npz or a .p; the pretrained if None.

    Raises:
        CheckpointError: it cannot be read, or holds no policy.
    """
    if run is None:
        return load_pretrained()
    if run.suffix not in (*PICKLES, NPZ) or run.is_dir():
        try:
            return load(run)
        except CheckpointError as error:
            named = "which python -m fastpg.train makes and names"
            cure = f"RUN is a run's folder, {named}, or a policy's file"
            raise CheckpointError(f"{error}; {cure}") from None
    policy = read_policy(run)
    return Checkpoint(policy.update, policy.tensors, {"config": policy.config.to_json()}, run)


def read_policy(path: Path) -> PolicyFile:
    """Read a run's folder, a checkpoint file, a .npz or a .p.

    Raises:
        CheckpointError: it cannot be read, or holds no policy, or a weight is not finite.
    """
    if path.suffix in PICKLES and not path.is_dir():
        policy = _article_policy(*load_article_weights(path))
    elif path.suffix == NPZ and not path.is_dir():
        policy = _read_npz(path)
    else:
        policy = _read_checkpoint(path)
    check_finite(policy.tensors, path)
    return policy


def _read_checkpoint(path: Path) -> PolicyFile:
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
    shapes = {name: array.shape for name, array in tensors.items()}
    hidden = {shape[-1:] for shape in shapes.values()}
    one_value = shapes.get("value", (1,))[:1] == (1,)
    if any(len(shape) != 2 for shape in shapes.values()) or len(hidden) > 1 or not one_value:
        raise CheckpointError(f"{path}: expected w1 (D, H), w2 (A, H), value (1, H), got {shapes}")
    return tensors

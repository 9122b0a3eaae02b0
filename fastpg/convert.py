"""``python -m fastpg.convert SOURCE TARGET``: a policy's weights as another kind of file."""

import io
import json
import shlex
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from fastpg.checkpoint import (
    Checkpoint,
    CheckpointError,
    load,
    load_article_weights,
    save_article_weights,
    save_file,
    write,
)
from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.cli.resolve import resolve_rules
from fastpg.config import RESUMABLE, ConfigError, TrainConfig, preset
from fastpg.envs.worker_pool import available_cores
from fastpg.network.article_pickle import ARTICLE_PIXELS
from fastpg.network.quantize import pack, unpack

_PICKLES, _NPZ, _OURS = (".p", ".pkl", ".pickle"), ".npz", ".safetensors"
_ENDS = f"{_OURS}, {_NPZ} or {_PICKLES[0]}"
_WEIGHTS = ("w1", "w2", "value")
_LIMITS = ("episodes", "agent_steps", "max_seconds", "stop_at_score")


@dataclass(frozen=True)
class ConvertConfig:
    """Write a policy's weights as another kind of file, which the target's name says."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A run's folder, a checkpoint file, a .npz or a .p."""

    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """The file to write: .safetensors is a checkpoint of fastpg with the weights alone (it plays,
    --resume needs the run itself), .npz is NumPy's, .p the pickle that the article's script loads.
    What has no place in it is said, or refused."""

    force: bool = False
    """Replace the target if it exists."""

    bits: Literal[32, 16, 8, 4] = 32
    """.safetensors: bits a weight of the first layer. 8 and 4 have a scale a pixel."""

    evaluate: int = 0
    """.safetensors: play so many episodes with what is written, and keep the score in it."""

    resumable: bool = False
    """.safetensors: add new games and moments of zero, so that python -m fastpg.train --resume
    TARGET --run-dir NEW trains on from these weights."""


@dataclass(frozen=True)
class _Weights:
    """A policy: its tensors, the settings of its run as JSON has them, and where it is from."""

    tensors: dict[str, np.ndarray]
    state: dict[str, Any]
    update: int
    left_out: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    words = sys.argv[1:] if argv is None else argv
    return guarded("fastpg.convert", lambda: _command(words))


def _command(argv: Sequence[str]) -> None:
    config = parse(ConvertConfig, argv, "python -m fastpg.convert")
    end = config.target.suffix
    if end not in (_OURS, _NPZ, *_PICKLES):
        raise ConfigError(f"{config.target}: expected a name that ends in {_ENDS}")
    for option, given in (
        ("--bits", config.bits != 32),
        ("--evaluate", config.evaluate),
        ("--resumable", config.resumable),
    ):
        if given and end != _OURS:
            raise ConfigError(f"{option}: is for a target of {_OURS}, got {config.target}")
    if config.evaluate < 0:
        raise ConfigError(f"--evaluate: expected at least 0, got {config.evaluate}")
    if config.target.is_dir():
        raise ConfigError(f"{config.target}: is a folder; give a file's name")
    if config.target.exists() and not config.force:
        raise ConfigError(f"{config.target}: exists; --force replaces it")
    weights = _read(config.source)
    if end == _OURS:
        said = _write_ours(config, weights)
    elif end == _NPZ:
        said = _write_npz(config.target, weights)
    else:
        said = _write_pickle(config.target, weights)
    print(f"{config.target}: {config.target.stat().st_size:,} bytes")
    for line in said:
        print(line)


# ---- reading ------------------------------------------------------------------------------------


def _read(path: Path) -> _Weights:
    if path.suffix in _PICKLES and not path.is_dir():
        w1, w2 = load_article_weights(path)
        return _article(w1, w2)
    if path.suffix == _NPZ and not path.is_dir():
        return _read_npz(path)
    saved = load(path)
    if "config" not in saved.state or not {"w1", "w2"} <= set(saved.tensors):
        raise CheckpointError(f"{saved.path}: is no checkpoint of fastpg.train")
    tensors = {name: saved.tensors[name] for name in _WEIGHTS if name in saved.tensors}
    more = len(saved.tensors) > len(tensors)
    state = saved.state | {"config": _anywhere(saved.state["config"])}
    left_out = ["what only --resume needs: moments, games and scores"] if more else []
    return _Weights(tensors, state, saved.update, left_out)


def _anywhere(config: dict[str, Any]) -> dict[str, Any]:
    """A run's settings without what holds on the machine of its training alone."""
    settings = TrainConfig.from_json(config)
    return replace(settings, run_dir=None, resume=None, threads=None).to_json()


def _article(w1: np.ndarray, w2: np.ndarray) -> _Weights:
    """Weights of the article's script, with the settings of its script."""
    settings = replace(preset("blog"), hidden=w1.shape[1])
    return _Weights({"w1": w1, "w2": w2}, {"config": settings.to_json()}, 0, [])


def _read_npz(path: Path) -> _Weights:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except (ValueError, TypeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise CheckpointError(f"{path}: not a .npz of arrays: {error}") from None
    if set(arrays) == {"W1", "W2"}:  # as the article's script names and lays them
        arrays = {"w1": arrays["W1"].T, "w2": arrays["W2"].reshape(1, -1)}
    if not {"w1", "w2"} <= set(arrays):
        raise CheckpointError(f"{path}: expected arrays w1 and w2, got {sorted(arrays)}")
    try:
        tensors = {n: np.array(arrays[n], np.float32, order="C") for n in _WEIGHTS if n in arrays}
    except ValueError as error:
        raise CheckpointError(f"{path}: expected arrays of numbers: {error}") from None
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise CheckpointError(f"{path}: a weight is not finite as float32")
    shapes = {name: array.shape for name, array in tensors.items()}
    hidden = {shape[-1:] for shape in shapes.values()}
    one_value = shapes.get("value", (1,))[:1] == (1,)
    if any(len(shape) != 2 for shape in shapes.values()) or len(hidden) > 1 or not one_value:
        raise CheckpointError(f"{path}: expected w1 (D, H), w2 (A, H), value (1, H), got {shapes}")
    if "config" not in arrays:
        if shapes != {"w1": (ARTICLE_PIXELS, shapes["w2"][1]), "w2": (1, shapes["w2"][1])}:
            raise CheckpointError(
                f"{path}: has no config, which says what the network sees: only weights of the "
                f"article's form can do without, w1 ({ARTICLE_PIXELS}, H) and w2 (1, H)"
            )
        return _article(tensors["w1"], tensors["w2"])
    try:
        state = {"config": json.loads(str(arrays["config"]))}
        TrainConfig.from_json(state["config"])
        update = int(arrays.get("update", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: config, update: {error}") from None
    if state["config"].get("input") != "raw":
        from fastpg.evaluation.policy import policy_of

        policy_of(Checkpoint(update, dict(tensors), state, path))  # what does not fit is refused
    return _Weights(tensors, state, update, [])


# ---- writing ------------------------------------------------------------------------------------


def _write_ours(config: ConvertConfig, weights: _Weights) -> list[str]:
    first = pack(weights.tensors["w1"], config.bits)
    rest = {name: array for name, array in weights.tensors.items() if name != "w1"}
    update, said = weights.update, _left_out(weights.left_out)
    state = {
        "config": weights.state["config"],
        "counters": weights.state.get("counters", {}),
        "weights_only": True,
    }
    if update:
        state["trained_by"] = training_command(TrainConfig.from_json(weights.state["config"]))
    if config.resumable:
        update, rest, state = _new_run(config.source, unpack(first | rest), state)
    if config.evaluate:
        state["evaluation"] = _score(config, unpack(first | rest), state, update)
        low, high = state["evaluation"]["confidence_interval"] or (None, None)
        spread = f" ({low:+.2f} to {high:+.2f})" if low is not None else ""
        said.append(f"mean score {state['evaluation']['mean_score']:+.2f}{spread}")
    save_file(config.target, update, first | rest, state)
    return said


def _new_run(
    source: Path, tensors: dict[str, np.ndarray], state: dict[str, Any]
) -> tuple[int, dict[str, np.ndarray], dict[str, Any]]:
    """Update, tensors but w1, and state of a run that has these weights and has learned nothing."""
    from fastpg.algorithms.build import make_algorithm
    from fastpg.train import resolve_auto
    from fastpg.training.scores import ScoreWindow

    settings = TrainConfig.from_json(state["config"])
    rules = resolve_rules(settings)
    settings = resolve_auto(settings, rules)
    if settings.backend != "tiles":
        raise ConfigError(f"--resumable: needs weights of --backend tiles, got {settings.backend}")
    algorithm: Any = make_algorithm(settings, rules)
    try:
        algorithm.network.load(tensors)
        everything = algorithm.tensors() | {"scores": ScoreWindow().array()}
    except ValueError as error:
        raise ConfigError(f"--resumable: {source}: {error}") from None
    finally:
        algorithm.close()
    del everything["w1"]
    counters = dict.fromkeys(("update", "episodes", "agent_steps", "emulator_frames"), 0)
    seconds = dict.fromkeys(("total", "emulation", "forward", "learning"), 0.0)
    started = state | {"config": settings.to_json(), "counters": counters, "seconds": seconds}
    del started["weights_only"]
    return 0, everything, started


def _score(
    config: ConvertConfig, tensors: Mapping[str, np.ndarray], state: dict[str, Any], update: int
) -> dict[str, Any]:
    """How well the weights play, as they are written, under the rules that they were trained on."""
    from fastpg.evaluate import summary
    from fastpg.evaluation.episodes import evaluate

    trained = TrainConfig.from_json(state["config"])
    rules = resolve_rules(trained)
    played = evaluate(
        Checkpoint(update, dict(tensors), state, config.source),
        rules,
        emulator="native" if rules.game == "pong" else "ale",
        episodes=config.evaluate,
        threads=available_cores(),
    )
    return {"env": trained.env, "rules": asdict(rules), "seed": 0, **summary(played, rules)}


def training_command(config: TrainConfig) -> str:
    """The words that train such a policy: what differs from its preset."""
    words = ["python -m fastpg.train"]
    default = preset(config.preset)
    for field in fields(TrainConfig):
        value, usual = getattr(config, field.name), getattr(default, field.name)
        option = "--" + field.name.replace("_", "-")
        if field.name == "preset":
            words += [f"--preset {value}"] * (value != TrainConfig.preset)
        elif field.name in RESUMABLE - set(_LIMITS) or value == usual:
            continue
        elif (field.name, value) in (("emulator", "native"), ("backend", "tiles")):
            continue  # what auto is
        elif isinstance(value, bool):
            words.append(option if value else "--no-" + option[2:])
        elif isinstance(value, tuple):
            words.append(f"{option} {' '.join(map(str, value))}")
        else:
            words.append(f"{option} {shlex.quote(str(value))}")
    return " ".join(words)


def _write_npz(target: Path, weights: _Weights) -> list[str]:
    arrays: dict[str, Any] = dict(weights.tensors)
    arrays |= {"config": json.dumps(weights.state["config"]), "update": weights.update}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write(target, buffer.getvalue())
    return _left_out(weights.left_out)


def _write_pickle(target: Path, weights: _Weights) -> list[str]:
    config = TrainConfig.from_json(weights.state["config"])
    reason = _unlike_article(config, weights.tensors)
    if reason:
        raise ConfigError(f"{target}: {reason}; a {_NPZ} or {_OURS} holds any policy")
    left_out = list(weights.left_out)
    if "value" in weights.tensors:
        left_out.append("the value head, which only learning needs")
    save_article_weights(target, weights.tensors["w1"], weights.tensors["w2"])
    said = _left_out(left_out)
    if config.background == "frame":
        said.append(
            "the script erases two colours by number: it sees the same until a game of more than "
            "18 minutes, when the ROM cycles its colours"
        )
    return said


def _unlike_article(config: TrainConfig, tensors: Mapping[str, np.ndarray]) -> str:
    """Why the article's script cannot hold a network; nothing if it can."""
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


def _left_out(names: list[str]) -> list[str]:
    return [f"left out: {name}" for name in names]


if __name__ == "__main__":
    sys.exit(main())

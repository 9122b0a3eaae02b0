"""``python -m fastpg.train``: play on all cores, learn from it, repeat."""

import argparse
import contextlib
import math
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import fastpg
from fastpg.algorithms.base import Diverged
from fastpg.checkpoint import Checkpoint, CheckpointError, checkpoints, load
from fastpg.cli.errors import DONE, FAILED, INTERRUPTED, WRONG_SETTINGS
from fastpg.cli.options import parse as parse_words
from fastpg.cli.resolve import resolve_emulator, resolve_rules
from fastpg.config import ConfigError, TrainConfig, check, check_resumed, preset
from fastpg.cuda.errors import DeviceFailure, on_one_line
from fastpg.envs.rules import Rules
from fastpg.envs.worker_pool import WorkerError
from fastpg.extras import missing_extra
from fastpg.kernels import BackendUnavailable
from fastpg.training.interrupt import Interruptible
from fastpg.training.run_folder import run_folder
from fastpg.training.trainer import Trainer


def main(argv: Sequence[str] | None = None, started: float | None = None) -> int:
    """Run the command line.

    Args:
        argv: its words; those of this process if None.
        started: ``perf_counter()`` at which the start-up began; now if None.

    Returns:
        The exit code: 0 done, 1 the run failed (its last update is saved), 2 wrong settings,
        130 interrupted.
    """
    started = perf_counter() if started is None else started
    try:
        config, saved = parse(sys.argv[1:] if argv is None else argv)
        return train(config, saved, started)
    except (ConfigError, BackendUnavailable) as error:
        code = WRONG_SETTINGS
        print(f"fastpg.train: {error}", file=sys.stderr)
    except (CheckpointError, Diverged, WorkerError, DeviceFailure, OSError, MemoryError) as error:
        code = FAILED
        print(f"fastpg.train: {error or type(error).__name__}", file=sys.stderr)
    except KeyboardInterrupt:
        code = INTERRUPTED
        print(
            "fastpg.train: interrupted while it started or learned; what was saved is whole",
            file=sys.stderr,
        )
    return code


def parse(argv: Sequence[str]) -> tuple[TrainConfig, Checkpoint | None]:
    """Settings from the command line, over those of ``--preset`` or of the run to resume."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--preset", default="pong")
    first.add_argument("--resume", type=Path)
    try:
        chosen, _ = first.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    saved = None
    if chosen.resume is None:
        default = preset(chosen.preset)
    else:
        try:
            saved = load(chosen.resume)
        except CheckpointError as error:
            raise ConfigError(str(error)) from None
        if "config" not in saved.state:
            raise ConfigError(f"--resume {saved.path}: is no checkpoint of fastpg.train")
        if saved.state.get("weights_only"):
            raise ConfigError(
                f"--resume {saved.path}: has weights alone, as fastpg.convert writes them; give "
                "the run's folder"
            )
        run = TrainConfig.from_json(saved.state["config"])
        default = replace(run, resume=chosen.resume, run_dir=None)
    config = parse_words(TrainConfig, argv, "python -m fastpg.train", default)
    check(config)
    if saved is not None:
        check_resumed(default, config)
    return config, saved


def resolve_auto(config: TrainConfig, rules: Rules) -> TrainConfig:
    """The same settings with the emulator's and the backend's names instead of ``auto``."""
    emulator = resolve_emulator(config.emulator, rules, config.env)
    if config.mirror and rules.game != "pong":
        raise ConfigError(f"--env {config.env}: --mirror is for Pong alone")
    return resolve_backend(replace(config, emulator=emulator))


def resolve_backend(config: TrainConfig) -> TrainConfig:
    """The same settings with the backend's name instead of ``auto``."""
    if config.backend == "auto":
        config = replace(config, backend="cython" if config.input == "raw" else "tiles")
    if config.backend == "tiles":
        if config.input == "raw":
            raise ConfigError("--input raw: needs --backend cython, numba or reference, got tiles")
    else:
        usual = TrainConfig()
        for name in ("past_actions", "views", "cells", "mirror"):
            if getattr(config, name) != getattr(usual, name):
                option = "--" + name.replace("_", "-")
                raise ConfigError(f"{option}: needs --backend tiles, got {config.backend}")
        if config.num_envs not in (None, config.episodes_per_batch):
            raise ConfigError(
                f"--num-envs: with --backend {config.backend} each episode of a batch has a game, "
                f"expected {config.episodes_per_batch}, got {config.num_envs}; leave it out"
            )
    if config.input == "difference" and len(config.views) != 2:
        shown = " ".join(map(str, config.views))
        raise ConfigError(f"--views: expected 2 for --input difference, got {shown}")
    return config


def require_gpu(config: TrainConfig) -> None:
    """Refuse a run that no GPU can play, or where there is none.

    Raises:
        ConfigError: another game than Pong.
        BackendUnavailable: no GPU, no driver, a package is missing.
    """
    if config.emulator != "native":
        raise ConfigError(f"--env {config.env}: --device cuda plays Pong alone")
    try:
        from fastpg.cuda.functions import current_capability

        current_capability()
    except BackendUnavailable as error:
        raise BackendUnavailable(f"--device cuda: {error}") from error


def train(config: TrainConfig, saved: Checkpoint | None, started: float) -> int:
    """Train until a limit of ``config`` is reached; everything is written to its run folder."""
    if config.track and find_spec("tensorboardX") is None:
        raise ConfigError(f"--track: {missing_extra('track')}")
    rules = resolve_rules(config)
    config = resolve_auto(config, rules)
    if config.device == "cuda":
        require_gpu(config)
    with run_folder(config, saved) as run_dir:
        compiles = config.backend == "numba" or config.device == "cuda"
        waits = "; the first start compiles for half a minute" if compiles else ""
        _say(f"{run_dir}: Ctrl-C stops, saved{waits}")
        again = f"go on with: {_this_python()} -m fastpg.train --resume {shlex.quote(str(run_dir))}"
        with (
            on_one_line(lambda: again if checkpoints(run_dir) else "nothing was saved before"),
            Trainer(config, rules, run_dir, saved, started) as trainer,
            Interruptible() as interrupt,
        ):
            try:
                while trainer.reached is None and not interrupt.requested:
                    batch = interrupt.run(trainer.play)
                    if batch is not None:
                        trainer.learn(batch)
            finally:  # also when a worker dies or the disk is full: what has been learned counts
                trainer.save()
    if trainer.reached is None:
        _say(f"interrupted: {run_dir}; {again}")
        return INTERRUPTED
    option, limit, count = trainer.reached
    higher = math.ceil(count) + 1 if option == "--stop-at-score" else math.ceil(2 * count)
    _say(f"done, {option} {limit:.12g} reached: {run_dir}; {again} {option} {higher}")
    return DONE


def _say(line: str) -> None:
    from rich.console import Console

    with contextlib.suppress(SystemExit):  # rich leaves when nobody reads any more
        Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _this_python() -> str:
    """What to type in this folder for the Python that runs."""
    if shutil.which("python") == sys.executable:
        return "python"
    return shlex.quote(min(os.path.relpath(sys.executable), sys.executable, key=len))


def command(argv: Sequence[str]) -> int:
    """The command as a process of its own runs it: its start-up began with the import."""
    return main(argv, fastpg.IMPORTED)


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))

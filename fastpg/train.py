"""``python -m fastpg.train``: play on all cores, learn from it, repeat."""

import contextlib
import math
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from time import perf_counter

import fastpg
from fastpg.algorithms.base import Diverged
from fastpg.checkpoint import Checkpoint, CheckpointError, checkpoints
from fastpg.cli.errors import DONE, INTERRUPTED, guarded
from fastpg.cli.resolve import resolve, settings_to_save
from fastpg.cli.train_options import parse_training
from fastpg.config import ConfigError, TrainConfig
from fastpg.cuda.errors import DeviceFailure, on_one_line
from fastpg.system.extras import missing_extra
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
    return guarded(
        "fastpg.train",
        lambda words: train(*parse_training(words), started),
        argv,
        failures=(CheckpointError, Diverged, DeviceFailure),
        interrupted="interrupted while it started or learned; the saved checkpoints are complete",
        needs_output=False,
    )


def train(config: TrainConfig, saved: Checkpoint | None, started: float) -> int:
    """Train until a limit of the settings is reached, writing everything to the run's folder.

    Args:
        config: settings of the run.
        saved: checkpoint to continue from, or None.
        started: ``perf_counter()`` at which the start-up began.

    Returns:
        The exit code: 0 done, 130 interrupted.
    """
    if config.track and find_spec("tensorboardX") is None:
        raise ConfigError(f"--track: {missing_extra('track')}")
    spec = resolve(config)
    config = settings_to_save(config, spec)
    with run_folder(config, saved) as run_dir:
        compiles = spec.backend in ("numba", "cuda") or spec.device == "cuda"
        wait = "; the first start compiles for half a minute" if compiles else ""
        _print(f"{run_dir}: Ctrl-C stops and saves{wait}")
        resume = f"{_this_python()} -m fastpg.train --resume {shlex.quote(str(run_dir))}"
        advice = f"go on with: {resume}"
        with (
            on_one_line(lambda: advice if checkpoints(run_dir) else "nothing was saved before"),
            Trainer(config, spec, run_dir, saved, started) as trainer,
        ):
            trainer.run()
    if trainer.reached is None:
        _print(f"interrupted: {run_dir}; {advice}")
        return INTERRUPTED
    option, limit, count = trainer.reached
    higher = math.ceil(count) + 1 if option == "--stop-at-score" else math.ceil(2 * count)
    _print(f"done, {option} {limit:.12g} reached: {run_dir}; {advice} {option} {higher}")
    return DONE


def _print(line: str) -> None:
    from rich.console import Console

    # A run goes on without its output. Rich raises SystemExit if nobody reads it any more.
    with contextlib.suppress(SystemExit, OSError):
        Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _this_python() -> str:
    """Return the shortest word that starts this Python from the current folder."""
    if shutil.which("python") == sys.executable:
        return "python"
    return shlex.quote(min(os.path.relpath(sys.executable), sys.executable, key=len))


def command(argv: Sequence[str]) -> int:
    """Run the command as a process of its own, whose start-up began when fastpg was imported."""
    return main(argv, fastpg.IMPORTED)


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))

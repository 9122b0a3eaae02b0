"""A run's folder: holds one run, is written by one process at a time, is never overwritten."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from fastpg.checkpoint import FOLDER, Checkpoint, CheckpointError, checkpoints, load
from fastpg.config import ConfigError, TrainConfig
from fastpg.system.atomic_file import AtomicFile, remove_abandoned

CONFIG, METRICS, LOCK = "config.json", "metrics.jsonl", ".lock"


@contextmanager
def run_folder(config: TrainConfig, saved: Checkpoint | None) -> Iterator[Path]:
    """Claim the folder of a new or resumed run until the ``with`` block ends.

    A new run that ends before its first checkpoint leaves no folder behind.

    Args:
        config: settings of the run, which are written to the folder. With ``config.run_dir`` the
            folder is new; of a resumed run it starts with a copy of the earlier metrics.
        saved: checkpoint to continue from. None for a new run, and for the run in
            ``config.resume`` that ended before its first checkpoint: it begins anew.

    Raises:
        ConfigError: the folder holds another run, another process is writing it, or it cannot be
            written.
    """
    if config.resume is None or config.run_dir is not None:
        own, run_dir = False, _new_folder(config)
    else:
        own, run_dir = True, _resumed_folder(saved) if saved else run_of(config.resume)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = open(run_dir / LOCK, "a")  # noqa: SIM115 (open while the block runs)
    except OSError as error:
        raise ConfigError(
            f"--run-dir {run_dir}: cannot be written ({error.strerror}); give another folder"
        ) from None
    with lock:
        if not _locked(lock.fileno()):
            raise ConfigError(f"--run-dir {run_dir}: another process is writing this run")
        if not own:
            _refuse_used(run_dir)  # again, now that no other process can fill it
        elif saved is None:
            _begin_anew(run_dir)
        remove_abandoned(run_dir, re.compile(f"{CONFIG}|{METRICS}"))
        try:
            with AtomicFile(run_dir / CONFIG) as file:
                file.temporary.write_text(json.dumps(config.to_json(), indent=2) + "\n")
            if saved is not None and not own:
                _copy_metrics(saved, run_dir)
            yield run_dir
        finally:
            if not own and not checkpoints(run_dir):
                _remove_traces(run_dir)


def run_of(path: Path) -> Path:
    """The folder of a run, given that folder or its ``checkpoints`` folder."""
    return path.parent if path.name == FOLDER else path


def unsaved_settings(path: Path) -> TrainConfig | None:
    """The settings of a run that ended before its first checkpoint; None for any other path.

    Raises:
        ConfigError: they cannot be read.
    """
    file = run_of(path) / CONFIG
    if not file.is_file() or checkpoints(file.parent):
        return None
    try:
        return TrainConfig.from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:  # ConfigError is a ValueError
        raise ConfigError(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def _begin_anew(run_dir: Path) -> None:
    if checkpoints(run_dir):
        raise ConfigError(f"--resume {run_dir}: another process has just saved it; try again")
    (run_dir / METRICS).unlink(missing_ok=True)


def _remove_traces(run_dir: Path) -> None:
    for name in (CONFIG, METRICS, LOCK):
        (run_dir / name).unlink(missing_ok=True)
    for folder in (run_dir / FOLDER, run_dir):
        with suppress(OSError):  # of a folder that does not exist, or holds other files
            folder.rmdir()


def _new_folder(config: TrainConfig) -> Path:
    if config.run_dir is not None:
        _refuse_used(config.run_dir)
        return config.run_dir
    name = f"{config.env.split('/')[-1]}-{config.preset}-seed{config.seed}"
    tries = (Path("runs", name + (f"-{k}" if k > 1 else "")) for k in count(1))
    return next(path for path in tries if not path.exists())


def _refuse_used(run_dir: Path) -> None:
    if any((run_dir / name).exists() for name in (CONFIG, METRICS, FOLDER)):
        raise ConfigError(
            f"--run-dir {run_dir}: holds a run already; give another folder, "
            f"or go on with it by --resume {run_dir}"
        )


def _resumed_folder(saved: Checkpoint) -> Path:
    path = saved.path.resolve()
    run_dir = path.parent.parent
    if path.parent.name != FOLDER:
        raise ConfigError(f"--resume {saved.path}: is in no run's folder; give a new --run-dir")
    others = (p for p in checkpoints(run_dir) if p != path)
    newer = [p for p in others if int(p.stem) > saved.update and _readable(p)]
    if newer:
        raise ConfigError(
            f"--resume {saved.path}: {newer[-1].name} is newer; resume that one, or give a new "
            f"--run-dir so that it is not overwritten"
        )
    return Path(os.path.relpath(run_dir)) if not saved.path.is_absolute() else run_dir


def _readable(path: Path) -> bool:
    try:
        load(path)
    except CheckpointError:
        return False
    return True


def _copy_metrics(saved: Checkpoint, run_dir: Path) -> None:
    """Copy the metrics of the run that the checkpoint is from, for the branch that starts there."""
    source = saved.path.resolve().parent.parent / METRICS
    if source.exists():
        with AtomicFile(run_dir / METRICS) as file:
            shutil.copyfile(source, file.temporary)


def _locked(descriptor: int) -> bool:
    """Try to take the lock, which the system drops when the process ends; False if it is taken."""
    try:
        import fcntl
    except ImportError:  # Windows has no such locks
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

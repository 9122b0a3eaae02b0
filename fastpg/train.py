"""``python -m fastpg.train``: play whole episodes on all cores, learn from them, repeat."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from fastpg.checkpoint import Checkpoint, CheckpointError, checkpoints, load
from fastpg.config import ConfigError, TrainConfig, check, check_resumed, preset
from fastpg.envs.rules import Rules
from fastpg.envs.rules import rules as named_rules
from fastpg.interrupt import Interruptible
from fastpg.kernels import BackendUnavailable
from fastpg.trainer import Diverged, Trainer

# What NoFrameskip means to those who train on it: the frame skip and the random start that it
# leaves to wrappers. The other rules say all of theirs in their registration.
NO_FRAMESKIP_SKIP, NO_FRAMESKIP_NOOPS = 4, 30


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 done, 1 diverged, 2 wrong settings,
    130 interrupted).
    """
    try:
        config, saved = parse(sys.argv[1:] if argv is None else argv)
        return train(config, saved)
    except (ConfigError, BackendUnavailable, CheckpointError) as error:
        print(f"fastpg.train: {error}", file=sys.stderr)
        return 2
    except Diverged as error:
        print(f"fastpg.train: {error}", file=sys.stderr)
        return 1


def parse(argv: Sequence[str]) -> tuple[TrainConfig, Checkpoint | None]:
    """Settings from the command line, over those of ``--preset`` or of the run to resume."""
    import tyro

    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="pong")
    first.add_argument("--resume", type=Path)
    chosen, _ = first.parse_known_args(argv)
    saved = None
    if chosen.resume is None:
        default = preset(chosen.preset)
    else:
        saved = load(chosen.resume)
        default = replace(
            TrainConfig.from_json(saved.state["config"]), resume=chosen.resume, run_dir=None
        )
    config = tyro.cli(TrainConfig, default=default, args=argv, prog="python -m fastpg.train")
    check(config)
    if saved is not None:
        check_resumed(default, config)
    return config, saved


def resolve_rules(config: TrainConfig) -> Rules:
    """The game's rules by name, with what was set apart from them."""
    skip, noops = config.frameskip, config.noop_max
    if "NoFrameskip" in config.env:
        skip = NO_FRAMESKIP_SKIP if skip is None else skip
        noops = NO_FRAMESKIP_NOOPS if noops is None else noops
    try:
        return named_rules(
            config.env,
            frameskip=skip,
            repeat_action_probability=config.repeat_action_probability,
            noop_max=noops,
        )
    except ValueError as error:
        raise ConfigError(f"--env {config.env}: {error}") from None


def train(config: TrainConfig, saved: Checkpoint | None = None) -> int:
    """Train until a limit of ``config`` is reached; everything is written to its run folder."""
    if config.device == "cuda":
        raise BackendUnavailable(
            "--device cuda: this version has no CUDA kernels; leave it out to train on the CPU"
        )
    if config.track and find_spec("tensorboardX") is None:
        raise ConfigError("--track: needs the [track] extra: pip install 'fastpg[track]'")
    rules = resolve_rules(config)
    run_dir = prepare_run_dir(config, saved)
    with Interruptible() as interrupt, Trainer(config, rules, run_dir, saved) as trainer:
        while not trainer.finished and not interrupt.requested:
            batch = interrupt.run(trainer.play)
            if batch is not None:
                trainer.learn(batch)
        trainer.save()
    ended = "interrupted" if interrupt.requested else "done"
    print(f"{ended}: {run_dir}; go on with: python -m fastpg.train --resume {run_dir}")
    return 130 if interrupt.requested else 0


def prepare_run_dir(config: TrainConfig, saved: Checkpoint | None) -> Path:
    """Make the folder that the run writes; never one that holds another run."""
    if saved is not None and config.run_dir is None:
        return _resumed_folder(saved)
    run_dir = config.run_dir or _free_folder(config)
    if (run_dir / "config.json").exists():
        raise ConfigError(
            f"--run-dir {run_dir}: holds a run already; give another folder, "
            f"or go on with it by --resume {run_dir}"
        )
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        probe = run_dir / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"--run-dir {run_dir}: cannot be written ({error.strerror}); give another folder"
        ) from None
    if saved is not None:
        _copy_metrics(saved, run_dir)
    return run_dir


def _free_folder(config: TrainConfig) -> Path:
    name = f"{config.env.split('/')[-1]}-{config.preset}-seed{config.seed}"
    tries = (Path("runs", name + (f"-{k}" if k > 1 else "")) for k in count(1))
    return next(path for path in tries if not path.exists())


def _resumed_folder(saved: Checkpoint) -> Path:
    run_dir = saved.path.parent.parent
    newest = checkpoints(run_dir)[-1]
    if newest != saved.path:
        raise ConfigError(
            f"--resume {saved.path}: {newest.name} is newer; resume that one, or give a new "
            f"--run-dir so that it is not overwritten"
        )
    return run_dir


def _copy_metrics(saved: Checkpoint, run_dir: Path) -> None:
    """Rows up to the checkpoint belong to the branch that starts from it, too."""
    source = saved.path.parent.parent / "metrics.jsonl"
    if source.exists():
        shutil.copyfile(source, run_dir / "metrics.jsonl")


if __name__ == "__main__":
    sys.exit(main())

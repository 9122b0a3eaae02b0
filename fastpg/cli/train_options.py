"""The words of ``fastpg.train`` become settings, and settings become words again."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from fastpg.checkpoint import Checkpoint, CheckpointError, load
from fastpg.cli.options import parse
from fastpg.cli.validate import check_resumed
from fastpg.config import RESUMABLE, ConfigError, TrainConfig, option, preset
from fastpg.evaluation.policy import saved_settings
from fastpg.training.run_folder import unsaved_settings

_LIMITS = {"episodes", "agent_steps", "max_seconds", "stop_at_score"}


def parse_training(argv: Sequence[str]) -> tuple[TrainConfig, Checkpoint | None]:
    """Parse the words over the settings of ``--preset``, or of the run to ``--resume``.

    Returns:
        The settings, whose values are not checked yet, and the checkpoint to continue from: None
        for a new run, and for one to resume that ended before its first checkpoint.

    Raises:
        ConfigError: the words are no settings, or settings of another run than the resumed one.
        SystemExit: after ``--help``.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--preset", default="pong")
    first.add_argument("--resume", type=Path)
    try:
        chosen, _ = first.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    if chosen.resume is None:
        return parse(TrainConfig, argv, "python -m fastpg.train", preset(chosen.preset)), None
    try:
        settings = unsaved_settings(chosen.resume)
        saved = None if settings else load(chosen.resume)
        if saved is not None:
            settings = saved_settings(saved)
    except (CheckpointError, ConfigError) as error:
        raise ConfigError(f"--resume {error}") from None
    assert settings is not None
    default = replace(settings, resume=chosen.resume, run_dir=None)
    if saved is not None and saved.state.get("weights_only"):
        raise ConfigError(
            f"--resume {saved.path}: has only weights, as fastpg.convert writes them; give the "
            "run's folder"
        )
    config = parse(TrainConfig, argv, "python -m fastpg.train", default)
    check_resumed(default, config)
    return config, saved


def training_command(config: TrainConfig) -> str:
    """Return the command that trains with these settings: its preset and what differs from it."""
    words = ["python -m fastpg.train"]
    default = preset(config.preset)
    for field in fields(TrainConfig):
        value, usual = getattr(config, field.name), getattr(default, field.name)
        name = option(field.name)
        if field.name == "preset":
            words += [f"{name} {value}"] * (value != TrainConfig.preset)
        elif field.name in RESUMABLE - _LIMITS or value == usual:
            continue
        elif (field.name, value) in (("emulator", "native"), ("backend", "tiles")):
            continue  # what auto chose
        elif isinstance(value, bool):
            words.append(name if value else "--no-" + name[2:])
        elif isinstance(value, tuple):
            words.append(f"{name} {' '.join(map(str, value))}")
        else:
            words.append(f"{name} {shlex.quote(str(value))}")
    return " ".join(words)

"""``python -m fastpg.convert SOURCE TARGET``: a policy's weights as another kind of file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fastpg.cli.errors import guarded
from fastpg.cli.options import parse
from fastpg.cli.read_policy import NPZ, OURS, PICKLES, read_policy
from fastpg.cli.write_policy import write_article_pickle, write_checkpoint, write_npz
from fastpg.config import ConfigError


@dataclass(frozen=True)
class ConvertConfig:
    """Convert a policy's weights to another file format, chosen by the target's name."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A run folder, a checkpoint file, a .npz or a .p file."""

    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """File to write. .safetensors: a checkpoint of fastpg with only the weights (it can play, but
    --resume needs the run itself). .npz: NumPy's format. .p: the pickle that the article's script
    loads. The command reports what the file cannot hold, or refuses."""

    force: bool = False
    """Replace the target if it exists."""

    bits: Literal[32, 16, 8, 4] = 32
    """.safetensors: bits per weight of the first layer. 8 and 4 are stored with one scale per
    pixel."""

    evaluate: int = 0
    """.safetensors: play this many episodes with the written policy and record its score in the
    file."""

    resumable: bool = False
    """.safetensors: add new games and zero moments, so python -m fastpg.train --resume TARGET
    --run-dir NEW continues training from these weights."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line: the exit code, 0 done, 1 failed, 2 wrong settings, 130 interrupted."""
    return guarded("fastpg.convert", _command, argv)


def _command(argv: Sequence[str]) -> None:
    config = parse(ConvertConfig, argv, "python -m fastpg.convert")
    _check(config)
    policy, target = read_policy(config.source), config.target
    if target.suffix == OURS:
        lines = write_checkpoint(
            target,
            policy,
            source=config.source,
            bits=config.bits,
            episodes=config.evaluate,
            resumable=config.resumable,
        )
    elif target.suffix == NPZ:
        lines = write_npz(target, policy)
    else:
        lines = write_article_pickle(target, policy)
    print("\n".join([f"{target}: {target.stat().st_size:,} bytes", *lines]))


def _check(config: ConvertConfig) -> None:
    target = config.target
    if target.suffix not in (OURS, NPZ, *PICKLES):
        raise ConfigError(f"{target}: expected a name that ends in {OURS}, {NPZ} or {PICKLES[0]}")
    for option, given in (
        ("--bits", config.bits != 32),
        ("--evaluate", config.evaluate),
        ("--resumable", config.resumable),
    ):
        if given and target.suffix != OURS:
            raise ConfigError(f"{option}: is for a target of {OURS}, got {target}")
    if config.evaluate < 0:
        raise ConfigError(f"--evaluate: expected at least 0, got {config.evaluate}")
    if target.is_dir():
        raise ConfigError(f"{target}: is a folder; give a file's name")
    if target.exists() and not config.force:
        raise ConfigError(f"{target}: exists; --force replaces it")


if __name__ == "__main__":
    sys.exit(main())

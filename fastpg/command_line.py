"""What the commands share: exit codes, how words become settings, and errors in one line."""

import ast
import contextlib
import inspect
import io
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import field, fields, make_dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastpg._roms import pong_rom
from fastpg.checkpoint import CheckpointError
from fastpg.config import ConfigError, TrainConfig
from fastpg.envs.rules import Rules
from fastpg.envs.rules import rules as named_rules
from fastpg.envs.workers import WorkerError

DONE, FAILED, WRONG_SETTINGS, INTERRUPTED = 0, 1, 2, 130

# What NoFrameskip means to those who train on it: the frame skip and the random start that it
# leaves to wrappers. The other rules say all of theirs in their registration.
NO_FRAMESKIP_SKIP, NO_FRAMESKIP_NOOPS = 4, 30

Settings = TypeVar("Settings")


def parse(
    kind: type[Settings], argv: Sequence[str], prog: str, default: Settings | None = None
) -> Settings:
    """The settings that a command's words say.

    Args:
        kind: dataclass of the settings; its docstrings are the help.
        argv: the words.
        prog: how the command is called.
        default: what is not said; the dataclass's own defaults if None.

    Raises:
        ConfigError: they say nothing that can be set; one line.
        SystemExit: after ``--help``.
    """
    import tyro

    shown, explained = io.StringIO(), _explained(kind)
    given = {} if default is None else {"default": explained(**vars(default))}
    try:
        with contextlib.redirect_stderr(shown):
            said = tyro.cli(explained, args=argv, prog=prog, **given)
            return kind(**vars(said))
    except SystemExit as leaving:
        if leaving.code != WRONG_SETTINGS:  # --help
            raise
    # tyro draws a box, of ASCII if need be: a title, then paragraphs; the first says what is wrong
    lines = [line.strip("│╭╮╰╯ ") for line in shown.getvalue().splitlines()[1:]]
    text = "\n".join("" if set(line) <= set("─-") else line for line in lines).strip()
    wrong = " ".join(text.partition("\n\n")[0].split())
    near = re.findall(r"^--[^\s,]+", text, re.M) if "Perhaps you meant:" in text else []
    hint = f"; near is {', '.join(near)}" if near else ""
    raise ConfigError(f"{wrong}{hint}; --help explains every option")


def _explained(kind: type[Any]) -> Any:
    """The dataclass with each field's docstring as one paragraph, for its help.

    Tyro would keep the line breaks of the source, wherever they fall in the terminal's lines.
    """
    import tyro

    texts = field_docstrings(kind)
    named = [
        (
            own.name,
            Annotated[own.type, tyro.conf.arg(help=texts[own.name])],
            field(default=own.default, default_factory=own.default_factory),
        )
        for own in fields(kind)
    ]
    explained = make_dataclass(kind.__name__, named, frozen=True)
    explained.__doc__ = kind.__doc__
    return explained


def field_docstrings(kind: type[Any]) -> dict[str, str]:
    """The docstring under each field of a dataclass, in one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant):
                found[statement.target.id] = " ".join(str(text.value).split())
    return found


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


def resolve_emulator(emulator: str, rules: Rules, env: str) -> Literal["native", "ale"]:
    """Who emulates: ``"native"``, our own, or ``"ale"``.

    Args:
        emulator: one of them, or ``"auto"``: native for what it plays.
        rules: of the game.
        env: their name as it was given, for the error.
    """
    plays = rules.game == "pong"
    if emulator == "native" and not plays:
        raise ConfigError(
            f"--emulator native: it plays Pong only; leave it out to play {env} on ale-py"
        )
    if emulator == "ale" or not plays:
        return "ale"
    try:
        pong_rom()
    except RuntimeError as error:
        raise ConfigError(f"--emulator native: {error}") from None
    return "native"


def guarded(name: str, command: Callable[[], None]) -> int:
    """Run a command that writes nothing while it works: its exit code, its errors in one line."""
    try:
        command()
        sys.stdout.flush()
        return DONE
    except (ConfigError, CheckpointError) as error:
        code, said = WRONG_SETTINGS, str(error)
    except BrokenPipeError:  # nobody reads any more; nor may Python complain when it leaves
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (WorkerError, OSError, MemoryError) as error:
        code, said = FAILED, str(error) or type(error).__name__
    except KeyboardInterrupt:
        code, said = INTERRUPTED, "interrupted"
    print(f"{name}: {said}", file=sys.stderr)
    return code

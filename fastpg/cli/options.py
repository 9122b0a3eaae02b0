"""The words of a command line become a dataclass of settings."""

import ast
import contextlib
import inspect
import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import field, fields, make_dataclass
from typing import Annotated, Any, TypeVar

from fastpg.cli.errors import WRONG_SETTINGS
from fastpg.config import ConfigError

Settings = TypeVar("Settings")


def parse(
    kind: type[Settings], argv: Sequence[str], prog: str, default: Settings | None = None
) -> Settings:
    """Parse a command's words.

    Args:
        kind: dataclass of the settings; its docstrings are the help.
        argv: the words.
        prog: name of the command in its help.
        default: values of options that are not given; the dataclass's own defaults if None.

    Raises:
        ConfigError: an unknown option or a value of another type; one line.
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
    # tyro draws a box, in ASCII on some terminals. Its first paragraph tells the mistake.
    lines = [line.strip("│╭╮╰╯ ") for line in shown.getvalue().splitlines()[1:]]
    text = "\n".join("" if set(line) <= set("─-") else line for line in lines).strip()
    wrong = " ".join(text.partition("\n\n")[0].split())
    near = re.findall(r"^--[^\s,]+", text, re.M) if "Perhaps you meant:" in text else []
    hint = f"; near is {', '.join(near)}" if near else ""
    raise ConfigError(f"{wrong}{hint}; --help explains every option")


def _explained(kind: type[Any]) -> Any:
    """Return the dataclass with each field's docstring as one paragraph, for its help.

    Tyro would keep the source's line breaks, which do not fit the terminal's width.
    """
    import tyro

    texts = field_docstrings(kind)
    named = [
        (
            setting.name,
            Annotated[setting.type, tyro.conf.arg(help=texts[setting.name])],
            field(default=setting.default, default_factory=setting.default_factory),
        )
        for setting in fields(kind)
    ]
    explained = make_dataclass(kind.__name__, named, frozen=True)
    explained.__doc__ = kind.__doc__
    return explained


def field_docstrings(kind: type[Any]) -> dict[str, str]:
    """Return the docstring under each field of a dataclass, joined to one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant):
                found[statement.target.id] = " ".join(str(text.value).split())
    return found

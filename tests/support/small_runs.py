"""Small trained runs, for tests of the commands that show them."""

from pathlib import Path

from fastpg.train import main

FAST = "--preset fast --num-envs 4 --steps-per-update 64 --agent-steps 512".split()
#: An input with several views and past actions.
LOOKS_BACK = [*FAST, "--views", "0", "2", "5", "--past-actions", "2"]
ARTICLE = "--episodes 10".split()


def small_run(folder: Path, settings: list[str], seed: int = 0) -> Path:
    """Train into a folder, and return it."""
    words = ["--hidden", "8", "--seed", str(seed), "--run-dir", str(folder), *settings]
    assert main(words) == 0
    return folder


def refused(command, capsys, *words) -> str:
    """Check that a command refuses its words with one line, and return the line."""
    assert command([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err

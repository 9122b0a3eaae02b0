"""The numba backend works without its cache, and replaces damaged files of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastpg

CODE = """
import numpy as np
from fastpg.kernels import get_backend
rewards = np.array([[0.0], [1.0]], np.float32)
print(get_backend("numba").discounted_returns(rewards, rewards != 0, 0.5)[:, 0].tolist())
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package without caches, to be imported from its parent folder."""
    source = Path(fastpg.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "pretrained")
    shutil.copytree(source, tmp_path / "site" / "fastpg", ignore=ignored)
    return tmp_path / "site"


def ran(package, **environment):
    """Run CODE with the copy; return its output and its errors."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, done.stderr


def test_a_cache_that_cannot_be_written_is_a_line(package):
    for folder in ("kernels", "kernels/_numba"):  # root could write to a locked folder
        (package / "fastpg" / folder / "__pycache__").write_text("")
    out, err = ran(package, HOME="/dev/null", XDG_CACHE_HOME="/dev/null", NUMBA_CACHE_DIR="")
    assert out == "[0.5, 1.0]\n"
    assert err.startswith("fastpg: each process compiles the numba backend anew")
    assert err.count("\n") == 1


def test_a_cache_that_fills_the_disk_is_a_line(package):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (99, 99))\n" + CODE
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[0.5, 1.0]\n", done.stderr
    assert "File too large); name a folder in NUMBA_CACHE_DIR" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "other bytes"])
def test_a_damaged_cache_file_is_replaced(package, tmp_path, kind, damage):
    cache = tmp_path / "cache"
    assert ran(package, NUMBA_CACHE_DIR=str(cache)) == ("[0.5, 1.0]\n", "")
    files = list(cache.rglob(f"*discounted_returns*.{kind}"))
    assert files
    for file in files:
        data = file.read_bytes()
        changed = {"truncated": data[: len(data) // 2], "empty": b"", "other bytes": b"\x80" * 99}
        file.write_bytes(changed[damage])
    out, err = ran(package, NUMBA_CACHE_DIR=str(cache))
    assert out == "[0.5, 1.0]\n"
    assert err.startswith("fastpg: made anew: a file of numba's cache in ")
    assert err.count("\n") == 1
    assert ran(package, NUMBA_CACHE_DIR=str(cache)) == ("[0.5, 1.0]\n", "")

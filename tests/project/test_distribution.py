"""The distribution's name: on the package index, "fastpg" is another project."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import fastpg
from fastpg.system.extras import DISTRIBUTION, missing_extra

ROOT = Path(__file__).parents[2]
# After pip's options, the bare name or a file of it; and the bare name with extras anywhere.
OTHERS_PROJECT = re.compile(r"pip install\s+(?:-\S+\s+)*['\"]?fastpg(?!-rl)\b|\bfastpg\[[a-z]")


def project():
    path = ROOT / "pyproject.toml"
    if not path.exists():
        pytest.skip("no source tree")
    return tomllib.loads(path.read_text())["project"]


def texts():
    """Path and text of each file of the repository that is text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no repository")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            yield name, data.decode(errors="replace")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install " + "fastpg", True),
        ("pip install -U -q '" + "fastpg>=1'", True),
        ("needs " + "fastpg" + "[track]", True),
        ("pip install 'fastpg-rl[track]'", False),
        ("pip install -e . && python -m fastpg.train", False),
    ],
)
def test_the_pattern_finds_commands_that_install_the_other_project(text, found):
    assert bool(OTHERS_PROJECT.search(text)) == found


def test_nothing_says_to_install_the_other_project():
    found = [name for name, text in texts() if OTHERS_PROJECT.search(text)]
    assert found == []


def test_the_name_is_the_same_everywhere():
    assert project()["name"] == DISTRIBUTION
    assert f"pip install '{DISTRIBUTION}[track]'" in missing_extra("track")
    assert "pip install -e '.[track]'" in missing_extra("track")


def test_the_version_is_the_distributions():
    assert fastpg.__version__ == version(DISTRIBUTION) == project()["version"]


def test_messages_name_extras_that_exist():
    extras = project()["optional-dependencies"]
    named = {name for _, text in texts() for name in re.findall(r"_extra\(['\"](\w+)", text)}
    assert named
    assert named <= set(extras)

"""What the pages of docs/ print works: their Python, Cython and CUDA, their commands, their paths.

The lines of Markdown files are short. The site itself is built by .ci/run, with warnings as errors.
"""

import itertools
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch

import numpy as np
import pytest

from tests.support.printed import ROOT, blocks, check_command, check_script

DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text() for path in DOCS.rglob("*.md")}
ALL = "\n".join(PAGES.values())
APART = ("from numba import cuda", "cythonize(")  # blocks that run in a process of their own
PYTHON = {
    page: code
    for page, text in PAGES.items()
    if (code := [c for c in blocks(text, "python") if not any(a in c for a in APART)])
}
SHELL = [line for line in "".join(blocks(ALL, "sh")).splitlines() if line]
CELLS = re.findall(r"`((?:for s in [^`]*)?(?:python|fastpg) [^`]*)`", ALL)


def in_order(page):
    """Run the Python blocks of a page one after the other: the names that they leave."""
    names = {}
    for code in PYTHON[page]:
        exec(code, names)
    return names


def test_all_are_found():
    counts = {page: len(code) for page, code in PYTHON.items()}
    assert counts == {"algorithm.md": 4, "embedding.md": 3, "emulator.md": 1, "quickstart.md": 2}
    assert len(blocks(ALL, "python")) == sum(counts.values()) + 2
    assert len(blocks(ALL, "cython")) == 1
    assert (len(SHELL), len(CELLS)) == (46, 18)


@pytest.mark.parametrize("page", PYTHON)
def test_python(page):
    in_order(page)


def block_with(sign):
    (code,) = (code for code in blocks(PAGES["embedding.md"], "python") if sign in code)
    return code


def test_cython(tmp_path, monkeypatch):
    """Build the printed module with the printed setup.py: the results are NumPy's."""
    (tmp_path / "prices.pyx").write_text(blocks(PAGES["embedding.md"], "cython")[0])
    (tmp_path / "setup.py").write_text(block_with("cythonize("))
    built = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=tmp_path,
        env={**os.environ, "CFLAGS": "-O0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    monkeypatch.syspath_prepend(tmp_path)
    import prices

    names = in_order("embedding.md")
    rewards, results = names["rewards"], np.empty_like(names["rewards"])
    prices.priced_returns(rewards, names["dones"], 0.99, 0.01, np.empty_like(rewards), results)
    np.testing.assert_array_equal(results, names["returns"])


def test_cuda_in_the_simulator(tmp_path):
    """Run the kernel that the page prints: the results are NumPy's, to the last bit."""
    saved = tmp_path / "returns.npy"
    code = (
        f"{block_with('from numba import cuda')}\nnp.save({str(saved)!r}, results.copy_to_host())\n"
    )
    (tmp_path / "page.py").write_text(code)
    ran = subprocess.run(
        [sys.executable, tmp_path / "page.py"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    np.testing.assert_array_equal(np.load(saved), in_order("embedding.md")["returns"])


def check_line(line):
    """Check a command that a page prints, however it is called."""
    while loop := re.match(r"for (\w+) in (\S+).*?; do (.*); done$", line):
        name, first, body = loop.groups()
        line = body.replace(f"${name}", first)
    line = line.partition("; ")[0]
    line = re.sub(r"^python -m fastpg[. ]", "fastpg ", line)
    words = shlex.split(line, comments=True)
    if words[0] == "fastpg":
        check_command(" ".join(words[1:]) or "--help")
    elif words[:3] == ["python", "-m", "tests.gpu.ptx"]:  # the command after its options
        inner = itertools.dropwhile(lambda word: word.startswith("--"), words[3:])
        check_line(" ".join(inner) or "fastpg --help")
    elif words[:2] == ["python", "-m"] and words[2].startswith(("tests.", "benchmarks.")):
        check_script(words[2].replace(".", "/") + ".py", words[3:])
    elif words[:3] == ["python", "-m", "pytest"]:
        assert words[3] == "--benchmark"
        assert (ROOT / words[4]).exists()
    elif words[0] == "python" and words[1].endswith(".py"):
        if words[1] != "setup.py":
            check_script(words[1], words[2:])
    else:
        assert words[0] in ("pip", "python3"), line


@pytest.mark.parametrize("line", SHELL)
def test_shell_line(line):
    check_line(line)


@pytest.mark.parametrize("line", CELLS)
def test_command_in_a_line(line):
    check_line(line)


def test_paths_that_are_named_exist():
    named = set(re.findall(r"`((?:fastpg|csrc|tests|benchmarks|examples|docs)/[\w./]*)`", ALL))
    assert len(named) > 20
    here = {
        path for path in named if (ROOT / path.split("/")[0]).is_dir()
    }  # absent beside an installed package
    assert [path for path in sorted(here) if not (ROOT / path).exists()] == []


def test_functions_of_c_that_are_named_exist():
    if not (ROOT / "csrc").is_dir():
        pytest.skip("the C sources are not beside the tests")
    sources = "\n".join(path.read_text() for path in (ROOT / "csrc").rglob("*.h"))
    named = set(re.findall(r"`(fastpg_\w+)`", ALL))
    assert len(named) > 4
    assert [name for name in sorted(named) if not re.search(rf"\b{name}\b", sources)] == []


COLUMNS = 100
FOLDERS = ("docs", "csrc", "tests", "benchmarks", "examples")
MARKDOWN = [
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(path for f in FOLDERS for path in ROOT.glob(f"{f}/**/*.md"))]
]


def long_lines(text):
    """Lines of prose that are too long: tables, code and lines of one link may be longer."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    prose = [line for line in text.splitlines() if not line.startswith(("|", "    "))]
    return [line for line in prose if len(line) > COLUMNS and " " in line.strip()]


@pytest.mark.parametrize("name", MARKDOWN)
def test_lines_of_markdown_are_short(name):
    assert long_lines((ROOT / name).read_text()) == []


def test_long_lines_are_found():
    long = "word " * 30
    assert len(MARKDOWN) > 20
    assert long_lines(f"short\n{long}\n- {long}\n") == [long, f"- {long}"]
    assert long_lines(f"| {long} |\n```sh\n{long}\n```\n    {long}\n[{'x' * 120}](y)") == []


def test_every_test_file_stands_beside_its_claim():
    page = (ROOT / "tests" / "README.md").read_text()
    patterns = set(re.findall(r"`([\w*]+\.py)`", page))
    files = [path.name for path in (ROOT / "tests").glob("*/test_*.py")]
    assert [name for name in files if not any(fnmatch(name, one) for one in patterns)] == []

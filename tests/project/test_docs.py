"""What the pages of docs/ print works: their Python, Cython and CUDA, their commands, their paths.

The site itself is built by .ci/run, with warnings as errors.
"""

import itertools
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from tests.support.printed import ROOT, blocks, check_command, check_script

DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text() for path in DOCS.rglob("*.md")}
ALL = "\n".join(PAGES.values())
APART = ("from numba import cuda", "cythonize(")  # blocks that need a process of their own
PYTHON = {
    page: code
    for page, text in PAGES.items()
    if (code := [c for c in blocks(text, "python") if not any(a in c for a in APART)])
}
SHELL = [line for line in "".join(blocks(ALL, "sh")).splitlines() if line]
CELLS = re.findall(r"`((?:for s in [^`]*)?(?:python|fastpg) [^`]*)`", ALL)


def in_order(page):
    """Names after all Python blocks of a page, run one after the other."""
    names = {}
    for code in PYTHON[page]:
        exec(code, names)
    return names


def test_all_are_found():
    counts = {page: len(code) for page, code in PYTHON.items()}
    assert counts == {"algorithm.md": 4, "embedding.md": 2, "emulator.md": 1, "quickstart.md": 1}
    assert len(blocks(ALL, "python")) == sum(counts.values()) + 2
    assert len(blocks(ALL, "cython")) == 1
    assert (len(SHELL), len(CELLS)) == (25, 31)


@pytest.mark.parametrize("page", PYTHON)
def test_python(page):
    in_order(page)


def apart(sign):
    (code,) = (code for code in blocks(PAGES["embedding.md"], "python") if sign in code)
    return code


def test_cython(tmp_path, monkeypatch):
    """The module that the page prints, built by the setup.py beside it: results as in NumPy."""
    (tmp_path / "prices.pyx").write_text(blocks(PAGES["embedding.md"], "cython")[0])
    (tmp_path / "setup.py").write_text(apart("cythonize("))
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
    """The kernel that the page prints: results as in NumPy, to the last bit."""
    saved = tmp_path / "returns.npy"
    code = f"{apart('from numba import cuda')}\nnp.save({str(saved)!r}, results.copy_to_host())\n"
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
    """A command that a page prints, in any of the ways to call it."""
    while loop := re.match(r"for (\w+) in (\S+).*?; do (.*); done$", line):
        name, first, body = loop.groups()
        line = body.replace(f"${name}", first)
    line = line.partition("; ")[0]
    line = re.sub(r"^python -m fastpg[. ]", "fastpg ", line)
    words = shlex.split(line, comments=True)
    if words[0] == "fastpg":
        check_command(" ".join(words[1:]) or "--help")
    elif words[:3] == ["python", "-m", "tests.gpu.ptx"]:  # what runs there, after its options
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
    here = {path for path in named if (ROOT / path.split("/")[0]).is_dir()}  # not where installed
    assert [path for path in sorted(here) if not (ROOT / path).exists()] == []


def test_functions_of_c_that_are_named_exist():
    if not (ROOT / "csrc").is_dir():
        pytest.skip("the C sources are not beside the tests")
    sources = "\n".join(path.read_text() for path in (ROOT / "csrc").rglob("*.h"))
    named = set(re.findall(r"`(fastpg_\w+)`", ALL))
    assert len(named) > 4
    assert [name for name in sorted(named) if not re.search(rf"\b{name}\b", sources)] == []

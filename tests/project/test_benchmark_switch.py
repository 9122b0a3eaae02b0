"""conftest.py in a small project with its settings: what pytest collects, in which processes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for folder, file in (("tests", "test_it.py"), ("benchmarks", "bench_it.py")):
        (tmp_path / folder).mkdir()
        code = f"def test_one_of_{folder}(): pass\ndef test_two_of_{folder}(): pass\n"
        (tmp_path / folder / file).write_text(code)
    return tmp_path


def pytest_prints(project, *arguments):
    command = [sys.executable, "-m", "pytest", *arguments]
    answer = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


TESTS = ["one_of_tests", "two_of_tests"]
BENCHMARKS = ["one_of_benchmarks", "two_of_benchmarks"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], TESTS),
        (["--benchmark"], BENCHMARKS),
        (["--benchmark", "-k", "two"], BENCHMARKS[1:]),
        (["--benchmark", "tests"], TESTS),
        (["benchmarks/bench_it.py"], BENCHMARKS),
    ],
    ids=" ".join,
)
def test_what_is_collected(project, arguments, expected):
    printed = pytest_prints(project, "--collect-only", "-q", *arguments)
    collected = [line.split("::test_")[1] for line in printed.splitlines() if "::" in line]
    assert collected == expected


@pytest.mark.parametrize(
    ("arguments", "parallel"),
    [
        ([], True),
        (["tests"], True),
        (["tests/test_it.py", "-n", "2"], True),
        (["tests/test_it.py"], False),
        (["tests/test_it.py::test_one_of_tests"], False),
        (["tests", "-n", "0"], False),
        (["--benchmark"], False),
        (["--benchmark", "tests"], False),
        (["benchmarks"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_folders_of_tests_run_in_parallel(project, arguments, parallel):
    pytest.importorskip("xdist")
    assert (" workers [" in pytest_prints(project, *arguments)) == parallel

"""Faults put into the code, one at a time: the tests must notice each.

    python -m tests.proofs.mutate c --count 60 --seed 1
    python -m tests.proofs.mutate python --files fastpg/training/trainer.py

Python's faults are those of Cosmic Ray (``pip install cosmic-ray``). C's are patterns: another
comparison, operator or constant, a statement left out. Faults are drawn at random; the same seed
draws the same ones. Each is put into a copy of the project, C is compiled with few optimizations,
and the tests of the folder run. The faults that survive are printed at the end. docs/notebook.md
lists those that change nothing that matters, with the reason.
"""

import argparse
import ast
import difflib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.printed import ROOT

PATTERNS = (
    (r" < ", " <= "),
    (r" <= ", " < "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" == ", " != "),
    (r" != ", " == "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " + "),
    (r" << ", " >> "),
    (r" >> ", " << "),
    (r" \+= ", " -= "),
    (r" -= ", " += "),
    (r" \|= ", " &= "),
    (r"\bif \(!", "if ("),
    (r"(?<![\w.#\"])0(?![\w.])", "1"),
    (r"(?<![\w.])1(?![\w.])", "2"),
    (r"(?<![\w.])1u\b", "2u"),
    (r"\b0\.0f?\b", "1.0f"),
    (r"\b1\.0f?\b", "0.0f"),
    (r"\bcontinue;", ";"),
    (r"^( +)[\w\->.\[\]]+ (?:[-+*|&^]|<<|>>)?= [^;{]+;$", r"\1;"),  # a statement
    (r"^( +)\w+\([^;{]*\);$", r"\1;"),  # a call
)
# Folder -> tests that must notice its faults.
TESTS = {
    "csrc/console": ["tests/console", "tests/envs/test_envs.py"],
    "csrc/games": ["tests/console", "tests/envs/test_envs.py"],
    "csrc/envs": ["tests/envs", "tests/console", "tests/rollouts"],
    "csrc/kernels": ["tests/kernels", "tests/network"],
    "csrc/network": ["tests/network", "tests/training/test_algorithms.py", "tests/rollouts"],
    "csrc/rollouts": ["tests/rollouts", "tests/training/test_train_tiles.py"],
    "fastpg/algorithms": ["tests/training"],
    "fastpg/training": ["tests/training"],
    "fastpg/rollouts": ["tests/rollouts", "tests/training"],
    "fastpg/network": ["tests/network", "tests/rollouts", "tests/training"],
    "fastpg/envs": ["tests/envs", "tests/training/test_train.py"],
}
SECONDS = 900  # for the tests of one fault; those that never end are noticed


class Fault(NamedTuple):
    """A fault of a file, and what makes its text."""

    file: Path  #: below the project
    make: Callable[[str], str]


# ---- C -----------------------------------------------------------------------------------------


def c_faults(file: Path) -> Iterator[Fault]:
    """All faults that the patterns find in a file's code."""
    text = (ROOT / file).read_text()
    blank = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.S)
    for number, code in enumerate(blank.split("\n")):
        if code.lstrip().startswith("#") or code.rstrip().endswith("\\"):
            continue
        for pattern, replacement in PATTERNS:
            for found in re.finditer(pattern, code):
                yield Fault(file, _replacing(number, found, found.expand(replacement)))


def _replacing(number: int, found: re.Match[str], by: str) -> Callable[[str], str]:
    def make(text: str) -> str:
        lines = text.split("\n")
        line = lines[number]
        lines[number] = line[: found.start()] + by + line[found.end() :]
        return "\n".join(lines)

    return make


# ---- Python ------------------------------------------------------------------------------------


def python_faults(file: Path) -> Iterator[Fault]:
    """All faults that Cosmic Ray finds in a file, but for those in annotations."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names

    tree = get_ast_from_path(ROOT / file)
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        places = [at for node in ast_nodes(tree) for at in operator.mutation_positions(node)]
        for occurrence in range(len(places)):
            yield Fault(file, _mutating(name, occurrence))


def _mutating(name: str, occurrence: int) -> Callable[[str], str]:
    def make(text: str) -> str:
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        changed = mutate_code(text, get_operator(name)(), occurrence)
        try:
            return text if changed is None or _meaning(changed) == _meaning(text) else changed
        except SyntaxError:  # Cosmic Ray takes some stars for operators
            return text

    return make


def _meaning(text: str) -> str:
    """A module without annotations, as text."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if hasattr(node, name):
                setattr(
                    node, name, None if name == "returns" or isinstance(node, ast.arg) else _ANY
                )
    return ast.dump(tree)


_ANY = ast.Name("Any")


# ---- trying them -------------------------------------------------------------------------------


def copy_of_project(folder: Path) -> None:
    """Copy the project's files, with fewer optimizations, and compile them."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    for name in ("setup.py", "fastpg/system/translation.py"):
        path = folder / name
        path.write_text(path.read_text().replace('"-O3"', '"-O1"'))
    if not compiled(folder):
        raise SystemExit("the project itself does not compile")


def compiled(folder: Path) -> bool:
    """Compile the copy; False if that fails."""
    words = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    failed = subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode
    return not failed and any(folder.glob("fastpg/emulator/_translated/*.so"))


def survives(folder: Path, fault: Fault) -> tuple[bool | None, str]:
    """Whether no test notices a fault, None if it is none; and its lines."""
    path = folder / fault.file
    text = path.read_text()
    changed = fault.make(text)
    lines = difflib.unified_diff(text.split("\n"), changed.split("\n"), n=0, lineterm="")
    shown = f"{fault.file}\n" + "\n".join(f"  {line}" for line in [*lines][2:])
    if changed == text:
        return None, shown
    path.write_text(changed)
    try:
        if path.suffix == ".h" and not compiled(folder):
            return None, shown
        tests = TESTS["/".join(fault.file.parts[:2])]
        words = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "auto", *tests]
        own = {**os.environ, "PYTHONPATH": str(folder)}  # for the tests' own processes
        options = {"cwd": folder, "env": own, "capture_output": True, "timeout": SECONDS}
        done = subprocess.run(words, **options, check=False)
        return done.returncode == 0, shown
    except subprocess.TimeoutExpired:
        return False, shown
    finally:
        path.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("language", choices=["c", "python"])
    parser.add_argument("--files", nargs="+", type=Path, help="all of the folders by default")
    parser.add_argument("--count", type=int, default=60, help="faults to try (60)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    find, kind = (c_faults, "*.h") if arguments.language == "c" else (python_faults, "*.py")
    paths = [path for folder in TESTS for path in sorted((ROOT / folder).glob(kind))]
    files = arguments.files or [path.relative_to(ROOT) for path in paths]
    found = [fault for file in files for fault in find(file)]
    random.Random(arguments.seed).shuffle(found)
    tried, survivors = 0, []
    with tempfile.TemporaryDirectory() as name:
        copy_of_project(Path(name))
        for fault in found:
            if tried == arguments.count:
                break
            survived, shown = survives(Path(name), fault)
            if survived is None:
                continue
            tried += 1
            print(f"{tried:4} {'SURVIVES' if survived else 'noticed'} {shown}", flush=True)
            if survived:
                survivors.append(shown)
    print(f"\n{tried - len(survivors)} of {tried} noticed", *survivors, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

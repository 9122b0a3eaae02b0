"""Importing fastpg stays cheap, and modules import in one direction only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastpg

PACKAGE = Path(fastpg.__file__).parent
LEVELS = {
    "kernels": 0,
    "_registration": 0,
    "_roms": 0,
    "_emulator": 0,
    "_training": 0,
    "_games": 0,
    "emulator": 1,
    "envs": 1,
    "policy": 2,
    "mirror": 2,
    "tiles": 2,
    "games": 2,
    "credit": 2,
    "keeping": 2,
    "tails": 2,
    "device": 2,
    "stepped_games": 2,
    "stepped_rows": 2,
    "recording": 2,
    "player": 2,
    "rollout": 2,
    "algorithms": 3,
}
COMMANDS = 4  # the level of every other module: nothing below may import it
COMMAND_FILES = {"train.py", "evaluate.py", "watch.py", "report.py", "convert.py"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
HEAVY = ("numba", "llvmlite", "numpy", "gymnasium", "ale_py", "scipy", "cv2", "matplotlib")


def test_import_brings_in_nothing_heavy():
    code = "import fastpg, sys; dir(fastpg); print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(answer.stdout.split())
    assert loaded.isdisjoint(HEAVY)
    assert "fastpg.kernels._cython" not in loaded


def test_reference_backend_needs_no_compiler():
    code = "import fastpg.kernels as k, sys; k.get_backend('reference'); print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert set(answer.stdout.split()).isdisjoint({"numba", "fastpg.kernels._cython"})


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports anywhere, type checking included."""
    found = set()
    package = ["fastpg", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= names if module == "fastpg" else {module}
    return found


def level(parts: tuple[str, ...]) -> int:
    """Level of a module by its name's parts after fastpg; the package itself is below all."""
    return LEVELS.get(parts[0].removesuffix(".py"), COMMANDS) if parts else -1


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_import_downwards(path):
    own = path.relative_to(PACKAGE).parts
    if own == ("__init__.py",):
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "fastpg":
            assert level(tuple(parts[1:])) <= level(own), f"{'/'.join(own)} imports {name}"


def importers(module: str) -> set[str]:
    """Files of the package that import one of its modules."""
    assert (PACKAGE / f"{module}.py").exists(), f"{module}.py moved: the rules here must follow"
    name = f"fastpg.{module}"
    paths = [path for path in MODULES if name in imported(path)]
    return {str(path.relative_to(PACKAGE)) for path in paths}


def test_config_imports_the_standard_library_only():
    path = PACKAGE / "config.py"
    assert path.exists(), "config.py moved: the rules here must follow"
    assert {name.split(".")[0] for name in imported(path)} <= set(sys.stdlib_module_names)


def test_only_commands_import_config():
    assert importers("config") <= {*COMMAND_FILES, "command_line.py", "trainer.py", "run_dir.py"}


def test_only_commands_import_the_trainer_and_none_is_imported_back():
    assert "train.py" in importers("trainer")
    assert importers("trainer") <= COMMAND_FILES
    commands = {f"fastpg.{name.removesuffix('.py')}" for name in COMMAND_FILES}
    assert commands.isdisjoint(imported(PACKAGE / "trainer.py"))


def test_kernels_know_numpy_and_numba_only():
    allowed = {*sys.stdlib_module_names, "numpy", "numba", "llvmlite", "fastpg"}
    for path in (PACKAGE / "kernels").glob("*.py"):
        assert {name.split(".")[0] for name in imported(path)} <= allowed


def test_numba_options_are_set_in_one_place():
    for path in MODULES:
        if path.name != "_jit.py":
            assert "njit" not in path.read_text().replace("@njit``", ""), path


def test_numba_cuda_is_imported_in_one_place():
    """The CUDA kernels' modules get numba.cuda from there, and the simulator in its place."""
    for path in (PACKAGE / "kernels").glob("*cuda*.py"):
        assert ("numba" in {name.split(".")[0] for name in imported(path)}) == (
            path.name == "_cuda_jit.py"
        ), path

"""Importing fastpg stays cheap, and modules import in one direction only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastpg

PACKAGE = Path(fastpg.__file__).parent
MODULES = sorted(  # an installed package also has the C sources, with the translator
    path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "csrc"
)
COMMANDS = {"train", "evaluate", "watch", "report", "convert"}
# A folder, or a file at the root, imports only from the lines above its own.
LEVELS = [
    {"_registration", "system"},
    {"kernels"},
    {"emulator"},
    {"envs"},
    {"network", "config"},
    {"checkpoint"},
    {"rollouts"},
    {"cuda"},
    {"algorithms"},
    {"training", "evaluation"},
    {"show"},
    {"cli"},
    COMMANDS,
    {"__main__"},
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
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
    """Return the full names of the modules that a file imports, at any place in it."""
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


def part(name: str) -> str:
    """Return the folder, or the file at the root, of a module's full name; "" for the package."""
    return name.split(".")[1] if name.startswith("fastpg.") else ""


def test_every_folder_and_file_has_a_level():
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert found == {*LEVEL, "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_import_downwards(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for other in {part(name) for name in imported(path)} - {"", own}:
        assert LEVEL[other] < LEVEL[own], f"{path.relative_to(PACKAGE)} imports {other}"


def test_config_imports_the_standard_library_only():
    path = PACKAGE / "config.py"
    assert path.exists(), "config.py moved: the rules here must follow"
    assert {name.split(".")[0] for name in imported(path)} <= set(sys.stdlib_module_names)


def test_who_reads_config():
    readers = {
        path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for path in MODULES
        if "fastpg.config" in imported(path)
    }
    assert readers <= {"cli", "training", "evaluation", *COMMANDS}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_only_parse_call_and_print(name):
    assert len((PACKAGE / f"{name}.py").read_text().splitlines()) <= 120


def test_kernels_know_numpy_and_numba_only():
    allowed = {*sys.stdlib_module_names, "numpy", "numba", "llvmlite", "fastpg"}
    for path in (PACKAGE / "kernels").rglob("*.py"):
        assert {name.split(".")[0] for name in imported(path)} <= allowed


def test_numba_options_are_set_in_one_place():
    for path in MODULES:
        if path.relative_to(PACKAGE).as_posix() != "kernels/_numba/jit.py":
            assert "njit" not in path.read_text().replace("@njit``", ""), path


def test_numba_cuda_is_imported_in_one_place():
    """The CUDA kernels' modules get numba.cuda, or the simulator, from one module."""
    for path in [PACKAGE / "kernels" / "cuda.py", *(PACKAGE / "kernels" / "_cuda").glob("*.py")]:
        assert ("numba" in {name.split(".")[0] for name in imported(path)}) == (
            path.relative_to(PACKAGE).as_posix() == "kernels/_cuda/jit.py"
        ), path

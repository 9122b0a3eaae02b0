"""The C loops compiled without AVX-512, and without any vector extensions, against the reference.

The loader picks one copy of each loop, so the other tests run this machine's copy only.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from fastpg.kernels import reference
from fastpg.kernels.spec import BY_NAME
from tests.kernels.test_kernels import assert_agrees, run
from tests.support.cases import cases

ROOT = Path(__file__).parents[2]
FLAGS = {"plain": "", "avx2": "-mavx2"}


def machine_has(*features: str) -> bool:
    try:
        return set(features) <= set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Translate the Cython source once; return a function that compiles and imports it."""
    if not (ROOT / "csrc" / "kernels" / "_cython.pyx").exists():
        pytest.skip("no csrc/ beside the tests: these are the tests of an installed package")
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("no C compiler")
    tree = tmp_path_factory.mktemp("clones")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    script = (ROOT / "setup.py").read_text()
    assert script.count("\nsetup(\n") == 1
    kernels_only = script.replace("\nsetup(\n", "\ndel EXTENSIONS[1:]\nsetup(\n")
    (tree / "setup.py").write_text(kernels_only)
    shutil.copytree(ROOT / "csrc", tree / "csrc")
    kernels = tree / "fastpg" / "kernels"
    kernels.mkdir(parents=True)
    for package in (kernels, kernels.parent):
        (package / "__init__.py").touch()
    shutil.copy(ROOT / "fastpg" / "kernels" / "_cython.pxd", kernels)
    shutil.copytree(ROOT / "fastpg" / "system", kernels.parent / "system")  # setup.py reads it

    def built(which):
        folder = tree / which
        command = ["setup.py", "-q", "build_ext", f"--build-lib={folder}", f"--build-temp={folder}"]
        environment = {**os.environ, "CFLAGS": f"-DFASTPG_CLONES= -g0 {FLAGS[which]}"}
        answer = subprocess.run(
            [sys.executable, *command],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        (library,) = (folder / "fastpg" / "kernels").glob("_cython.*")
        spec = spec_from_file_location(f"fastpg_{which}._cython", library)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return built


@pytest.mark.parametrize("which", FLAGS)
def test_other_copies_equal_the_reference(build, which):
    if which == "avx2" and not machine_has("avx2", "avx512f"):
        pytest.skip("needs AVX2 to run; without AVX-512 the other tests run this copy")
    loops = build(which)
    for op in BY_NAME.values():
        for case in cases(op.name):
            needed, expected = run(reference, case)
            again, actual = run(loops, case)
            assert again == needed
            for name, value in actual.items():
                assert_agrees(op, f"{op.name} {case.label} {name}", value, expected[name])

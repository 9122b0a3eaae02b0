"""The C sources that a GPU's code is compiled from are installed, but never the translated ROM."""

import pytest

from fastpg.cuda import sources
from fastpg.system import c_sources
from tests.gpu.test_cuda import ROOT, in_a_process

# and all headers
SOURCES = {"cuda/device_games.cu", "translate/rom_to_c.py", "translate/rom_disassembler.py"}


def files_below(folder):
    """Paths of all files below a folder, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()}


def test_a_wheel_has_the_sources_but_not_the_rom(tmp_path):
    if not (ROOT / "csrc").is_dir():
        pytest.skip("the C sources are not beside the tests")
    pytest.importorskip("setuptools", minversion="77")
    code = (
        "import runpy, sys; sys.argv = ['setup.py', '-q', 'build_py', '--build-lib', sys.argv[1]];"
        "runpy.run_path('setup.py')"
    )
    ran = in_a_process("-c", code, str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    headers = {name for name in files_below(ROOT / "csrc") if name.endswith(".h")}
    assert files_below(tmp_path / "fastpg" / "csrc") == SOURCES | headers


def test_an_installed_package_has_the_sources_but_not_the_rom():
    names = files_below(c_sources.folder())
    assert names >= SOURCES | {"cuda/device_games.h", "console/a2600.h"}
    assert sources.TRANSLATION not in names

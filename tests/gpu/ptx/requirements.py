"""What the stand-in needs: gcc on x86-64, numba-cuda's compilers, a numba-cuda that it knows.

It replaces private functions of numba-cuda (site/sitecustomize.py) and has just the functions of
the driver's API that numba-cuda and cuda.core call (driver.c). With another release, first run
``python -m pytest tests/gpu/test_ptx.py`` and all device tests, then add the release here.
"""

import platform
import shutil
from importlib.metadata import version

from tests.gpu import cuda_compiler

KNOWN_NUMBA_CUDA = ("0.30",)


def unknown_release(installed: str) -> str:
    """Return why the stand-in cannot be used with a release of numba-cuda, or an empty string."""
    if ".".join(installed.split(".")[:2]) in KNOWN_NUMBA_CUDA:
        return ""
    known = ", ".join(f"{release}.*" for release in KNOWN_NUMBA_CUDA)
    return (
        f"numba-cuda {installed}: the stand-in for a GPU knows {known}: install one of those, or "
        "adapt tests/gpu/ptx and add the release to its requirements.py"
    )


def missing() -> str:
    """Return the reason why the stand-in cannot run here, or an empty string."""
    if shutil.which("gcc") is None or platform.machine() != "x86_64":
        return "the stand-in for a GPU needs gcc on x86-64"
    return cuda_compiler.missing() or unknown_release(version("numba-cuda"))

"""The files of tests that need a GPU, if there is one.

Each runs in a process of its own: after an error on the device, a process can no longer use it.
"""

from pathlib import Path

import pytest

from tests.gpu.test_cuda import ROOT, passes_on_the_gpu

FILES = sorted(path.name for path in Path(__file__).parent.glob("device_*.py"))


@pytest.mark.parametrize("file", FILES)
def test_file_passes_on_the_gpu(file):
    passes_on_the_gpu(str((Path(__file__).parent / file).relative_to(ROOT)))

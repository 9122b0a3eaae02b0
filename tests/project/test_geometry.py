"""The sizes of screen, view and memory are the same in Python and in C."""

import re

import pytest

from fastpg.kernels import geometry
from tests.support.printed import ROOT

HEADER = ROOT / "csrc" / "console" / "geometry.h"


@pytest.mark.skipif(not HEADER.exists(), reason="needs the C sources")
def test_c_has_the_sizes_of_python():
    sizes = dict(re.findall(r"#define A26_(\w+) (\d+)", HEADER.read_text()))
    expected = {
        "SCREEN_HEIGHT": geometry.SCREEN[0],
        "SCREEN_WIDTH": geometry.SCREEN[1],
        "RAM_BYTES": geometry.RAM_SIZE,
        "VIEW_FIRST_ROW": geometry.FIRST_ROW,
        "VIEW_SIDE": geometry.VIEW_SIDE,
        "DQN_SIDE": geometry.DQN_SIDE,
    }
    assert {name: int(sizes[name]) for name in expected} == expected

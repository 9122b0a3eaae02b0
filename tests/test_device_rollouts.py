"""A network's games on a GPU: in numba's simulator and on the device in processes of their own."""

import pytest

from fastpg.kernels import BackendUnavailable, get_backend
from tests.test_cuda import SIMULATOR, in_a_process

ROLLOUTS = "tests/device_rollouts.py"


def play(**environment):
    ran = in_a_process("-m", "pytest", "-q", "-p", "no:cacheprovider", ROLLOUTS, **environment)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]


def test_rollouts_in_the_simulator():
    play(**SIMULATOR)


def test_rollouts_on_the_gpu():
    try:
        get_backend("cuda")
    except BackendUnavailable as error:
        pytest.skip(str(error))
    play(NUMBA_ENABLE_CUDASIM="0")

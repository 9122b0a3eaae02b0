"""The network and its learning on a GPU: in the simulator and on the device, in other processes."""

import pytest

from fastpg.kernels import BackendUnavailable, get_backend
from tests.test_cuda import SIMULATOR, in_a_process

LEARNING = "tests/device_learning.py"


def learn(**environment):
    ran = in_a_process("-m", "pytest", "-q", "-p", "no:cacheprovider", LEARNING, **environment)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]


def test_learning_in_the_simulator():
    learn(**SIMULATOR)


def test_learning_on_the_gpu():
    try:
        get_backend("cuda")
    except BackendUnavailable as error:
        pytest.skip(str(error))
    learn(NUMBA_ENABLE_CUDASIM="0")

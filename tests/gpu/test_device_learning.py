"""The network and its learning on a GPU: in the simulator and on the device, in other processes."""

import pytest

from tests.gpu.test_cuda import passed, passes_on_the_gpu

LEARNING = "tests/gpu/device_learning.py"


@pytest.mark.simulator(LEARNING)
def test_learning_in_the_simulator(simulator):
    passed(simulator())


def test_learning_on_the_gpu():
    passes_on_the_gpu(LEARNING)

"""A network's games on a GPU: in numba's simulator and on the device in processes of their own."""

import pytest

from tests.gpu.test_cuda import passed, passes_on_the_gpu

ROLLOUTS = "tests/gpu/device_rollouts.py"


@pytest.mark.simulator(ROLLOUTS)
def test_rollouts_in_the_simulator(simulator):
    passed(simulator())


def test_rollouts_on_the_gpu():
    passes_on_the_gpu(ROLLOUTS)

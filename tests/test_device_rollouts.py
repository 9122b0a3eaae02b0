"""A network's games on a GPU: in numba's simulator and on the device in processes of their own."""

from tests.test_cuda import SIMULATOR, passes, passes_on_the_gpu

ROLLOUTS = "tests/device_rollouts.py"


def test_rollouts_in_the_simulator():
    passes(ROLLOUTS, **SIMULATOR)


def test_rollouts_on_the_gpu():
    passes_on_the_gpu(ROLLOUTS)

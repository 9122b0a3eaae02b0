"""A network's games on a GPU: in numba's simulator and on the device in processes of their own."""

from tests.gpu.test_cuda import passes_on_the_gpu

ROLLOUTS = "tests/gpu/device_rollouts.py"


def test_rollouts_on_the_gpu():
    passes_on_the_gpu(ROLLOUTS)

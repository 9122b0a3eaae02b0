"""The network and its learning on a GPU: in the simulator and on the device, in other processes."""

from tests.gpu.test_cuda import passes_on_the_gpu

LEARNING = "tests/gpu/device_learning.py"


def test_learning_on_the_gpu():
    passes_on_the_gpu(LEARNING)

"""The network and its learning on a GPU: in the simulator and on the device, in other processes."""

from tests.test_cuda import SIMULATOR, passes, passes_on_the_gpu

LEARNING = "tests/device_learning.py"


def test_learning_in_the_simulator():
    passes(LEARNING, **SIMULATOR)


def test_learning_on_the_gpu():
    passes_on_the_gpu(LEARNING)

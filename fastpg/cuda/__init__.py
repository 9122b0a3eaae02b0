"""Pong on a GPU: the emulator of csrc/ compiled for it, rollouts, the network and its training.

Names are imported on first use, so importing this package needs neither a compiler nor a GPU.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastpg.cuda.emulator import DevicePong as DevicePong
    from fastpg.cuda.emulator import StepResults as StepResults
    from fastpg.cuda.memory import bytes_needed as bytes_needed
    from fastpg.cuda.memory import max_environments as max_environments
    from fastpg.cuda.network import DeviceNetwork as DeviceNetwork
    from fastpg.cuda.optimizer import DeviceOptimizer as DeviceOptimizer
    from fastpg.cuda.rollouts import DeviceCollector as DeviceCollector

_PUBLIC = {
    "DeviceCollector": "fastpg.cuda.rollouts",
    "DeviceNetwork": "fastpg.cuda.network",
    "DeviceOptimizer": "fastpg.cuda.optimizer",
    "DevicePong": "fastpg.cuda.emulator",
    "StepResults": "fastpg.cuda.emulator",
    "bytes_needed": "fastpg.cuda.memory",
    "max_environments": "fastpg.cuda.memory",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

"""Games of Pong that live on a GPU, the emulator of csrc/ compiled for it; and training there.

Names are imported on first use: importing this package loads no compiler and asks for no GPU.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastpg.cuda.emulator import DevicePong as DevicePong
    from fastpg.cuda.emulator import Played as Played
    from fastpg.cuda.memory import bytes_needed as bytes_needed
    from fastpg.cuda.memory import most_environments as most_environments
    from fastpg.cuda.network import DeviceNetwork as DeviceNetwork
    from fastpg.cuda.optimizer import DeviceOptimizer as DeviceOptimizer
    from fastpg.cuda.rollouts import DeviceGames as DeviceGames

_PUBLIC = {
    "DeviceGames": "fastpg.cuda.rollouts",
    "DeviceNetwork": "fastpg.cuda.network",
    "DeviceOptimizer": "fastpg.cuda.optimizer",
    "DevicePong": "fastpg.cuda.emulator",
    "Played": "fastpg.cuda.emulator",
    "bytes_needed": "fastpg.cuda.memory",
    "most_environments": "fastpg.cuda.memory",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

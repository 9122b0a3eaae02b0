"""Games of Pong that live on a GPU, the emulator of csrc/ compiled for it; and training there.

Names are imported on first use: importing this package loads no compiler and asks for no GPU.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastpg.device.games import DeviceGames as DeviceGames
    from fastpg.device.memory import bytes_needed as bytes_needed
    from fastpg.device.memory import most_environments as most_environments
    from fastpg.device.network import DeviceNetwork as DeviceNetwork
    from fastpg.device.optimizer import DeviceOptimizer as DeviceOptimizer
    from fastpg.device.pong import DevicePong as DevicePong
    from fastpg.device.pong import Played as Played

_PUBLIC = {
    "DeviceGames": "fastpg.device.games",
    "DeviceNetwork": "fastpg.device.network",
    "DeviceOptimizer": "fastpg.device.optimizer",
    "DevicePong": "fastpg.device.pong",
    "Played": "fastpg.device.pong",
    "bytes_needed": "fastpg.device.memory",
    "most_environments": "fastpg.device.memory",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

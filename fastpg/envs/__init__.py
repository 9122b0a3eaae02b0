"""Atari games, one or many at once, as Gymnasium environments.

Names are imported on first use, so importing this package loads no emulator and no compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastpg.emulator.palette import PALETTE_RGB as PALETTE_RGB
    from fastpg.envs.ale_game import AleGame as AleGame
    from fastpg.envs.ale_vector_env import AleVectorEnv as AleVectorEnv
    from fastpg.envs.native_env import NativeEnv as NativeEnv
    from fastpg.envs.native_game import NativeGame as NativeGame
    from fastpg.envs.native_vector_env import NativeVectorEnv as NativeVectorEnv
    from fastpg.envs.rules import Rules as Rules
    from fastpg.envs.shared_array import SharedArray as SharedArray
    from fastpg.envs.worker_pool import WorkerError as WorkerError
    from fastpg.envs.worker_pool import WorkerPool as WorkerPool

_PUBLIC = {
    "AleGame": "fastpg.envs.ale_game",
    "AleVectorEnv": "fastpg.envs.ale_vector_env",
    "NativeEnv": "fastpg.envs.native_env",
    "NativeGame": "fastpg.envs.native_game",
    "NativeVectorEnv": "fastpg.envs.native_vector_env",
    "PALETTE_RGB": "fastpg.emulator.palette",
    "Rules": "fastpg.envs.rules",
    "SharedArray": "fastpg.envs.shared_array",
    "WorkerError": "fastpg.envs.worker_pool",
    "WorkerPool": "fastpg.envs.worker_pool",
}

_GAMES = {"native": "NativeGame", "ale": "AleGame"}


def game_class(emulator: str) -> Any:
    """Return the class of a game on an emulator: ``"native"`` (plays Pong only) or ``"ale"``."""
    return __getattr__(_GAMES[emulator])


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

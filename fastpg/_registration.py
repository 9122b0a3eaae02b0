"""Our environments in Gymnasium's registry, once Gymnasium is imported: before us or after."""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_VERSIONS = {
    "fastpg/Pong-v0": "Pong-v0",
    "fastpg/Pong-v4": "Pong-v4",
    "fastpg/Pong-v5": "ALE/Pong-v5",
    "fastpg/PongNoFrameskip-v0": "PongNoFrameskip-v0",
    "fastpg/PongNoFrameskip-v4": "PongNoFrameskip-v4",
}


def register() -> None:
    """Register our ids, each with the rules of ale-py's id of that version."""
    import gymnasium

    for own, of_ale in _VERSIONS.items():
        if own not in gymnasium.registry:
            gymnasium.register(
                own,
                entry_point="fastpg.envs.native_env:NativeEnv",
                vector_entry_point="fastpg.envs.native_vector:NativeVectorEnv",
                kwargs={"env_id": of_ale},
            )


def register_when_imported() -> None:
    """Register now if Gymnasium is there, else as soon as somebody imports it.

    So ``import fastpg`` stays cheap: Gymnasium takes longer to import than all that fastpg needs to
    be looked at.
    """
    if "gymnasium" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _WaitForGymnasium())


class _WaitForGymnasium(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    def __init__(self, loader: Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader  # as if we had not been here
        self._loader.exec_module(module)
        register()

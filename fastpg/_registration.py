"""Registers our environments with Gymnasium, whether it is imported before or after fastpg."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Our id: ale-py's id of the same rules.
ALE_IDS = {
    "fastpg/Pong-v0": "Pong-v0",
    "fastpg/Pong-v4": "Pong-v4",
    "fastpg/Pong-v5": "ALE/Pong-v5",
    "fastpg/PongNoFrameskip-v0": "PongNoFrameskip-v0",
    "fastpg/PongNoFrameskip-v4": "PongNoFrameskip-v4",
}


def register() -> None:
    """Register our ids, each with the rules of ale-py's id."""
    import gymnasium

    for our_id, ale_id in ALE_IDS.items():
        if our_id not in gymnasium.registry:
            gymnasium.register(
                our_id,
                entry_point="fastpg.envs.native_env:NativeEnv",
                vector_entry_point="fastpg.envs.native_vector_env:NativeVectorEnv",
                kwargs={"env_id": ale_id},
            )


def register_when_imported() -> None:
    """Register now if Gymnasium has been imported, else as soon as somebody imports it.

    This keeps ``import fastpg`` cheap: importing Gymnasium would take most of its time.
    """
    if "gymnasium" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _WaitForGymnasium())


class _WaitForGymnasium(MetaPathFinder):
    """Finds Gymnasium with the other finders, and registers after its import.

    It stays in ``sys.meta_path`` until that import, because others may look for the module first.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        for finder in [finder for finder in sys.meta_path if finder is not self]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _ThenRegister(spec.loader, self)
                return spec
        return None


class _ThenRegister(Loader):
    def __init__(self, loader: Loader, finder: MetaPathFinder):
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader  # undo our wrapper
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        register()

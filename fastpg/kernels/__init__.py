"""Kernels of policy-gradient learning from 80x80 binary views of Pong, in several backends.

``from fastpg.kernels import discounted_returns`` gives an op on NumPy arrays, computed by the
``cython`` backend; ``get_backend("numba").discounted_returns`` gives the same op by another one.
All backends have the ops of :class:`fastpg.kernels.ops.Backend`, with the same names, parameters
and results. Those of ``cuda`` take arrays in the GPU's memory
(:class:`fastpg.kernels.cuda.CudaBackend`).

The loops can be embedded in compiled code: :mod:`fastpg.kernels.numba_cpu` in your own ``@njit``
functions, ``fastpg.kernels._cython`` by ``cimport`` (see :func:`get_include`), and
:mod:`fastpg.kernels.cuda_device` and :mod:`fastpg.kernels._cuda.blocks` in your own ``@cuda.jit``
kernels.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastpg.kernels.spec import BY_NAME

if TYPE_CHECKING:
    from fastpg.kernels.ops import Backend

DEFAULT_BACKEND = "cython"

_LOOPS = {
    "reference": "fastpg.kernels.reference",
    "numba": "fastpg.kernels.numba_cpu",
    "cython": "fastpg.kernels.cython_cpu",
    "cuda": "fastpg.kernels.cuda",
}


class BackendUnavailable(RuntimeError):
    """A backend cannot run on this machine; the message gives the reason and the cure."""


def names() -> tuple[str, ...]:
    """Names of all backends, whether or not they can run on this machine."""
    return tuple(_LOOPS)


def get_backend(name: str = DEFAULT_BACKEND) -> "Backend":
    """The ops of a backend.

    Args:
        name: one of :func:`names`.

    Raises:
        ValueError: there is no such backend.
        BackendUnavailable: it cannot run on this machine.
    """
    if name not in names():
        raise ValueError(f"backend: expected one of {', '.join(names())}, got {name!r}")
    return _backend(name)


@cache
def _backend(name: str) -> "Backend":
    from fastpg.kernels.ops import Backend

    loops = import_module(_LOOPS[name])
    return loops.CudaBackend() if name == "cuda" else Backend(name, loops)


def get_include() -> str:
    """The folder that Cython's ``include_path`` needs for ``cimport fastpg.kernels._cython``."""
    return str(Path(__file__).resolve().parents[2])


def __getattr__(name: str) -> Any:
    if name in BY_NAME:
        return getattr(get_backend(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *BY_NAME])

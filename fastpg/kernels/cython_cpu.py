"""The cython backend: loops in C, compiled ahead of time; ``fastpg.kernels._cython`` holds them."""

from fastpg.kernels import BackendUnavailable
from fastpg.kernels.spec import BY_NAME

try:
    import fastpg.kernels._cython as _loops
except ImportError as error:
    raise BackendUnavailable(
        f"the cython backend is not built ({error}); install fastpg with a C compiler present "
        "(`pip install .`, or `pip install -e .` in a checkout), or use the numba backend"
    ) from error

__all__ = list(BY_NAME)

globals().update({name: getattr(_loops, name) for name in BY_NAME})

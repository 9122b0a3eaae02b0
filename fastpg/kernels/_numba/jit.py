"""Numba's options and its cache, set in this module alone, and buffers on the stack.

``fastmath`` is off: the kernel table asks for the same bits as the reference. ``parallel`` is off:
with ``cache`` it has a long history of crashes (numba #4807, #10128), and whoever calls the loops
may run them on threads. ``error_model="numpy"`` drops the check of every division for zero, which
would keep loops from being vectorized.

Numba's cache checks the file of a function, not the files of the functions that it calls. After an
edit of this module or of a helper, delete ``fastpg/kernels/__pycache__/*.nb*`` and
``fastpg/kernels/_numba/__pycache__/*.nb*``.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache
from numba.extending import intrinsic
from numba.np.numpy_support import carray as carray

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy"}
_log = logging.getLogger("fastpg")  # without a handler of the user's, a line on standard error
_said: set[str] = set()


class _Cache(FunctionCache):
    """Numba's cache, without which everything works too: a file that cannot be read is dropped."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code from the cache; None if it has none, or only a damaged file."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # whatever the damage makes of a pickle
            reason = f"{type(error).__name__}: {error}"
            _say_once(f"made anew: a file of numba's cache in {self.cache_path}: {reason}")
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write compiled code to the cache, if it can be written."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # an index that is damaged and cannot be replaced, too
            reason = getattr(error, "strerror", None) or error
            _say_uncached(f"{self.cache_path}: {reason}")


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function on its first call, or take it from the cache."""
    dispatcher = njit(**_OPTIONS)(function)
    try:
        dispatcher._cache = _Cache(function)
    except RuntimeError as error:  # neither our folder nor one of the user's can be written
        _say_uncached(str(error).partition(" for file ")[0])
    return dispatcher


def _say_uncached(reason: str) -> None:
    _say_once(
        "each process compiles the numba backend anew, for half a minute, as its cache cannot be "
        f"written ({reason}); name a folder in NUMBA_CACHE_DIR"
    )


def _say_once(line: str) -> None:
    """Log a line; further ones of its kind would say the same of other functions."""
    kind = line.partition(" ")[0]
    if kind not in _said:
        _said.add(kind)
        _log.warning("fastpg: %s", line)


def _stack(scalar: Any) -> Any:
    """A function for compiled code that reserves a buffer on the caller's stack.

    Loops must not allocate, and all of numba's arrays are on the heap. The buffer has a constant
    size and undefined content, and it ends when the calling function returns.
    """

    @intrinsic
    def pointer(typingctx, count):
        def codegen(context, builder, signature, args):
            element = context.get_value_type(scalar)
            return cgutils.alloca_once(builder, element, size=count.literal_value)

        return (types.CPointer(scalar)(count), codegen) if hasattr(count, "literal_value") else None

    return pointer


stack_float32 = _stack(types.float32)
stack_float64 = _stack(types.float64)

"""Numba's options, set in this module alone, and buffers on the stack.

``fastmath`` is off: the kernel table asks for the same bits as the reference. ``parallel`` is off:
with ``cache`` it has a long history of crashes (numba #4807, #10128), and whoever calls the loops
may run them on threads. ``error_model="numpy"`` drops the check of every division for zero, which
would keep loops from being vectorized.

Numba's cache checks the file of a function, not the files of the functions that it calls. After an
edit of this module or of a helper, delete ``fastpg/kernels/__pycache__/*.nb*`` and
``fastpg/kernels/_numba/__pycache__/*.nb*``.
"""

from typing import Any

from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray as carray

jit = njit(cache=True, nogil=True, fastmath=False, error_model="numpy")


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

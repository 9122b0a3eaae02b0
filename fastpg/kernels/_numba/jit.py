"""The only place that sets numba's options.

No fastmath: the kernel table asks for the same bits as the reference. No ``parallel``: with
``cache`` it has a long history of crashes (numba #4807, #10128), and the cores are already shared
out between processes. ``error_model="numpy"`` so that no division is checked for zero, which would
keep loops from being vectorised.

The cache looks at the file of a function only, not at those it calls: after an edit here, in
:mod:`fastpg.kernels._numba.scalar` or of a helper elsewhere, delete
``fastpg/kernels/__pycache__/*.nb*``.
"""

from typing import Any

from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray as carray

jit = njit(cache=True, nogil=True, fastmath=False, error_model="numpy")


def _stack(scalar: Any) -> Any:
    """Give a function of compiled code that reserves a buffer on the caller's stack.

    Loops must not allocate, and numba's arrays all live on the heap. The buffer has a constant
    size, undefined content, and is gone when the calling function returns.
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

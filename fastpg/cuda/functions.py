"""The emulator as functions that your own ``@cuda.jit`` kernels can call, a thread a game.

::

    from numba import cuda
    from fastpg.cuda import functions

    emulator = functions.load()          # for the current GPU: compiles once, then kept on disk
    play, pointer = emulator.play, functions.pointer

    @cuda.jit
    def kernel(games, shared, actions, scratch, rewards, ends, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            play(pointer(games), pointer(shared), pointer(actions), pointer(scratch),
                 pointer(rewards), pointer(ends), pointer(views), n, games.shape[0], 1)

Arguments are addresses, which nothing checks; what they must hold is written at each function in
csrc/cuda/device_games.h. :class:`fastpg.cuda.DevicePong` has arrays to give them. In numba's
simulator the same functions, compiled for the CPU, are called instead.
"""

import ctypes
from functools import cache
from typing import Any, NamedTuple

from numba import types

from fastpg.cuda.compiler import cubin_for
from fastpg.emulator import _emulator
from fastpg.kernels._cuda.jit import SIMULATED, cuda_module, require_device

# How many addresses, then how many 32-bit integers, each takes. All return a 32-bit integer.
ARGUMENTS = {
    "begin": (5, 1),
    "play": (7, 3),
    "step": (7, 1),
    "difference": (4, 1),
    "tiles": (2, 1),
}


class Functions(NamedTuple):
    """Device functions: the arguments of cuda/device_games.h, in its order.

    Attributes:
        begin: (games, shared, seeds, scratch, views, n): begin an episode of game n.
        play: (games, shared, actions, scratch, rewards, ends, views, n, count, steps): how many
            episodes of game n ended in so many steps.
        step: (games, shared, actions, scratch, rewards, ends, views, n): one step of game n, of
            arrays for one step; an episode that ends is left over. Returns the end.
        difference: (current, previous, indices, signs, room): in how many pixels two views differ.
        tiles: (view, tiles, room): of how many tiles a view is made.
    """

    begin: Any
    play: Any
    step: Any
    difference: Any
    tiles: Any


if SIMULATED:

    def pointer(array: Any) -> int:
        """Where an array's elements lie; 0 if it has none."""
        return array.ctypes.data if array.size else 0

else:
    from llvmlite import ir

    from fastpg.kernels._cuda.jit import intrinsic

    @intrinsic
    def pointer(typing_context, array):
        """Where an array's elements lie; 0 if it has none."""
        if not isinstance(array, types.Array):
            return None

        def generate(context, builder, signature, arguments):
            made = context.make_array(array)(context, builder, arguments[0])
            to = context.get_value_type(types.voidptr)
            empty = builder.icmp_signed("==", made.nitems, ir.Constant(made.nitems.type, 0))
            return builder.select(empty, ir.Constant(to, None), builder.bitcast(made.data, to))

        return types.voidptr(array), generate


def current_capability() -> tuple[int, int]:
    """The compute capability of the current GPU; in the simulator (0, 0).

    Raises:
        BackendUnavailable: no GPU, no driver, a GPU that is too old; the message says the cure.
    """
    require_device()
    if SIMULATED:
        return 0, 0
    major, minor = cuda_module.get_current_device().compute_capability
    return major, minor


def load(capability: tuple[int, int] | None = None) -> Functions:
    """The functions for a compute capability, by default the current GPU's.

    The first call for a GPU takes some twenty seconds; the code is then kept on disk
    (``FASTPG_CACHE_DIR``, by default ``~/.cache/fastpg``).

    Raises:
        BackendUnavailable: no GPU, no driver, no compiler; the message says what to do.
    """
    return _load(capability or current_capability())


@cache
def _load(capability: tuple[int, int]) -> Functions:
    if SIMULATED:
        return Functions(*(_of_the_cpu(name) for name in Functions._fields))
    code = cuda_module.Cubin(cubin_for(capability), name="fastpg_device.cubin")
    return Functions(*(_declared(name, code) for name in Functions._fields))


def _of_the_cpu(name: str) -> Any:
    """A function that the extension module has, by ctypes."""
    addresses, integers = ARGUMENTS[name]
    parameters = [ctypes.c_void_p] * addresses + [ctypes.c_int32] * integers
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, *parameters)
    return prototype(_emulator.DEVICE_FUNCTIONS[f"fastpg_{name}"])


def _declared(name: str, code: Any) -> Any:
    """A function that kernels are linked with."""
    addresses, integers = ARGUMENTS[name]
    signature = types.int32(*[types.voidptr] * addresses, *[types.int32] * integers)
    return cuda_module.declare_device(f"fastpg_{name}", signature, link=[code])

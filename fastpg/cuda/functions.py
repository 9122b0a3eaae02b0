"""The emulator as device functions for your own ``@cuda.jit`` kernels, one thread per game.

::

    from numba import cuda
    from fastpg.cuda import functions

    emulator = functions.load()  # for the current GPU; compiled once, then cached on disk
    play, pointer = emulator.play, functions.pointer

    @cuda.jit
    def kernel(games, shared, actions, scratch, rewards, dones, views):
        n = cuda.grid(1)
        if n < games.shape[0]:
            play(pointer(games), pointer(shared), pointer(actions), pointer(scratch),
                 pointer(rewards), pointer(dones), pointer(views), n, games.shape[0], 1)

Arguments are addresses, which nothing checks. csrc/cuda/device_games.h documents what each function
expects there. :attr:`fastpg.cuda.DevicePong.arrays` has suitable arrays.
"""

from functools import cache
from typing import Any, NamedTuple

from numba import types

from fastpg.cuda.compiler import cubin_for
from fastpg.kernels import BackendUnavailable
from fastpg.kernels._cuda.jit import SIMULATED, cuda_module, require_device

if SIMULATED:
    raise BackendUnavailable(
        "games on a GPU do not run in numba's simulator, which cannot call compiled code: unset "
        "NUMBA_ENABLE_CUDASIM"
    )

from llvmlite import ir

from fastpg.kernels._cuda.jit import intrinsic

# Number of addresses, then of 32-bit integers, that each function takes. All return int32.
ARGUMENTS = {"begin": (5, 1), "play": (7, 3), "step": (7, 1), "tiles": (2, 1)}


class Functions(NamedTuple):
    """Device functions with the arguments of csrc/cuda/device_games.h, in its order.

    Attributes:
        begin: (games, shared, seeds, scratch, views, n): start an episode of game n.
        play: (games, shared, actions, scratch, rewards, dones, views, n, count, steps): play steps
            of game n; returns the number of episodes that ended.
        step: (games, shared, actions, scratch, rewards, dones, views, n): play one step of game n,
            with arrays of one step. An episode that ends is not followed by the next. Returns
            how the episode ended, or 0.
        tiles: (view, tiles, capacity): returns the number of tiles of a view.
    """

    begin: Any
    play: Any
    step: Any
    tiles: Any


def _pointer(typing_context, array):
    """Address of an array's elements; 0 if it has none."""
    if not isinstance(array, types.Array):
        return None

    def generate(context, builder, signature, arguments):
        struct = context.make_array(array)(context, builder, arguments[0])
        target = context.get_value_type(types.voidptr)
        empty = builder.icmp_signed("==", struct.nitems, ir.Constant(struct.nitems.type, 0))
        address = builder.bitcast(struct.data, target)
        return builder.select(empty, ir.Constant(target, None), address)

    return types.voidptr(array), generate


pointer: Any = intrinsic(_pointer)


def current_capability() -> tuple[int, int]:
    """Return the compute capability of the current GPU.

    Raises:
        BackendUnavailable: no GPU, no driver, or a GPU that is too old; the message has the cure.
    """
    require_device()
    major, minor = cuda_module.get_current_device().compute_capability
    return major, minor


def load(capability: tuple[int, int] | None = None) -> Functions:
    """Return the functions for a compute capability, by default the current GPU's.

    The first call for a GPU takes some twenty seconds; the code is then cached on disk
    (``FASTPG_CACHE_DIR``, by default ``~/.cache/fastpg``).

    Raises:
        BackendUnavailable: no GPU, no driver, or no compiler; the message has the cure.
    """
    return _load(capability or current_capability())


@cache
def _load(capability: tuple[int, int]) -> Functions:
    code = cuda_module.Cubin(cubin_for(capability), name="fastpg_device.cubin")
    declared = {}
    for name, (addresses, integers) in ARGUMENTS.items():
        signature = types.int32(*[types.voidptr] * addresses, *[types.int32] * integers)
        declared[name] = cuda_module.declare_device(f"fastpg_{name}", signature, link=[code])
    return Functions(**declared)

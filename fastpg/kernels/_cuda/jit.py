"""The only place that imports numba.cuda, and that sets how code for the GPU is compiled.

Numba's own CUDA target is deprecated: the package numba-cuda puts itself in its place under the
same name, with the compiler and libraries of CUDA 12 or 13. Under ``NUMBA_ENABLE_CUDASIM=1`` numba
runs kernels as plain Python, one Python thread a GPU thread, and needs neither package nor GPU.

No fastmath. The compiler may still fuse a product and a sum into one rounding, which no CPU backend
does: :func:`times32` and :func:`times64` are products that it must round. Kernels are cached in
``__pycache__``, with the blind spot that :mod:`fastpg.kernels._numba.jit` describes.
"""

import importlib.util
import os
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from fastpg.extras import install_extra
from fastpg.kernels import BackendUnavailable

INSTALL = f"{install_extra('cuda')}; for CUDA 13 the extra is cuda13"
SIMULATE = "NUMBA_ENABLE_CUDASIM=1 runs the kernels, slowly, without a GPU"
OLDEST = (7, 0)  # compute capability: Volta, the oldest that the tests compile for


def _import_cuda() -> tuple[Any, bool]:
    """numba.cuda, and whether it is the simulator."""
    from numba import config

    simulated = bool(getattr(config, "ENABLE_CUDASIM", 0))
    if not simulated and importlib.util.find_spec("numba_cuda") is None:
        raise BackendUnavailable(f"the cuda backend needs the package numba-cuda: {INSTALL}")
    try:
        from numba import cuda
    except Exception as error:  # releases that do not go together miss names of each other's
        raise BackendUnavailable(
            f"the cuda backend cannot import {_releases()} ({_line(error)}): {INSTALL}"
        ) from error
    return cuda, simulated


def _releases() -> str:
    """What has to go together, with the releases that are installed."""
    found = []
    for name in ("numba-cuda", "numba", "numpy"):
        with suppress(PackageNotFoundError):  # the simulator needs no numba-cuda
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def _line(error: BaseException) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split()).rstrip(" :.")


class _Simulator:
    """numba.cuda as the code of kernels sees it in the simulator, outside of them the module.

    The simulator swaps it into a device function's module for the time of a call, and threads that
    call functions of another module than their kernel's then take it from each other.
    """

    def __getattr__(self, name: str) -> Any:
        running = _kernel._get_kernel_context()
        if name == "shared" and running is not None:
            return _SharedMemory(vars(running).setdefault("_fastpg_shared", {}))
        return getattr(cuda_module if running is None else running, name)


class _SharedMemory:
    """Shared arrays of a launch by where they are asked for.

    In the simulator's own, two threads that come first at the same time get an array each.
    """

    def __init__(self, arrays: dict):
        self.arrays = arrays

    def array(self, shape: Any, dtype: Any) -> np.ndarray:
        """The array of the line that calls."""
        frame = sys._getframe(1)
        return self.arrays.setdefault((frame.f_code, frame.f_lineno), np.empty(shape, dtype))


cuda_module, SIMULATED = _import_cuda()
kernel = cuda_module.jit(cache=True)

if SIMULATED:
    from numba.cuda.simulator import kernel as _kernel

    cuda = _Simulator()

    def device(function: Any) -> Any:
        """A device function: Python, as it stands."""
        return function

else:
    from numba.cuda.core import config as _config

    # Few environments, or a sum's last step, are few blocks: numba would warn of each.
    _config.CUDA_LOW_OCCUPANCY_WARNINGS = int(os.getenv("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", "0"))
    cuda, device = cuda_module, cuda_module.jit(device=True)

if SIMULATED:  # Python threads are dear, and so is every barrier between them
    THREADS = RETURNS_THREADS = SEGMENT_THREADS = SCAN_THREADS = 8
    WARP = 8
    TILE_THREADS, TILE_DEPTH = 2, 4
else:
    THREADS = 256  # of a block, at most
    RETURNS_THREADS = 32  # environments a block: few, so that all multiprocessors have some
    SEGMENT_THREADS = 128  # of standardize, up to 4,096 numbers: fewer to wait for in its sums
    SCAN_THREADS = 1024
    WARP = 32
    TILE_THREADS, TILE_DEPTH = 16, 16  # of a matrix product: threads along a side, and its depth

if SIMULATED:

    @device
    def times32(a, b):
        """A float32 product, rounded before anything is added to it."""
        return a * b

    @device
    def times64(a, b):
        """A float64 product, rounded before anything is added to it."""
        return a * b

else:
    from numba.cuda import libdevice
    from numba.cuda.extending import intrinsic as intrinsic

    @device
    def times32(a, b):
        """A float32 product, rounded before anything is added to it."""
        return libdevice.fmul_rn(a, b)

    @device
    def times64(a, b):
        """A float64 product, rounded before anything is added to it."""
        return libdevice.dmul_rn(a, b)


# Loops that count. numba takes an index, if negative, from the end, which is three instructions of
# 64 bits unless it is unsigned (`index`) or the compiler sees that it is not negative (`counted`:
# of a number below 2^32). And a range() is three times a while loop's instructions; with a step
# that is no constant it also divides.
index = np.uint64


@device
def counted(number):
    """The number, for which the compiler then knows that it is not negative."""
    return np.int64(np.uint32(number))


_TYPED: dict[Any, Any] = {}


def typed(kernel: Any, *arguments: Any) -> Any:
    """A kernel for arguments of the types of these alone: launches do not look at them again.

    That look takes longer than the launch itself: some 60 us for each NamedTuple of arrays. The
    same types give the same kernel again, which then is compiled and loaded already.
    """
    if SIMULATED:
        return kernel
    types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
    if (kernel, types) not in _TYPED:
        own = cuda_module.jit(cache=True)(kernel.py_func)
        own.compile(types)
        own.disable_compile()
        # as numba's own `specialize`, which does not cache what it compiles
        own._specialized = True
        _TYPED[kernel, types] = own
    return _TYPED[kernel, types]


def require_device() -> None:
    """Raise :class:`BackendUnavailable`, with the cure, unless kernels can run here."""
    if SIMULATED:
        return
    try:
        capability = cuda.get_current_device().compute_capability
    except Exception as error:  # numba-cuda, CUDA's bindings and the driver each have their own
        raise BackendUnavailable(_no_device(_line(error))) from error
    if tuple(capability) < OLDEST:
        found, needed = (".".join(map(str, one)) for one in (capability, OLDEST))
        raise BackendUnavailable(
            f"the cuda backend needs compute capability {needed}, this GPU has {found}: choose a "
            "newer one with CUDA_VISIBLE_DEVICES, or use the cython backend"
        )
    try:  # nothing: it takes the compiler, and all that numba-cuda imports only now
        cuda_module.compile_ptx(lambda: None, (), cc=tuple(capability))
    except Exception as error:
        raise BackendUnavailable(
            f"the cuda backend cannot compile with {_releases()} ({_line(error)}): {INSTALL}"
        ) from error


def _no_device(message: str) -> str:
    """One line for what the driver said when it was asked for a GPU."""
    if "library cannot be found" in message or "CUDA is disabled" in message:
        cure = "install NVIDIA's driver and do not set NUMBA_DISABLE_CUDA"
        return f"the cuda backend finds no NVIDIA driver ({message}): {cure}; {SIMULATE}"
    if "INSUFFICIENT_DRIVER" in message or "SYSTEM_DRIVER_MISMATCH" in message:
        cure = "update NVIDIA's driver, or install the extra for the older CUDA"
        return f"the cuda backend finds a driver that does not fit ({message}): {cure}"
    cure = "check nvidia-smi and CUDA_VISIBLE_DEVICES"
    return f"the cuda backend finds no GPU ({message}): {cure}; {SIMULATE}"

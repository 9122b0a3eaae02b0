"""How code for the GPU is compiled; the only module of the backend that imports numba.cuda.

Numba's own CUDA target is deprecated. The package numba-cuda replaces it under the same name, with
the compiler and libraries of CUDA 12 or 13. With ``NUMBA_ENABLE_CUDASIM=1`` numba runs kernels as
plain Python, one Python thread per GPU thread, and needs neither the package nor a GPU.

``fastmath`` is off. The compiler may still contract a multiply and an add (FMA), which no CPU
backend does; :func:`times32` and :func:`times64` prevent it. Kernels are cached in
``__pycache__``; edits of helper modules do not invalidate the cache, see
:mod:`fastpg.kernels._numba.jit`.
"""

import importlib.util
import operator
import os
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from fastpg.kernels import BackendUnavailable
from fastpg.system.extras import install_extra

INSTALL = f"{install_extra('cuda')}; for CUDA 13 the extra is cuda13"
SIMULATE = "NUMBA_ENABLE_CUDASIM=1 runs the ops of the kernel table, slowly, without a GPU"
OLDEST = (7, 0)  # compute capability: Volta, the oldest that the tests compile for


def _import_cuda() -> tuple[Any, bool]:
    """Import numba.cuda; return it, and whether it is the simulator."""
    from numba import config

    simulated = bool(getattr(config, "ENABLE_CUDASIM", 0))
    if not simulated and importlib.util.find_spec("numba_cuda") is None:
        raise BackendUnavailable(f"the cuda backend needs the package numba-cuda: {INSTALL}")
    try:
        from numba import cuda
    except Exception as error:  # incompatible releases miss names of each other
        raise BackendUnavailable(
            f"the cuda backend cannot import {_releases()} ({_line(error)}): {INSTALL}"
        ) from error
    return cuda, simulated


def _releases() -> str:
    """The packages that must fit together, with their installed releases."""
    found = []
    for name in ("numba-cuda", "numba", "numpy"):
        with suppress(PackageNotFoundError):  # the simulator needs no numba-cuda
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def _line(error: BaseException) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split()).rstrip(" :.")


class _Simulator:
    """The simulator's numba.cuda inside a kernel, and the plain module outside.

    The simulator swaps ``cuda`` in a device function's module for the time of a call. Threads that
    call functions of a module other than their kernel's would swap it for each other.
    """

    def __getattr__(self, name: str) -> Any:
        running = _kernel._get_kernel_context()
        if name == "shared" and running is not None:
            return _SharedMemory(vars(running).setdefault("_fastpg_shared", {}))
        return getattr(cuda_module if running is None else running, name)


class _SharedMemory:
    """Shared arrays of a launch, one per line of code that asks for one.

    The simulator's own gives two threads that ask first at the same time different arrays.
    """

    def __init__(self, arrays: dict):
        self.arrays = arrays

    def array(self, shape: Any, dtype: Any) -> np.ndarray:
        """The shared array of the calling line."""
        frame = sys._getframe(1)
        return self.arrays.setdefault((frame.f_code, frame.f_lineno), np.empty(shape, dtype))


cuda_module, SIMULATED = _import_cuda()
kernel = cuda_module.jit(cache=True)

if SIMULATED:
    from numba.cuda.simulator import kernel as _kernel

    cuda = _Simulator()

    def device(function: Any) -> Any:
        """A device function: plain Python in the simulator."""
        return function

    multiply32 = multiply64 = operator.mul
    # Python threads and their barriers are slow.
    THREADS = RETURNS_THREADS = SEGMENT_THREADS = SCAN_THREADS = WARP = 8
    PRODUCT_THREADS, PRODUCT_DEPTH = 2, 4
else:
    from numba.cuda import libdevice
    from numba.cuda.core import config as _config
    from numba.cuda.extending import intrinsic as intrinsic

    # Few environments, or the last step of a sum, need few blocks; numba would warn of each.
    _config.CUDA_LOW_OCCUPANCY_WARNINGS = int(os.getenv("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", "0"))
    cuda, device = cuda_module, cuda_module.jit(device=True)
    multiply32, multiply64 = libdevice.fmul_rn, libdevice.dmul_rn
    THREADS = 256  # most threads of a block
    RETURNS_THREADS = 32  # environments per block: few, so that all multiprocessors get some
    SEGMENT_THREADS = 128  # of standardize for up to 4,096 values: its sums wait for fewer threads
    SCAN_THREADS = 1024
    WARP = 32
    PRODUCT_THREADS = 16  # of a matrix product's block, along each side
    PRODUCT_DEPTH = 16  # inner dimension that a block stages at a time


@device
def times32(a, b):
    """A float32 product that is rounded before a sum."""
    return multiply32(a, b)


@device
def times64(a, b):
    """A float64 product that is rounded before a sum."""
    return multiply64(a, b)


# Fast loops. numba counts a negative index from the end. That takes three 64-bit instructions,
# unless the index is unsigned (`index`) or the compiler sees that it is not negative (`counted`, of
# a number below 2^32). A range() takes three times the instructions of a while loop, and with a
# variable step it also divides.
index = np.uint64


@device
def counted(number):
    """The number, in a form that the compiler knows to be non-negative."""
    return np.int64(np.uint32(number))


_TYPED: dict[Any, Any] = {}


def typed(kernel: Any, *arguments: Any) -> Any:
    """The kernel, compiled for the types of these arguments alone.

    Its launches skip numba's look at the arguments' types, which takes longer than the launch
    itself: some 60 microseconds per NamedTuple of arrays. The same types give the same kernel.
    """
    if SIMULATED:
        return kernel
    types = tuple(kernel.typeof_pyval(argument) for argument in arguments)
    if (kernel, types) not in _TYPED:
        own = cuda_module.jit(cache=True)(kernel.py_func)
        own.compile(types)
        own.disable_compile()
        # like numba's own `specialize`, but with its cache
        own._specialized = True
        _TYPED[kernel, types] = own
    return _TYPED[kernel, types]


def require_device() -> None:
    """Raise :class:`BackendUnavailable` unless kernels can run on this machine."""
    if SIMULATED:
        return
    try:
        capability = cuda.get_current_device().compute_capability
    except Exception as error:  # numba-cuda, CUDA's bindings and the driver have their own types
        raise BackendUnavailable(_no_device(_line(error))) from error
    if tuple(capability) < OLDEST:
        found, needed = (".".join(map(str, one)) for one in (capability, OLDEST))
        raise BackendUnavailable(
            f"the cuda backend needs compute capability {needed}, this GPU has {found}: choose a "
            "newer one with CUDA_VISIBLE_DEVICES, or use the cython backend"
        )
    try:  # an empty kernel needs the compiler, and all that numba-cuda imports late
        cuda_module.compile_ptx(lambda: None, (), cc=tuple(capability))
    except Exception as error:
        raise BackendUnavailable(
            f"the cuda backend cannot compile with {_releases()} ({_line(error)}): {INSTALL}"
        ) from error


def _no_device(message: str) -> str:
    """The reason and the cure, on one line, from the driver's message."""
    if "library cannot be found" in message or "CUDA is disabled" in message:
        cure = "install NVIDIA's driver and do not set NUMBA_DISABLE_CUDA"
        return f"the cuda backend finds no NVIDIA driver ({message}): {cure}; {SIMULATE}"
    if "INSUFFICIENT_DRIVER" in message or "SYSTEM_DRIVER_MISMATCH" in message:
        cure = "update NVIDIA's driver, or install the extra for the older CUDA"
        return f"the cuda backend finds a driver that does not fit ({message}): {cure}"
    cure = "check nvidia-smi and CUDA_VISIBLE_DEVICES"
    return f"the cuda backend finds no GPU ({message}): {cure}; {SIMULATE}"

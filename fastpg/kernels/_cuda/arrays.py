"""Arrays in the GPU's memory and streams of any library, as numba's own."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels._cuda.jit import SIMULATED, cuda

LEGACY_STREAM = 1  # what __cuda_array_interface__ calls the default stream


def as_stream(stream: Any) -> Any:
    """Numba's stream object for a stream of any library.

    Args:
        stream: 0 (the default stream), one of numba's, an object with ``__cuda_stream__``
            (PyTorch's, CuPy's and cuda.core's have it), or a handle as an integer (CuPy's
            ``stream.ptr``, PyTorch's ``stream.cuda_stream``).

    Raises:
        TypeError: it is none of these.
    """
    if hasattr(stream, "auto_synchronize"):
        return stream
    if hasattr(stream, "__cuda_stream__"):
        stream = int(stream.__cuda_stream__()[1])
    if not isinstance(stream, int):
        raise TypeError(
            f"stream: expected a CUDA stream or its handle, got {type(stream).__name__}"
        )
    if SIMULATED:  # it has one kind of stream, and runs all work at once
        return cuda.stream()
    return cuda.external_stream(stream) if stream else cuda.default_stream()


def stream_number(stream: Any) -> int:
    """The number that ``__cuda_array_interface__`` uses for a stream of numba's."""
    return LEGACY_STREAM if SIMULATED else _handle(stream) or LEGACY_STREAM


def stream_of_arrays(stream: Any) -> Any:
    """The stream to allocate arrays with: a stream of numba's, or 0 for the default one.

    With the default stream as an object, numba would write its handle, 0, into
    ``__cuda_array_interface__``, which forbids that number.
    """
    return stream if SIMULATED or _handle(stream) else 0


def _handle(stream: Any) -> int:
    """The handle of a stream of numba's, 0 for the default one."""
    return int(stream.handle or 0)


def adopted(array: Any, number: int) -> Any:
    """Numba's view of an array in the GPU's memory; anything else is returned unchanged.

    If an array names its stream (CuPy's do), the host waits for that stream, unless it is the one
    with this number: within a stream the GPU keeps the order.
    """
    if getattr(array, "__cuda_ndarray__", False):
        return array
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is None:
        return array
    return cuda.as_cuda_array(array, sync=interface.get("stream") not in (None, number))


def address(array: Any) -> int:
    """The address of an array of numba's."""
    if SIMULATED:
        return array.ctypes.data
    return array.__cuda_array_interface__["data"][0]


class Flags(NamedTuple):
    """The two of NumPy's array flags that the checks read."""

    c_contiguous: bool
    writeable: bool


class Described(NamedTuple):
    """The attributes of an array that :mod:`fastpg.kernels.checks` reads, and the array."""

    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    flags: Flags
    array: Any


def described(name: str, array: Any, number: int) -> Described:
    """Describe an array in the GPU's memory for the checks.

    Raises:
        TypeError: it is no such array.
    """
    taken = adopted(array, number)
    if not getattr(taken, "__cuda_ndarray__", False):
        raise TypeError(
            f"{name}: expected an array in the GPU's memory (with __cuda_array_interface__), got "
            f"{type(array).__name__}"
        )
    read_only = taken is not array and array.__cuda_array_interface__["data"][1]
    flags = Flags(bool(taken.is_c_contiguous()), not read_only)
    return Described(np.dtype(taken.dtype), tuple(taken.shape), tuple(taken.strides), flags, taken)

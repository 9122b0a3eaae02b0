"""Arrays in the GPU's memory, and streams: whoever made them, as numba's own."""

from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels._cuda.jit import SIMULATED, cuda

LEGACY_STREAM = 1  # what __cuda_array_interface__ calls the default stream


def as_stream(stream: Any) -> Any:
    """Numba's stream for one of anybody's.

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
    if SIMULATED:  # has one kind of stream, and work on all is done at once
        return cuda.stream()
    return cuda.external_stream(stream) if stream else cuda.default_stream()


def stream_number(stream: Any) -> int:
    """A stream of numba's by the number that ``__cuda_array_interface__`` has for it."""
    return LEGACY_STREAM if SIMULATED else _handle(stream) or LEGACY_STREAM


def stream_of_arrays(stream: Any) -> Any:
    """What to make arrays with, on a stream of numba's: 0 where it is the default one.

    As an object numba would write its number, 0, into ``__cuda_array_interface__``, which must not
    be.
    """
    return stream if SIMULATED or _handle(stream) else 0


def _handle(stream: Any) -> int:
    """A stream of numba's by its handle, 0 of the default one."""
    return int(stream.handle or 0)


def adopted(array: Any, number: int) -> Any:
    """Numba's view of an array in the GPU's memory; anything else comes back as it is.

    An array that names the stream it was made on (CuPy's do) is waited for, by the host, unless
    that is the stream of this number: then the GPU keeps the order by itself.
    """
    if getattr(array, "__cuda_ndarray__", False):
        return array
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is None:
        return array
    return cuda.as_cuda_array(array, sync=interface.get("stream") not in (None, number))


def address(array: Any) -> int:
    """Where an array of numba's begins."""
    if SIMULATED:
        return array.ctypes.data
    return array.__cuda_array_interface__["data"][0]


class Flags(NamedTuple):
    """The two of NumPy's flags that arguments are checked for."""

    c_contiguous: bool
    writeable: bool


class Seen(NamedTuple):
    """What the checks of :mod:`fastpg.kernels.checks` look at, and the array that it describes."""

    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    flags: Flags
    array: Any


def seen(name: str, array: Any, number: int) -> Seen:
    """Describe an array of the GPU for the checks.

    Raises:
        TypeError: it is none.
    """
    taken = adopted(array, number)
    if not getattr(taken, "__cuda_ndarray__", False):
        raise TypeError(
            f"{name}: expected an array in the GPU's memory (with __cuda_array_interface__), got "
            f"{type(array).__name__}"
        )
    read_only = taken is not array and array.__cuda_array_interface__["data"][1]
    flags = Flags(bool(taken.is_c_contiguous()), not read_only)
    return Seen(np.dtype(taken.dtype), tuple(taken.shape), tuple(taken.strides), flags, taken)

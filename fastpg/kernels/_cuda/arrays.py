"""Arrays in the GPU's memory and streams of any library, as numba's own."""

from collections.abc import Mapping
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
    """Those of NumPy's array flags that the checks read."""

    aligned: bool
    c_contiguous: bool
    writeable: bool


class DeviceMemory:
    """Arrays in the GPU's memory, of any library with ``__cuda_array_interface__``.

    Attributes:
        stream: on which arrays are allocated and copied, as numba's object.
        number: the stream's number in ``__cuda_array_interface__``.
        checks_values: whether arrays' elements are checked, which copies them to the host.
    """

    where = " in the GPU's memory (with __cuda_array_interface__)"

    def __init__(self, stream: Any, checks_values: bool):
        self.stream, self.checks_values = stream, checks_values
        self.number = stream_number(stream)

    def empty(self, shape: Any, dtype: Any) -> Any:
        """See :class:`fastpg.kernels.checks.Memory`."""
        return cuda.device_array(shape, dtype, stream=stream_of_arrays(self.stream))

    def adopted(self, array: Any) -> Any:
        """Numba's view of an array in this memory; anything else is returned unchanged."""
        return adopted(array, self.number)

    def describe(self, array: Any) -> tuple[Any, Flags] | None:
        """See :class:`fastpg.kernels.checks.Memory`."""
        try:
            taken = self.adopted(array)
            own = taken is array
            read_only = not own and array.__cuda_array_interface__["data"][1]
        except (RuntimeError, NotImplementedError, KeyError, TypeError, ValueError):
            return None  # an interface that numba cannot read, or that must not be read
        if not getattr(taken, "__cuda_ndarray__", False):
            return None
        aligned = address(taken) % np.dtype(taken.dtype).itemsize == 0
        return taken, Flags(aligned, bool(taken.is_c_contiguous()), not read_only)

    def address(self, array: Any) -> int:
        """See :class:`fastpg.kernels.checks.Memory`."""
        return address(array)

    def to_host(self, array: Any) -> np.ndarray:
        """A copy in the host's memory; it waits for the stream."""
        copy = self.adopted(array).copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return copy

    def check_values(self, rule: Any, arrays: Mapping[str, Any], size: int) -> None:
        """See :class:`fastpg.kernels.checks.Memory`."""
        if self.checks_values:
            rule({name: self.to_host(array) for name, array in arrays.items()}, size)

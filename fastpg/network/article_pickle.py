"""Reads the pickle of the article's weights without running anything that the pickle names.

A pickle is a program that calls what it names. This reader lets it name only what NumPy's own
pickles of arrays name, and puts a stand-in in each one's place: not even NumPy's functions run on
the file's arguments.
"""

import pickle
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

Array = np.ndarray


class _FloatDtype:
    """Stands in for ``numpy.dtype``: floats of 2, 4 or 8 bytes, nothing else.

    NumPy's own would take any flags from the pickle: an object dtype that claims to be plain bytes
    makes pointers of the file's bytes.
    """

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or not re.fullmatch("[<>=|]?f[248]", code):
            raise pickle.UnpicklingError(f"refused the array type numpy.dtype({code!r})")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class FloatArray:
    """Stands in for ``numpy.ndarray``: its state is bytes, a float dtype and a shape."""

    array: Array = np.empty(0, np.float32)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _array_of(data, dtype, shape, "F" if fortran else "C")


def _array_of(data: Any, dtype: Any, shape: Any, order: Any) -> Array:
    if not isinstance(dtype, _FloatDtype) or not isinstance(data, str | bytes | bytearray):
        raise pickle.UnpicklingError("refused an array that is not bytes of a float dtype")
    raw = data.encode("latin1") if isinstance(data, str) else data  # str: Python 2's bytes
    return np.frombuffer(raw, dtype.dtype).reshape(shape, order=order)


def _from_buffer(*args: Any) -> FloatArray:
    result = FloatArray()
    result.array = _array_of(*args)
    return result


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused the encoding {encoding!r}")
    return text.encode("latin1")


def _not_called(*_: Any) -> None:
    raise pickle.UnpicklingError("refused a direct call of numpy.ndarray")


class _Global:
    """A global that a pickle may call, and neither change nor look into."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("refused to change a global")


_GLOBALS: dict[tuple[str, str], Callable] = {
    ("_codecs", "encode"): _latin1,  # how Python 3 writes bytes for Python 2
    ("numpy", "dtype"): _FloatDtype,
    ("numpy", "ndarray"): _not_called,  # named as an argument only
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: FloatArray(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: FloatArray(),
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}


class LegacyUnpickler(pickle.Unpickler):
    """Builds dicts, strings, numbers and float arrays; every global is one of ours or refused.

    The result of ``load`` has a :class:`FloatArray` wherever the pickle has a NumPy array. A
    refusal is a ``pickle.UnpicklingError``; a damaged pickle can raise anything.
    """

    def __init__(self, data: bytes):
        super().__init__(BytesIO(data), encoding="latin1")  # the bytes of Python 2's arrays

    def find_class(self, module: str, name: str) -> Any:
        """Our stand-in for a global that NumPy's pickles of arrays use; refuses all others."""
        if (module, name) not in _GLOBALS:
            raise pickle.UnpicklingError(f"refused the global {module}.{name}")
        return _Global(_GLOBALS[module, name])

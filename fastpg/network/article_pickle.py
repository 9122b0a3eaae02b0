"""The article's ``save.p``: a pickle of the weights, read without executing code from it.

The file holds ``{"W1": (H, 6400), "W2": (H,)}``, float64, written by Python 2 or 3. A pickle is a
program that calls the functions it names. This reader accepts only the names that NumPy's own
pickles of arrays use, and calls a stand-in for each: not even NumPy's functions run on the file's
arguments.
"""

import pickle
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

from fastpg.kernels.geometry import VIEW_PIXELS

Array = np.ndarray


def read_article_weights(data: bytes) -> tuple[Array, Array]:
    """Read the weights, as :func:`fastpg.checkpoint.load_article_weights` returns them.

    Raises:
        ValueError: not such a pickle, or it names something else; one line.
    """
    try:
        model = _ArrayUnpickler(data).load()
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"not a pickle of the article's weights: {reason}") from error
    if not isinstance(model, dict) or set(model) != {"W1", "W2"}:
        found = sorted(map(str, model)) if isinstance(model, dict) else type(model).__name__
        raise ValueError(f"expected a dict of W1 and W2, got {found}")
    if not all(isinstance(value, _FloatArray) for value in model.values()):
        raise ValueError("expected W1 and W2 to be arrays")
    w1, w2 = model["W1"].array, model["W2"].array
    if w1.ndim != 2 or w1.shape[1] != VIEW_PIXELS or not w1.size:
        raise ValueError(f"W1: expected (H, {VIEW_PIXELS}), got {w1.shape}")
    if w2.shape != w1.shape[:1]:
        raise ValueError(f"W2: expected {w1.shape[:1]} to fit W1, got {w2.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.array(w1.T, np.float32, order="C"), np.array(w2[None], np.float32, order="C")
    for name, array in zip(("W1", "W2"), weights, strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: a weight is not finite as float32")
    return weights


def article_pickle(w1: Array, w2: Array) -> bytes:
    """Return the bytes that :func:`fastpg.checkpoint.save_article_weights` writes.

    Raises:
        ValueError: other shapes.
    """
    if w1.ndim != 2 or w1.shape[0] != VIEW_PIXELS or w2.shape != (1, w1.shape[1]):
        raise ValueError(
            f"the article's network has w1 ({VIEW_PIXELS}, H) and w2 (1, H), "
            f"got {w1.shape} and {w2.shape}"
        )
    model = {"W1": np.array(w1.T, np.float64, order="C"), "W2": w2[0].astype(np.float64)}
    # Protocol 2 is Python 2's newest. NumPy 1 knows only the module's old name, NumPy 2 both. The
    # name occurs once, before any array bytes.
    return pickle.dumps(model, protocol=2).replace(
        b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1
    )


# ---- the restricted unpickler --------------------------------------------------------------------


class _FloatDtype:
    """Stands in for ``numpy.dtype``: floats of 2, 4 or 8 bytes, nothing else.

    NumPy's own would accept any flags from the pickle: an object dtype that claims to be plain
    bytes would turn the file's bytes into pointers.
    """

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or not re.fullmatch("[<>=|]?f[248]", code):
            raise pickle.UnpicklingError(f"refused the array type numpy.dtype({code!r})")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _FloatArray:
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


def _from_buffer(*args: Any) -> _FloatArray:
    result = _FloatArray()
    result.array = _array_of(*args)
    return result


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused the encoding {encoding!r}")
    return text.encode("latin1")


def _not_called(*_: Any) -> None:
    raise pickle.UnpicklingError("refused a direct call of numpy.ndarray")


class _Global:
    """A function that a pickle may call, but neither change nor inspect."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("refused to change a global")


_GLOBALS: dict[tuple[str, str], Callable] = {
    ("_codecs", "encode"): _latin1,  # as Python 3 writes bytes for Python 2
    ("numpy", "dtype"): _FloatDtype,
    ("numpy", "ndarray"): _not_called,  # only ever an argument
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _FloatArray(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _FloatArray(),
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds dicts, strings, numbers and float arrays; refuses every other global.

    ``load`` returns a :class:`_FloatArray` for each NumPy array. A refusal is a
    ``pickle.UnpicklingError``; a damaged pickle can raise anything.
    """

    def __init__(self, data: bytes):
        super().__init__(BytesIO(data), encoding="latin1")  # the bytes of Python 2's arrays

    def find_class(self, module: str, name: str) -> Any:
        """Return our stand-in for a global that NumPy's pickles of arrays use."""
        if (module, name) not in _GLOBALS:
            raise pickle.UnpicklingError(f"refused the global {module}.{name}")
        return _Global(_GLOBALS[module, name])

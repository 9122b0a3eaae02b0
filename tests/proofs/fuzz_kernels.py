"""A fuzzer of the public ops: random calls, valid and not, of every op on every backend.

    python -m tests.proofs.fuzz_kernels --calls 100000
    python -m tests.proofs.fuzz_kernels --seed 7 --only 1234      one call again

All backends must do the same: return the reference's results, or raise the same TypeError or
ValueError, whose message starts with an argument's name. Every array ends at a page that may not be
touched, so that reading or writing behind an array ends the process.
"""

import argparse
import ctypes
import faulthandler
import math
import mmap
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels import get_backend
from fastpg.kernels.spec import OPS, Array, Op, Scalar
from tests.support.cases import HOST_BACKENDS

SIZES = (0, 1, 2, 3, 5, 7, 8, 9, 16, 17, 33, 65)


# ---- memory ---------------------------------------------------------------------------------

_PAGE = mmap.PAGESIZE
_PROTECT = ctypes.CDLL(None).mprotect
_PROTECT.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded(array: Any) -> Any:
    """A copy of an array that ends where a page without access begins; else the argument itself.

    Arrays of another layout or class are left alone, and those that are misaligned or locked.
    """
    if type(array) is not np.ndarray or array.dtype == object or not array.flags.carray:
        return array
    size = (array.nbytes // _PAGE + 1) * _PAGE
    pages = mmap.mmap(-1, size + _PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    if _PROTECT(address + size, _PAGE, 0):
        raise OSError("mprotect failed")
    copy = np.ndarray(array.shape, array.dtype, pages, size - array.nbytes)
    copy[...] = array
    return copy


# ---- valid calls ----------------------------------------------------------------------------


def valid_call(rng: np.random.Generator, op: Op) -> dict[str, Any]:
    """Arguments by name that the table allows. Outputs are given, or left out where they may be."""
    wide = any(array.name == "frames" for array in op.inputs)
    sizes = {letter: int(rng.choice(SIZES[:4] if wide else SIZES)) for letter in "TNDHBKSM"}
    sizes["A"] = int(rng.choice(SIZES[1:]))
    if not sizes["S"]:  # no segment covers no value
        sizes["B"] = 0
    if any("K" in array.dims for array in op.outputs):  # a capacity that is always enough
        sizes["K"] += 2 * sizes["N"] * sizes["D"]
    arguments: dict[str, Any] = {array.name: _input(rng, array, sizes) for array in op.inputs}
    for rule, names, dim in op.values:
        for name in names:
            arguments[name] = _RULED[rule](rng, name, arguments, sizes.get(dim, 0))
    arguments |= {scalar.name: _scalar(rng, scalar) for scalar in op.scalars}
    for array in op.outputs:
        if op.given or rng.random() < 0.5:
            arguments[array.name] = _input(rng, array, sizes)
    return arguments


def _input(rng: np.random.Generator, array: Array, sizes: dict[str, int]) -> np.ndarray:
    shape = [
        dim if isinstance(dim, int) else sizes[dim[0]] + int(dim[2:] or 0) for dim in array.dims
    ]
    if array.dtype == "float32":
        values = rng.normal(0, 1, shape)
        return (
            abs(values).astype("f4") if array.name in ("cache", "square") else values.astype("f4")
        )
    if array.dtype == "int8":
        return rng.choice(np.array([-1, 1], "i1"), shape)
    low, high = (0, 2) if array.dtype == "bool" else (0, np.iinfo(array.dtype).max)
    kind = "uint8" if array.dtype == "bool" else array.dtype
    return rng.integers(low, high, shape, dtype=kind).astype(array.dtype)


def _rising(rng, name, arguments, most):
    """Offsets that rise from 0 to ``most``."""
    inner = np.sort(rng.integers(0, most + 1, max(arguments[name].size - 2, 0)))
    ends = [0, most] if arguments[name].size > 1 else [0]
    return np.array([0, *inner, *ends[1:]], np.int64)


def _sparse(rng, name, arguments, inputs):
    indices = arguments["indices"]
    if name == "indices":
        return rng.integers(0, max(inputs, 1), indices.size).astype(np.uint16)
    return _rising(rng, name, arguments, rng.integers(0, indices.size + 1) if inputs else 0)


_RULED: dict[str, Callable[..., np.ndarray]] = {
    "sparse": _sparse,
    "segments": _rising,
    "existing": lambda rng, name, arguments, outputs: rng.integers(
        0, max(outputs, 2), arguments[name].size, dtype=np.uint8
    ),
    "normal": lambda rng, name, arguments, _: rng.uniform(0.01, 1, arguments[name].size).astype(
        "f4"
    ),
    "binary": lambda rng, name, arguments, _: (arguments[name] > 0.5).astype(arguments[name].dtype),
}


def _scalar(rng: np.random.Generator, scalar: Scalar) -> Any:
    if scalar.type is bool:
        return bool(rng.integers(2))
    if scalar.type is float:
        return float(rng.choice([scalar.low, min(scalar.high, 1e9), rng.random()]))
    return int([scalar.low, scalar.high, rng.integers(1, 99)][rng.integers(3)])


# ---- spoiled calls --------------------------------------------------------------------------


class Change(NamedTuple):
    """A change of one argument; ``refused`` says whether the call must fail, None for either."""

    name: str
    change: Callable[[np.random.Generator, Any], Any]
    refused: bool | None


class Own(np.ndarray):
    """A subclass that does not multiply element by element."""

    def __mul__(self, other):
        return NotImplemented


def _resized(rng, array):
    axis = int(rng.integers(array.ndim))
    size = int(rng.choice(SIZES))
    return np.resize(array, (*array.shape[:axis], size, *array.shape[axis + 1 :]))


def _special(rng, array):
    changed = array.copy()
    if not changed.size:
        return changed
    at = rng.integers(changed.size, size=3)
    if changed.dtype == np.float32:
        changed.flat[at] = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-45, -1.0, 2.0], 3)
    elif changed.dtype == np.bool_:
        changed.view(np.uint8).flat[at] = rng.choice([2, 128, 255], 3)
    else:
        info = np.iinfo(changed.dtype)
        changed.flat[at] = rng.choice([info.min, info.max, 2, 3], 3)
    return changed


def _misaligned(rng, array):
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    raw[:] = np.ascontiguousarray(array).view(np.uint8).reshape(-1) if array.size else 0
    return raw.view(array.dtype).reshape(array.shape)


def _strided(rng, array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


ARRAY_CHANGES = (
    Change("a list", lambda rng, array: array.tolist(), True),
    Change("a number", lambda rng, array: 1.5, True),
    Change("text", lambda rng, array: "abc", True),
    Change("a memoryview", lambda rng, array: memoryview(array), True),
    Change("a masked array", lambda rng, array: np.ma.masked_array(array), True),
    Change("a subclass", lambda rng, array: array.view(Own), False),
    Change(
        "a matrix", lambda rng, array: array.view(np.matrix) if array.ndim == 2 else array, False
    ),
    Change("float64", lambda rng, array: array.astype("f8"), True),
    Change("float16", lambda rng, array: array.astype("f2"), True),
    Change("objects", lambda rng, array: array.astype(object), True),
    Change("complex", lambda rng, array: array.astype("c8"), True),
    Change(
        "the other byte order",
        lambda rng, array: array.astype(array.dtype.newbyteorder("S")),
        None,  # a byte has no order
    ),
    Change("an axis more", lambda rng, array: array[None], None),  # optimizers take any shape
    Change("an axis less", lambda rng, array: np.resize(array, ()), None),
    Change("another size", _resized, None),
    Change("reversed", lambda rng, array: array[::-1], None),
    Change("in Fortran's order", lambda rng, array: np.asfortranarray(array), None),
    Change("with gaps", _strided, None),
    Change("misaligned", _misaligned, None),
    Change("special values", _special, None),
    Change("empty", lambda rng, array: np.empty((0,) * array.ndim, array.dtype), None),
)
OUTPUT_CHANGES = (Change("read-only", lambda rng, array: _locked(array), True),)
NUMBER_CHANGES = (
    Change("None", lambda rng, value: None, True),
    Change("text", lambda rng, value: "0.5", True),
    Change("a list", lambda rng, value: [value], True),
    Change("an array of no dimension", lambda rng, value: np.array(value), True),
    Change("an array of one element", lambda rng, value: np.array([value]), True),
    Change("complex", lambda rng, value: complex(value), True),
    Change("NumPy's complex", lambda rng, value: np.complex64(value), True),
    Change("a fraction", lambda rng, value: Fraction(1, 2), True),
    Change("a time span", lambda rng, value: np.timedelta64(1, "s"), True),
    Change("NaN", lambda rng, value: math.nan, True),
    Change("minus infinity", lambda rng, value: -math.inf, True),
    Change("-1", lambda rng, value: -1, True),
    Change("2**65", lambda rng, value: 2**65, None),
    Change("10**5000", lambda rng, value: 10**5000, None),
    Change("float32", lambda rng, value: np.float32(value), None),
    Change("float16", lambda rng, value: np.float16(value), None),
    Change("int64", lambda rng, value: np.int64(min(value, 2**63 - 1)), None),
    Change("uint8", lambda rng, value: np.uint8(min(value, 255)), None),
    Change("a Boolean", lambda rng, value: True, None),
    Change("NumPy's Boolean", lambda rng, value: np.True_, None),
)


def _locked(array):
    locked = array.copy()
    locked.flags.writeable = False
    return locked


def spoil(rng: np.random.Generator, op: Op, arguments: dict[str, Any]) -> tuple[str, bool | None]:
    """Change an argument in place; return what was done, and whether the call must fail."""
    name = str(rng.choice(list(arguments)))
    value = arguments[name]
    if not isinstance(value, np.ndarray):
        kinds = {scalar.name: scalar.type for scalar in op.scalars}
        chosen = NUMBER_CHANGES[int(rng.integers(len(NUMBER_CHANGES)))]
        refused = chosen.refused
        if "Boolean" in chosen.name:
            refused = kinds[name] is not bool
        with np.errstate(all="ignore"):
            arguments[name] = chosen.change(rng, value)
        return f"{name} {chosen.name}", refused
    outputs = [array.name for array in op.outputs]
    inputs = [array.name for array in op.inputs]
    if rng.random() < 0.05 and (name in inputs or op.given):
        arguments[name] = None
        return f"{name} None", True
    if name in outputs and rng.random() < 0.2:  # of one memory with an input of its dtype
        for other in inputs:
            same = isinstance(arguments[other], np.ndarray) and arguments[other].size
            if same and arguments[other].nbytes >= value.nbytes > 0:
                start = arguments[other].reshape(-1).view(np.uint8)[: value.nbytes]
                arguments[name] = start.view(value.dtype).reshape(value.shape)
                return f"{name} in the memory of {other}", True
    changes = ARRAY_CHANGES + (OUTPUT_CHANGES if name in outputs else ())
    chosen = changes[int(rng.integers(len(changes)))]
    arguments[name] = chosen.change(rng, value)
    return f"{name} {chosen.name}", chosen.refused


# ---- what must hold -------------------------------------------------------------------------


def outcome(backend: str, op: Op, arguments: dict[str, Any]) -> Any:
    """The results of a call, or its error. The arguments are as before afterwards."""
    arrays = {k: v for k, v in arguments.items() if isinstance(v, np.ndarray)}
    before = {name: array.copy() for name, array in arrays.items()}
    try:
        results = getattr(get_backend(backend), op.name)(**arguments)
        if results is None:
            results = tuple(arguments[array.name] for array in op.outputs)
        results = results if isinstance(results, tuple) else (results,)
        results = [np.array(array) for array in results]
        for declared in op.inputs:
            was, now = before[declared.name].tobytes(), arrays[declared.name].tobytes()
            assert was == now, f"{backend} changed {declared.name}"
    except (TypeError, ValueError) as error:
        results = error
    for name, array in arrays.items():
        if array.flags.writeable:
            array[...] = before[name]
    return results


def check(op: Op, arguments: dict[str, Any], refused: bool | None) -> None:
    """Call all backends; AssertionError if one does something else than the reference."""
    names = [given.name for given in (*op.inputs, *op.scalars, *op.outputs)]
    expected = None
    for backend in HOST_BACKENDS:
        actual = outcome(backend, op, arguments)
        failed = isinstance(actual, Exception)
        if failed:
            first = str(actual).partition(":")[0]
            assert first in names, f"{backend}: {type(actual).__name__}: {actual}"
        assert refused in (None, failed), f"{backend}: {actual if failed else 'no error'}"
        if expected is None:
            expected = actual
        elif failed or isinstance(expected, Exception):
            assert repr(actual) == repr(expected), f"{backend}: {actual!r}, not {expected!r}"
        else:
            for array, a, e in zip(op.outputs, actual, expected, strict=True):
                _agree(f"{backend}: {array.name}", op.tolerance, a, e)


def _agree(what, tolerance, actual, expected):
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype), what
    if tolerance == 0:  # the same bits, where NaN has one meaning and many bits
        same = (actual == expected) | (actual != actual) & (expected != expected)
        assert same.all(), f"{what}:\n{actual}\nnot\n{expected}"
        return
    finite = np.isfinite(expected)
    largest = np.abs(expected[finite]).max(initial=0)
    np.testing.assert_allclose(
        actual[finite], expected[finite], rtol=0, atol=tolerance * largest, err_msg=what
    )
    np.testing.assert_array_equal(actual[~finite], expected[~finite], err_msg=what)


def calls(seed: int, numbers: Iterator[int]) -> Iterator[tuple[int, Op, dict, str, bool | None]]:
    """Number, op, arguments, what is wrong with them, and whether the call must fail."""
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        op = OPS[int(rng.integers(len(OPS)))]
        arguments = valid_call(rng, op)
        label, refused = "valid", False
        if rng.random() < 0.8:
            label, refused = spoil(rng, op, arguments)
        if "memory" not in label:
            arguments = {name: guarded(value) for name, value in arguments.items()}
        yield number, op, arguments, label, refused


def main() -> None:
    parser = argparse.ArgumentParser(description="Call every op with random arguments.")
    parser.add_argument("--calls", type=int, default=100_000, help="(100000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one call to make")
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")  # of NumPy, about NaN and overflow
    only = options.only
    numbers = iter(range(options.calls) if only is None else [only])
    for number, op, arguments, label, refused in calls(options.seed, numbers):
        print(f"\r{number} {op.name}: {label}".ljust(80), end="", flush=True)
        check(op, arguments, refused)
    print(f"\r{options.calls} calls: all backends agree".ljust(80))


if __name__ == "__main__":
    main()

"""Checks of a call's arguments against the kernel table; every error names the argument."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastpg.kernels.spec import OPS, Array, Op, Scalar


class Memory(Protocol):
    """What the checks ask of the memory that holds a backend's arrays."""

    where: str  #: end of a message's "expected (N,) float32"

    def empty(self, shape: Any, dtype: Any) -> Any:
        """An array of undefined content."""

    def describe(self, array: Any) -> tuple[Any, Any] | None:
        """An array as the loops take it, with its flags; None for anything else.

        The flags are ``aligned``, ``c_contiguous`` and ``writeable``.
        """

    def address(self, array: Any) -> int:
        """The address of an array's first element."""

    def check_values(self, rule: Any, arrays: Mapping[str, Any], size: int) -> None:
        """Apply one of :data:`RULES` to arrays' elements."""


class HostMemory:
    """NumPy arrays.

    A subclass counts as the array that it is based on: a matrix would multiply differently. A
    masked array is refused, as its mask would be ignored.
    """

    where = ""
    empty = staticmethod(np.empty)

    def describe(self, array: Any) -> tuple[Any, Any] | None:
        """See :class:`Memory`."""
        if type(array) is not np.ndarray:
            if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
                return None
            array = array.view(np.ndarray)
        return array, array.flags

    def address(self, array: Any) -> int:
        """See :class:`Memory`."""
        return array.__array_interface__["data"][0]

    def check_values(self, rule: Any, arrays: Mapping[str, Any], size: int) -> None:
        """See :class:`Memory`."""
        rule(arrays, size)


class Call(NamedTuple):
    """The checked arguments of a loop, in the order of the table."""

    inputs: list[Any]
    scalars: list[Any]
    outputs: list[Any]


class _Declared(NamedTuple):
    """An argument of the table, its dtype, and each dimension's letter and constant offset.

    A number n is ("", n), and "B+1" is ("B", 1).
    """

    argument: Array
    dtype: np.dtype
    dims: tuple[tuple[str, int], ...]


def _parse(argument: Array) -> _Declared:
    dims = []
    for dim in argument.dims:
        letter, _, more = ("", "", dim) if isinstance(dim, int) else dim.partition("+")
        dims.append((letter, int(more or 0)))
    return _Declared(argument, np.dtype(argument.dtype), tuple(dims))


_MOST_EMPTY = 1 << 20
# Parsed once: on a small batch a check takes about as long as a kernel.
_INPUTS = {op.name: tuple(map(_parse, op.inputs)) for op in OPS}
_OUTPUTS = {op.name: tuple(map(_parse, op.outputs)) for op in OPS}


def check_call(
    op: Op,
    inputs: Sequence[Any],
    scalars: Sequence[Any],
    outputs: Sequence[Any],
    memory: Memory,
    **sizes: int,
) -> Call:
    """Check the arguments of a call, and allocate the outputs that are None.

    Args:
        op: row of the table.
        inputs: arrays, in the table's order.
        scalars: numbers, in the table's order.
        outputs: arrays, or None where the op has a default, in the table's order.
        memory: holds the arrays.
        sizes: dimension letters that no input fixes (the capacity K of a sparse result).

    Raises:
        TypeError: an argument is no array or no number, or has another dtype.
        ValueError: an argument has another shape, layout or value, or an output is read-only or
            shares memory with another argument.
    """
    numbers = [check_scalar(*pair) for pair in zip(op.scalars, scalars, strict=True)]
    sizes[""] = 0  # for dimensions that are numbers
    arrays, made, given = {}, [], []
    for declared, array in zip(_INPUTS[op.name], inputs, strict=True):
        arrays[declared.argument.name] = _check(declared, array, memory, sizes)[0]
    taken = list(arrays.values())
    for dim, most, why in op.limits:
        if sizes[dim] > most:
            name = next(array.name for array in op.inputs if dim in array.dims)
            raise ValueError(f"{name}: expected {dim} <= {most} ({why}), got {sizes[dim]}")
    for declared, array in zip(_OUTPUTS[op.name], outputs, strict=True):
        if array is None and not op.given:
            shape = tuple([sizes[letter] + more for letter, more in declared.dims])
            made.append(memory.empty(shape, declared.dtype))
        else:
            name = declared.argument.name
            arrays[name], flags = _check(declared, array, memory, sizes)
            _check_writeable(name, flags)
            made.append(arrays[name])
            given.append(name)
    if given:
        _check_overlaps(arrays, given, memory)
    for rule, names, dim in op.values:
        memory.check_values(RULES[rule], {name: arrays[name] for name in names}, sizes[dim])
    return Call(taken, numbers, made)


def _check(declared: _Declared, array: Any, memory: Memory, sizes: dict[str, int]) -> Any:
    """Check an array, add its dimensions' sizes to ``sizes``; return it with its flags."""
    argument, dtype, dims = declared
    described = memory.describe(array)
    if described is None:
        raise TypeError(f"{_wanted(declared, sizes)}{memory.where}, got {type(array).__name__}")
    array, flags = described
    if array.dtype != dtype:
        raise TypeError(f"{_wanted(declared, sizes)}, got {_describe(array)}")
    if len(array.shape) != len(dims):
        raise ValueError(f"{_wanted(declared, sizes)}, got {_describe(array)}")
    for (letter, more), size in zip(dims, array.shape, strict=True):
        size -= more
        least = 1 if letter == "A" else 0
        if size < least or sizes.setdefault(letter, size) != size:  # the first fixes the letter
            raise ValueError(f"{_wanted(declared, sizes)}, got {_describe(array)}")
    if 0 in array.shape and max(array.shape) > _MOST_EMPTY:  # a loop over nothing, for hours
        raise ValueError(f"{argument.name}: expected at most {_MOST_EMPTY} empty rows or columns")
    _check_layout(argument.name, array, flags)
    return array, flags


def _check_layout(name: str, array: Any, flags: Any) -> None:
    if not flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {array.strides}")
    if not flags.aligned:
        size = array.dtype.itemsize
        raise ValueError(f"{name}: expected an address that is a multiple of {size}, got another")


def _check_writeable(name: str, flags: Any) -> None:
    if not flags.writeable:
        raise ValueError(f"{name}: expected a writeable array, got a read-only one")


def _check_overlaps(arrays: Mapping[str, Any], given: Sequence[str], memory: Memory) -> None:
    """Raise ValueError if an output that the caller gives has a byte of another argument.

    Backends read and write in different orders, so they would have different results.
    """
    spans = []
    for name, array in arrays.items():
        if size := math.prod(array.shape) * array.dtype.itemsize:
            spans.append((name, begin := memory.address(array), begin + size))
    for (name, begin, end), (other, other_begin, other_end) in combinations(spans[::-1], 2):
        if name in given and begin < other_end and other_begin < end:  # outputs come first
            raise ValueError(f"{name}: expected memory of its own, got memory of {other}")


def _wanted(declared: _Declared, sizes: dict[str, int]) -> str:
    name, dims, dtype = declared.argument
    known = {
        f"{dim} = {sizes[letter] + more}"
        for dim, (letter, more) in zip(dims, declared.dims, strict=True)
        if letter and letter in sizes
    }
    if "A" in dims and "A" not in sizes:
        known.add("A >= 1")
    where = ", ".join(sorted(known))
    sizes_known = f" with {where}" if where else ""
    shape = ", ".join(map(str, dims)) + ("," if len(dims) == 1 else "")
    return f"{name}: expected ({shape}) {dtype}{sizes_known}"


def _describe(array: Any) -> str:
    return f"{tuple(array.shape)} {array.dtype}"


# ---- scalars --------------------------------------------------------------------------------

# What counts as each type. A bool is an int to Python, and a time span one to NumPy.
_TYPES: dict[type, tuple[Any, ...]] = {
    bool: (bool, np.bool_),
    int: (int, np.integer),
    np.uint64: (int, np.integer),
    float: (int, float, np.number),
}
_NOT_NUMBERS = (bool, np.timedelta64, np.complexfloating)
_NOUNS = {bool: "True or False", int: "an integer", np.uint64: "an integer", float: "a number"}


def check_scalar(scalar: Scalar, value: Any) -> Any:
    """A scalar in the type of the table, so that every backend computes with the same.

    Raises:
        TypeError: it is of another kind; an array of one element is.
        ValueError: it is out of range, or NaN.
    """
    name, wanted, low, high = scalar
    if type(value) is not wanted:
        other = wanted is not bool and isinstance(value, _NOT_NUMBERS)
        if other or not isinstance(value, _TYPES[wanted]):
            raise TypeError(f"{name}: expected {_NOUNS[wanted]}, got {type(value).__name__}")
        try:
            value = float(value) if wanted is float else int(value)
        except OverflowError:  # of an int that no float holds
            value = math.inf if value > 0 else -math.inf
    if not low <= value <= high:
        limits = f"{_number(low)} to {_number(high)}"
        raise ValueError(f"{name}: expected {_NOUNS[wanted]} from {limits}, got {_number(value)}")
    return wanted(value)


def _number(value: float) -> str:
    """A number as text. Python refuses to print integers of many digits."""
    if isinstance(value, float) or abs(value) < 1 << 31:
        return str(value)
    for less, text in ((0, ""), (1, " - 1")):
        if (value + less) & (value + less - 1) == 0:
            return f"2**{value.bit_length() - 1 + less}{text}"
    return str(value) if value.bit_length() <= 64 else f"one of {value.bit_length()} bits"


# ---- rules on elements ----------------------------------------------------------------------


def _sparse(arrays: Mapping[str, np.ndarray], size: int) -> None:
    """Offsets that rise within ``indices``, and indices below ``size``."""
    indices, offsets = arrays["indices"], arrays["offsets"]
    if offsets[0] != 0 or offsets[-1] > indices.shape[0] or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(
            f"offsets: expected to rise from 0 to at most {indices.shape[0]} (the size of "
            f"indices), got {offsets[:3]}..{offsets[-1]}"
        )
    used = indices[: offsets[-1]]
    if used.size and used.max() >= size:
        raise ValueError(f"indices: expected below D = {size}, got {used.max()}")


def _segments(arrays: Mapping[str, np.ndarray], size: int) -> None:
    """Segments that cover an array of this size in order."""
    offsets = arrays["offsets"]
    if offsets[0] != 0 or offsets[-1] != size or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"offsets: expected to rise from 0 to B = {size}, got {offsets}")


def _existing(arrays: Mapping[str, np.ndarray], size: int) -> None:
    """Actions of a network with ``size`` outputs."""
    actions, limit = arrays["actions"], max(size, 2)
    if actions.size and actions.max() >= limit:
        raise ValueError(f"actions: expected below {limit}, got {actions.max()}")


def _normal(arrays: Mapping[str, np.ndarray], size: int) -> None:
    """Divisors that are neither 0, negative, subnormal nor NaN."""
    smallest = np.finfo(np.float32).smallest_normal
    for name, values in arrays.items():
        if values.size and not values.min() >= smallest:
            raise ValueError(f"{name}: expected at least {smallest!s}, got {values.min()!s}")


def _binary(arrays: Mapping[str, np.ndarray], size: int) -> None:
    """Bytes of 0 and 1, also as bool: ``array.view(bool)`` can hold other bytes."""
    for name, values in arrays.items():
        if values.size and (most := values.view(np.uint8).max()) > 1:
            raise ValueError(f"{name}: expected 0 and 1, got {most}")


RULES = {
    "sparse": _sparse,
    "segments": _segments,
    "existing": _existing,
    "normal": _normal,
    "binary": _binary,
}


# ---- optimizers -----------------------------------------------------------------------------


def flatten(memory: Memory, gradient: Any, **updated: Any) -> list[Any]:
    """Arrays of one shape as views (M,). ``updated`` are written.

    Raises:
        TypeError: an argument is no array.
        ValueError: it has another shape than ``gradient``, or another layout, or is read-only.
    """
    flat: list[Any] = []
    for name, given in {"gradient": gradient, **updated}.items():
        described = memory.describe(given)
        if described is None:
            raise TypeError(
                f"{name}: expected a float32 array{memory.where}, got {type(given).__name__}"
            )
        array, flags = described
        _check_layout(name, array, flags)
        if flat:
            _check_writeable(name, flags)
        else:
            shape = tuple(array.shape)
        if tuple(array.shape) != shape:
            raise ValueError(f"{name}: expected {shape}, as gradient, got {tuple(array.shape)}")
        flat.append(array.reshape(math.prod(shape)))
    return flat

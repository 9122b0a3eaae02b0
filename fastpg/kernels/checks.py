"""Checks of arguments against the kernel table; every error names the argument."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels.spec import OPS, Array, Op


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


# Parsed once: on a small batch a check takes about as long as a kernel.
_INPUTS = {op.name: tuple(map(_parse, op.inputs)) for op in OPS}
_OUTPUTS = {op.name: tuple(map(_parse, op.outputs)) for op in OPS}


def check_arrays(
    op: Op,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    empty: Callable[..., Any] = np.empty,
    **sizes: int,
) -> list[Any]:
    """Check the arrays of a call, and allocate the outputs that are None.

    Args:
        op: row of the table.
        inputs: arrays, in the table's order.
        outputs: arrays or None, in the table's order.
        empty: allocates an array from (shape, dtype).
        sizes: dimension letters that no input fixes (the capacity K of a sparse result).

    Returns:
        The outputs.

    Raises:
        TypeError: an argument is no array or has another dtype.
        ValueError: an argument has another shape or layout, or an output is read-only.
    """
    sizes[""] = 0  # for dimensions that are numbers
    for declared, array in zip(_INPUTS[op.name], inputs, strict=True):
        _check(declared, array, sizes)
    results = []
    for declared, array in zip(_OUTPUTS[op.name], outputs, strict=True):
        if array is None and not op.in_place:
            shape = tuple([sizes[letter] + more for letter, more in declared.dims])
            array = empty(shape, declared.dtype)
        elif not _check(declared, array, sizes).writeable:
            name = declared.argument.name
            raise ValueError(f"{name}: expected a writeable array, got a read-only one")
        results.append(array)
    return results


def _check(declared: _Declared, array: Any, sizes: dict[str, int]) -> Any:
    """Check an array, add its dimensions' sizes to ``sizes``, and return its flags."""
    argument, dtype, dims = declared
    try:
        found, shape, flags = array.dtype, array.shape, array.flags
    except AttributeError:
        raise TypeError(f"{_wanted(declared, sizes)}, got {type(array).__name__}") from None
    if found != dtype:
        raise TypeError(f"{_wanted(declared, sizes)}, got {_describe(array)}")
    if len(shape) != len(dims):
        raise ValueError(f"{_wanted(declared, sizes)}, got {_describe(array)}")
    for (letter, more), size in zip(dims, shape, strict=True):
        size -= more
        if size < 0 or sizes.setdefault(letter, size) != size:  # the first one fixes the letter
            raise ValueError(f"{_wanted(declared, sizes)}, got {_describe(array)}")
    if not flags.c_contiguous:
        raise ValueError(
            f"{argument.name}: expected a C-contiguous array, got strides {array.strides}"
        )
    return flags


def _wanted(declared: _Declared, sizes: dict[str, int]) -> str:
    name, dims, dtype = declared.argument
    known = {
        f"{dim} = {sizes[letter] + more}"
        for dim, (letter, more) in zip(dims, declared.dims, strict=True)
        if letter and letter in sizes
    }
    where = ", ".join(sorted(known))
    sizes_known = f" with {where}" if where else ""
    shape = ", ".join(map(str, dims)) + ("," if len(dims) == 1 else "")
    return f"{name}: expected ({shape}) {dtype}{sizes_known}"


def _describe(array: Any) -> str:
    return f"{tuple(array.shape)} {array.dtype}"


def last_offset(offsets: np.ndarray) -> int:
    """The end of the last sparse row: the capacity that the rows need."""
    return int(offsets[-1])


def check_contents(check: Callable[..., None], *arguments: Any) -> None:
    """Run a check that reads arrays' elements."""
    check(*arguments)


def check_sparse(indices: np.ndarray, offsets: np.ndarray, size: int) -> None:
    """Raise ValueError for offsets or indices out of range; the loops do not check bounds."""
    if offsets[0] != 0 or offsets[-1] > indices.shape[0] or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(
            f"offsets: expected to rise from 0 to at most {indices.shape[0]} (the size of "
            f"indices), got {offsets[:3]}..{offsets[-1]}"
        )
    used = indices[: offsets[-1]]
    if used.size and used.max() >= size:
        raise ValueError(f"indices: expected below D = {size}, got {used.max()}")


def check_integer(name: str, value: Any, low: int, high: int, named: str) -> int:
    """Return an integer of [low, high] as an int; ``named`` is how the message prints ``high``.

    Raises:
        TypeError: it is no integer.
        ValueError: it is out of range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if not low <= number <= high:
        raise ValueError(f"{name}: expected {low} to {named}, got {number}")
    return number


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError for a scalar outside [low, high], or NaN."""
    if not low <= value <= high:
        raise ValueError(f"{name}: expected a number from {low} to {high}, got {value}")


def check_normal(name: str, values: np.ndarray) -> None:
    """Raise ValueError for float32 divisors that are 0, negative, subnormal or NaN."""
    smallest = np.finfo(np.float32).smallest_normal
    if values.size and not values.min() >= smallest:
        raise ValueError(f"{name}: expected at least {smallest!s}, got {values.min()!s}")


def check_segments(offsets: np.ndarray, size: int) -> None:
    """Raise ValueError unless the segments cover an array of this size in order."""
    if offsets[0] != 0 or offsets[-1] != size or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"offsets: expected to rise from 0 to B = {size}, got {offsets}")


def check_actions(actions: np.ndarray, outputs: int) -> None:
    """Raise ValueError for action numbers that are too large for the network."""
    limit = max(outputs, 2)
    if actions.size and actions.max() >= limit:
        raise ValueError(f"actions: expected below {limit}, got {actions.max()}")


def check_limit(name: str, what: str, size: int, limit: int) -> None:
    """Raise ValueError for a size that overflows the output's integer type."""
    if size > limit:
        raise ValueError(f"{name}: expected at most {limit} {what}, got {size}")


def check_one_shape(**arrays: Any) -> None:
    """Raise ValueError unless all arrays have the first one's shape."""
    (first, shape), *others = ((name, tuple(array.shape)) for name, array in arrays.items())
    for name, other in others:
        if other != shape:
            raise ValueError(f"{name}: expected {shape}, as {first}, got {other}")


def flatten(**arrays: Any) -> list[np.ndarray]:
    """Flatten arrays of one shape to views (M,). Raises an error if a copy would be needed."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected a float32 array, got {type(array).__name__}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected a C-contiguous array, got strides {array.strides}")
    check_one_shape(**arrays)
    return [array.reshape(-1) for array in arrays.values()]

"""The kernel table: one row per op, with its arguments' names, shapes and dtypes, and tolerance.

Dimensions: T steps, N environments, D inputs, H hidden units, A outputs of the network, B samples,
K non-zero inputs of all samples together, S segments, M elements. ``"B+1"`` is B plus one; a number
is itself.

Names: ``rewards[t]`` and ``dones[t]`` result from step t. ``returns`` are sums of rewards,
``values`` their estimates, ``advantages`` the differences. ``probabilities`` are those of the
actions. ``d_x``, ``dw1`` and ``dw2`` are derivatives of an objective by x and by the weights. All
objectives are maximised, so optimizers step uphill.

Order: inputs, then scalars, then outputs.

Every dimension may be 0 but A: a network has at least one output.

The table is data. The checks (:mod:`fastpg.kernels.checks`), the tests of every backend, the
benchmarks and the documentation read it.
"""

import math
from typing import NamedTuple

import numpy as np

from fastpg.kernels.geometry import SCREEN, VIEW_PIXELS


class Array(NamedTuple):
    """An array argument: its name, its dimensions and its dtype."""

    name: str
    dims: tuple[str | int, ...]
    dtype: str


class Scalar(NamedTuple):
    """A number among the arguments: its name, its type and its range, both ends included."""

    name: str
    type: type  #: as the loops take it: bool, int, float or np.uint64
    low: float = 0.0
    high: float = 1.0


class Values(NamedTuple):
    """A rule on the elements of arrays.

    Without it, loops would read or write out of bounds, or backends would differ.
    """

    rule: str  #: name of the function in :mod:`fastpg.kernels.checks`
    arrays: tuple[str, ...]  #: names of the inputs that it reads
    dim: str = ""  #: the dimension that it compares with


class Limit(NamedTuple):
    """The largest size of a dimension, and why."""

    dim: str
    size: int
    why: str


class Op(NamedTuple):
    """One row of the table."""

    name: str  #: of the public op and of each backend's loop
    inputs: tuple[Array, ...]  #: arrays that are read
    scalars: tuple[Scalar, ...]  #: numbers after them
    outputs: tuple[Array, ...]  #: arrays that are written
    why: str  #: where the tolerance comes from
    #: largest difference from the reference that a CPU backend may have, relative to the output's
    #: largest element; 0 means the same bits
    tolerance: float = 0.0
    values: tuple[Values, ...] = ()  #: rules on the inputs' elements
    limits: tuple[Limit, ...] = ()  #: largest dimensions
    given: bool = False  #: whether outputs have no default, as they can be read as well


SUM_LANES = 8  # partial sums of a logit, and of a segment in standardize


def _floats(names: str, *dims: str) -> tuple[Array, ...]:
    """Arrays of one shape, all float32."""
    return tuple(Array(name, dims, "float32") for name in names.split())


_VIEWS = (Array("views", ("N", VIEW_PIXELS), "uint8"),)
_TWO_VIEWS = (Array("current", ("N", "D"), "uint8"), Array("previous", ("N", "D"), "uint8"))
_PIXELS = (Array("indices", ("K",), "uint16"), Array("signs", ("K",), "int8"))
_SPARSE_VIEWS = (*_PIXELS, Array("offsets", ("N+1",), "int64"))
_CSR = (*_PIXELS, Array("offsets", ("B+1",), "int64"))
_X = _floats("x", "B", "D")
_W2 = _floats("w2", "A", "H")
_WEIGHTS = (*_floats("w1", "D", "H"), *_W2)
_HIDDEN = _floats("hidden", "B", "H")
_PROBABILITIES = _floats("probabilities", "B", "A")
_FORWARD = (*_HIDDEN, *_PROBABILITIES)
_ACTIONS = (Array("actions", ("B",), "uint8"),)
_DECISIONS = (*_FORWARD, *_ACTIONS, *_floats("advantages", "B"), *_W2)
_GRADIENTS = (*_floats("dw1", "D", "H"), *_floats("dw2", "A", "H"))
_STEPS = (*_floats("rewards", "T", "N"), Array("dones", ("T", "N"), "bool"))

_FIND_BACKGROUND = (Scalar("find_background", bool),)
_ACCUMULATE = (Scalar("accumulate", bool),)
_GAMMA = Scalar("gamma", float)
_LEARNING_RATE = Scalar("learning_rate", float, 0.0, 1e30)
_EPSILON = Scalar("epsilon", float, 1e-30, 1e30)
_BELOW_1 = 1 - 2.0**-24  # float32 rounds what lies between it and 1 to 1, which divides by zero

_BINARY = (Values("binary", ("current",)), Values("binary", ("previous",)))
_BOOLEAN = (Values("binary", ("dones",)),)
_SPARSE = (Values("sparse", ("indices", "offsets"), "D"),)
_EXISTING_ACTIONS = (Values("existing", ("actions",), "A"),)

_INTEGERS = "integer arithmetic"
_SAME_ORDER = "float32 sums run in one stated order, without contraction"
_SAME_ORDER_AND_EXP = (
    f"{_SAME_ORDER}; exp is float64, by the C library or NumPy, which sometimes differ in the last "
    "bit; rounded to float32, 1M samples showed no difference"
)
_DENSE_ORDER = "the reference sums over D in float64, the backends in float32: sqrt(D) * 6e-8 * 10"

OPS: tuple[Op, ...] = (
    Op(
        "preprocess",
        (Array("frames", ("N", *SCREEN, 3), "uint8"),),
        _FIND_BACKGROUND,
        _VIEWS,
        _INTEGERS,
    ),
    Op(
        "preprocess_palette",
        (Array("frames", ("N", *SCREEN), "uint8"), Array("red", (256,), "uint8")),
        _FIND_BACKGROUND,
        _VIEWS,
        _INTEGERS,
    ),
    Op(
        "frame_difference",
        _TWO_VIEWS,
        (),
        _SPARSE_VIEWS,
        _INTEGERS,
        values=_BINARY,
        limits=(Limit("D", 1 << 16, "indices are uint16"),),
    ),
    Op(
        "frame_difference_dense",
        _TWO_VIEWS,
        (),
        _floats("x", "N", "D"),
        "float32 holds -1, 0 and 1 exactly",
        values=_BINARY,
    ),
    Op(
        "frame_stack",
        _TWO_VIEWS,
        (),
        _SPARSE_VIEWS,
        _INTEGERS,
        values=_BINARY,
        limits=(Limit("D", 1 << 15, "indices of both views are uint16"),),
    ),
    Op(
        "discounted_returns",
        _STEPS,
        (_GAMMA, Scalar("cut_at_rewards", bool)),
        _floats("returns", "T", "N"),
        "the recursion is float64 in every backend; the result is rounded once",
        values=_BOOLEAN,
    ),
    Op(
        "generalized_advantages",
        (*_STEPS, *_floats("values", "T+1", "N")),
        (_GAMMA, Scalar("lam", float)),
        _floats("advantages returns", "T", "N"),
        "the recursion is float64 in every backend; both results are rounded once",
        values=_BOOLEAN,
    ),
    Op(
        "standardize",
        (*_floats("values", "B"), Array("offsets", ("S+1",), "int64")),
        (),
        _floats("standardized", "B"),
        "float64 sums in SUM_LANES partial sums, joined by halves; the result is rounded once",
        values=(Values("segments", ("offsets",), "B"),),
    ),
    Op("policy_forward", (*_CSR, *_WEIGHTS), (), _FORWARD, _SAME_ORDER_AND_EXP, values=_SPARSE),
    Op("policy_forward_dense", (*_X, *_WEIGHTS), (), _FORWARD, _DENSE_ORDER, tolerance=2e-4),
    Op(
        "policy_backward",
        (*_CSR, *_DECISIONS),
        _ACCUMULATE,
        _GRADIENTS,
        _SAME_ORDER,
        values=(*_SPARSE, *_EXISTING_ACTIONS),
        given=True,
    ),
    Op(
        "policy_backward_dense",
        (*_X, *_DECISIONS),
        _ACCUMULATE,
        _GRADIENTS,
        "the reference sums over B in float64, the backends in float32",
        tolerance=2e-4,
        values=_EXISTING_ACTIONS,
        given=True,
    ),
    Op(
        "policy_backward_outputs",
        (*_CSR, *_HIDDEN, *_floats("d_outputs", "B", "A"), *_W2),
        _ACCUMULATE,
        _GRADIENTS,
        _SAME_ORDER,
        values=_SPARSE,
        given=True,
    ),
    Op(
        "ppo_gradient",
        (
            *_PROBABILITIES,
            *_floats("values", "B"),
            *_ACTIONS,
            *_floats("old_probabilities advantages returns", "B"),
        ),
        (
            Scalar("clip", float, 0.0, math.inf),
            Scalar("entropy_weight", float, 0.0, 1e30),
            Scalar("value_weight", float, 0.0, 1e30),
        ),
        (*_floats("d_logits", "B", "A"), *_floats("d_values", "B")),
        "float64 in one stated order, rounded once; log is the C library's in every backend",
        values=(*_EXISTING_ACTIONS, Values("normal", ("old_probabilities",))),
    ),
    Op(
        "rmsprop_update",
        _floats("gradient", "M"),
        (_LEARNING_RATE, Scalar("decay", float), _EPSILON),
        _floats("weights cache", "M"),
        "float32 element by element, IEEE square root and division, no contraction",
        given=True,
    ),
    Op(
        "adam_update",
        _floats("gradient", "M"),
        (
            Scalar("step", int, 1, 2**53),  # float64 holds it exactly
            _LEARNING_RATE,
            Scalar("beta1", float, 0.0, _BELOW_1),
            Scalar("beta2", float, 0.0, _BELOW_1),
            _EPSILON,
        ),
        _floats("weights mean square", "M"),
        "as rmsprop_update; bias corrections are float64, by the C library's pow in every backend",
        given=True,
    ),
    Op(
        "counter_uniforms",
        (Array("streams", ("N",), "uint64"), Array("steps", ("N",), "uint64")),
        (Scalar("seed", np.uint64, 0, 2**64 - 1),),
        _floats("uniforms", "N"),
        _INTEGERS,
    ),
    Op(
        "sample_actions",
        (*_floats("probabilities", "N", "A"), *_floats("uniforms", "N")),
        (),
        (Array("actions", ("N",), "uint8"),),
        "comparisons of float32 sums in one stated order",
        limits=(Limit("A", 255, "actions are uint8"),),
    ),
)

BY_NAME: dict[str, Op] = {op.name: op for op in OPS}

_ROUNDED_ONCE = "rounds a float64 once: at most the neighbour of the reference's float32, 2**-23; "
CUDA_TOLERANCES: dict[str, tuple[float, str]] = {
    "standardize": (2.0**-23, _ROUNDED_ONCE + "its float64 sums have one partial sum per thread"),
    "policy_forward": (2.0**-23, _ROUNDED_ONCE + "exp is the GPU's; hidden has the same bits"),
    "ppo_gradient": (2.0**-23, _ROUNDED_ONCE + "log is the GPU's"),
}
"""Tolerances of the cuda backend, and why, where they differ from the table's."""

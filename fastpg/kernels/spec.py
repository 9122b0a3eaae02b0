"""The kernel table: one row per op, with its arguments' names, shapes and dtypes, and tolerance.

Dimensions: T steps, N environments, D inputs, H hidden units, A outputs of the network, B samples,
K non-zero inputs of all samples together, S segments, M elements. ``"B+1"`` is B plus one; a number
is itself.

Names: ``rewards[t]`` and ``dones[t]`` result from step t. ``returns`` are sums of rewards,
``values`` their estimates, ``advantages`` the differences. ``probabilities`` are those of the
actions. ``d_x``, ``dw1`` and ``dw2`` are derivatives of an objective by x and by the weights. All
objectives are maximised, so optimizers step uphill.

Order: inputs, then scalars, then outputs.

The table is data. The checks (:mod:`fastpg.kernels.checks`), the tests of every backend, the
benchmarks and the documentation read it.
"""

from typing import NamedTuple

from fastpg.kernels.geometry import SCREEN, VIEW_PIXELS


class Array(NamedTuple):
    """An array argument: its name, its dimensions and its dtype."""

    name: str
    dims: tuple[str | int, ...]
    dtype: str


class Op(NamedTuple):
    """One row of the table.

    Attributes:
        name: of the public op and of each backend's loop.
        inputs: arrays that are read.
        scalars: names of the numbers after them.
        outputs: arrays that are written.
        tolerance: largest difference from the reference that a CPU backend may have, relative to
            the output's largest element; 0 means the same bits.
        why: where the tolerance comes from.
        in_place: whether the outputs are read as well, so that they have no default.
    """

    name: str
    inputs: tuple[Array, ...]
    scalars: tuple[str, ...]
    outputs: tuple[Array, ...]
    tolerance: float
    why: str
    in_place: bool = False


SUM_LANES = 8  # partial sums of a logit, and of a segment in standardize

_CSR = (
    Array("indices", ("K",), "uint16"),
    Array("signs", ("K",), "int8"),
    Array("offsets", ("B+1",), "int64"),
)
_X = Array("x", ("B", "D"), "float32")
_W1 = Array("w1", ("D", "H"), "float32")
_W2 = Array("w2", ("A", "H"), "float32")
_HIDDEN = Array("hidden", ("B", "H"), "float32")
_PROBABILITIES = Array("probabilities", ("B", "A"), "float32")
_VIEWS = Array("views", ("N", VIEW_PIXELS), "uint8")
_TWO_VIEWS = (Array("current", ("N", "D"), "uint8"), Array("previous", ("N", "D"), "uint8"))
_SPARSE_VIEWS = (
    Array("indices", ("K",), "uint16"),
    Array("signs", ("K",), "int8"),
    Array("offsets", ("N+1",), "int64"),
)
_DECISIONS = (
    _HIDDEN,
    _PROBABILITIES,
    Array("actions", ("B",), "uint8"),
    Array("advantages", ("B",), "float32"),
    _W2,
)
_GRADIENTS = (Array("dw1", ("D", "H"), "float32"), Array("dw2", ("A", "H"), "float32"))

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
        ("find_background",),
        (_VIEWS,),
        0.0,
        _INTEGERS,
    ),
    Op(
        "preprocess_palette",
        (Array("frames", ("N", *SCREEN), "uint8"), Array("red", (256,), "uint8")),
        ("find_background",),
        (_VIEWS,),
        0.0,
        _INTEGERS,
    ),
    Op("frame_difference", _TWO_VIEWS, (), _SPARSE_VIEWS, 0.0, _INTEGERS),
    Op(
        "frame_difference_dense",
        _TWO_VIEWS,
        (),
        (Array("x", ("N", "D"), "float32"),),
        0.0,
        "float32 holds -1, 0 and 1 exactly",
    ),
    Op("frame_stack", _TWO_VIEWS, (), _SPARSE_VIEWS, 0.0, _INTEGERS),
    Op(
        "discounted_returns",
        (Array("rewards", ("T", "N"), "float32"), Array("dones", ("T", "N"), "bool")),
        ("gamma", "cut_at_rewards"),
        (Array("returns", ("T", "N"), "float32"),),
        0.0,
        "the recursion is float64 in every backend; the result is rounded once",
    ),
    Op(
        "generalized_advantages",
        (
            Array("rewards", ("T", "N"), "float32"),
            Array("dones", ("T", "N"), "bool"),
            Array("values", ("T+1", "N"), "float32"),
        ),
        ("gamma", "lam"),
        (Array("advantages", ("T", "N"), "float32"), Array("returns", ("T", "N"), "float32")),
        0.0,
        "the recursion is float64 in every backend; both results are rounded once",
    ),
    Op(
        "standardize",
        (Array("values", ("B",), "float32"), Array("offsets", ("S+1",), "int64")),
        (),
        (Array("standardized", ("B",), "float32"),),
        0.0,
        "float64 sums in SUM_LANES partial sums, joined by halves; the result is rounded once",
    ),
    Op(
        "policy_forward", (*_CSR, _W1, _W2), (), (_HIDDEN, _PROBABILITIES), 0.0, _SAME_ORDER_AND_EXP
    ),
    Op("policy_forward_dense", (_X, _W1, _W2), (), (_HIDDEN, _PROBABILITIES), 2e-4, _DENSE_ORDER),
    Op("policy_backward", (*_CSR, *_DECISIONS), ("accumulate",), _GRADIENTS, 0.0, _SAME_ORDER),
    Op(
        "policy_backward_dense",
        (_X, *_DECISIONS),
        ("accumulate",),
        _GRADIENTS,
        2e-4,
        "the reference sums over B in float64, the backends in float32",
    ),
    Op(
        "policy_backward_outputs",
        (*_CSR, _HIDDEN, Array("d_outputs", ("B", "A"), "float32"), _W2),
        ("accumulate",),
        _GRADIENTS,
        0.0,
        _SAME_ORDER,
    ),
    Op(
        "ppo_gradient",
        (
            _PROBABILITIES,
            Array("values", ("B",), "float32"),
            Array("actions", ("B",), "uint8"),
            Array("old_probabilities", ("B",), "float32"),
            Array("advantages", ("B",), "float32"),
            Array("returns", ("B",), "float32"),
        ),
        ("clip", "entropy_weight", "value_weight"),
        (Array("d_logits", ("B", "A"), "float32"), Array("d_values", ("B",), "float32")),
        0.0,
        "float64 in one stated order, rounded once; log is the C library's in every backend",
    ),
    Op(
        "rmsprop_update",
        (Array("gradient", ("M",), "float32"),),
        ("learning_rate", "decay", "epsilon"),
        (Array("weights", ("M",), "float32"), Array("cache", ("M",), "float32")),
        0.0,
        "float32 element by element, IEEE square root and division, no contraction",
        in_place=True,
    ),
    Op(
        "adam_update",
        (Array("gradient", ("M",), "float32"),),
        ("step", "learning_rate", "beta1", "beta2", "epsilon"),
        (
            Array("weights", ("M",), "float32"),
            Array("mean", ("M",), "float32"),
            Array("square", ("M",), "float32"),
        ),
        0.0,
        "as rmsprop_update; bias corrections are float64, by the C library's pow in every backend",
        in_place=True,
    ),
    Op(
        "counter_uniforms",
        (Array("streams", ("N",), "uint64"), Array("steps", ("N",), "uint64")),
        ("seed",),
        (Array("uniforms", ("N",), "float32"),),
        0.0,
        _INTEGERS,
    ),
    Op(
        "sample_actions",
        (Array("probabilities", ("N", "A"), "float32"), Array("uniforms", ("N",), "float32")),
        (),
        (Array("actions", ("N",), "uint8"),),
        0.0,
        "comparisons of float32 sums in one stated order",
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

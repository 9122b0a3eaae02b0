"""Arguments of the public ops that are none, are unusual, or are not what they seem."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from fastpg.kernels import get_backend
from fastpg.kernels.spec import BY_NAME, OPS
from tests.support.cases import HOST_BACKENDS, Case, case
from tests.support.printed import ROOT

SMALL = {
    "preprocess": {"N": 2, "kind": "pong", "find": True},
    "preprocess_palette": {"N": 2, "kind": "pong", "find": True},
    "frame_difference": {"N": 3, "D": 77, "kind": "half"},
    "frame_difference_dense": {"N": 2, "D": 77, "kind": "half"},
    "frame_stack": {"N": 3, "D": 77, "kind": "half"},
    "discounted_returns": {"T": 5, "N": 3, "gamma": 0.9, "cut": True},
    "generalized_advantages": {"T": 5, "N": 3, "gamma": 0.9, "lam": 0.9},
    "standardize": {"sizes": [4, 5]},
    "ppo_gradient": {"B": 6, "A": 3},
    "rmsprop_update": {"M": 9},
    "adam_update": {"M": 9},
    "counter_uniforms": {"N": 5, "key": 3},
    "sample_actions": {"N": 5, "A": 3},
}
NETWORK = {"B": 5, "D": 30, "H": 8, "A": 3, "pixels": 4}


def made(op: str) -> Case:
    return case(op, **SMALL.get(op, NETWORK))


def call(backend, op, **changes):
    """Call an op with all outputs given; return the outputs."""
    usual = made(op)
    arguments = {**usual.inputs, **{k: v.copy() for k, v in usual.outputs.items()}, **changes}
    getattr(get_backend(backend), op)(**arguments)
    return [arguments[name] for name in usual.outputs]


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize(
    ("op", "array"), [(op.name, a.name) for op in OPS if op.given for a in op.outputs]
)
def test_outputs_without_a_default_are_not_allocated(backend, op, array):
    with pytest.raises(TypeError, match=rf"^{array}: expected .*float32.*, got NoneType"):
        call(backend, op, **{array: None})


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("op", [op.name for op in OPS if any("A" in a.dims for a in op.inputs)])
def test_a_network_has_an_output(backend, op):
    usual, spec = made(op), BY_NAME[op]
    arrays = {**usual.inputs, **usual.outputs}
    none = {
        a.name: np.empty(
            [0 if d == "A" else n for d, n in zip(a.dims, arrays[a.name].shape, strict=True)], "f4"
        )
        for a in (*spec.inputs, *spec.outputs)
        if "A" in a.dims
    }
    with pytest.raises(ValueError, match=r"^\w+: expected \(\w, .\) float32 with A >= 1"):
        call(backend, op, **none)


SCALARS = [(op.name, scalar) for op in OPS for scalar in op.scalars]
NUMBERS = [(op, scalar) for op, scalar in SCALARS if scalar.type is not bool]


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize(("op", "scalar"), SCALARS, ids=lambda v: getattr(v, "name", v))
def test_other_kinds_of_scalars_are_refused(backend, op, scalar):
    noun = {bool: "True or False", float: "a number"}.get(scalar.type, "an integer")
    usual = made(op).inputs[scalar.name]
    wrong = [None, "1", np.array(usual), np.array([usual]), 1j, Fraction(1, 2), [usual]]
    wrong += [1, 0] if scalar.type is bool else [True, np.True_, np.timedelta64(1, "s")]
    for value in wrong:
        kind = type(value).__name__
        with pytest.raises(TypeError, match=f"^{scalar.name}: expected {noun}, got {kind}"):
            call(backend, op, **{scalar.name: value})


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize(("op", "scalar"), NUMBERS, ids=lambda v: getattr(v, "name", v))
def test_numbers_of_any_size_are_refused_by_name(backend, op, scalar):
    for value in (-1, -(10**5000), float("nan")):
        error = TypeError if isinstance(value, float) and scalar.type is not float else ValueError
        with pytest.raises(error, match=f"^{scalar.name}: expected a"):
            call(backend, op, **{scalar.name: value})
    if scalar.high < 2**65:
        with pytest.raises(ValueError, match=f"^{scalar.name}: expected a"):
            call(backend, op, **{scalar.name: 2**65})


@pytest.mark.parametrize("op", ["discounted_returns", "generalized_advantages"])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble])
def test_scalars_of_numpy_count_as_their_value(op, kind):
    scalars = {scalar.name: kind(0.7) for scalar in BY_NAME[op].scalars if scalar.type is float}
    plain = {name: float(value) for name, value in scalars.items()}
    expected = call("reference", op, **plain)
    for backend in HOST_BACKENDS:
        for a, e in zip(call(backend, op, **scalars), expected, strict=True):
            assert a.tobytes() == e.tobytes()


@pytest.mark.parametrize(("op", "scalar"), SCALARS, ids=lambda v: getattr(v, "name", v))
def test_scalars_of_numpy_compile_nothing(op, scalar):
    call("numba", op)
    loop = getattr(get_backend("numba").loops, op)
    compiled = len(loop.signatures)
    kinds = {bool: [np.bool_], float: [np.float16, np.float32, np.int64, int]}
    for kind in kinds.get(scalar.type, [np.uint8, np.int64, np.uint64]):
        call("numba", op, **{scalar.name: kind(1)}) if scalar.high >= 1 else None
    if 2**60 < scalar.high < float("inf"):
        call("numba", op, **{scalar.name: int(scalar.high)})
    assert len(loop.signatures) == compiled


class Bent(np.ndarray):
    """A subclass with arithmetic of its own."""

    def __mul__(self, other):
        raise AssertionError

    __rmul__ = __add__ = __radd__ = __mul__


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("op", list(BY_NAME))
def test_subclasses_count_as_the_arrays_that_they_are(backend, op):
    usual = made(op)
    arrays = {**usual.inputs, **{k: v.copy() for k, v in usual.outputs.items()}}
    bent = {k: v.view(Bent) for k, v in arrays.items() if isinstance(v, np.ndarray)}
    for actual, expected in zip(call(backend, op, **bent), call(backend, op), strict=True):
        np.testing.assert_array_equal(np.asarray(actual), expected)


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_given_outputs_are_returned_as_they_are(backend):
    usual = made("discounted_returns")
    own = usual.outputs["returns"].view(Bent)
    assert get_backend(backend).discounted_returns(**usual.inputs, returns=own) is own


@pytest.mark.parametrize("op", list(BY_NAME))
def test_masked_arrays_are_refused(op):
    name = BY_NAME[op].inputs[0].name
    masked = np.ma.masked_array(made(op).inputs[name])
    with pytest.raises(TypeError, match=rf"^{name}: expected .*, got MaskedArray"):
        call("cython", op, **{name: masked})


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("view", ["current", "previous"])
@pytest.mark.parametrize("op", ["frame_difference", "frame_difference_dense", "frame_stack"])
def test_views_of_other_values_than_0_and_1_are_refused(backend, op, view):
    views = made(op).inputs[view].copy()
    views[-1, -1] = 255
    with pytest.raises(ValueError, match=f"^{view}: expected 0 and 1, got 255"):
        call(backend, op, **{view: views})


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("op", ["discounted_returns", "generalized_advantages"])
def test_booleans_with_other_bytes_than_0_and_1_are_refused(backend, op):
    dones = np.full(made(op).inputs["dones"].shape, 2, np.uint8).view(np.bool_)
    with pytest.raises(ValueError, match=r"^dones: expected 0 and 1, got 2"):
        call(backend, op, dones=dones)


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_outputs_share_no_memory_with_other_arguments(backend):
    values = np.arange(9, dtype=np.float32)
    with pytest.raises(
        ValueError, match=r"^standardized: expected memory of its own, got .*values"
    ):
        call(backend, "standardize", values=values, standardized=values)
    weights = np.zeros((6, 8), np.float32)  # two of whose rows are the last of one, first of other
    usual = made("policy_backward").inputs
    with pytest.raises(ValueError, match=r"^dw2: expected memory of its own, got memory of w2"):
        call(backend, "policy_backward", w2=weights[:3], dw2=weights[2:5])
    assert usual["w2"].shape == (3, 8)
    both = np.zeros(10, np.float32)
    with pytest.raises(ValueError, match=r"^cache: expected memory of its own, got .*weights"):
        call(backend, "rmsprop_update", weights=both[:9], cache=both[1:])
    call(backend, "policy_backward", w2=weights[:3], dw2=weights[3:])  # neighbours


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_endless_loops_over_nothing_are_refused(backend):
    rewards = np.empty((2**40, 0), np.float32)
    with pytest.raises(ValueError, match=r"^rewards: expected at most 1048576 empty rows"):
        call(backend, "discounted_returns", rewards=rewards, dones=rewards.astype(bool))
    views = np.empty((0, 2**62), np.uint8)
    with pytest.raises(ValueError, match=r"^current: expected at most 1048576 empty rows"):
        get_backend(backend).frame_difference_dense(views, views)


def test_misaligned_arrays_are_refused():
    raw = np.zeros(4 * 9 + 1, np.uint8)[1:].view(np.float32)
    with pytest.raises(ValueError, match=r"^values: expected an address that is a multiple of 4"):
        call("cython", "standardize", values=raw)


@pytest.mark.parametrize("name", [None, 5, ["cython"], "Cython", b"cython"])
def test_backends_of_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"^backend: expected one of reference, numba, cython"):
        get_backend(name)


def test_random_calls_do_the_same_on_every_backend():
    """In a process of its own, as it would end at the first access behind an array."""
    command = [sys.executable, "-m", "tests.proofs.fuzz_kernels", "--calls", "4000"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-200:] + ran.stderr[-4000:]

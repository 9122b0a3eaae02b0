"""Every backend's loops against the reference in all cases; the public ops' checks."""

import inspect
import re
import sys
from functools import cache
from importlib import import_module

import numpy as np
import pytest

from fastpg.kernels import BackendUnavailable, get_backend, reference
from fastpg.kernels.ops import Backend
from fastpg.kernels.spec import BY_NAME, OPS
from tests.support.cases import HOST_BACKENDS, OPTIONS, Case, case, cases

COMPILED = [name for name in HOST_BACKENDS if name != "reference"]
ALL_CASES = [pytest.param(c, id=f"{name}-{c.label}") for name in OPTIONS for c in cases(name)]
SPARSE = ("indices", "signs")


def run(loops, case: Case):
    """Run a loop on copies; return its result and its outputs. Inputs must not change."""
    inputs = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in case.inputs.items()}
    outputs = {k: v.copy() for k, v in case.outputs.items()}
    needed = getattr(loops, case.op.name)(*inputs.values(), *outputs.values())
    for name, value in inputs.items():
        np.testing.assert_array_equal(value, case.inputs[name], err_msg=f"{name} was changed")
    return needed, used(outputs, needed)


def used(outputs, needed):
    """Outputs without the unused end of sparse ones, which a loop may write or not."""
    return {k: v[:needed] if needed is not None and k in SPARSE else v for k, v in outputs.items()}


def assert_agrees(op, name, actual, expected):
    if op.tolerance == 0:
        assert actual.tobytes() == expected.tobytes(), f"{name}:\n{actual}\nnot\n{expected}"
    else:  # relative to the array's largest, as sums may cancel
        largest = np.abs(expected).max(initial=0)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=op.tolerance * largest)


def test_table_cases_and_backend_have_the_same_ops():
    assert list(OPTIONS) == list(BY_NAME)
    assert all(callable(getattr(Backend, op.name)) for op in OPS)


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_backends_have_every_op_with_the_parameters_of_the_table(backend):
    loops = get_backend(backend).loops
    for op in OPS:
        function = getattr(loops, op.name)
        actual = list(inspect.signature(getattr(function, "py_func", function)).parameters)
        assert actual == [
            *(a.name for a in op.inputs),
            *(s.name for s in op.scalars),
            *(a.name for a in op.outputs),
        ]


@pytest.mark.parametrize("op", BY_NAME)
def test_every_parameter_is_described(op):
    method = getattr(Backend, op)
    _, _, arguments = inspect.getdoc(method).partition("\nArgs:\n")
    described = re.findall(r"^    (\w+):", arguments.split("\n\n")[0], re.MULTILINE)
    assert ["self", *described] == [*inspect.signature(method).parameters]


@pytest.mark.parametrize("backend", COMPILED)
def test_backends_offer_nothing_more(backend):
    assert sorted(get_backend(backend).loops.__all__) == sorted(BY_NAME)


@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("case", ALL_CASES)
def test_backend_equals_reference_every_time(backend, case):
    loops = get_backend(backend).loops
    needed, expected = run(reference, case)
    for _ in range(2):
        again, actual = run(loops, case)
        assert again == needed
        for name, value in actual.items():
            assert_agrees(case.op, name, value, expected[name])
    _, once_more = run(loops, case)
    assert all(actual[name].tobytes() == once_more[name].tobytes() for name in actual)


@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("op", ["frame_difference", "frame_stack"])
@pytest.mark.parametrize("capacity", [0, 1, 21, 22])
def test_nothing_is_written_beyond_the_capacity(backend, op, capacity):
    made = case(op, N=2, D=77, kind="half")
    buffers = {name: np.full(200, 55, made.outputs[name].dtype) for name in SPARSE}
    cut = [buffer[:capacity] for buffer in buffers.values()]
    getattr(get_backend(backend).loops, op)(*made.inputs.values(), *cut, made.outputs["offsets"])
    for buffer in buffers.values():
        assert (buffer[capacity:] == 55).all()


# ---- the public ops: arguments by name, errors that name the argument -------------------------


def call(backend, case: Case, **changes):
    arguments = {**case.inputs, **{k: v.copy() for k, v in case.outputs.items()}, **changes}
    return getattr(get_backend(backend), case.op.name)(**arguments)


@cache
def usual(name: str) -> Case:
    """The op's first case whose arrays all have several elements."""
    big = (c for c in cases(name) if all(v.size > 1 for v in arrays(c).values()) and fits(c))
    return next(big)


def arrays(case: Case):
    return {a.name: {**case.inputs, **case.outputs}[a.name] for a in declared(case.op)}


def fits(case: Case):
    return "spare=-" not in case.label


def declared(op):
    return (*op.inputs, *op.outputs)


ARRAYS = [(op.name, array) for op in OPS for array in declared(op)]


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("op", list(BY_NAME))
def test_public_ops_pass_arguments_to_the_loops(backend, op):
    made = usual(op)
    needed, expected = run(get_backend(backend).loops, made)
    outputs = {k: v.copy() for k, v in made.outputs.items()}
    call(backend, made, **outputs)
    for name, value in used(outputs, needed).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize(("op", "array"), ARRAYS, ids=lambda v: getattr(v, "name", v))
def test_bad_arrays_are_refused_by_name(op, array):
    made = usual(op)
    good = arrays(made)[array.name]
    wrong_dtype = np.float64 if array.dtype != "float64" else np.float32
    spoiled = [(good.astype(wrong_dtype), TypeError), (3.0, TypeError)]
    if op not in FLAT:
        spoiled.append((good[None], ValueError))
    strided = np.repeat(good, 2, axis=-1)[..., ::2]
    spoiled.append((strided, ValueError))
    for bad, error in spoiled:
        with pytest.raises(error, match=f"^{array.name}: expected "):
            call("cython", made, **{array.name: bad})


def shared_axis(op, array):
    """An axis whose size another array or a number fixes; None if there is none."""
    letters = [str(dim)[0] for other in declared(op) for dim in other.dims]
    for axis, dim in enumerate(array.dims):
        if isinstance(dim, int) or letters.count(dim[0]) > 1:
            return axis
    return None


@pytest.mark.parametrize(("op", "array"), ARRAYS, ids=lambda v: getattr(v, "name", v))
def test_wrong_sizes_are_refused(op, array):
    made = usual(op)
    axis = shared_axis(BY_NAME[op], array)
    bad = np.delete(arrays(made)[array.name], 0, axis)
    with pytest.raises(ValueError, match=r"^\w+: expected "):
        call("cython", made, **{array.name: bad})


@pytest.mark.parametrize("output", [(o.name, a.name) for o in OPS for a in o.outputs])
def test_read_only_outputs_are_refused(output):
    op, name = output
    made = usual(op)
    locked = made.outputs[name].copy()
    locked.flags.writeable = False
    with pytest.raises(ValueError, match=f"^{name}: expected a writeable array"):
        call("cython", made, **{name: locked})


FLAT = ("rmsprop_update", "adam_update")  # their arrays may have any one shape
GIVEN = ("policy_backward", "policy_backward_dense", "policy_backward_outputs", *FLAT)
ALLOCATING = [name for name in BY_NAME if name not in GIVEN]


@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("op", ALLOCATING)
def test_outputs_left_out_are_allocated(backend, op):
    made = usual(op)
    given = call(backend, made)
    alone = getattr(get_backend(backend), op)(**made.inputs)
    given, alone = (r if isinstance(r, tuple) else (r,) for r in (given, alone))
    for expected, actual in zip(given, alone, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("op", "changes", "message"),
    [
        ("discounted_returns", {"gamma": 1.5}, "gamma: expected a number from 0.0 to 1.0"),
        ("discounted_returns", {"gamma": float("nan")}, "gamma: expected"),
        ("generalized_advantages", {"gamma": -0.1}, "gamma: expected a number from 0.0 to 1.0"),
        ("generalized_advantages", {"lam": 1.1}, "lam: expected a number from 0.0 to 1.0"),
        ("ppo_gradient", {"clip": -0.1}, "clip: expected a number from 0.0 to inf, got -0.1"),
        ("ppo_gradient", {"clip": float("nan")}, "clip: expected"),
        ("ppo_gradient", {"entropy_weight": -1.0}, "entropy_weight: expected"),
        ("ppo_gradient", {"value_weight": float("inf")}, "value_weight: expected"),
        ("rmsprop_update", {"decay": 2.0}, "decay: expected"),
        ("rmsprop_update", {"learning_rate": -1.0}, "learning_rate: expected"),
        ("rmsprop_update", {"epsilon": 0.0}, "epsilon: expected"),
        ("adam_update", {"step": 0}, "step: expected an integer from 1 to 2"),
        ("adam_update", {"step": 2**53 + 1}, "step: expected an integer from 1 to 2"),
        ("adam_update", {"learning_rate": -1.0}, "learning_rate: expected"),
        ("adam_update", {"beta1": 1.0}, "beta1: expected"),
        ("adam_update", {"beta2": -0.1}, "beta2: expected"),
        ("adam_update", {"epsilon": float("nan")}, "epsilon: expected"),
        ("counter_uniforms", {"seed": -1}, "seed: expected"),
        ("counter_uniforms", {"seed": 2**64}, "seed: expected"),
        ("standardize", {"offsets": np.array([0, 5])}, "offsets: expected to rise from 0 to B"),
    ],
)
def test_values_out_of_range_are_refused(op, changes, message):
    with pytest.raises(ValueError, match=message):
        call("cython", usual(op), **changes)


def test_a_step_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match=r"^step: expected an integer, got float"):
        call("cython", usual("adam_update"), step=1.0)
    with pytest.raises(TypeError, match=r"^seed: expected an integer, got float"):
        call("cython", usual("counter_uniforms"), seed=1.5)


@pytest.mark.parametrize("op", FLAT)
def test_updates_take_any_one_shape(op):
    made = usual(op)
    shaped = {name: array.reshape(3, -1).copy() for name, array in arrays(made).items()}
    call("cython", made, **shaped)
    for name, expected in run(reference, made)[1].items():
        np.testing.assert_array_equal(shaped[name].ravel(), expected)
    last = list(shaped)[-1]
    with pytest.raises(ValueError, match=rf"^{last}: expected \(3, .* as gradient, got \("):
        call("cython", made, **{**shaped, last: shaped[last].reshape(-1)})


@pytest.mark.parametrize("op", ["policy_forward", "policy_backward", "policy_backward_outputs"])
@pytest.mark.parametrize("fault", ["first", "falling", "last", "index"])
def test_sparse_rows_that_lead_out_of_the_arrays_are_refused(op, fault):
    made = case(op, B=3, D=20, H=8, A=2, pixels=5)
    offsets, indices = made.inputs["offsets"].copy(), made.inputs["indices"].copy()
    if fault == "index":
        indices[0] = 20
    else:
        at = {"first": 0, "falling": 1, "last": 3}[fault]
        offsets[at] = {"first": 1, "falling": -1, "last": indices.size + 1}[fault]
    with pytest.raises(ValueError, match="^indices: " if fault == "index" else "^offsets: "):
        call("cython", made, offsets=offsets, indices=indices)


@pytest.mark.parametrize(
    ("op", "options"), [("policy_backward", {"D": 20, "H": 8, "pixels": 5}), ("ppo_gradient", {})]
)
@pytest.mark.parametrize(("outputs", "limit"), [(1, 2), (2, 2), (3, 3)])
def test_actions_that_do_not_exist_are_refused(op, options, outputs, limit):
    made = case(op, B=3, A=outputs, **options)
    with pytest.raises(ValueError, match=f"^actions: expected below {limit}, got {limit}"):
        call("cython", made, actions=np.full(3, limit, np.uint8))


@pytest.mark.parametrize("bad", [0.0, 1e-38, -0.5, float("nan")])
def test_probabilities_that_cannot_divide_are_refused(bad):
    made = usual("ppo_gradient")
    old = made.inputs["old_probabilities"].copy()
    old[-1] = bad
    with pytest.raises(ValueError, match=r"^old_probabilities: expected at least 1.1754944e-38"):
        call("cython", made, old_probabilities=old)


@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_too_small_a_capacity_says_what_is_needed(backend):
    current = np.ones((1, 10), np.uint8)
    with pytest.raises(ValueError, match="indices: expected capacity for 10 pixels, got 4"):
        get_backend(backend).frame_difference(
            current, 0 * current, np.empty(4, np.uint16), np.empty(4, np.int8)
        )


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend: expected one of reference, numba, cython, cuda"):
        get_backend("fortran")


def test_unbuilt_extension_says_why_and_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastpg.kernels._cython", None)
    monkeypatch.delitem(sys.modules, "fastpg.kernels.cython_cpu", raising=False)
    with pytest.raises(BackendUnavailable, match=r"not built.*pip install"):
        import_module("fastpg.kernels.cython_cpu")

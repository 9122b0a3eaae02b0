"""The cuda backend against the reference: tests/kernels/test_kernels.py on a GPU.

tests/gpu/test_cuda.py runs this file in processes of its own, as numba reads the environment
variable that chooses the simulator when it is imported. In the simulator only small cases run.
"""

import inspect
import sys

import numpy as np
import pytest
from numba.core import config

from fastpg.kernels import cuda as backend_module
from fastpg.kernels import get_backend, reference
from fastpg.kernels._cuda.jit import THREADS
from fastpg.kernels._cuda.jit import cuda_module as cuda
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.kernels.spec import BY_NAME, CUDA_TOLERANCES, OPS
from tests.kernels.test_kernels import SPARSE, run, usual
from tests.support.cases import OPTIONS, case

SIMULATED = bool(config.ENABLE_CUDASIM)
if SIMULATED:  # its threads wait for each other often
    sys.setswitchinterval(1e-4)

BACKEND = get_backend("cuda")
LIMITS = {"N": 400, "T": 60, "B": 9, "H": 16, "M": 300, "D": 128}
MORE = {  # cases of several blocks
    "policy_forward": [{"B": 5, "D": 70, "H": 13, "A": 3, "pixels": 6}]
    + [{"B": 3, "D": 50, "H": 16, "A": a, "pixels": 30, "scale": 60.0} for a in (1, 3)],
    "discounted_returns": [{"T": 9, "N": 11, "gamma": 0.9, "cut": True}],
    "generalized_advantages": [{"T": 9, "N": 11, "gamma": 0.9, "lam": 0.8}],
    "standardize": [{"sizes": [7, 0, 30, 1]}],
    "ppo_gradient": [{"B": 10, "A": a} for a in (1, 3)],
    "counter_uniforms": [{"N": 30, "key": 2**63 + 5}],
    "sample_actions": [{"N": 30, "A": a} for a in (1, 2, 6)],
}
FEW = {"preprocess": 1, "preprocess_palette": 2}  # 6,400 pixels a frame


def small(name, options):
    if "sizes" in options:
        return sum(options["sizes"]) < 300
    limits = LIMITS | {"N": FEW.get(name, LIMITS["N"])}
    return all(options[key] <= limit for key, limit in limits.items() if key in options)


def chosen(name):
    """The options of an op's cases in this run."""
    if not SIMULATED:
        return OPTIONS[name]
    base = name.removesuffix("_dense")
    more = MORE.get("policy_forward" if base.startswith("policy_backward") else base, [])
    return [*(o for o in OPTIONS[name] if small(name, o)), *more]


CASES = [
    pytest.param(made, id=f"{name}-{made.label}")
    for name in OPTIONS
    for made in (case(name, seed, **options) for seed, options in enumerate(chosen(name)))
]


def on_device(arrays):
    return {k: cuda.to_device(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}


def on_host(arrays):
    return {k: v.copy_to_host() if hasattr(v, "copy_to_host") else v for k, v in arrays.items()}


def run_on_device(made, loops):
    """Launch a loop; return its outputs. Inputs must not change."""
    inputs, outputs = on_device(made.inputs), on_device(made.outputs)
    assert getattr(loops, made.op.name)(*inputs.values(), *outputs.values()) is None
    for name, value in on_host(inputs).items():
        np.testing.assert_array_equal(value, made.inputs[name], err_msg=f"{name} was changed")
    return on_host(outputs)


def assert_agrees(op, name, actual, expected):
    tolerance = CUDA_TOLERANCES.get(op.name, (op.tolerance, op.why))[0]
    if tolerance == 0 or (name == "hidden" and op.tolerance == 0):
        assert actual.tobytes() == expected.tobytes(), f"{name}:\n{actual}\nnot\n{expected}"
    else:  # relative to the array's largest, as sums may cancel
        largest = np.abs(expected).max(initial=0)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


def test_loops_are_those_of_the_table():
    assert sorted(BACKEND.loops.__all__) == sorted(BY_NAME)
    for op in OPS:
        actual = list(inspect.signature(getattr(BACKEND.loops, op.name)).parameters)
        assert actual == [
            *(a.name for a in op.inputs),
            *(s.name for s in op.scalars),
            *(a.name for a in op.outputs),
        ]


@pytest.mark.parametrize("made", CASES)
def test_backend_equals_reference_every_time(made):
    needed, expected = run(reference, made)
    first = run_on_device(made, BACKEND.loops)
    again = run_on_device(made, BACKEND.loops)
    for name, value in expected.items():
        if needed is not None and name in SPARSE:
            first[name], again[name] = first[name][:needed], again[name][:needed]
        assert_agrees(made.op, name, first[name], value)
        assert first[name].tobytes() == again[name].tobytes()
    if needed is not None:
        assert first["offsets"][-1] == needed


@pytest.mark.parametrize("op", ["frame_difference", "frame_stack"])
@pytest.mark.parametrize("capacity", [0, 21])
def test_nothing_is_written_beyond_the_capacity(op, capacity):
    made = case(op, N=2, D=24, kind="half")
    buffers = {name: np.full(200, 55, made.outputs[name].dtype) for name in SPARSE}
    device = on_device(buffers)
    inputs, offsets = on_device(made.inputs), cuda.to_device(made.outputs["offsets"])
    cut = [buffer[:capacity] for buffer in device.values()]
    getattr(BACKEND.loops, op)(*inputs.values(), *cut, offsets)
    for buffer in on_host(device).values():
        assert (buffer[capacity:] == 55).all()


def test_many_items_share_few_blocks(monkeypatch):
    monkeypatch.setattr(backend_module, "MOST_BLOCKS", 2)
    monkeypatch.setattr(backend_module, "_most_threads", lambda: THREADS)
    for name, options in (
        ("frame_difference_dense", {"N": 5, "D": THREADS + 3, "kind": "half"}),
        ("rmsprop_update", {"M": 2 * THREADS + 1}),
        ("frame_difference", {"N": 5, "D": 24, "kind": "half"}),
        ("counter_uniforms", {"N": 50, "key": 3}),
        ("standardize", {"sizes": [3, 9, 4, 5]}),
        ("policy_forward", {"B": 5, "D": 20, "H": 9, "A": 2, "pixels": 3}),
        ("policy_backward", {"B": 5, "D": 70, "H": 9, "A": 2, "pixels": 3}),
        ("policy_backward_dense", {"B": 5, "D": 20, "H": 9, "A": 2, "pixels": 3}),
    ):
        made = case(name, **options)
        needed, expected = run(reference, made)
        actual = run_on_device(made, BACKEND.loops)
        for key, value in expected.items():
            end = needed if key in SPARSE else None
            assert_agrees(made.op, key, actual[key][:end], value)


@pytest.mark.skipif(SIMULATED, reason="20,000 rows are slow in the simulator")
def test_more_rows_than_one_pass_of_the_prefix_sum():
    made = case("frame_stack", N=20000, D=8, kind="half")
    needed, expected = run(reference, made)
    actual = run_on_device(made, BACKEND.loops)
    for name, value in expected.items():
        end = needed if name in SPARSE else None
        assert actual[name][:end].tobytes() == value[:end].tobytes()


@pytest.mark.parametrize("op", ["preprocess", "preprocess_palette"])
def test_views_at_an_odd_address(op):
    made = case(op, N=1, kind="pong", find=True)
    buffer = cuda.to_device(np.full(VIEW_PIXELS + 2, 55, np.uint8))
    views = buffer[1:-1].reshape(1, VIEW_PIXELS)
    getattr(BACKEND.loops, op)(*on_device(made.inputs).values(), views)
    written = buffer.copy_to_host()
    assert written[0] == written[-1] == 55
    np.testing.assert_array_equal(written[1:-1], run(reference, made)[1]["views"][0])


def test_same_index_twice_in_a_row_counts_twice():
    made = case("policy_backward", B=9, D=20, H=9, A=2, pixels=8)
    made.inputs["indices"][:] = 3  # the same in every row
    expected = run(reference, made)[1]
    for name, value in run_on_device(made, BACKEND.loops).items():
        assert value.tobytes() == expected[name].tobytes()


# ---- the public ops -------------------------------------------------------------------------


def little(name):
    """A small case whose arrays all have elements."""
    if not SIMULATED:
        return usual(name)
    fits = (o for o in chosen(name) if o.get("spare", 0) >= 0)
    made = (case(name, seed, **o) for seed, o in enumerate(fits))
    return next(c for c in made if all(v.size for v in c.outputs.values()))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_public_ops_pass_arguments_and_allocate(name):
    made = little(name)
    arguments = on_device({**made.inputs, **made.outputs})
    given = getattr(BACKEND, name)(**arguments)
    expected = run_on_device(made, BACKEND.loops)
    actual = on_host({k: arguments[k] for k in expected})
    for key, value in expected.items():
        np.testing.assert_array_equal(actual[key], value)
    if given is None or name.startswith("policy_backward"):
        return
    left_out = getattr(BACKEND, name)(**on_device(made.inputs))
    given, left_out = (r if isinstance(r, tuple) else (r,) for r in (given, left_out))
    for a, b in zip(given, left_out, strict=True):
        np.testing.assert_array_equal(a.copy_to_host(), b.copy_to_host())


def test_too_small_a_capacity_says_what_is_needed():
    current, previous = on_device(
        {"a": np.ones((1, 10), "u1"), "b": np.zeros((1, 10), "u1")}
    ).values()
    indices, signs = cuda.device_array(4, np.uint16), cuda.device_array(4, np.int8)
    with pytest.raises(ValueError, match="indices: expected capacity for 10 pixels, got 4"):
        BACKEND.frame_difference(current, previous, indices, signs)


def test_arrays_of_the_host_are_refused_by_name():
    made = little("sample_actions")
    arguments = on_device(made.inputs) | {"uniforms": made.inputs["uniforms"]}
    with pytest.raises(TypeError, match=r"^uniforms: expected .* in the GPU's memory.*ndarray"):
        BACKEND.sample_actions(**arguments)
    with pytest.raises(TypeError, match=r"^weights: expected .* in the GPU's memory.*list"):
        BACKEND.rmsprop_update(cuda.to_device(np.ones(3, "f4")), 0.1, 0.9, [1, 2, 3], [1, 2, 3])


def test_wrong_dtypes_shapes_and_layouts_are_refused_by_name():
    probabilities = np.full((4, 2), 0.5, np.float32)
    uniforms = cuda.to_device(np.zeros(4, np.float32))
    for bad, error in (
        (probabilities.astype(np.float64), TypeError),
        (probabilities[:3], ValueError),
        (probabilities[0], ValueError),
    ):
        with pytest.raises(error, match=r"^(probabilities|uniforms): expected \("):
            BACKEND.sample_actions(cuda.to_device(bad), uniforms)
    strided = cuda.to_device(np.zeros((4, 4), np.float32))[:, ::2]
    with pytest.raises(ValueError, match=r"^probabilities: expected a C-contiguous array"):
        BACKEND.sample_actions(strided, uniforms)


def test_contents_are_checked_on_request():
    made = case("policy_forward", B=3, D=20, H=8, A=2, pixels=5)
    made.inputs["indices"][0] = 20
    with pytest.raises(ValueError, match=r"^indices: expected below D = 20, got 20"):
        BACKEND.on(check_values=True).policy_forward(**on_device(made.inputs))


def test_updates_take_any_one_shape():
    made = case("rmsprop_update", M=12)
    expected = run(reference, made)[1]
    shaped = {k: v.reshape(3, 4) for k, v in {**made.inputs, **made.outputs}.items() if np.ndim(v)}
    device = on_device(shaped)
    scalars = {k: v for k, v in made.inputs.items() if not np.ndim(v)}
    BACKEND.rmsprop_update(**device, **scalars)
    for name, value in expected.items():
        np.testing.assert_array_equal(device[name].copy_to_host().ravel(), value)
    turned = on_device({"cache": np.ones((4, 3), np.float32)})
    with pytest.raises(ValueError, match=r"^cache: expected \(3, 4\), as gradient, got \(4, 3\)"):
        BACKEND.rmsprop_update(**{**device, **turned}, **scalars)


def test_a_stream_of_ones_own():
    stream = cuda.stream()
    own = BACKEND.on(stream)
    assert own.stream is own.loops.stream is stream
    numbers = cuda.to_device(np.arange(9, dtype=np.uint64))
    on_stream = own.counter_uniforms(numbers, numbers, 5)
    stream.synchronize()
    expected = BACKEND.counter_uniforms(numbers, numbers, 5)
    np.testing.assert_array_equal(on_stream.copy_to_host(), expected.copy_to_host())
    with pytest.raises(TypeError, match=r"^stream: expected a CUDA stream or its handle, got str"):
        BACKEND.on("default")


class Foreign:
    """An array of another library."""

    def __init__(self, array, stream=None, read_only=False):
        self.array = array
        self.interface = {**array.__cuda_array_interface__, "stream": stream}
        self.interface["data"] = self.interface["data"][0], read_only

    @property
    def __cuda_array_interface__(self):
        return self.interface

    @property
    def shape(self):
        return self.interface["shape"]


@pytest.mark.skipif(SIMULATED, reason="the simulator's arrays have no __cuda_array_interface__")
@pytest.mark.parametrize("stream", [None, 1, 2])
def test_arrays_of_other_libraries(stream):
    made = little("policy_forward")
    inputs, outputs = on_device(made.inputs), on_device(made.outputs)
    foreign = {k: Foreign(v, stream) for k, v in {**inputs, **outputs}.items()}
    BACKEND.policy_forward(**foreign)
    expected = run_on_device(made, BACKEND.loops)
    for name, value in on_host(outputs).items():
        np.testing.assert_array_equal(value, expected[name])
    locked = Foreign(outputs["hidden"], read_only=True)
    with pytest.raises(ValueError, match=r"^hidden: expected a writeable array"):
        BACKEND.policy_forward(**inputs, hidden=locked)


# ---- device functions in user kernels -------------------------------------------------------


def test_device_functions_in_a_users_kernel():
    from fastpg.kernels import cuda_device
    from fastpg.kernels._cuda import blocks

    @cuda.jit
    def act(indices, signs, offsets, w1, w2, numbers, hidden, probabilities, uniforms, actions):
        b = cuda.blockIdx.x
        blocks.policy_forward(b, indices, signs, offsets, w1, w2, hidden, probabilities)
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            cuda_device.counter_uniforms(b, numbers, numbers, np.uint64(7), uniforms)
            cuda_device.sample_actions(b, probabilities, uniforms, actions)

    made = case("policy_forward", B=4, D=20, H=9, A=3, pixels=5)
    host = {**made.inputs, **made.outputs}
    device = on_device(host)
    *network, hidden, probabilities = device.values()
    uniforms, actions = cuda.device_array(4, np.float32), cuda.device_array(4, np.uint8)
    numbers = np.arange(4, dtype=np.uint64)
    act[4, 8](*network, cuda.to_device(numbers), hidden, probabilities, uniforms, actions)
    ops = get_backend("reference")
    expected = ops.counter_uniforms(numbers, numbers, 7)
    np.testing.assert_array_equal(uniforms.copy_to_host(), expected)
    _, wanted = ops.policy_forward(**{k: host[k] for k in made.inputs})
    np.testing.assert_array_equal(actions.copy_to_host(), ops.sample_actions(wanted, expected))

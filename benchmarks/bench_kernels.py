"""How fast is each op in each backend, beside NumPy and other libraries, at several sizes?

    pytest --benchmark benchmarks/bench_kernels.py [-k policy_forward]

Set-up and allocation of outputs are not timed. For sizes up to 16 each implementation's result is
first compared with the cython backend's. ``extra_info`` has microseconds per sample;
``benchmarks/report.py`` makes a table of a JSON file.
"""

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

from fastpg.kernels import get_backend
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.kernels.spec import BY_NAME
from tests.support.cases import case

SIZES = (1, 16, 128, 1024)
STEPS = 1000  # steps of an environment, elements of a segment or of an optimizer's arrays
PONG = {"D": VIEW_PIXELS, "H": 200, "A": 1, "pixels": 22}
TRAINING = "policy_forward + policy_backward"


def options(op: str, size: int) -> dict:
    """Options of the op's case: sizes as in training, with Pong's pixels, H = 200 and A = 1."""
    if op.startswith("preprocess"):
        return {"N": size, "kind": "pong", "find": True}
    if op.startswith("frame"):
        return {"N": size, "D": VIEW_PIXELS, "kind": "pong"}
    if op.startswith("policy_backward"):  # clearing dw1 is no sample's cost
        return {"B": size, "accumulate": True, **PONG}
    if op.startswith("policy"):
        return {"B": size, **PONG}
    return {
        "discounted_returns": {"T": STEPS, "N": size, "gamma": 0.99, "cut": False},
        "generalized_advantages": {"T": STEPS, "N": size, "gamma": 0.99, "lam": 0.95},
        "standardize": {"sizes": [STEPS] * size},
        "ppo_gradient": {"B": size, "A": 1},
        "rmsprop_update": {"M": STEPS * size},
        "adam_update": {"M": STEPS * size},
        "counter_uniforms": {"N": size, "key": 1},
        "sample_actions": {"N": size, "A": 1},
    }[op]


# ---- pictures -----------------------------------------------------------------------------------
# Each function takes a case and returns the call to time. The call returns the op's outputs, or
# writes them into the case's, as the backends' loops do.


def loop_of(backend):
    def make(made):
        loop = getattr(get_backend(backend).loops, made.op.name)
        arguments = (*made.inputs.values(), *made.outputs.values())
        return lambda: loop(*arguments)

    return make


def numpy_preprocess(made):
    """The article's ``prepro`` for a batch, with each frame's background."""
    frames, views = made.inputs["frames"], made.outputs["views"]
    palette = made.inputs.get("red")

    def call():
        for frame, view in zip(frames, views, strict=True):
            pixels = frame[35:195:2, ::2]
            red = (pixels[..., 0] if palette is None else palette[pixels]).ravel()
            background = np.bincount(red, minlength=256).argmax()
            np.logical_and(red != 0, red != background, out=view.view(bool))
        return [views]

    return call


def opencv_preprocess(made):
    """Crop, resize and compare, with a constant background, as OpenCV has no mode."""
    import cv2

    cv2.setNumThreads(1)
    frames, views = made.inputs["frames"], made.outputs["views"].reshape(-1, 80, 80)

    def call():
        for frame, view in zip(frames, views, strict=True):
            red = cv2.extractChannel(frame[35:195], 0)
            small = cv2.resize(red, (80, 80), interpolation=cv2.INTER_NEAREST)
            cv2.min(cv2.bitwise_and(cv2.compare(small, 144, cv2.CMP_NE), small), 1, dst=view)
        return [made.outputs["views"]]

    return call


def numpy_sparse(made):
    """Sparse rows by ``nonzero``."""
    current, previous = made.inputs.values()
    stacked = made.op.name == "frame_stack"

    def call():
        x = np.hstack([current, previous]) if stacked else current.view("i1") - previous.view("i1")
        rows, columns = np.nonzero(x)
        return columns, x[rows, columns], np.searchsorted(rows, np.arange(len(x) + 1))

    return call


# ---- returns ------------------------------------------------------------------------------------


def scipy_returns(made):
    """``lfilter`` over each environment's episodes, backwards in time."""
    from scipy.signal import lfilter

    rewards, dones = made.inputs["rewards"], made.inputs["dones"]
    a = [1.0, -made.inputs["gamma"]]
    returns = made.outputs["returns"]

    def call():
        for n in range(rewards.shape[1]):
            begin = 0
            for end in [*(np.flatnonzero(dones[:, n]) + 1), rewards.shape[0]]:
                if end > begin:
                    episode = rewards[begin:end, n].astype(np.float64)
                    returns[begin:end, n] = lfilter([1.0], a, episode[::-1])[::-1]
                begin = end
        return [returns]

    return call


def numpy_standardize(made):
    values = made.inputs["values"].reshape(-1, STEPS)

    def call():
        centred = values - values.mean(axis=1, keepdims=True)
        return [(centred / centred.std(axis=1, keepdims=True)).ravel()]

    return call


# ---- the network --------------------------------------------------------------------------------


def head(hidden, w2):
    return hidden, 1 / (1 + np.exp(-(hidden @ w2.T)))


def numpy_forward(made):
    """Sums of rows of w1 by ``reduceat``; no sample of the case is empty."""
    indices, signs, offsets, w1, w2 = made.inputs.values()

    def call():
        terms = w1[indices] * signs[:, None].astype(np.float32)
        return head(np.maximum(np.add.reduceat(terms, offsets[:-1]), 0), w2)

    return call


def dlogits_and_dhidden(hidden, probabilities, actions, advantages, w2):
    return d_outputs_and_dhidden(
        hidden, advantages[:, None] * (actions[:, None] - probabilities), w2
    )


def d_outputs_and_dhidden(hidden, d_outputs, w2):
    return d_outputs, (d_outputs @ w2) * (hidden > 0)


def numpy_backward(made):
    """Terms sorted by their row of dw1; ``add.at`` would add them one by one."""
    indices, signs, offsets, *decisions, w2, _ = made.inputs.values()
    dw1, dw2 = made.outputs.values()
    given = made.op.name == "policy_backward_outputs"

    def call():
        d_outputs, dhidden = (d_outputs_and_dhidden if given else dlogits_and_dhidden)(
            *decisions, w2
        )
        np.add(dw2, d_outputs.T @ decisions[0], out=dw2)
        order = np.argsort(indices, kind="stable")
        rows = np.repeat(np.arange(len(dhidden)), np.diff(offsets))[order]
        pixels, begins = np.unique(indices[order], return_index=True)
        terms = dhidden[rows] * signs[order, None].astype(np.float32)
        dw1[pixels] += np.add.reduceat(terms, begins)
        return dw1, dw2

    return call


def blas_forward(made):
    x, w1, w2 = made.inputs.values()
    return lambda: head(np.maximum(x @ w1, 0), w2)


def blas_backward(made):
    x, *decisions, w2, _ = made.inputs.values()
    dw1, dw2 = made.outputs.values()

    def call():
        dlogits, dhidden = dlogits_and_dhidden(*decisions, w2)
        np.add(dw2, dlogits.T @ decisions[0], out=dw2)
        np.add(dw1, x.T @ dhidden, out=dw1)
        return dw1, dw2

    return call


def openblas(action: str):
    """OpenBLAS's function to ``get`` or ``set`` its threads; None if NumPy has another BLAS."""
    for library in (Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*"):
        for prefix in ("scipy_", ""):
            name = f"{prefix}openblas_{action}_num_threads64_"
            function = getattr(ctypes.CDLL(str(library)), name, None)
            if function is not None:
                return function
    return None


@pytest.fixture(autouse=True)
def blas_threads():
    """The number of BLAS threads; None if unknown.

    One, as everything else here, unless OPENBLAS_NUM_THREADS is set.
    """
    get, put = openblas("get"), openblas("set")
    if get is None or put is None:
        yield None
        return
    before = get()
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        put(1)
    yield get()
    put(before)


def numpy_ppo(made):
    """Whole arrays, for two actions and one logit."""
    probabilities, values, actions, old, advantages, returns, *weights = made.inputs.values()
    clip, entropy_weight, value_weight = weights

    def call():
        p = probabilities[:, 0]
        taken = actions == 1
        ratio = np.where(taken, p, 1 - p) / old
        stopped = np.where(advantages > 0, ratio > 1 + clip, ratio < 1 - clip)
        d_logits = np.where(stopped, 0, advantages * ratio) * (taken - p)
        d_logits -= entropy_weight * p * (1 - p) * (np.log(p) - np.log1p(-p))
        return d_logits[:, None], -2 * value_weight * (values - returns)

    return call


# ---- actions ------------------------------------------------------------------------------------


def numpy_uniforms(made):
    """Philox on arrays; the reference computes it with Python's integers."""
    streams, steps, seed = made.inputs.values()
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    multipliers = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
    keys = [
        [np.uint64(((int(seed) >> shift) + n * step) & 0xFFFFFFFF) for n in range(10)]
        for shift, step in ((0, 0x9E3779B9), (32, 0xBB67AE85))
    ]

    def call():
        c0, c1, c2, c3 = steps & low, steps >> half, streams & low, streams >> half
        for k0, k1 in zip(*keys, strict=True):
            product0, product1 = multipliers[0] * c0, multipliers[1] * c2
            c0, c2 = (product1 >> half) ^ c1 ^ k0, (product0 >> half) ^ c3 ^ k1
            c1, c3 = product1 & low, product0 & low
        return [(c0 >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)]

    return call


def generator_uniforms(made):
    """NumPy's own generator: other numbers, from a state."""
    generator, uniforms = np.random.default_rng(1), made.outputs["uniforms"]
    return lambda: [generator.random(out=uniforms, dtype=np.float32)]


# ---- the benchmarks -----------------------------------------------------------------------------

BACKENDS = {"numba": loop_of("numba"), "cython": loop_of("cython")}
NUMPY = loop_of("reference")  # for ops whose reference works on whole arrays
CALLS = {
    "preprocess": {"numpy": numpy_preprocess, "opencv": opencv_preprocess},
    "preprocess_palette": {"numpy": numpy_preprocess},
    "frame_difference": {"numpy": numpy_sparse},
    "frame_stack": {"numpy": numpy_sparse},
    "discounted_returns": {"numpy": NUMPY, "scipy lfilter": scipy_returns},
    "standardize": {"numpy": numpy_standardize},
    "policy_forward": {"numpy": numpy_forward, "dense blas": blas_forward},
    "policy_forward_dense": {"numpy": blas_forward},
    "policy_backward": {"numpy": numpy_backward, "dense blas": blas_backward},
    "policy_backward_dense": {"numpy": blas_backward},
    "policy_backward_outputs": {"numpy": numpy_backward},
    "ppo_gradient": {"numpy": numpy_ppo},
    "counter_uniforms": {"numpy": numpy_uniforms, "numpy generator": generator_uniforms},
}
COLUMNS = {op: BACKENDS | {"numpy": NUMPY} | CALLS.get(op, {}) for op in BY_NAME}
BLAS = {blas_forward, blas_backward}


def results(maker, made):
    """Outputs of one call, sparse ones cut to their used length."""
    answer = maker(made)()
    if isinstance(answer, tuple | list):
        return answer
    return [v[:answer] if name in ("indices", "signs") else v for name, v in made.outputs.items()]


def prepared(op, who, size):
    """The call to time, after a check of its results."""
    maker = COLUMNS[op][who]
    kind = f"{op}_dense" if who == "dense blas" else op
    sized = options(kind, size)
    if who not in ("cython", "numpy generator") and size <= 16:
        actual, expected = (results(m, case(kind, **sized)) for m in (maker, BACKENDS["cython"]))
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=2e-4, atol=2e-4 * np.abs(e).max(initial=0))
    return maker(case(kind, **sized))


ROWS = [
    pytest.param(op, who, size, id=f"{op}-{size}-{who}")
    for op in BY_NAME
    for size in SIZES
    for who in COLUMNS[op]
]


def measure(benchmark, threads, op, who, size, call):
    call()  # compiles
    benchmark.group = f"{op} {size}"
    benchmark.extra_info.update(op=op, who=who, size=size)
    if "blas" in who or COLUMNS.get(op, {}).get(who) in BLAS:
        benchmark.extra_info["blas_threads"] = threads
    benchmark(call)
    if benchmark.stats is not None:
        benchmark.extra_info["us_per_sample"] = 1e6 * benchmark.stats["median"] / size


@pytest.mark.benchmark(max_time=0.2, min_rounds=3)
@pytest.mark.parametrize(("op", "who", "size"), ROWS)
def test_kernel(benchmark, blas_threads, op, who, size):
    measure(benchmark, blas_threads, op, who, size, prepared(op, who, size))


@pytest.mark.benchmark(max_time=0.2, min_rounds=3)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("who", ["numba", "cython", "numpy", "dense blas"])
def test_forward_and_backward(benchmark, blas_threads, who, size):
    """Forward and backward pass, sparse or dense."""
    forward, backward = (prepared(op, who, size) for op in ("policy_forward", "policy_backward"))

    def both():
        forward()
        backward()

    measure(benchmark, blas_threads, TRAINING, who, size, both)

"""Each op in each backend beside what one would otherwise call, at several sizes.

``pytest --benchmark`` runs it, ``pytest --benchmark -k policy_forward`` a part of it, and
``pytest --benchmark --benchmark-disable`` every body once. Set-up is outside of the timing; the
outputs are given, so that no allocation is timed. ``extra_info`` holds microseconds per sample.
"""

import numpy as np
import pytest

from fastpg.kernels import get_backend, names
from fastpg.kernels.spec import BY_NAME
from tests.cases import case

SIZES = (1, 16, 128, 1024)
STEPS = 1000  # of each environment, for returns; elements of each segment or update
PONG = {"D": 6400, "H": 200, "A": 1, "pixels": 22}


def options(op: str, size: int) -> dict:
    """Sizes as in training: Pong's pixels, H = 200, one output."""
    if op.startswith("preprocess"):
        return {"N": size, "kind": "pong", "find": True}
    if op.startswith("frame"):
        return {"N": size, "D": 6400, "kind": "pong"}
    if op.startswith("policy_backward"):  # accumulating, as the clearing of dw1 is no sample's
        return {"B": size, "accumulate": True, **PONG}
    if op.startswith("policy"):
        return {"B": size, **PONG}
    return {
        "discounted_returns": {"T": STEPS, "N": size, "gamma": 0.99, "cut": False},
        "standardize": {"sizes": [STEPS] * size},
        "rmsprop_update": {"M": STEPS * size},
        "counter_uniforms": {"N": size, "key": 1},
        "sample_actions": {"N": size, "A": 1},
    }[op]


# ---- what one would otherwise call ------------------------------------------------------------


def numpy_preprocess(made):
    """The article's ``prepro``, on a batch and with the background found."""
    frames, views = made.inputs["frames"], made.outputs["views"]

    def call():
        for frame, view in zip(frames, views, strict=True):
            red = frame[35:195:2, ::2, 0].ravel()
            background = np.bincount(red, minlength=256).argmax()
            np.logical_and(red != 0, red != background, out=view.view(bool))

    return call


def opencv_preprocess(made):
    """Crop, nearest neighbour resize and compare, with a constant background, as it has no mode."""
    import cv2

    cv2.setNumThreads(1)
    frames, views = made.inputs["frames"], made.outputs["views"].reshape(-1, 80, 80)

    def call():
        for frame, view in zip(frames, views, strict=True):
            red = cv2.extractChannel(frame[35:195], 0)
            small = cv2.resize(red, (80, 80), interpolation=cv2.INTER_NEAREST)
            view[:] = cv2.bitwise_and(cv2.compare(small, 144, cv2.CMP_NE), small)

    return call


def numpy_difference(made):
    current, previous = made.inputs.values()

    def call():
        x = current.view(np.int8) - previous.view(np.int8)
        rows, columns = np.nonzero(x)
        return columns, x[rows, columns], np.searchsorted(rows, np.arange(len(x) + 1))

    return call


def scipy_returns(made):
    from scipy.signal import lfilter

    rewards = np.ascontiguousarray(made.inputs["rewards"][::-1].T, np.float64)
    gamma = made.inputs["gamma"]
    return lambda: lfilter([1.0], [1.0, -gamma], rewards, axis=1)


def numpy_standardize(made):
    values = made.inputs["values"].reshape(-1, STEPS)

    def call():
        centred = values - values.mean(axis=1, keepdims=True)
        return centred / centred.std(axis=1, keepdims=True)

    return call


def blas_forward(made):
    x, w1, w2 = made.inputs.values()

    def call():
        hidden = np.maximum(x @ w1, 0)
        return hidden, 1 / (1 + np.exp(-hidden @ w2.T))

    return call


def blas_backward(made):
    x, hidden, probabilities, actions, advantages, w2, _ = made.inputs.values()
    dw1, dw2 = made.outputs.values()

    def call():
        dlogits = advantages[:, None] * (actions[:, None] - probabilities)
        np.add(dw2, dlogits.T @ hidden, out=dw2)
        np.add(dw1, x.T @ ((dlogits @ w2) * (hidden > 0)), out=dw1)

    return call


def numpy_uniforms(made):
    generator, uniforms = np.random.default_rng(1), made.outputs["uniforms"]
    return lambda: generator.random(out=uniforms, dtype=np.float32)


OTHERS = {
    "preprocess": {"numpy": numpy_preprocess, "opencv": opencv_preprocess},
    "frame_difference": {"numpy": numpy_difference},
    "discounted_returns": {"scipy": scipy_returns},
    "standardize": {"numpy": numpy_standardize},
    "policy_forward_dense": {"blas": blas_forward},
    "policy_backward_dense": {"blas": blas_backward},
    "counter_uniforms": {"numpy": numpy_uniforms},
}
# The dense network is what others call where here the sparse one is.
BESIDE = {"policy_forward": "policy_forward_dense", "policy_backward": "policy_backward_dense"}


def backend_call(made, backend):
    loop = getattr(get_backend(backend).loops, made.op.name)
    arguments = (*made.inputs.values(), *made.outputs.values())
    return lambda: loop(*arguments)


# ---- the benchmarks -----------------------------------------------------------------------------


def slow(op: str, who: str, size: int) -> bool:
    """Too long for a benchmark: the reference on large batches."""
    limit = 16 if op.startswith("policy") else 128
    return who == "reference" and size > limit


ROWS = [
    pytest.param(op, who, size, id=f"{op}-{size}-{who}")
    for op in BY_NAME
    for size in SIZES
    for who in (*names(), *OTHERS.get(op, {}), *OTHERS.get(BESIDE.get(op, ""), {}))
    if not slow(op, who, size)
]


@pytest.mark.parametrize(("op", "who", "size"), ROWS)
def test_kernel(benchmark, op, who, size):
    other = BESIDE.get(op, op) if who not in names() else op
    made = case(other, **options(other, size))
    call = backend_call(made, who) if who in names() else OTHERS[other][who](made)
    call()  # compiles
    benchmark.group = f"{op} {size}"
    benchmark.extra_info.update(op=op, who=who, size=size)
    benchmark(call)
    if benchmark.stats is not None:
        benchmark.extra_info["us_per_sample"] = 1e6 * benchmark.stats["median"] / size

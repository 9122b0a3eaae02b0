"""Seeded cases of every op, for the tests of the backends and for the benchmarks.

One maker per op returns its inputs and scalars by name. OPTIONS lists the makers' arguments for all
cases of the tests.
"""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastpg.kernels import names
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.kernels.spec import BY_NAME, Op

HOST_BACKENDS = tuple(name for name in names() if name != "cuda")  # on NumPy arrays

COURT, PADDLE, BALL = 144, 92, 236
GARBAGE = 77


class Case(NamedTuple):
    """One call of an op: its inputs and scalars by name, and its outputs before the call."""

    op: Op
    label: str
    inputs: dict[str, Any]
    outputs: dict[str, np.ndarray]


def cases(name: str) -> Iterator[Case]:
    """All test cases of an op."""
    for number, options in enumerate(OPTIONS[name]):
        yield case(name, seed=number, **options)


def case(name: str, seed: int = 0, **options: Any) -> Case:
    """One case. Outputs hold garbage, which shows an element that was not written."""
    op = BY_NAME[name]
    label = "-".join(f"{k}={v}" for k, v in options.items())
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    made = MAKERS[name](rng, **options)
    inputs = {given.name: made[given.name] for given in (*op.inputs, *op.scalars)}
    sizes = made.get("sizes", {})
    for declared in op.inputs:
        for dim, size in zip(declared.dims, made[declared.name].shape, strict=True):
            sizes[dim] = size
            sizes[f"{dim}+1"] = size + 1
    outputs = {}
    for declared in op.outputs:
        shape = tuple(d if isinstance(d, int) else sizes[d] for d in declared.dims)
        garbage = np.full(shape, GARBAGE, declared.dtype)
        outputs[declared.name] = made.get(declared.name, garbage).copy()
    return Case(op, label, inputs, outputs)


# ---- pictures -------------------------------------------------------------------------------


def pong_red(rng: np.random.Generator, n: int) -> np.ndarray:
    """Red channel (n, 210, 160) of frames like Pong's: court, two paddles, a ball, score area."""
    red = np.full((n, 210, 160), COURT, np.uint8)
    red[:, 24:34] = red[:, 194:] = BALL
    for frame in red:
        left, right, y, x = rng.integers(34, [178, 178, 190, 156])
        frame[left : left + 16, 16:20] = 213
        frame[right : right + 16, 140:144] = PADDLE
        frame[y : y + 4, x : x + 2] = BALL
    return red


def _pictures(rng, n, kind):
    if kind == "pong":
        return pong_red(rng, n)
    if kind == "noise":  # no value has the majority
        return rng.integers(0, 256, (n, 210, 160), dtype=np.uint8)
    red = np.zeros((n, 210, 160), np.uint8)
    view = red[:, 35:195:2, ::2]
    if kind == "tie":  # 9 and 7, 3,200 times each: the lower is the background
        view[:, :40], view[:, 40:] = 9, 7
    elif kind == "centre":  # the first pixel is not the background
        view[:] = 33
        view[:, :5] = 109
    else:
        assert kind == "black"
    return red


def _preprocess(rng, N, kind, find):
    frames = rng.integers(0, 256, (N, 210, 160, 3), dtype=np.uint8)
    frames[..., 0] = _pictures(rng, N, kind)
    return {"frames": frames, "find_background": find}


def _preprocess_palette(rng, N, kind, find):
    """Palettes with all reds different or, as Pong's, with each red at two indices."""
    red = np.arange(256, dtype=np.uint8)
    if kind == "repeats":
        red = red // 2
        frames = rng.integers(0, 256, (N, 210, 160), dtype=np.uint8)
        frames[rng.random(frames.shape) < 0.6] = 20
        frames[rng.random(frames.shape) < 0.3] = 21
    else:
        frames = _pictures(rng, N, kind)
    return {"frames": frames, "red": red, "find_background": find}


def views_like_pong(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(current, previous) views whose difference has about 22 pixels."""
    previous = np.zeros((n, VIEW_PIXELS), np.uint8)
    current = np.zeros((n, VIEW_PIXELS), np.uint8)
    for before, now in zip(previous.reshape(n, 80, 80), current.reshape(n, 80, 80), strict=True):
        for column in (8, 70):
            y = rng.integers(4, 68)
            before[y : y + 8, column : column + 2] = 1
            y += rng.choice([-3, -2, 2, 3])
            now[y : y + 8, column : column + 2] = 1
        y, x = rng.integers(3, [76, 76])
        before[y : y + 2, x] = 1
        now[y + 1 : y + 3, x + 1] = 1
    return current, previous


def _frame_difference(rng, N, D, kind, spare=None, views=1):
    """``spare``: capacity beyond what is needed; ``views``: 2 for a stack."""
    if kind == "pong":
        current, previous = views_like_pong(rng, N)
    else:
        current, previous = (rng.random((2, N, D)) < {"full": 2, "half": 0.5}[kind]).astype("u1")
        if kind == "full":
            previous[:] = 0
    needed = np.count_nonzero(current) + np.count_nonzero(previous)
    if views == 1:
        needed = np.count_nonzero(current != previous)
    sizes = {"K": needed + 5 if spare is None else max(needed + spare, 0)}
    return {"current": current, "previous": previous, "sizes": sizes}


def _frame_stack(rng, **options):
    return _frame_difference(rng, views=2, **options)


# ---- returns --------------------------------------------------------------------------------


def _discounted_returns(rng, T, N, gamma, cut):
    rewards = (rng.random((T, N)) < 0.05) * rng.choice([-1.0, 1.0, 0.5, -0.0], (T, N))
    dones = rng.random((T, N)) < 0.02
    return {
        "rewards": rewards.astype(np.float32),
        "dones": dones,
        "gamma": gamma,
        "cut_at_rewards": cut,
    }


def _generalized_advantages(rng, T, N, gamma, lam):
    made = _discounted_returns(rng, T, N, gamma, False)
    values = rng.normal(0, 1, (T + 1, N)).astype(np.float32)
    return {**made, "values": values, "lam": lam}


def _standardize(rng, sizes, constant=False):
    values = rng.normal(3, 2, sum(sizes)).astype(np.float32)
    if constant:
        values[:] = 0.1
    return {"values": values, "offsets": np.cumsum([0, *sizes])}


# ---- the network ----------------------------------------------------------------------------


def sparse_rows(rng: np.random.Generator, B: int, D: int, pixels: float) -> dict[str, np.ndarray]:
    """B rows with ``pixels`` non-zero inputs on average, many of them the same, as in Pong."""
    counts = np.minimum(rng.poisson(pixels, B), D)
    likely = rng.permutation(D)[: max(D // 10, counts.max(initial=0))]
    rows = [np.sort(rng.choice(likely, count, replace=False)) for count in counts]
    indices = np.concatenate([*rows, np.zeros(0)]).astype(np.uint16)
    return {
        "indices": indices,
        "signs": rng.choice(np.array([-1, 1], np.int8), indices.size),
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    }


def _dense(rows, D):
    x = np.zeros((rows["offsets"].size - 1, D), np.float32)
    owner = np.repeat(np.arange(x.shape[0]), np.diff(rows["offsets"]))
    x[owner, rows["indices"]] = rows["signs"]
    return x


def _network(rng, B, D, H, A, pixels, scale=1.0):
    """Inputs, weights, actions and advantages, and activations like a forward pass's."""
    rows = sparse_rows(rng, B, D, pixels)
    made = {
        **rows,
        "x": _dense(rows, D),
        "w1": (scale * rng.normal(0, D**-0.5, (D, H))).astype(np.float32),
        "w2": (scale * rng.normal(0, H**-0.5, (A, H))).astype(np.float32),
        "actions": rng.integers(0, max(A, 2), B, dtype=np.uint8),
        "advantages": rng.normal(0, 1, B).astype(np.float32),
    }
    made["hidden"] = np.maximum(made["x"] @ made["w1"], 0)
    made["probabilities"] = rng.dirichlet(np.ones(A + 1), B)[:, :A].astype(np.float32)
    return made


def _policy_forward(rng, **options):
    made = _network(rng, **options)
    return {k: v for k, v in made.items() if k not in ("hidden", "probabilities")} | {
        "sizes": {"B": options["B"], "H": options["H"], "A": options["A"]}
    }


def _policy_backward(rng, accumulate=False, **options):
    made = _network(rng, **options)
    D, H = made["w1"].shape
    gradients = {"dw1": made["w1"], "dw2": made["w2"]} if accumulate else {}
    del made["w1"]
    return {**made, **gradients, "accumulate": accumulate, "sizes": {"D": D, "H": H}}


def _policy_backward_outputs(rng, **options):
    made = _policy_backward(rng, **options)
    return {**made, "d_outputs": rng.normal(0, 1, made["probabilities"].shape).astype("f4")}


def _ppo_gradient(rng, B, A, kind="random", clip=0.2, entropy=0.01, value=0.5):
    probabilities = rng.dirichlet(np.ones(A + 1), B)[:, :A].astype(np.float32)
    if A > 1:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    if kind == "even":  # highest entropy: its gradient cancels
        probabilities[:] = 1 / max(A, 2)
    elif kind == "edges":  # 0, 1 and values next to them
        probabilities[:] = rng.choice([0, 1, 1e-45, 1e-30, 1 - 2.0**-24], (B, A))
    actions = rng.integers(0, max(A, 2), B, dtype=np.uint8)
    taken = probabilities[np.arange(B), np.minimum(actions, A - 1)]
    if A == 1:
        taken = np.where(actions == 1, taken, 1 - taken)
    smallest = np.finfo(np.float32).smallest_normal
    old = np.clip(taken * np.exp(rng.normal(0, 0.3, B)), smallest, 1).astype(np.float32)
    old[::3] = np.maximum(taken, smallest)[::3]  # a ratio of exactly 1
    advantages, values, returns = rng.normal(0, 1, (3, B)).astype(np.float32)
    advantages[::5] = 0
    return {
        "probabilities": probabilities,
        "values": values,
        "actions": actions,
        "old_probabilities": old,
        "advantages": advantages,
        "returns": returns,
        "clip": clip,
        "entropy_weight": entropy,
        "value_weight": value,
    }


def _rmsprop_update(rng, M, zero=False):
    gradient = np.zeros(M) if zero else rng.normal(0, 3, M)
    return {
        "gradient": gradient.astype(np.float32),
        "learning_rate": 1e-3,
        "decay": 0.99,
        "epsilon": 1e-5,
        "weights": rng.normal(0, 1, M).astype(np.float32),
        "cache": (0 if zero else 1) * rng.exponential(1, M).astype(np.float32),
    }


def _adam_update(rng, M, zero=False, step=3, beta1=0.9):
    made = _rmsprop_update(rng, M, zero)
    mean = (0 if zero else 1) * rng.normal(0, 1, M).astype(np.float32)
    betas = {"step": step, "beta1": beta1, "beta2": 0.999}
    return {**made, **betas, "mean": mean, "square": made["cache"]}


# ---- actions --------------------------------------------------------------------------------


def _counter_uniforms(rng, N, key):
    streams, steps = rng.integers(0, 2**64, (2, N), dtype=np.uint64)
    steps[:: max(N // 3, 1)] = 2**64 - 1
    return {"streams": streams, "steps": steps, "seed": np.uint64(key)}


def _sample_actions(rng, N, A, kind="random"):
    probabilities = rng.dirichlet(np.ones(A + 1), N)[:, :A].astype(np.float32)
    if A > 1:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    uniforms = (rng.integers(0, 2**24, N) * 2.0**-24).astype(np.float32)
    if kind == "edges":  # at a boundary the next action is chosen; no sum exceeds 1
        probabilities[:] = 1 / 4
        uniforms[:] = np.arange(N) % 5 / 4
    return {"probabilities": probabilities, "uniforms": uniforms}


MAKERS = {name: globals()[f"_{name.removesuffix('_dense')}"] for name in BY_NAME}

_PICTURES = [
    {"N": n, "kind": kind, "find": find}
    for n, kind in [(0, "pong"), (1, "pong"), (5, "pong"), (2, "noise"), (1, "tie"), (1, "black")]
    for find in (True, False)
] + [{"N": 1, "kind": "centre", "find": True}]
_VIEWS = [
    {"N": 0, "D": 6400, "kind": "pong"},
    {"N": 1, "D": 6400, "kind": "pong"},
    {"N": 9, "D": 6400, "kind": "pong", "spare": 0},
    {"N": 3, "D": 77, "kind": "half"},
    {"N": 3, "D": 77, "kind": "half", "spare": -40},
    {"N": 4, "D": 64, "kind": "half", "spare": -1},
    {"N": 2, "D": 5, "kind": "full", "spare": 0},
    {"N": 2, "D": 128, "kind": "full", "spare": -1000},
]
_NETWORKS = [
    {"B": 0, "D": 10, "H": 8, "A": 1, "pixels": 3},
    {"B": 1, "D": 6400, "H": 200, "A": 1, "pixels": 22},
    {"B": 37, "D": 6400, "H": 200, "A": 1, "pixels": 22},
    {"B": 37, "D": 700, "H": 200, "A": 6, "pixels": 30},
    {"B": 5, "D": 300, "H": 267, "A": 2, "pixels": 12},
    {"B": 6, "D": 40, "H": 7, "A": 2, "pixels": 0.7},
    {"B": 9, "D": 65, "H": 1, "A": 19, "pixels": 20},
    {"B": 4, "D": 65536, "H": 8, "A": 3, "pixels": 9},
    {"B": 20, "D": 50, "H": 16, "A": 1, "pixels": 30, "scale": 60.0},
    {"B": 20, "D": 50, "H": 16, "A": 3, "pixels": 30, "scale": 60.0},
]
_SMALL = [options for options in _NETWORKS if options["D"] < 65536]

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "preprocess": _PICTURES,
    "preprocess_palette": [*_PICTURES, *({"N": 2, "kind": "repeats", "find": f} for f in (0, 1))],
    "frame_difference": _VIEWS,
    "frame_difference_dense": [{"N": n, "D": 6400, "kind": "pong"} for n in (0, 1, 3)]
    + [{"N": 2, "D": 77, "kind": "half"}],
    "frame_stack": _VIEWS,
    "discounted_returns": [
        {"T": t, "N": n, "gamma": gamma, "cut": cut}
        for t, n in [(0, 2), (1, 1), (200, 1), (50, 7), (33, 150)]
        for gamma, cut in [(0.99, True), (0.99, False), (1.0, True), (0.0, False)]
    ],
    "generalized_advantages": [
        {"T": t, "N": n, "gamma": gamma, "lam": lam}
        for t, n in [(0, 2), (1, 1), (200, 1), (50, 7), (33, 150)]
        for gamma, lam in [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0), (0.0, 0.5)]
    ],
    "standardize": [
        {"sizes": [0]},
        {"sizes": [1]},
        {"sizes": [1000]},
        {"sizes": [7, 8, 9, 15, 16, 17]},
        {"sizes": [3, 0, 1, 250, 2]},
        {"sizes": [7, 300, 1000], "constant": True},
    ],
    "policy_forward": _NETWORKS,
    "policy_forward_dense": _SMALL,
    "policy_backward": [o | {"accumulate": a} for o in _NETWORKS for a in (False, True)],
    "policy_backward_dense": [o | {"accumulate": a} for o in _SMALL for a in (False, True)],
    "policy_backward_outputs": [o | {"accumulate": a} for o in _NETWORKS for a in (False, True)],
    "ppo_gradient": [{"B": b, "A": a} for b in (0, 1, 1000) for a in (1, 2, 6)]
    + [{"B": 40, "A": a, "kind": kind} for a in (1, 2, 3, 18, 19) for kind in ("even", "edges")]
    + [{"B": 40, "A": a, "clip": clip} for a in (1, 3) for clip in (0.0, np.inf)]
    + [{"B": 40, "A": a, "entropy": 0.0, "value": 0.0} for a in (1, 3)],
    "rmsprop_update": [{"M": m} for m in (0, 1, 9, 20000)] + [{"M": 17, "zero": True}],
    "adam_update": [{"M": m} for m in (0, 1, 9, 20000)]
    + [{"M": 17, "zero": True, "step": 1}]
    + [{"M": 300, "step": s, "beta1": b} for s in (1, 2, 77, 10**6, 2**53) for b in (0.0, 0.95)],
    "counter_uniforms": [{"N": n, "key": k} for n in (0, 1, 1000) for k in (0, 2**64 - 1, 12345)],
    "sample_actions": [{"N": n, "A": a} for n in (0, 1, 1000) for a in (1, 2, 6, 255)]
    + [{"N": 20, "A": a, "kind": "edges"} for a in (1, 2, 4)],
}

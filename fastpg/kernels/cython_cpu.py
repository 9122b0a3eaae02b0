"""The Cython backend: compiled ahead of time, its loops also open to ``cimport``."""

from fastpg.kernels import BackendUnavailable

try:
    from fastpg.kernels._cython import (
        counter_uniforms,
        discounted_returns,
        frame_difference,
        frame_difference_dense,
        frame_stack,
        policy_backward,
        policy_backward_dense,
        policy_forward,
        policy_forward_dense,
        preprocess,
        preprocess_palette,
        rmsprop_update,
        sample_actions,
        standardize,
    )
except ImportError as error:
    raise BackendUnavailable(
        f"the cython backend is not built ({error}); install fastpg with a C compiler present "
        "(`pip install .`, or `pip install -e .` in a checkout), or use the numba backend"
    ) from error

__all__ = [
    "counter_uniforms",
    "discounted_returns",
    "frame_difference",
    "frame_difference_dense",
    "frame_stack",
    "policy_backward",
    "policy_backward_dense",
    "policy_forward",
    "policy_forward_dense",
    "preprocess",
    "preprocess_palette",
    "rmsprop_update",
    "sample_actions",
    "standardize",
]

"""Report a failing GPU on one line with a cure. Imports nothing of CUDA."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Of numba-cuda only the driver: an error of its compiler is a bug of ours and keeps its traceback.
_DRIVER = ("numba.cuda.cudadrv.", "cuda.core.", "cuda.bindings.")


class DeviceFailure(RuntimeError):
    """A call of CUDA's driver failed; the message has the driver's words and the cure, one line."""


@contextmanager
def on_one_line(where: Callable[[], str]) -> Iterator[None]:
    """Raise an error of the driver within the block as :class:`DeviceFailure`.

    Args:
        where: called after a failure; returns how the run can be continued.

    Raises:
        DeviceFailure: CUDA's driver, or numba-cuda on its behalf, refused a call, or an earlier
            kernel failed. Other errors pass through unchanged.
    """
    try:
        yield
    except Exception as error:
        if not _is_from_driver(error):
            raise
        message = " ".join(str(error).split()).rstrip(" :.") or type(error).__name__
        raise DeviceFailure(f"the GPU failed ({message}): {_cure(message)}; {where()}") from error


def _is_from_driver(error: Exception) -> bool:
    return any(kind.__module__.startswith(_DRIVER) for kind in type(error).__mro__)


def _cure(message: str) -> str:
    if "OUT_OF_MEMORY" in message:
        return (
            "free memory of the GPU (nvidia-smi lists who uses it), or lower --num-envs or "
            "--episodes-per-batch"
        )
    return (
        "a new process can use the GPU again, unless nvidia-smi or the system's log reports a fault"
    )

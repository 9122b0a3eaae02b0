"""What a GPU says when it fails, on one line with a cure. Imports nothing of CUDA."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Of numba-cuda the driver alone: what its compiler refuses is a fault of ours, with a traceback.
_DRIVER = ("numba.cuda.cudadrv.", "numba.cuda.simulator.cudadrv.", "cuda.core.", "cuda.bindings.")


class DeviceFailure(RuntimeError):
    """A call of CUDA's driver failed; the message is one line with what it said and the cure."""


@contextmanager
def on_one_line(where: Callable[[], str]) -> Iterator[None]:
    """Raise a failure of the driver within the block as :class:`DeviceFailure`.

    Args:
        where: called after a failure, says where to go on from.

    Raises:
        DeviceFailure: CUDA's driver, or numba-cuda on its behalf, refused a call, or a kernel
            before that call failed. Other errors pass as they are.
    """
    try:
        yield
    except Exception as error:
        if not _is_driver_s(error):
            raise
        said = " ".join(str(error).split()).rstrip(" :.") or type(error).__name__
        raise DeviceFailure(f"the GPU failed ({said}): {_cure(said)}; {where()}") from error


def _is_driver_s(error: Exception) -> bool:
    return any(kind.__module__.startswith(_DRIVER) for kind in type(error).__mro__)


def _cure(said: str) -> str:
    if "OUT_OF_MEMORY" in said:
        return "free memory of the GPU (nvidia-smi says who holds it), or lower --num-envs"
    return "a new process can use the GPU again, unless nvidia-smi or the system's log call it ill"

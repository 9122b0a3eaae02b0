"""Whether code for a GPU can be compiled here; that needs no GPU."""

import importlib.util
import os


def missing() -> str:
    """Return the reason why it cannot, or an empty string."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        return "the simulator stands in for the compiler"
    if importlib.util.find_spec("numba_cuda") is None:
        return "needs numba-cuda: pip install -e '.[cuda]'"
    from numba.cuda.cudadrv import nvvm

    try:
        nvvm.NVVM()
    except Exception as error:
        return f"needs NVVM: pip install -e '.[cuda]' ({error})"
    return ""

"""Base class of the public ops: a backend's loops and the argument checks."""

from typing import Any

import numpy as np

from fastpg.kernels import checks
from fastpg.kernels.spec import BY_NAME

Array = np.ndarray
Output = Array | None  # an output that is allocated if it is None


class CheckedOps:
    """Base of the ops' classes."""

    loops: Any  #: a backend's unchecked loops, one function per op
    memory: checks.Memory = checks.HostMemory()  #: holds the arrays

    def _run(self, name: str, inputs: Any, scalars: Any, outputs: Any) -> Any:
        """Check a call's arguments and run its loop; return the output, or a tuple of several.

        An output that the caller gave is returned as it is.
        """
        call = checks.check_call(BY_NAME[name], inputs, scalars, outputs, self.memory)
        getattr(self.loops, name)(*call.inputs, *call.scalars, *call.outputs)
        results = [
            made if given is None else given
            for given, made in zip(outputs, call.outputs, strict=True)
        ]
        return results[0] if len(results) == 1 else tuple(results)

    def to_backend(self, array: Array) -> Any:
        """A NumPy array in the backend's memory: the same array, or a copy on the GPU."""
        return array

    def to_host(self, array: Any) -> Array:
        """A NumPy array of an array in the backend's memory: the inverse of :meth:`to_backend`."""
        return array

    def empty(self, shape: Any, dtype: Any) -> Any:
        """An array in the backend's memory, of undefined content."""
        return self.memory.empty(shape, dtype)

    def cut(self, array: Any, size: int) -> Any:
        """A copy of an array's first elements, without the memory behind them."""
        return array[:size].copy()

"""Base class of the public ops: a backend's loops and the argument checks."""

from typing import Any

import numpy as np

from fastpg.kernels import checks
from fastpg.kernels.spec import BY_NAME

Array = np.ndarray
Output = Array | None  # an output that is allocated if it is None


class CheckedOps:
    """Base of the ops' classes."""

    loops: Any  # a backend's unchecked loops, one function per op

    # Hooks: how to check and read arrays depends on the memory that holds them, here the host's.
    _check_arrays = staticmethod(checks.check_arrays)
    _check_contents = staticmethod(checks.check_contents)
    _flatten = staticmethod(checks.flatten)
    _last_offset = staticmethod(checks.last_offset)

    def _run(self, name: str, inputs: Any, scalars: Any, outputs: Any) -> Any:
        """Check the arrays of a call, run its loop; return the output, or a tuple of several."""
        results = self._check_arrays(BY_NAME[name], inputs, outputs)
        getattr(self.loops, name)(*inputs, *scalars, *results)
        return results[0] if len(results) == 1 else tuple(results)

    def cut(self, array: Any, size: int) -> Any:
        """A copy of an array's first elements, without the memory behind them."""
        return array[:size].copy()

"""Base class of the public ops: a backend's loops and the argument checks."""

from typing import Any

import numpy as np

from fastpg.kernels import checks

Array = np.ndarray
Output = Array | None  # an output that is allocated if it is None


class CheckedOps:
    """Base of the ops' classes.

    Attributes:
        loops: the unchecked loops of a backend, one function per op.
    """

    loops: Any

    # Hooks: how to check and read arrays depends on the memory that holds them, here the host's.
    _check_arrays = staticmethod(checks.check_arrays)
    _check_contents = staticmethod(checks.check_contents)
    _flatten = staticmethod(checks.flatten)
    _last_offset = staticmethod(checks.last_offset)

    def _cut(self, array: Any, size: int) -> Any:
        """A copy of an array's first elements, without the memory behind them."""
        return array[:size].copy()

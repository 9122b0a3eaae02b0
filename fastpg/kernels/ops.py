"""The public kernels: an op checks its arguments, allocates missing outputs and runs a loop.

- :mod:`~fastpg.kernels.ops_pictures`: frames to views, views to sparse or dense inputs;
- :mod:`~fastpg.kernels.ops_policy`: forward pass, policy gradient, random numbers, actions;
- :mod:`~fastpg.kernels.ops_returns_advantages`: returns, advantages (GAE), standardization;
- :mod:`~fastpg.kernels.ops_losses`: PPO's surrogate, entropy bonus and value loss;
- :mod:`~fastpg.kernels.ops_optimizers`: RMSProp, Adam.

:class:`Backend` puts them together. The arithmetic is in the backends' unchecked loops:
:mod:`~fastpg.kernels.reference`, :mod:`~fastpg.kernels.numba_cpu`,
:mod:`~fastpg.kernels.cython_cpu`, :class:`fastpg.kernels.cuda.Loops`.
"""

from typing import Any

from fastpg.kernels.ops_losses import LossOps
from fastpg.kernels.ops_optimizers import OptimizerOps
from fastpg.kernels.ops_pictures import PictureOps
from fastpg.kernels.ops_policy import PolicyOps
from fastpg.kernels.ops_returns_advantages import ReturnOps


class Backend(PictureOps, PolicyOps, ReturnOps, LossOps, OptimizerOps):
    """Every op of the kernel table, checked, on the loops of one backend.

    Inputs are never changed or copied. An output with the default None is allocated if it is left
    out. An op returns its outputs in the order of its parameters: a single one as it is, several as
    a tuple. Optimizers return nothing.

    Every op raises TypeError for an argument that is no array or no number, or has another dtype,
    and ValueError for another shape, layout or value, and for an output that shares memory with
    another argument. The message starts with the argument's name. Arrays of one element are no
    numbers; a NumPy scalar counts as the Python number of the same value. The ``cuda`` backend
    checks arrays' elements only on request (:meth:`fastpg.kernels.cuda.CudaBackend.on`).

    Attributes:
        name: ``"reference"``, ``"numba"``, ``"cython"`` or ``"cuda"``.
        loops: the backend's unchecked loops, for callers whose arguments are known to be right.
        memory: what allocates and describes its arrays.
    """

    def __init__(self, name: str, loops: Any):
        self.name = name
        self.loops = loops

    def __repr__(self) -> str:
        return f"<fastpg.kernels backend {self.name!r}>"

    def __reduce__(self):
        from fastpg.kernels import get_backend

        return get_backend, (self.name,)

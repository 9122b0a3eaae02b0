"""Launches that come again with the same arguments, as one CUDA graph: a single launch of the host.

numba looks at each array that a kernel takes anew in each launch. For all launches of an update
that takes the host longer than they take the GPU.
"""

from collections.abc import Callable
from typing import Any

from fastpg.kernels._cuda_jit import SIMULATED, cuda


class Replay:
    """What has been launched once is captured, and launched as that from then on."""

    def __init__(self) -> None:
        self._launch_all: Callable[[], None] | None = None
        self._loaded = False
        self._arrays: tuple[Any, ...] = ()
        self._numbers: tuple[Any, ...] = ()

    def __call__(
        self, launch: Callable[[Any], None], arrays: tuple[Any, ...], numbers: tuple[Any, ...]
    ) -> None:
        """Launch kernels on the default stream: those that ``launch`` launches on a stream given.

        Args:
            launch: called only if the rest is not as it was the last time.
            arrays: all that its launches take which is not always the same, compared by identity:
                arrays, and what refers to some.
            numbers: the rest of it, compared by value.
        """
        if not self._loaded:  # a kernel's first launch compiles and loads it
            launch(cuda.default_stream())
            self._loaded = True
            return
        known = len(arrays) == len(self._arrays) and numbers == self._numbers
        if not known or any(a is not b for a, b in zip(arrays, self._arrays, strict=True)):
            self._launch_all = None
        if self._launch_all is None:
            self._launch_all = _captured(launch)
            self._arrays, self._numbers = arrays, numbers  # kept alive: their addresses are in it
        self._launch_all()


def _captured(launch: Callable[[Any], None]) -> Callable[[], None]:
    """What launches all of it on the default stream at once; the simulator has no graphs."""
    if SIMULATED:
        return lambda: launch(cuda.default_stream())
    from cuda.core import Device, Stream

    device = Device()
    device.set_current()
    builder = device.create_graph_builder().begin_building()
    try:
        launch(builder)
        graph = builder.end_building().complete()
    finally:
        builder.close()
    stream = Stream.from_handle(0)
    return lambda: graph.launch(stream)

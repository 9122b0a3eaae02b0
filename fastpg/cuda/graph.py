"""Launches that come again with the same arguments, as one CUDA graph: a single launch of the host.

numba looks at each array that a kernel takes anew in each launch. For all launches of an update
that takes the host longer than they take the GPU.
"""

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

from fastpg.kernels._cuda.jit import SIMULATED

DEFAULT_STREAM = 0


class Replays:
    """Groups of launches, each captured as a graph, and launched as that from then on."""

    def __init__(self) -> None:
        self._graphs: dict[Hashable, Callable[[], None]] = {}
        self._loaded = False
        self._arrays: tuple[Any, ...] = ()
        self._numbers: tuple[Any, ...] = ()

    def __call__(
        self,
        group: Hashable,
        launch: Callable[[Any], None],
        arrays: tuple[Any, ...],
        numbers: tuple[Any, ...],
    ) -> None:
        """Launch kernels on the default stream: those that ``launch`` launches on a stream given.

        Args:
            group: which ones.
            launch: called if they are not known yet, or the rest is not what it was.
            arrays: all that its launches take which is not always the same, compared by identity:
                arrays, and what refers to some. Snapshot until others come: a graph has addresses.
            numbers: the rest of it, compared by value.
        """
        if not self._loaded:  # a kernel's first launch compiles and loads it
            launch(DEFAULT_STREAM)
            self._loaded = True
            return
        known = tuple(map(id, arrays)), numbers
        if known != (tuple(map(id, self._arrays)), self._numbers):
            self._graphs.clear()
            self._arrays, self._numbers = arrays, numbers
        if group not in self._graphs:
            self._graphs[group] = _captured(launch)
        self._graphs[group]()


def _captured(launch: Callable[[Any], None]) -> Callable[[], None]:
    """What launches all of it on the default stream at once; the simulator has no graphs."""
    if SIMULATED:
        return lambda: launch(DEFAULT_STREAM)
    from cuda.core import Device, Stream

    device = Device()
    device.set_current()
    builder = device.create_graph_builder().begin_building()
    try:
        launch(builder)
        graph = builder.end_building().complete()
    except BaseException:
        with suppress(Exception):  # of a capture that is broken off: the first error says why
            builder.close()
        raise
    builder.close()
    stream = Stream.from_handle(DEFAULT_STREAM)
    return lambda: graph.launch(stream)

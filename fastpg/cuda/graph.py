"""Replay a group of launches as one CUDA graph, which the host launches at once.

numba inspects every array argument in every launch. For the launches of one update, that takes the
host longer than the launches take the GPU.
"""

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any

DEFAULT_STREAM = 0


class GraphCache:
    """Groups of launches: each is captured as a graph once, and replayed from then on."""

    def __init__(self) -> None:
        self._graphs: dict[Hashable, Callable[[], None]] = {}
        self._compiled = False
        self._arrays: tuple[Any, ...] = ()
        self._numbers: tuple[Any, ...] = ()

    def __call__(
        self,
        group: Hashable,
        launch: Callable[[Any], None],
        arrays: tuple[Any, ...],
        numbers: tuple[Any, ...],
    ) -> None:
        """Run a group of launches on the default stream.

        Args:
            group: key of the group.
            launch: launches the kernels on the stream that it is given. Called only to capture a
                graph: for a new group, or after ``arrays`` or ``numbers`` changed.
            arrays: arguments of the launches that may change between calls, compared by identity:
                arrays, and objects that refer to arrays. They are kept alive until others
                replace them, because a graph contains their addresses.
            numbers: the other arguments that may change, compared by value.
        """
        if not self._compiled:  # the first launch compiles and loads the kernels
            launch(DEFAULT_STREAM)
            self._compiled = True
            return
        key = tuple(map(id, arrays)), numbers
        if key != (tuple(map(id, self._arrays)), self._numbers):
            self._graphs.clear()
            self._arrays, self._numbers = arrays, numbers
        if group not in self._graphs:
            self._graphs[group] = _captured(launch)
        self._graphs[group]()


def _captured(launch: Callable[[Any], None]) -> Callable[[], None]:
    """Capture launches; returns a function that runs them on the default stream at once."""
    from cuda.core import Device, Stream

    device = Device()
    device.set_current()
    builder = device.create_graph_builder().begin_building()
    try:
        launch(builder)
        graph = builder.end_building().complete()
    except BaseException:
        with suppress(Exception):  # of the broken capture: the first error has the reason
            builder.close()
        raise
    builder.close()
    stream = Stream.from_handle(DEFAULT_STREAM)
    return lambda: graph.launch(stream)

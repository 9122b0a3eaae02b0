"""NumPy arrays in memory that a process shares with its workers."""

from multiprocessing import get_context
from typing import Any

import numpy as np


class SharedArray:
    """A NumPy array in memory that the parent and its workers share.

    It reaches a worker in the factory of its host (:class:`~fastpg.envs.worker_pool.WorkerPool`).
    The memory starts as zeros and is anonymous: it has no name in the file system, so it goes with
    the last process that uses it, however that process ends.

    Args:
        shape: the shape of the array.
        dtype: the dtype of the array.

    Attributes:
        array: the array, C-contiguous and writable.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = get_context("spawn").RawArray("b", max(size, 1))
        self._wrap(raw, shape, np.dtype(dtype))

    def _wrap(self, raw: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._raw = raw
        count = int(np.prod(shape))
        self.array = np.frombuffer(raw, dtype, count=count).reshape(shape)

    def __getstate__(self) -> tuple[Any, tuple[int, ...], np.dtype]:
        return self._raw, self.array.shape, self.array.dtype

    def __setstate__(self, state: tuple[Any, tuple[int, ...], np.dtype]) -> None:
        self._wrap(*state)

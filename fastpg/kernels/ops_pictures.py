"""Public ops from frames to network inputs: binary views, their difference, their stack."""

import math
from typing import Any

from fastpg.kernels import checks
from fastpg.kernels.ops_base import Array, CheckedOps, Output
from fastpg.kernels.spec import BY_NAME


class PictureOps(CheckedOps):
    """Frames to 80x80 views, and pairs of views to sparse or dense inputs."""

    def preprocess(
        self, frames: Array, find_background: bool = True, views: Output = None
    ) -> Array:
        """80x80 binary views of RGB frames: 1 where something is drawn, 0 for the background.

        A view has the rows 35, 37, .., 193 and the columns 0, 2, .., 158 of the frame's red
        channel. A pixel is 0 if its red value is 0 or a background value, else 1. By default the
        background value is the most frequent of the view's 6,400 red values; of equally frequent
        ones the lowest. With ``find_background=False`` the background values are the article's
        constants, 144 and 109. Both give the same views of Pong for the first 65,200 frames or so
        of an episode; then the ROM starts to cycle its colours, and only the first one works.

        Args:
            frames: (N, 210, 160, 3) uint8: RGB frames.
            find_background: whether to find each frame's background value.
            views: (N, 6400) uint8: output, 0 and 1 row by row; allocated if None.

        Source: the article's ``prepro``.
        """
        return self._run("preprocess", (frames,), (find_background,), (views,))

    def preprocess_palette(
        self, frames: Array, red: Array, find_background: bool = True, views: Output = None
    ) -> Array:
        """The views of :meth:`preprocess` from frames of palette indices, a third of the bytes.

        Args:
            frames: (N, 210, 160) uint8: palette index of each pixel, as ``ALEInterface.getScreen``
                returns it.
            red: (256,) uint8: red value of each palette index (``fastpg.envs.PALETTE_RGB[:, 0]``).
            find_background: as in :meth:`preprocess`.
            views: (N, 6400) uint8: output, 0 and 1 row by row; allocated if None.
        """
        return self._run("preprocess_palette", (frames, red), (find_background,), (views,))

    def frame_difference(
        self,
        current: Array,
        previous: Array,
        indices: Output = None,
        signs: Output = None,
        offsets: Output = None,
    ) -> tuple[Array, Array, Array]:
        """The non-zero pixels of ``current - previous``, as compressed sparse rows.

        Row n has the pixels ``indices[offsets[n]:offsets[n + 1]]``, in rising order. Their
        ``signs`` are +1 for a pixel that is lit now and -1 for one that was lit before. On average
        22 of a Pong difference's 6,400 pixels are non-zero.

        Args:
            current: (N, D) uint8: views of 0 and 1, D <= 65536; other values are refused.
            previous: (N, D) uint8: the views one step earlier.
            indices: (K,) uint16: output with capacity K; allocated if None.
            signs: (K,) int8: output with capacity K; allocated if None.
            offsets: (N+1,) int64: output; allocated if None.

        Returns:
            (indices, signs, offsets), the first two cut to their used length.

        Raises:
            ValueError: the capacity K is too small; the message says what is needed.
        """
        return self._sparse_rows("frame_difference", current, previous, indices, signs, offsets)

    def frame_stack(
        self,
        current: Array,
        previous: Array,
        indices: Output = None,
        signs: Output = None,
        offsets: Output = None,
    ) -> tuple[Array, Array, Array]:
        """The lit pixels of two views side by side, as compressed sparse rows.

        Indices below D are pixels of ``current``, those from D on pixels of ``previous``. All
        signs are +1. About 60 pixels of a Pong stack are lit. Results and errors are those of
        :meth:`frame_difference`.

        Args:
            current: (N, D) uint8: views of 0 and 1, D <= 32768; other values are refused.
            previous: (N, D) uint8: the views one step earlier.
            indices: (K,) uint16: output with capacity K; allocated if None.
            signs: (K,) int8: output with capacity K; allocated if None.
            offsets: (N+1,) int64: output; allocated if None.
        """
        return self._sparse_rows("frame_stack", current, previous, indices, signs, offsets)

    def _sparse_rows(self, name, current, previous, indices, signs, offsets):
        given = indices if indices is not None else signs
        # If it is no array, the check of the call says so.
        capacity = _elements(given) if given is not None else 2 * _elements(current)
        outputs = (indices, signs, offsets)
        call = checks.check_call(
            BY_NAME[name], (current, previous), (), outputs, self.memory, K=capacity
        )
        getattr(self.loops, name)(*call.inputs, *call.outputs)
        own_indices, own_signs, own_offsets = call.outputs
        needed = int(self.to_host(own_offsets[-1:])[0])
        if needed > capacity:
            name = "indices" if indices is not None else "signs"
            raise ValueError(f"{name}: expected capacity for {needed} pixels, got {capacity}")
        offsets = own_offsets if offsets is None else offsets
        if given is None:  # a caller that keeps the result must not keep the whole capacity
            return self.cut(own_indices, needed), self.cut(own_signs, needed), offsets
        return own_indices[:needed], own_signs[:needed], offsets

    def frame_difference_dense(self, current: Array, previous: Array, x: Output = None) -> Array:
        """``current - previous`` as a dense float32 array.

        Args:
            current: (N, D) uint8: views of 0 and 1; other values are refused.
            previous: (N, D) uint8: the views one step earlier.
            x: (N, D) float32: output, -1, 0 and 1; allocated if None.
        """
        return self._run("frame_difference_dense", (current, previous), (), (x,))


def _elements(array: Any) -> int:
    """The number of an array's elements, on the host or on the GPU; 0 for anything else."""
    shape = getattr(array, "shape", None)
    return math.prod(shape) if isinstance(shape, tuple) else 0

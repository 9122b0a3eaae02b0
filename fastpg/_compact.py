"""First-layer weights in fewer bits, for files that only play."""

from collections.abc import Mapping

import numpy as np

BITS = (32, 16, 8, 4)
_LEVELS, _SCALE = "w1_levels", "w1_scale"


def pack(w1: np.ndarray, bits: int) -> dict[str, np.ndarray]:
    """Tensors that stand for ``w1 (D, H)`` float32, with so many of ``BITS`` a weight.

    8 and 4 bits are levels of a row's largest weight: w1[d, h] = (levels[d, h] - most) * scale[d],
    most = 2^(bits - 1) - 1; of 4 bits the even columns are low in a byte and the odd ones high.
    """
    if bits >= 16:
        return {"w1": w1.astype(np.float16 if bits == 16 else np.float32)}
    most = _most(bits)
    scale = np.abs(w1).max(axis=1, keepdims=True).astype(np.float32) / np.float32(most)
    scale[scale == 0] = 1
    levels = (np.rint(w1 / scale) + most).astype(np.uint8)
    if bits == 4:
        levels = np.pad(levels, ((0, 0), (0, levels.shape[1] % 2)))
        levels = levels[:, ::2] | levels[:, 1::2] << 4
    return {_LEVELS: levels, _SCALE: scale}


def unpack(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same tensors with ``w1`` as float32, however :func:`pack` left it.

    Raises:
        ValueError: levels that fit no ``w2``.
    """
    rest = {name: array for name, array in tensors.items() if name not in (_LEVELS, _SCALE)}
    if "w1" in rest and rest["w1"].dtype == np.float16:
        return rest | {"w1": rest["w1"].astype(np.float32)}
    if _LEVELS not in tensors:
        return rest
    levels, scale = tensors[_LEVELS], tensors[_SCALE]
    hidden = tensors["w2"].shape[1]
    bits = 8 if levels.shape[1] == hidden else 4
    if bits == 4:
        if levels.shape[1] != -(-hidden // 2):
            raise ValueError(f"{_LEVELS}: expected {hidden} columns or half, got {levels.shape}")
        levels = np.stack([levels & 15, levels >> 4], axis=2).reshape(len(levels), -1)[:, :hidden]
    return rest | {"w1": (levels.astype(np.float32) - _most(bits)) * scale}


def _most(bits: int) -> int:
    return 2 ** (bits - 1) - 1

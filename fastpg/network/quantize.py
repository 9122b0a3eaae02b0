"""First-layer weights packed into fewer bits, for play-only files."""

from collections.abc import Mapping

import numpy as np

BITS = (32, 16, 8, 4)
_LEVELS = {8: "w1_8bit", 4: "w1_4bit"}
_SCALE = "w1_scale"


def pack(w1: np.ndarray, bits: int) -> dict[str, np.ndarray]:
    """Pack the first layer's weights.

    With 8 and 4 bits, a weight is a level between plus and minus its row's largest weight:
    w1[d, h] = (levels[d, h] - top) * scale[d], where top = 2^(bits - 1) - 1. With 4 bits, a byte
    holds an even column in its low half and the next one in its high half.

    Args:
        w1: (D, H) float32.
        bits: per weight, one of :data:`BITS`.

    Returns:
        The tensors to save: w1 (D, H) float32 or float16; or levels (D, H) or (D, ceil(H / 2))
        uint8, and scale (D, 1) float32.
    """
    if bits >= 16:
        return {"w1": w1.astype(np.float16 if bits == 16 else np.float32)}
    top = _top_level(bits)
    scale = np.abs(w1).max(axis=1, keepdims=True).astype(np.float32) / np.float32(top)
    scale[scale == 0] = 1
    levels = (np.rint(w1 / scale) + top).astype(np.uint8)
    if bits == 4:
        levels = np.pad(levels, ((0, 0), (0, levels.shape[1] % 2)))
        levels = levels[:, ::2] | levels[:, 1::2] << 4
    return {_LEVELS[bits]: levels, _SCALE: scale}


def unpack(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors with w1 (D, H) float32, which :func:`pack` may have packed.

    Raises:
        KeyError, ValueError: levels without their scale or w2, or of other shapes.
    """
    names = (*_LEVELS.values(), _SCALE)
    rest = {name: array for name, array in tensors.items() if name not in names}
    if "w1" in rest and rest["w1"].dtype == np.float16:
        return rest | {"w1": rest["w1"].astype(np.float32)}
    for bits, name in _LEVELS.items():
        if name in tensors:
            levels = tensors[name]
            if bits == 4:
                both = np.stack([levels & 15, levels >> 4], axis=2)
                levels = both.reshape(len(levels), -1)[:, : tensors["w2"].shape[1]]
            return rest | {"w1": (levels.astype(np.float32) - _top_level(bits)) * tensors[_SCALE]}
    return rest


def _top_level(bits: int) -> int:
    return 2 ** (bits - 1) - 1

"""Hidden units in pairs that are each other's mirror image, up and down exchanged.

Pong looks and plays nearly the same upside down, if UP and DOWN are exchanged too (paddles are
shifted by one or two of the screen's lines). Unit 2k + 1 sees of a picture what unit 2k sees of its
mirror image, and speaks for the mirrored actions: what is learned of one half of the field is
learned of the other. The network is the same two layers, all of whose weights are there; learning
takes the same step for both of a pair.
"""

import numpy as np

from fastpg.kernels.geometry import VIEW_PIXELS, VIEW_SIDE


def mirror_rows(
    planes: int,
    past_actions: int,
    actions: int,
    outputs: int,
    value: bool,
    cell: int,
    mirrored: tuple[int, ...],
) -> np.ndarray:
    """For each row of a network's weights, of both layers, the row of its mirror image.

    Args:
        planes: views side by side in the first layer.
        past_actions: that the network sees.
        actions: there are.
        outputs: logits; 1 for two actions, of which each is the other's mirror image.
        value: whether there is a value head.
        cell: side of a cell, 0 if there are none.
        mirrored: for each action the one that takes its place.

    Returns:
        (R,) int32, rows as csrc/network/tile_network.h has them, then heads: weight (r, h) is
        weight (mirror_rows[r], h ^ 1). ~twin, which is below 0: with the other sign.

    Raises:
        ValueError: the actions are no pairs, or cells do not divide a view.
    """
    own = list(range(actions))
    if sorted(mirrored) != own or [mirrored[action] for action in mirrored] != own:
        raise ValueError(f"mirrored: expected {actions} actions in pairs, got {mirrored}")
    if outputs == 1 and mirrored != (1, 0):
        raise ValueError(f"mirrored: expected (1, 0) with one output, got {mirrored}")
    if cell and VIEW_SIDE % cell:
        raise ValueError(f"cell: expected to divide {VIEW_SIDE}, got {cell}")
    past = np.array(mirrored) + actions * np.arange(past_actions)[:, None]
    logits = ~np.zeros(1, int) if outputs == 1 else np.array(mirrored)
    rows = [_upside_down(planes * VIEW_PIXELS, VIEW_SIDE), past.ravel()]
    if cell:
        across = VIEW_SIDE // cell
        rows.append(_upside_down(planes * across**2, across))
    heads = [logits, np.zeros(int(value), int)]
    begin, numbers = 0, []
    for part in rows + heads:
        numbers.append(np.where(part < 0, part - begin, part + begin))
        begin += len(part)
    return np.concatenate(numbers).astype(np.int32)


def _upside_down(count: int, side: int) -> np.ndarray:
    """Numbers of what lies column by column, ``side`` to a column, each column turned round."""
    return np.arange(count).reshape(-1, side)[:, ::-1].ravel()


def symmetrize(rows: np.ndarray, mirror_rows: np.ndarray) -> np.ndarray:
    """(R, H) of which the units 2k + 1 are the mirror image of the units 2k of ``rows``."""
    paired = rows.copy()
    signs = np.where(mirror_rows < 0, -1, 1).astype(rows.dtype)
    paired[:, 1::2] = (
        signs[:, None] * rows[np.where(mirror_rows < 0, ~mirror_rows, mirror_rows), 0::2]
    )
    return paired

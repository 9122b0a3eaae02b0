"""Mirrored units: pairs of hidden units that are each other's mirror image, upside down.

Upside down, and with UP and DOWN exchanged, Pong looks and plays nearly the same (the paddles are
off by one or two lines). Hidden unit 2k + 1 responds to a picture as unit 2k responds to its mirror
image, and its output weights are those of the mirrored actions. So the network learns about both
halves of the field at once. It still has two full layers; a step changes both units of a pair in
the same way.
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
    """The mirror image of each row of a network's weights, of both layers.

    Args:
        planes: number of planes in the first layer.
        past_actions: number of past actions in the first layer.
        actions: number of actions.
        outputs: number of logits; 1 for two actions that are each other's mirror image.
        value: whether there is a value head.
        cell: pixels along a cell's side; 0 for no cells.
        mirrored: each action's mirror image.

    Returns:
        (R,) int32: rows in the order of csrc/network/tile_network.h, then heads. Weight (r, h)
        equals weight (mirror_rows[r], h ^ 1). A negative number ~m stands for the negated row m.

    Raises:
        ValueError: ``mirrored`` is no pairing of the actions, or the cells do not divide a view.
    """
    all_actions = list(range(actions))
    if sorted(mirrored) != all_actions or [mirrored[k] for k in mirrored] != all_actions:
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
    first, numbers = 0, []
    for group in rows + heads:
        numbers.append(np.where(group < 0, group - first, group + first))
        first += len(group)
    return np.concatenate(numbers).astype(np.int32)


def _upside_down(count: int, side: int) -> np.ndarray:
    """0 .. count - 1, column by column with ``side`` to a column, each column reversed."""
    return np.arange(count).reshape(-1, side)[:, ::-1].ravel()


def symmetrize(rows: np.ndarray, mirror_rows: np.ndarray) -> np.ndarray:
    """Copy of ``rows`` (R, H) whose units 2k + 1 are the mirror image of its units 2k."""
    paired = rows.copy()
    signs = np.where(mirror_rows < 0, -1, 1).astype(rows.dtype)
    paired[:, 1::2] = (
        signs[:, None] * rows[np.where(mirror_rows < 0, ~mirror_rows, mirror_rows), 0::2]
    )
    return paired

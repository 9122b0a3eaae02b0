"""How much of a GPU's memory games take, and how many fit.

For N environments and launches of T steps::

    fixed + N * (state + scratch + seed + T * step)

    state    SNAPSHOT_BYTES   5,552  the game
    scratch  SCRATCH_BYTES   40,000  a picture of 33,600 bytes, a view's 6,400; without views 0
    step     806                     action 1, reward 4, end 1, view 800; without views 6
    fixed    STACK_BYTES of each thread that the GPU may hold at a time (the driver sets them aside
             when a kernel is loaded), what games share, the code

Training, with E stored steps of each (those of a round, and what its first and last look at), a
network that looks C steps back and H hidden units::

    fixed + learner + N * (3 * state + scratch + seed + player + 2 * C1 * frames + E * slot + H / 8)

    3 * state         17 kB          the game, one that is kept until a round has been learned
                                     from, and the one before that
    player            876            a view 800, keys of random numbers and their copies
    frames              68             of C + 1 stored steps: 32 tiles 64, count 2, age 1, action 1
    slot             101            frames, end 1, reward, chance, value 4 each; in learning 20
    H / 8                            hidden units of 32 games at a time, four bytes each; of 4 and
                                     more, up to H, while games are few
    learner                          :func:`learner_bytes`: 27 MB of preset pong, 124 MB of sticky
"""

from typing import Any

from fastpg.emulator._emulator import SCRATCH_BYTES, SNAPSHOT_BYTES

VIEW_BYTES = 800
STEP_BYTES = 6  # action, reward, end
SEED_BYTES = 64  # of a reset, rounded up
STACK_BYTES = 2304  # of a thread; tests/gpu/test_device_compile.py compares it with the code's
SHARED_BYTES = 4 << 20  # the code and what games share, rounded up
PLAYER_BYTES = VIEW_BYTES + 25 + 3 * 17  # streams, steps, between, left; the kept ones'
TAIL_BYTES = 68
_BLOCKS = 2048  # of a launch that learns, each with a sample's hidden units
_ROW_BYTES = 13  # a row has beside its numbers: cover, touched, updated, twin
ENTRY_BYTES = TAIL_BYTES + 13 + 20


def bytes_needed(environments: int, steps: int = 1, views: bool = True, fixed: int = 0) -> int:
    """Bytes of the GPU's memory for so many environments and launches of so many steps."""
    each = SNAPSHOT_BYTES + SEED_BYTES + steps * (STEP_BYTES + VIEW_BYTES * views)
    return fixed + environments * (each + SCRATCH_BYTES * views)


def most_environments(free: int, steps: int = 1, views: bool = True, fixed: int = 0) -> int:
    """How many environments fit into so many free bytes."""
    return max(0, (free - fixed) // bytes_needed(1, steps, views))


def fixed_bytes(device: Any) -> int:
    """What a GPU takes whatever the number of environments: numba's ``Device``."""
    threads = device.MULTIPROCESSOR_COUNT * device.MAX_THREADS_PER_MULTIPROCESSOR
    return int(threads) * STACK_BYTES + SHARED_BYTES


def require_room(
    environments: int, free: int, steps: int = 1, views: bool = True, fixed: int = 0
) -> None:
    """Raise unless the environments fit.

    Args:
        environments: how many are wanted.
        free: bytes of the GPU's memory that nobody uses.
        steps: of a launch.
        views: whether views are made.
        fixed: see :func:`fixed_bytes`.

    Raises:
        MemoryError: they do not; the message names the largest number that does.
    """
    needed = bytes_needed(environments, steps, views, fixed)
    if needed > free:
        most = most_environments(free, steps, views, fixed)
        raise MemoryError(
            f"num_envs: {environments:,} environments with {steps} steps a launch need "
            f"{needed / 2**30:.1f} GiB of the GPU's memory, {free / 2**30:.1f} GiB are free; "
            f"{most:,} fit"
        )


# ---- training --------------------------------------------------------------------------------


def training_bytes(
    environments: int, slots: int, lookback: int, hidden: int, fixed: int = 0
) -> int:
    """Bytes of the GPU's memory for so many environments that are learned from.

    Args:
        environments: N.
        slots: stored steps of each.
        lookback: steps that the network looks back.
        hidden: its hidden units.
        fixed: see :func:`fixed_bytes`, and :func:`learner_bytes`.
    """
    each = 3 * SNAPSHOT_BYTES + SCRATCH_BYTES + SEED_BYTES + PLAYER_BYTES
    each += 2 * (lookback + 1) * TAIL_BYTES + slots * ENTRY_BYTES + -(-hidden // 8)
    return fixed + environments * each


def learner_bytes(rows: int, inputs: int, heads: int, hidden: int, cell: int) -> int:
    """Bytes of the GPU's memory for a network and its optimizer.

    Args:
        rows: of the first layer's parts, as ``fastpg.network._network.Network`` counts them.
        inputs: likewise, without cells.
        heads: logits, and the value.
        hidden: hidden units.
        cell: side of a cell, 0 for none.
    """
    weights = (rows + heads) * hidden
    sums = inputs * hidden if cell else 0
    return weights * (4 + 8 + 4 + 4) + 4 * (sums + _BLOCKS * hidden) + _ROW_BYTES * (rows + heads)


def require_room_to_learn(
    free: int, rows: int, inputs: int, heads: int, hidden: int, cell: int
) -> None:
    """Raise unless a network and its optimizer fit.

    Args:
        free: bytes of the GPU's memory that nobody uses.
        rows: as :func:`learner_bytes`.
        inputs: as :func:`learner_bytes`.
        heads: as :func:`learner_bytes`.
        hidden: as :func:`learner_bytes`.
        cell: as :func:`learner_bytes`.

    Raises:
        MemoryError: they do not; the message names the largest number of hidden units that does.
    """
    needed = learner_bytes(rows, inputs, heads, hidden, cell)
    if needed > free:
        other = _ROW_BYTES * (rows + heads)
        most = max(0, (free - other) // (learner_bytes(rows, inputs, heads, 1, cell) - other))
        raise MemoryError(
            f"hidden: {hidden:,} hidden units, with their optimizer, need {needed / 2**30:.1f} GiB "
            f"of the GPU's memory, {free / 2**30:.1f} GiB are free; {most:,} fit"
        )


def require_room_to_train(
    environments: int, free: int, slots: int, lookback: int, hidden: int, fixed: int = 0
) -> None:
    """Raise unless so many environments fit that are learned from.

    Args:
        environments: how many are wanted.
        free: bytes of the GPU's memory that nobody uses.
        slots: as :func:`training_bytes`.
        lookback: as :func:`training_bytes`.
        hidden: as :func:`training_bytes`.
        fixed: what is not in use yet of it.

    Raises:
        MemoryError: they do not; the message names the largest number that does.
    """
    needed = training_bytes(environments, slots, lookback, hidden, fixed)
    if needed > free:
        most = max(0, (free - fixed) // training_bytes(1, slots, lookback, hidden))
        raise MemoryError(
            f"num_envs: {environments:,} environments with {slots:,} stored steps each need "
            f"{needed / 2**30:.1f} GiB of the GPU's memory, {free / 2**30:.1f} GiB are free; "
            f"{most:,} fit"
        )

"""Estimate how much of a GPU's memory games and training take, and how many games fit.

N environments and launches of T steps take::

    fixed + N * (state + scratch + seed + T * step)

    state    SNAPSHOT_BYTES   5,552  the game
    scratch  SCRATCH_BYTES   40,000  a picture of 33,600 bytes, a view of 6,400; 0 without views
    step     806                     action 1, reward 4, done 1, view 800; 6 without views
    fixed    STACK_BYTES for each thread that the GPU can hold at once (the driver reserves them
             when a kernel is loaded), the data that games share, the code

Training with E slots per game (a rollout's steps and its look-back), a network that looks C steps
back, and H hidden units takes::

    fixed + learner + N * (3 * state + scratch + seed + player + 2 * C1 * frames + E * slot + H / 8)

    3 * state         17 kB          the game, its snapshot before the current rollout, and the
                                     snapshot before that one
    player            876            a view 800, keys of random numbers, and copies of them
    frames              68             for each of C1 = C + 1 slots: 32 tiles 64, count 2, episode
                                     step 1, action 1
    slot             101            frames, done 1, reward, probability, value 4 each; in learning
                                     20 more
    H / 8                            hidden units of 32 games at a time, four bytes each; with few
                                     games up to H for four games and more
    learner                          :func:`learner_bytes`: 27 MB of preset pong, 124 MB of sticky
"""

from typing import Any

from fastpg.emulator._emulator import SCRATCH_BYTES, SNAPSHOT_BYTES

VIEW_BYTES = 800
STEP_BYTES = 6  # action, reward, done
SEED_BYTES = 64  # of a reset, rounded up
STACK_BYTES = 2304  # per thread; tests/gpu/test_device_emulator_compile.py checks the code's stack
SHARED_BYTES = 4 << 20  # the code and the data that games share, rounded up
PLAYER_BYTES = VIEW_BYTES + 25 + 3 * 17  # streams, steps, needs_reset, episodes_left; snapshots'
LOOKBACK_BYTES = 68
SLOT_BYTES = LOOKBACK_BYTES + 13 + 20
_BLOCKS = 2048  # blocks per learning kernel; each stores one sample's hidden units
_ROW_BYTES = 13  # per row of weights: cover, touched, updated, mirror row


def bytes_needed(environments: int, steps: int = 1, views: bool = True, fixed: int = 0) -> int:
    """Bytes of GPU memory for a number of environments and steps per launch.

    Args:
        environments: N.
        steps: per launch.
        views: whether views are made.
        fixed: see :func:`fixed_bytes`.
    """
    each = SNAPSHOT_BYTES + SEED_BYTES + steps * (STEP_BYTES + VIEW_BYTES * views)
    return fixed + environments * (each + SCRATCH_BYTES * views)


def max_environments(free: int, steps: int = 1, views: bool = True, fixed: int = 0) -> int:
    """Number of environments that fit into ``free`` bytes; the rest as :func:`bytes_needed`."""
    return _highest(free, bytes_needed(1, steps, views), fixed)


def _highest(free: int, each: int, fixed: int) -> int:
    return max(0, (free - fixed) // each)


def _require_fits(demand: str, count: int, free: int, each: int, fixed: int) -> None:
    """Raise MemoryError unless ``count`` items of ``each`` bytes fit besides the fixed ones."""
    needed = fixed + count * each
    if needed > free:
        raise MemoryError(
            f"{demand} need {needed / 2**30:.1f} GiB of the GPU's memory, {free / 2**30:.1f} GiB "
            f"are free; {_highest(free, each, fixed):,} fit"
        )


def fixed_bytes(device: Any) -> int:
    """Bytes used on a GPU (numba's ``Device``) regardless of the number of games."""
    threads = device.MULTIPROCESSOR_COUNT * device.MAX_THREADS_PER_MULTIPROCESSOR
    return int(threads) * STACK_BYTES + SHARED_BYTES


def require_environments_fit(
    environments: int, free: int, steps: int = 1, views: bool = True, fixed: int = 0
) -> None:
    """Raise unless the environments fit into ``free`` bytes; the rest as :func:`bytes_needed`.

    Raises:
        MemoryError: they do not fit; the message has the largest number that does.
    """
    demand = f"num_envs: {environments:,} environments with {steps} steps a launch"
    _require_fits(demand, environments, free, bytes_needed(1, steps, views), fixed)


# ---- training --------------------------------------------------------------------------------


def training_bytes(
    environments: int, slots: int, lookback: int, hidden: int, fixed: int = 0
) -> int:
    """Bytes of GPU memory for the environments and the rollout buffer of a training run.

    Args:
        environments: N.
        slots: of each environment.
        lookback: earlier steps in the network's input.
        hidden: H, hidden units of the network.
        fixed: :func:`fixed_bytes` and :func:`learner_bytes`.
    """
    each = 3 * SNAPSHOT_BYTES + SCRATCH_BYTES + SEED_BYTES + PLAYER_BYTES
    each += 2 * (lookback + 1) * LOOKBACK_BYTES + slots * SLOT_BYTES + -(-hidden // 8)
    return fixed + environments * each


def require_training_fits(
    environments: int, free: int, slots: int, lookback: int, hidden: int, fixed: int = 0
) -> None:
    """Raise unless the environments and the rollout buffer fit into ``free`` bytes.

    The other arguments are those of :func:`training_bytes`; ``fixed`` without what is allocated.

    Raises:
        MemoryError: they do not fit; the message has the largest number that does.
    """
    demand = f"num_envs: {environments:,} environments with {slots:,} stored steps each"
    each = training_bytes(1, slots, lookback, hidden)
    _require_fits(demand, environments, free, each, fixed)


def learner_bytes(rows: int, inputs: int, heads: int, hidden: int, cell: int) -> int:
    """Bytes of GPU memory for a network and its optimizer.

    Args:
        rows: of the first layer's parts, as ``fastpg.network._network.Network`` counts them.
        inputs: rows without those of cells.
        heads: logits, and the value.
        hidden: H, hidden units.
        cell: side of a cell, 0 without cells.
    """
    weights = (rows + heads) * hidden
    sums = inputs * hidden if cell else 0
    return weights * (4 + 8 + 4 + 4) + 4 * (sums + _BLOCKS * hidden) + _ROW_BYTES * (rows + heads)


def require_learner_fits(
    free: int, rows: int, inputs: int, heads: int, hidden: int, cell: int
) -> None:
    """Raise unless the network and optimizer of :func:`learner_bytes` fit into ``free`` bytes.

    Raises:
        MemoryError: they do not fit; the message has the largest number of hidden units that does.
    """
    demand = f"hidden: {hidden:,} hidden units, with their optimizer,"
    fixed = learner_bytes(rows, inputs, heads, 0, cell)
    each = learner_bytes(rows, inputs, heads, 1, cell) - fixed
    _require_fits(demand, hidden, free, each, fixed)

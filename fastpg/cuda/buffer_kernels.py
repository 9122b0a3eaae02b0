"""Launches over the buffer's rows: what is carried over, what is learned from."""

from fastpg.kernels._cuda.jit import cuda, kernel


@kernel
def shift_lookback(games, first, rows, tiles, counts, ages, actions):
    """Copy ``rows`` rows of a buffer from row ``first`` to its begin, a thread a column.

    The rows may overlap: each column is copied in the order of its rows.
    """
    width = tiles.shape[1]
    for i in range(cuda.grid(1), games * width, cuda.gridsize(1)):
        game, column = i // width, i % width
        for row in range(rows):
            slot, source = row * games + game, (first + row) * games + game
            tiles[slot, column] = tiles[source, column]
            if column == 0:
                counts[slot] = counts[source]
                ages[slot] = ages[source]
                actions[slot] = actions[source]


@kernel
def emulated_frames(states, first, second, frames):
    """Frames of each game's life: the sum of two words of its state."""
    for n in range(cuda.grid(1), frames.shape[0], cuda.gridsize(1)):
        frames[n] = states[n, first] + states[n, second]


# ---- whole episodes --------------------------------------------------------------------------


@kernel
def episode_samples(games, begins, offsets, samples):
    """Slots of episodes, a block an episode: number k begins with slot ``begins[k]``."""
    for k in range(cuda.blockIdx.x, begins.shape[0], cuda.gridDim.x):
        steps = offsets[k + 1] - offsets[k]
        for step in range(cuda.threadIdx.x, steps, cuda.blockDim.x):
            samples[offsets[k] + step] = begins[k] + step * games


@kernel
def gathered(values, samples, taken):
    """Write to each place of ``taken`` the value of its sample."""
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        taken[i] = values[samples[i]]


@kernel
def scattered(taken, samples, values):
    """Write the values of samples, each to its place."""
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        values[samples[i]] = taken[i]


# ---- rounds ----------------------------------------------------------------------------------


@kernel
def weighted(rewards, lost_point_weight, out):
    """Write rewards, the negative ones times a weight."""
    for i in range(cuda.grid(1), rewards.shape[0], cuda.gridsize(1)):
        out[i] = rewards[i] * lost_point_weight if rewards[i] < 0 else rewards[i]

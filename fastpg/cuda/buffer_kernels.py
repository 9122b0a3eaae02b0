"""Kernels on rows of the rollout buffer: shift the look-back rows, gather, scatter, weigh."""

from fastpg.kernels._cuda.jit import cuda, kernel


@kernel
def shift_lookback(games, first, rows, tiles, tile_counts, episode_steps, actions):
    """Move ``rows`` rows of a buffer from row ``first`` to the beginning, one thread per column.

    Source and target may overlap, because each thread copies its column's rows in order.
    """
    width = tiles.shape[1]
    for i in range(cuda.grid(1), games * width, cuda.gridsize(1)):
        game, column = i // width, i % width
        for row in range(rows):
            slot, source = row * games + game, (first + row) * games + game
            tiles[slot, column] = tiles[source, column]
            if column == 0:
                tile_counts[slot] = tile_counts[source]
                episode_steps[slot] = episode_steps[source]
                actions[slot] = actions[source]


@kernel
def count_frames(states, first, second, frames):
    """Emulator frames that each game has run so far: the sum of two words of its state."""
    for n in range(cuda.grid(1), frames.shape[0], cuda.gridsize(1)):
        frames[n] = states[n, first] + states[n, second]


@kernel
def list_episode_slots(games, begins, offsets, samples):
    """List the slots of episodes, one block per episode; episode k begins at ``begins[k]``."""
    for k in range(cuda.blockIdx.x, begins.shape[0], cuda.gridDim.x):
        steps = offsets[k + 1] - offsets[k]
        for step in range(cuda.threadIdx.x, steps, cuda.blockDim.x):
            samples[offsets[k] + step] = begins[k] + step * games


@kernel
def gather(values, samples, gathered):
    """``gathered[i] = values[samples[i]]``."""
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        gathered[i] = values[samples[i]]


@kernel
def scatter(gathered, samples, values):
    """``values[samples[i]] = gathered[i]``."""
    for i in range(cuda.grid(1), samples.shape[0], cuda.gridsize(1)):
        values[samples[i]] = gathered[i]


@kernel
def weigh_lost_points(rewards, lost_point_weight, out):
    """Multiply negative rewards by a weight."""
    for i in range(cuda.grid(1), rewards.shape[0], cuda.gridsize(1)):
        out[i] = rewards[i] * lost_point_weight if rewards[i] < 0 else rewards[i]

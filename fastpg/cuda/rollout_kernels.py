"""The rollout kernel: a block plays some steps of some games.

All threads of a block compute the forward pass of each of its games, one game after the other. Then
one thread per game samples the action and steps the emulator. numba cannot cache kernels that link
foreign code.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda import compiler
from fastpg.cuda.buffer import TOO_MANY_TILES
from fastpg.cuda.forward import MAX_HEADS, forward, to_probabilities
from fastpg.cuda.functions import Functions, load, pointer
from fastpg.kernels._cuda.jit import cuda, cuda_module, device
from fastpg.kernels._numba.scalar import philox_uniform
from fastpg.kernels.cuda_device import probability_of, sample_action

MAX_GAMES_PER_BLOCK, THREADS_PER_BLOCK = 32, 128
MAX_EPISODE_STEPS = 255  # the buffer counts no further
MIN_PROBABILITY = np.finfo(np.float32).tiny  # stored at least: PPO's ratio divides by it


class GameArrays(NamedTuple):
    """The games as the kernel takes them, N of each."""

    games: Any  #: (N, SNAPSHOT_BYTES) uint8, their states.
    shared: Any  #: (bytes,) uint8, data that all games share.
    scratch: Any  #: (N, SCRATCH_BYTES) uint8.
    views: Any  #: (N, 800) uint8.
    #: (N,) uint64, key of the random numbers of a game's actions; when whole episodes are played,
    #: the episode's number.
    streams: Any
    steps: Any  #: (N,) uint64, key of the next action's random number.
    needs_reset: Any  #: (N,) uint8, 1 if the next episode has to be started.
    episodes_left: Any  #: (N,) int64, episodes left to play, if whole episodes are played.
    hidden: Any  #: (blocks, H) float32, hidden units of the game in progress.


@device
def is_playing(arrays, whole_episodes, n):
    """Whether game n has steps to play."""
    return not whole_episodes or arrays.episodes_left[n] > 0


@device
def compute_heads(arrays, net, buffer, whole_episodes, row, base, heads):
    """Write the heads of games ``base``, ``base + 1``, .. for their frames in a row of slots."""
    for k in range(heads.shape[0]):
        if is_playing(arrays, whole_episodes, base + k):
            forward(net, buffer, row + base + k, arrays.hidden[cuda.blockIdx.x], heads[k])


@device
def choose_action(arrays, net, buffer, seed, n, slot, heads):
    """Sample game n's action; store it, its probability and the value."""
    if net.w2.shape[0] > net.outputs:
        buffer.values[slot] = heads[net.outputs]
    to_probabilities(heads, net.outputs)
    uniform = philox_uniform(arrays.streams[n], arrays.steps[n], seed)
    action = sample_action(heads, net.outputs, uniform)
    arrays.steps[n] += np.uint64(1)
    probability = probability_of(action, heads, net.outputs)
    buffer.action_probs[slot] = MIN_PROBABILITY if probability < MIN_PROBABILITY else probability
    buffer.actions[slot] = action


@device
def next_episode_step(buffer, slot):
    """``episode_steps`` of the slot after this one, in the same episode."""
    step = np.int64(buffer.episode_steps[slot])
    return step + 1 if step < MAX_EPISODE_STEPS else step


@device
def end_episode(arrays, whole_episodes, n):
    """Count an episode that ended; returns whether the next has to be started."""
    arrays.needs_reset[n] = 1
    if whole_episodes:
        arrays.streams[n] += np.uint64(arrays.games.shape[0])
        arrays.episodes_left[n] -= 1
    return is_playing(arrays, whole_episodes, n)


def game_functions(emulator: Functions) -> tuple[Any, Any, Any]:
    """Return device functions for one game: start an episode, play a step, store its frame."""
    begin, step, tiles_of = emulator.begin, emulator.step, emulator.tiles

    @device
    def start_episode(arrays, whole_episodes, n):
        """Start the next episode of game n."""
        seeds = pointer(arrays.views[:0])  # none: the random generators go on
        own = pointer(arrays.games), pointer(arrays.shared), seeds, pointer(arrays.scratch)
        begin(*own, pointer(arrays.views), np.int32(n))
        arrays.needs_reset[n] = 0
        if whole_episodes:
            arrays.steps[n] = 0

    @device
    def play_step(arrays, buffer, row, n):
        """Play game n's action in its slot, ``row + n``; returns whether the episode ended."""
        actions = pointer(buffer.actions[row:])
        own = pointer(arrays.games), pointer(arrays.shared), actions, pointer(arrays.scratch)
        results = pointer(buffer.rewards[row:]), pointer(buffer.dones[row:]), pointer(arrays.views)
        done = step(*own, *results, np.int32(n))
        if done:
            buffer.dones[row + n] = 1
        return done

    @device
    def store_frame(arrays, buffer, slot, n, episode_steps):
        """Store the frame that game n shows in a slot."""
        capacity = buffer.tiles.shape[1]
        view, tiles = pointer(arrays.views[n]), pointer(buffer.tiles[slot])
        tile_count = tiles_of(view, tiles, np.int32(capacity))
        if tile_count > capacity:
            cuda.atomic.max(buffer.status, TOO_MANY_TILES, 1)
            tile_count = capacity
        buffer.tile_counts[slot] = tile_count
        buffer.episode_steps[slot] = episode_steps

    return start_episode, play_step, store_frame


@cache
def rollout_kernel(capability: tuple[int, int]) -> Any:
    """Return the kernel for a compute capability.

    Raises:
        BackendUnavailable: as :func:`fastpg.cuda.functions.load`.
    """
    start_episode, play_step, store_frame = game_functions(load(capability))

    @cuda_module.jit(max_registers=compiler.MAX_REGISTERS)
    def rollout(
        arrays, net, buffer, seed, whole_episodes, per_block, first, steps, bootstrap_values
    ):
        """Start the episodes that are due, then play ``steps`` rows of the buffer from ``first``.

        A block has ``per_block`` games. With ``bootstrap_values`` the value of the frame after the
        last step is stored, too.
        """
        heads = cuda.shared.array((MAX_GAMES_PER_BLOCK, MAX_HEADS), np.float32)
        games = arrays.games.shape[0]
        base = cuda.blockIdx.x * per_block
        here = min(per_block, games - base)
        # Threads that step a game are spread over the warps, where they seldom wait for each other.
        spread = cuda.blockDim.x // per_block
        own = cuda.threadIdx.x // spread
        has_game = cuda.threadIdx.x % spread == 0 and own < here
        n = base + own
        for t in range(-1, steps):
            row = np.int64(first + t) * games
            if t >= 0:
                compute_heads(arrays, net, buffer, whole_episodes, row, base, heads[:here])
            if has_game and is_playing(arrays, whole_episodes, n):
                begins, has_frame, episode_steps = t < 0 and arrays.needs_reset[n] != 0, False, 0
                if t >= 0:
                    choose_action(arrays, net, buffer, seed, n, row + n, heads[own])
                    if play_step(arrays, buffer, row, n):
                        begins = end_episode(arrays, whole_episodes, n)
                    else:
                        has_frame, episode_steps = True, next_episode_step(buffer, row + n)
                if begins:
                    start_episode(arrays, whole_episodes, n)
                if begins or has_frame:
                    store_frame(arrays, buffer, row + games + n, n, episode_steps)
            cuda.syncthreads()
        if bootstrap_values:
            row = np.int64(first + steps) * games
            compute_heads(arrays, net, buffer, whole_episodes, row, base, heads[:here])
            if has_game:
                buffer.values[row + n] = heads[own, net.outputs]

    return rollout

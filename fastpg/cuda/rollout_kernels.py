"""The launch that plays: a block has some games, and plays some steps of them.

All threads of a block take part in the forward pass of each of its games, one after the other; then
each game has a thread that draws its action and steps its emulator. Not cached by numba, which
cannot keep what it links.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda import compiler
from fastpg.cuda.buffer import TOO_MANY_TILES
from fastpg.cuda.forward import MOST_HEADS, chance_of, forward, to_probabilities
from fastpg.cuda.functions import load, pointer
from fastpg.cuda.sampling import LEAST_CHANCE, drawn_action
from fastpg.kernels._cuda.jit import SIMULATED, cuda, cuda_module, device

MOST_GAMES_A_BLOCK, THREADS_A_BLOCK = (2, 5) if SIMULATED else (32, 128)
OLDEST_AGE = 255


class Players(NamedTuple):
    """Games as the kernel takes them, N of each.

    Attributes:
        games: (N, SNAPSHOT_BYTES) uint8: their states.
        shared: (bytes,) uint8: what they share.
        scratch: (N, SCRATCH_BYTES) uint8.
        views: (N, 800) uint8.
        streams: (N,) uint64: of the actions' random numbers; of whole episodes, their numbers.
        steps: (N,) uint64: of the next action's random number.
        between: (N,) uint8: 1: the next episode has to begin.
        left: (N,) int64: episodes that are still to be played, of whole ones.
        hidden: (blocks, H) float32: hidden units.
    """

    games: Any
    shared: Any
    scratch: Any
    views: Any
    streams: Any
    steps: Any
    between: Any
    left: Any
    hidden: Any


@device
def plays(players, whole, n):
    """Whether a game has something to play."""
    return not whole or players.left[n] > 0


@device
def choose(players, net, buffer, seed, n, slot, heads):
    """Draw game n's action, and write down how."""
    if net.w2.shape[0] > net.outputs:
        buffer.values[slot] = heads[net.outputs]
    to_probabilities(heads, net.outputs)
    action = drawn_action(heads, net.outputs, seed, players.streams[n], players.steps[n])
    players.steps[n] += np.uint64(1)
    chance = chance_of(heads, net.outputs, action)
    buffer.action_probs[slot] = LEAST_CHANCE if chance < LEAST_CHANCE else chance
    buffer.actions[slot] = action


@device
def next_age(buffer, slot):
    """The age of the frame after an slot's, in the same episode."""
    age = np.int64(buffer.episode_steps[slot])
    return age + 1 if age < OLDEST_AGE else age


@device
def end_episode(players, whole, n):
    """Count an episode that is over; whether the next is to begin."""
    players.between[n] = 1
    if whole:
        players.streams[n] += np.uint64(players.games.shape[0])
        players.left[n] -= 1
    return plays(players, whole, n)


@device
def write_view(buffer, slot, count, age):
    """Write down what there is to know of an slot's tiles but themselves."""
    if count > buffer.tiles.shape[1]:
        cuda.atomic.max(buffer.status, TOO_MANY_TILES, 1)
        count = buffer.tiles.shape[1]
    buffer.tile_counts[slot] = count
    buffer.episode_steps[slot] = age


def limits() -> dict[str, int]:
    """What the kernel is compiled with: the emulator's own limit."""
    return {} if SIMULATED else {"max_registers": compiler.MOST_REGISTERS}


@cache
def rollout_kernel(capability: tuple[int, int]) -> Any:
    """The kernel for a compute capability.

    Raises:
        BackendUnavailable: as :func:`fastpg.cuda.functions.load`.
    """
    emulator = load(capability)
    begin_game, step_game, tiles_of = emulator.begin, emulator.step, emulator.tiles

    @cuda_module.jit(**limits())
    def rollout(players, net, buffer, seed, whole, each, first, steps, bootstrap_values):
        """Play ``steps`` rows of the buffer from row ``first`` on, after what has to begin.

        A block has ``each`` games. With ``bootstrap_values`` the frames that games come to are
        valued.
        """
        heads = cuda.shared.array((MOST_GAMES_A_BLOCK, MOST_HEADS), np.float32)
        games = players.games.shape[0]
        base = cuda.blockIdx.x * each
        here = min(each, games - base)
        # Games step alone: threads far apart, so that those of a warp seldom wait for each other.
        spread = cuda.blockDim.x // each
        own, hidden = cuda.threadIdx.x // spread, players.hidden[cuda.blockIdx.x]
        steps_one = cuda.threadIdx.x % spread == 0 and own < here
        n = base + own
        for t in range(-1, steps):
            row = np.int64(first + t) * games
            for k in range(here):
                if t >= 0 and plays(players, whole, base + k):
                    forward(net, buffer, row + base + k, hidden, heads[k])
            if steps_one and plays(players, whole, n):
                begins, shows, age = False, False, 0
                if t < 0:
                    begins = players.between[n] != 0
                else:
                    choose(players, net, buffer, seed, n, row + n, heads[own])
                    over = step_game(
                        pointer(players.games),
                        pointer(players.shared),
                        pointer(buffer.actions[row:]),
                        pointer(players.scratch),
                        pointer(buffer.rewards[row:]),
                        pointer(buffer.dones[row:]),
                        pointer(players.views),
                        np.int32(n),
                    )
                    if over:
                        buffer.dones[row + n] = 1
                        begins = end_episode(players, whole, n)
                    else:
                        shows, age = True, next_age(buffer, row + n)
                if begins:
                    begin_game(
                        pointer(players.games),
                        pointer(players.shared),
                        pointer(players.views[:0]),
                        pointer(players.scratch),
                        pointer(players.views),
                        np.int32(n),
                    )
                    players.between[n] = 0
                    if whole:
                        players.steps[n] = 0
                if begins or shows:
                    slot, room = row + games + n, np.int32(buffer.tiles.shape[1])
                    view, tiles = pointer(players.views[n]), pointer(buffer.tiles[slot])
                    write_view(buffer, slot, tiles_of(view, tiles, room), age)
            cuda.syncthreads()
        if bootstrap_values:
            row = np.int64(first + steps) * games
            for k in range(here):
                forward(net, buffer, row + base + k, hidden, heads[k])
            if steps_one:
                buffer.values[row + n] = heads[own, net.outputs]

    return rollout

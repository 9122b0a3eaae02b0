"""Games that the network on tiles plays step by step, in worker processes: what ale-py needs.

The same episodes, to the last bit, as :class:`fastpg.rollouts.native.Games` plays in compiled code.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fastpg.envs.worker_pool import SharedArray, WorkerPool
from fastpg.network._network import RolloutBuffer
from fastpg.network.network import TileNetwork
from fastpg.rollouts.base import PlayedEpisodes
from fastpg.rollouts.episode import Episode, concatenate_inputs
from fastpg.rollouts.fragments import RolloutWorker, play_batch
from fastpg.rollouts.returns import WholeEpisodes
from fastpg.rollouts.snapshots import KeepsSnapshots
from fastpg.rollouts.stepwise_player import RolloutSetup, publish_weights, published_size


class SteppedGames(WholeEpisodes, KeepsSnapshots):
    """Games on any emulator, shared out to processes; whole episodes only.

    Attributes:
        buffer: what was played last.
    """

    def __init__(self, network: TileNetwork, setup: RolloutSetup, games: int, workers: int):
        """Start the workers; :meth:`seed` or :meth:`restore` before the first episode."""
        self.network, self.games, self.workers = network, games, workers
        self._weights = SharedArray((published_size(network),), "float32")
        factory = partial(RolloutWorker, setup, self._weights)
        self._pool = WorkerPool([factory] * workers, inline=workers == 1)
        self._states: list[bytes] = []
        self.buffer = RolloutBuffer(1, 1)

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""
        shares = [seeds[worker :: self.workers] for worker in range(self.workers)]
        parts = self._pool.call("first_states", [(share,) for share in shares])
        games = range(self.games)
        self._states = [parts[game % self.workers][game // self.workers] for game in games]

    def states(self) -> list[bytes]:
        """All that the games' future depends on, but for the buffer."""
        return self._states

    def restore(self, states: Sequence[bytes]) -> None:
        """Take over :meth:`states`."""
        self._states = list(states)

    def play_episodes(self, first: int, episodes: int) -> PlayedEpisodes:
        """As :meth:`fastpg.rollouts.native.Games.play_episodes`."""
        publish_weights(self.network, self._weights.array)
        numbers = range(first, first + episodes)
        plans = [list(numbers[game :: self.games]) for game in range(self.games)]
        batch = play_batch(self._pool, plans, self._states)
        self._states = batch.states
        self.buffer, episode_slices = _recorded(batch.episodes)
        return PlayedEpisodes(
            sum(episode.emulator_frames for episode in batch.episodes),
            batch.seconds_emulation / self.workers,
            batch.seconds_forward / self.workers,
            episode_slices,
        )

    def close(self) -> None:
        """End the workers."""
        self._pool.terminate()


def _recorded(episodes: Sequence[Episode]) -> tuple[RolloutBuffer, list[tuple[int, int]]]:
    """Episodes as a buffer, and the slots (begin, end) of each."""
    inputs: Any = concatenate_inputs([episode.inputs for episode in episodes])  # Tiles
    lengths = [len(episode.actions) for episode in episodes]
    ends = np.cumsum(lengths)
    buffer = RolloutBuffer(len(inputs), max(inputs.tiles.size, 1))
    buffer.tiles[: inputs.tiles.size] = inputs.tiles
    buffer.tile_counts[:], buffer.action_probs[:] = inputs.tile_counts, inputs.action_probs
    buffer.tile_offsets[:] = np.cumsum(inputs.tile_counts, dtype=np.int64) - inputs.tile_counts
    buffer.actions[:] = np.concatenate([episode.actions for episode in episodes])
    buffer.rewards[:] = np.concatenate([episode.rewards for episode in episodes])
    buffer.episode_steps[:] = np.concatenate([np.minimum(np.arange(n), 255) for n in lengths])
    buffer.dones[ends - 1] = 1
    begins = (ends - lengths).tolist()
    return buffer, list(zip(begins, ends.tolist(), strict=True))

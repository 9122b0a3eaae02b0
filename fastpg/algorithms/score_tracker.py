"""Scores of episodes in the order in which they began.

Games that are played side by side for a number of steps finish short episodes first: in Pong, those
that were lost. A mean over "the last 100 that finished" would be one over short ones. So an episode
counts only when all that began before it have finished.
"""

import heapq
from collections.abc import Mapping

import numpy as np


class StartOrderedScores:
    """Follows N games; gives finished episodes in the order of their first steps."""

    def __init__(self, games: int):
        self.step = 0
        self.starts = np.zeros(games, np.int64)  # of the running episodes
        self.scores = np.zeros(games, np.float64)  # so far
        self._waiting: list[tuple[int, int, int, float]] = []  # start, game, length, score

    def copy(self) -> "StartOrderedScores":
        """Return an independent copy."""
        return self.from_tensors(self.tensors())

    def add(self, rewards: np.ndarray, dones: np.ndarray) -> list[tuple[float, int]]:
        """Take T steps of all games.

        Args:
            rewards: (T, N) after each step.
            dones: (T, N): whether the episode ended with it.

        Returns:
            (score, length) of the episodes that count from now on.
        """
        sums = np.cumsum(rewards, axis=0, dtype=np.float64)
        before = np.zeros(len(self.starts))
        for t, game in np.argwhere(dones):
            score = self.scores[game] + sums[t, game] - before[game]
            start = int(self.starts[game])
            length = self.step + int(t) + 1 - start
            heapq.heappush(self._waiting, (start, int(game), length, float(score)))
            self.starts[game], self.scores[game] = start + length, 0.0
            before[game] = sums[t, game]
        if len(rewards):
            self.scores += sums[-1] - before
        self.step += len(rewards)
        return self._released()

    def _released(self) -> list[tuple[float, int]]:
        released = []
        oldest = min(zip(self.starts.tolist(), range(len(self.starts)), strict=True))
        while self._waiting and self._waiting[0][:2] < oldest:
            _, _, length, score = heapq.heappop(self._waiting)
            released.append((score, length))
        return released

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the state as named arrays."""
        return {
            "episode_step": np.array([self.step]),
            "episode_begins": self.starts.copy(),
            "episode_scores": self.scores.copy(),
            "episode_waiting": np.array(self._waiting, np.float64).reshape(-1, 4),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> "StartOrderedScores":
        """The inverse of :meth:`tensors`."""
        tracker = cls(len(tensors["episode_begins"]))
        tracker.step = int(tensors["episode_step"][0])
        tracker.starts = tensors["episode_begins"].copy()
        tracker.scores = tensors["episode_scores"].copy()
        tracker._waiting = [
            (int(start), int(game), int(length), float(score))
            for start, game, length, score in tensors["episode_waiting"]
        ]
        return tracker

from typing import Any

import numpy as np

TILE_PIXELS: int
TILES: int
SHUFFLE_KEYS: int
MOST_SLOTS: int
MOST_TILES: int
VECTORS: str

def zeros(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray: ...
def scattered_zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray: ...
def shuffled(count: int, keys: np.ndarray) -> np.ndarray: ...

class Pool:
    threads: int
    def __init__(self, threads: int) -> None: ...

class RolloutBuffer:
    slots: int
    tile_capacity: int
    tiles: np.ndarray
    tile_offsets: np.ndarray
    tile_counts: np.ndarray
    episode_steps: np.ndarray
    actions: np.ndarray
    dones: np.ndarray
    rewards: np.ndarray
    action_probs: np.ndarray
    values: np.ndarray
    def __init__(self, slots: int, tile_capacity: int) -> None: ...
    def observe(self, slot: int, tile: int, episode_step: int, view: np.ndarray) -> int: ...

class Network:
    w1: np.ndarray
    w2: np.ndarray
    def __init__(
        self,
        hidden: int,
        views: tuple[int, ...],
        difference: bool,
        past_actions: int,
        actions: int,
        outputs: int,
        value: bool,
        cell: int = 0,
    ) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def inputs(self) -> int: ...
    @property
    def heads(self) -> int: ...
    def changed(self) -> None: ...
    def evaluate(self, buffer: RolloutBuffer, slot: int) -> tuple[np.ndarray, float | None]: ...
    def choose(
        self,
        buffer: RolloutBuffer,
        slot: int,
        seed: int,
        stream: int,
        step: int,
        greedy: bool = False,
    ) -> int: ...

class Learner:
    mean1: np.ndarray
    mean2: np.ndarray
    square1: np.ndarray
    square2: np.ndarray
    updated: np.ndarray
    gradient1: np.ndarray
    gradient2: np.ndarray
    updates: int
    def __init__(
        self, network: Network, pool: Pool, most_samples: int, mirror_rows: np.ndarray | None = None
    ) -> None: ...
    def gradient(
        self,
        buffer: RolloutBuffer,
        samples: np.ndarray,
        advantages: np.ndarray,
        returns: np.ndarray,
        clip: float,
        entropy: float,
        value: float,
        scale: float,
    ) -> tuple[float, float, float, float]: ...
    def norm(self) -> float: ...
    def adam(
        self, learning_rate: float, factor: float, beta1: float, beta2: float, epsilon: float
    ) -> None: ...
    def rmsprop(self, learning_rate: float, decay: float, epsilon: float) -> None: ...

"""One game stepped together with one network, and the worker that plays rollouts this way."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.emulator.palette import PALETTE_RED
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.envs.shared_array import SharedArray
from fastpg.kernels import get_backend
from fastpg.kernels.geometry import SCREEN, VIEW_PIXELS
from fastpg.network._network import MOST_TILES, RolloutBuffer
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork

SLOT_ARRAYS = "tile_counts episode_steps actions dones rewards action_probs values".split()


@dataclass(frozen=True)
class StepwiseSetup:
    """Settings that a worker needs; picklable."""

    rules: Rules
    emulator: str
    seed: int
    find_background: bool
    hidden: int
    outputs: int
    action_table: tuple[int, ...]
    input_spec: InputSpec = field(default_factory=InputSpec)
    cell: int = 0
    mirrored: tuple[int, ...] | None = None

    def network_shape(self, value: bool) -> dict[str, Any]:
        """Arguments of a network that plays this, with a value head or without."""
        return {
            "hidden": self.hidden,
            "input_spec": self.input_spec,
            "actions": len(self.action_table),
            "outputs": self.outputs,
            "value": value,
            "cell": self.cell,
            "mirrored": self.mirrored,
        }


class StepwiseAgent:
    """One game and one network: looks at the game, chooses an action, takes it."""

    def __init__(
        self,
        game: Any,
        network: TileNetwork,
        actions: Sequence[int],
        *,
        find_background: bool,
        seed: int,
        buffer: RolloutBuffer,
    ):
        """Get ready.

        Args:
            game: an ``AleGame`` or ``NativeGame``; an attribute.
            network: chooses the actions; an attribute.
            actions: the game's action for each action of the network.
            find_background: as in ``Backend.preprocess``.
            seed: of the actions' random numbers.
            buffer: to write to what the network saw and did, by slots; an attribute.
        """
        self.game, self.network, self.actions = game, network, actions
        self.find_background, self.seed, self.buffer = find_background, seed, buffer
        self._preprocess = get_backend("cython").loops.preprocess_palette
        self._frame = np.zeros((1, *SCREEN), np.uint8)
        self._view = np.zeros((1, VIEW_PIXELS), np.uint8)
        self.screen = self._frame[0]  #: (210, 160) uint8: palette indices of the last picture
        self.view = self._view[0]  #: (6400,) uint8: its view

    def observe(self, slot: int, tile: int, episode_step: int) -> int:
        """Write the game's picture to a slot.

        Args:
            slot: where.
            tile: where its tiles go.
            episode_step: frames of the episode before this one.

        Returns:
            The first free place behind its tiles.
        """
        self.game.palette(self._frame[0])
        self._preprocess(self._frame, PALETTE_RED, self.find_background, self._view)
        return self.buffer.observe(slot, tile, min(episode_step, 255), self.view)

    def choose(self, slot: int, stream: int, step: int, greedy: bool = False) -> int:
        """The network's action for a slot, drawn with random number ``step`` of a stream."""
        return self.network.core.choose(self.buffer, slot, self.seed, stream, step, greedy)

    def step(self, action: int) -> tuple[float, bool]:
        """Take an action: its reward, and whether the episode is over."""
        reward, terminated, truncated = self.game.step(self.actions[action])
        return reward, terminated or truncated


@dataclass(frozen=True)
class Job:
    """Steps of one game that any worker can play."""

    game: int  #: its number
    stream: int  #: selects the actions' random numbers
    step: int  #: number of the first of them
    state: bytes  #: of the game
    #: Tiles, tile counts, episode steps and actions of the slots that the first step looks back at,
    #: and of its own; None: an episode has to begin.
    lookback: tuple[np.ndarray, ...] | None = None


@dataclass(frozen=True)
class PlayedJob:
    """What a worker played."""

    job: Job  #: to go on with
    steps: int  #: how many were played
    over: bool  #: whether the last one ended an episode
    tiles: np.ndarray  #: uint16, of all slots one after the other
    #: Those of ``SLOT_ARRAYS``: the slots before the first step, the steps, one more.
    arrays: dict[str, np.ndarray]
    emulator_frames: int  #: emulated meanwhile, resets included
    seconds_emulation: float  #: in the emulator and its pictures
    seconds_forward: float  #: in the choice of actions


class StepwiseWorker:
    """Lives in a worker process: plays any game's next steps."""

    def __init__(self, setup: StepwiseSetup, weights: SharedArray, steps: int, whole: bool):
        """Get ready.

        Args:
            setup: what to play, and how.
            weights: those that the learner publishes.
            steps: played for a job.
            whole: stop at the end of an episode; else the next one follows, and the frame after
                the last step is given a value.
        """
        self.setup, self.steps, self.whole, self._weights = setup, steps, whole, weights.array
        self._version, self._lookback = -1.0, setup.input_spec.lookback
        slots = self._lookback + steps + 1
        self._agent = StepwiseAgent(
            game_class(setup.emulator)(setup.rules),
            TileNetwork(**setup.network_shape(value=not whole)),
            setup.action_table,
            find_background=setup.find_background,
            seed=setup.seed,
            buffer=RolloutBuffer(slots, min(slots * VIEW_PIXELS, MOST_TILES)),
        )

    def first_states(self, seeds: Sequence[int]) -> list[bytes]:
        """States of games that were seeded."""
        states = []
        for seed in seeds:
            game = game_class(self.setup.emulator)(self.setup.rules)
            game.reset(seed=seed)
            states.append(game.state())
        return states

    def play(self, job: Job) -> PlayedJob:
        """Play a job's steps with the weights that were published last."""
        if self._weights[-1] != self._version:
            load_weights(self._weights, self._agent.network)
            self._version = float(self._weights[-1])
        began, deciding = perf_counter(), 0.0
        agent, game, buffer = self._agent, self._agent.game, self._agent.buffer
        game.restore(job.state)
        frames = game.emulated_frames
        self._begin(job)
        slot, end, over = self._lookback, self._lookback + self.steps, False
        while slot < end and not (over and self.whole):
            now = perf_counter()
            action = agent.choose(slot, job.stream, job.step + slot - self._lookback)
            deciding += perf_counter() - now
            buffer.rewards[slot], over = agent.step(action)
            buffer.dones[slot] = over
            if over and not self.whole:
                game.reset()
            slot += 1
            self._observe(slot, 0 if over else int(buffer.episode_steps[slot - 1]) + 1)
        if not self.whole:
            _, buffer.values[slot] = agent.network.core.evaluate(buffer, slot)
        return self._played(job, slot, over, game.emulated_frames - frames, began, deciding)

    def _begin(self, job: Job) -> None:
        buffer, lookback = self._agent.buffer, self._lookback
        for name in SLOT_ARRAYS:
            getattr(buffer, name)[:] = 0
        self._tile = 0
        if job.lookback is None:
            buffer.tile_offsets[:lookback] = 0
            self._agent.game.reset()
            self._observe(lookback, 0)
            return
        tiles, counts, episode_steps, actions = job.lookback
        buffer.tiles[: len(tiles)], self._tile = tiles, len(tiles)
        known = slice(lookback + 1)
        buffer.tile_counts[known], buffer.actions[known] = counts, actions
        buffer.episode_steps[known] = episode_steps
        buffer.tile_offsets[known] = np.cumsum(counts, dtype=np.int64) - counts

    def _observe(self, slot: int, episode_step: int) -> None:
        self._tile = self._agent.observe(slot, self._tile, episode_step)

    def _played(
        self, job: Job, slot: int, over: bool, frames: int, began: float, deciding: float
    ) -> PlayedJob:
        buffer, steps = self._agent.buffer, slot - self._lookback
        counts = buffer.tile_counts[steps : slot + 1]
        first = int(buffer.tile_offsets[steps]) if steps else 0
        ahead = slice(steps, slot + 1)
        lookback = (
            buffer.tiles[first : self._tile].copy(),
            counts.copy(),
            buffer.episode_steps[ahead].copy(),
            buffer.actions[ahead].copy(),
        )
        return PlayedJob(
            replace(job, step=job.step + steps, state=self._agent.game.state(), lookback=lookback),
            steps,
            over,
            buffer.tiles[: self._tile].copy(),
            {name: getattr(buffer, name)[: slot + 1].copy() for name in SLOT_ARRAYS},
            frames,
            perf_counter() - began - deciding,
            deciding,
        )


# ---- weights for the workers --------------------------------------------------------------------


def published_size(network: TileNetwork) -> int:
    """Number of float32 that hold a network's weights and their version."""
    core = network.core
    return core.w1[:, : core.rows].size + core.w2.size + 1


def publish_weights(network: TileNetwork, numbers: np.ndarray) -> None:
    """Write the weights, and a new version, to where workers read them."""
    core = network.core
    rows = core.w1[:, : core.rows]
    numbers[: rows.size] = rows.ravel()
    numbers[rows.size : -1] = core.w2.ravel()
    numbers[-1] = (numbers[-1] + 1) % 1024


def load_weights(numbers: np.ndarray, network: TileNetwork) -> None:
    """Set the weights that :func:`publish_weights` wrote."""
    core = network.core
    rows = core.w1[:, : core.rows]
    core.w1[:, : core.rows] = numbers[: rows.size].reshape(rows.shape)
    core.w2[:] = numbers[rows.size : -1].reshape(core.w2.shape)
    core.changed()

"""Plays a fragment of an episode with the policy, step by step: any emulator, backend, input."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.emulator.palette import PALETTE_RED, PALETTE_RGB
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.kernels import get_backend
from fastpg.kernels.spec import SCREEN, VIEW_PIXELS
from fastpg.network._network import RolloutBuffer
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.network.table_policy import Frames, Recorded, SparseRows, Tiles
from fastpg.rollouts.episode import Growing


@dataclass(frozen=True)
class RolloutSetup:
    """All that a player must know, picklable."""

    rules: Rules
    emulator: str
    seed: int
    backend: str
    input: str
    find_background: bool
    hidden: int
    outputs: int
    action_table: tuple[int, ...]
    input_spec: InputSpec = field(default_factory=InputSpec)
    cell: int = 0
    mirrored: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Job:
    """An episode to begin (``steps`` 0) or to go on with, in any worker.

    ``state`` is the game's; ``memory`` what the policy has before it, as its player left it.
    """

    game: int
    number: int
    state: bytes
    steps: int = 0
    memory: Any = None


@dataclass(frozen=True)
class Fragment:
    """Some steps of an episode, the job to go on with, and where the time went."""

    job: Job
    over: bool
    inputs: Recorded
    actions: np.ndarray
    rewards: np.ndarray
    emulator_frames: int
    seconds_emulation: float
    seconds_forward: float


def first_states(setup: RolloutSetup, seeds: Sequence[int]) -> list[bytes]:
    """States of new games with the given seeds."""
    states = []
    for seed in seeds:
        game = game_class(setup.emulator)(setup.rules)
        game.reset(seed=seed)
        states.append(game.state())
    return states


def input_size(kind: str) -> int:
    """Number of inputs D of the network."""
    rows, columns = SCREEN
    return {"difference": VIEW_PIXELS, "stack": 2 * VIEW_PIXELS, "raw": rows * columns * 3}[kind]


def _matrices(setup: RolloutSetup, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = input_size(setup.input) * setup.hidden
    w1 = weights[:first].reshape(-1, setup.hidden)
    return w1, weights[first:].reshape(setup.outputs, setup.hidden)


class StepwisePlayer:
    """A game and a policy, a step of each in turn: any emulator, any backend, any input."""

    # Long enough that handing a game over (0.3 ms) does not show, short enough that all workers end
    # at nearly the same time.
    STEPS = 256

    def __init__(self, setup: RolloutSetup, weights: np.ndarray):
        self._table = setup.action_table
        self._game = game_class(setup.emulator)(setup.rules)
        kind = "tiles" if setup.backend == "tiles" else setup.input
        self.decide = _DECISIONS[kind](setup, weights)
        self.decide.go_on(0, 0, None)
        self.decide()  # compiles what it needs

    def play(self, job: Job) -> Fragment:
        """Play up to STEPS steps, to the end of the episode at most."""
        began, deciding = perf_counter(), 0.0
        game, decide, table = self._game, self.decide, self._table
        game.restore(job.state)
        frames_before = game.emulated_frames
        if job.steps == 0:
            game.reset()
            game.screen(decide.screen)
        decide.go_on(job.number, job.steps, job.memory)
        show, step, screen = game.screen, game.step, decide.screen
        actions: list[int] = []
        rewards: list[float] = []
        over = False
        while not over and len(actions) < self.STEPS:
            now = perf_counter()
            action = decide()
            deciding += perf_counter() - now
            reward, terminated, truncated = step(table[action])
            over = terminated or truncated
            show(screen)
            actions.append(action)
            rewards.append(reward)
        steps = job.steps + len(actions)
        memory = None if over else decide.memory()
        return Fragment(
            Job(job.game, job.number, game.state(), steps, memory),
            over,
            decide.inputs(),
            np.array(actions, np.uint8),
            np.array(rewards, np.float32),
            game.emulated_frames - frames_before,
            perf_counter() - began - deciding,
            deciding,
        )


_UNIFORMS = 256  # drawn ahead
_TILE_ROOM = 256 * VIEW_PIXELS  # of a fragment: every view as full as can be


class _Decision:
    """From a picture to an action; keeps the inputs of the episode.

    Called once an agent step between two runs of the emulator, on cold caches: what can be made
    ahead of time is.
    """

    def __init__(self, setup: RolloutSetup, weights: np.ndarray):
        self.kernels = get_backend(setup.backend).loops
        self.w1, self.w2 = _matrices(setup, weights)
        self.hidden = np.empty((1, setup.hidden), np.float32)
        self.probabilities = np.empty((1, setup.outputs), np.float32)
        self.action = np.empty(1, np.uint8)
        self.seed = np.uint64(setup.seed)
        self.frame = np.zeros((1, *SCREEN), np.uint8)
        self.screen = self.frame[0]

    def go_on(self, number: int, step: int, memory: Any) -> None:
        """Forget the inputs; the next action is that of this step of this episode.

        ``memory`` is what :meth:`memory` gave after the step before, None at step 0.
        """
        self.number, self.step = number, step
        self.first_step, self.uniforms = step, np.empty(0, np.float32)  # none drawn yet
        if memory is not None:
            self.screen[:] = memory[0]

    def memory(self) -> tuple[np.ndarray, ...]:
        """What the next decision needs besides the weights: the picture in ``screen``."""
        return (self.screen.copy(),)

    def sample(self) -> int:
        """Draw an action with the probabilities of the last forward."""
        place = self.step - self.first_step
        if place == self.uniforms.size:
            self._draw_uniforms()
            place = 0
        uniform = self.uniforms[place : place + 1]
        self.kernels.sample_actions(self.probabilities, uniform, self.action)
        self.step += 1
        return self.action.item()

    def _draw_uniforms(self) -> None:
        self.first_step = self.step
        steps = np.arange(self.step, self.step + _UNIFORMS, dtype=np.uint64)
        streams = np.full(_UNIFORMS, self.number, np.uint64)
        self.uniforms = np.empty(_UNIFORMS, np.float32)
        self.kernels.counter_uniforms(streams, steps, self.seed, self.uniforms)


class _SparseDecision(_Decision):
    """Picture -> 80x80 view -> signed sparse pixels, written straight into the episode's buffer."""

    def __init__(self, setup: RolloutSetup, weights: np.ndarray):
        super().__init__(setup, weights)
        self.find_background = setup.find_background
        stacked = setup.input == "stack"
        self.compress = self.kernels.frame_stack if stacked else self.kernels.frame_difference
        self.most_pixels = (2 if stacked else 1) * VIEW_PIXELS
        self.red = PALETTE_RED
        self.current = np.zeros((1, VIEW_PIXELS), np.uint8)
        self.previous = np.zeros((1, VIEW_PIXELS), np.uint8)
        self.offsets = np.zeros(2, np.int64)

    def go_on(self, number: int, step: int, memory: Any) -> None:
        super().go_on(number, step, memory)
        if memory is not None:
            self.previous[:] = memory[1]
        self.indices, self.signs = Growing(np.uint16), Growing(np.int8)
        self.dones = [0]

    def memory(self) -> tuple[np.ndarray, ...]:
        """The picture, and the view before it."""
        return *super().memory(), self.previous.copy()

    def __call__(self) -> int:
        """Return the action for the picture in ``screen``."""
        kernels, offsets = self.kernels, self.offsets
        kernels.preprocess_palette(self.frame, self.red, self.find_background, self.current)
        if self.step == 0:  # the first picture has itself before it
            self.previous[:] = self.current
        indices, signs = self.indices.room(self.most_pixels), self.signs.room(self.most_pixels)
        used = self.compress(self.current, self.previous, indices, signs, offsets)
        self.current, self.previous = self.previous, self.current
        kernels.policy_forward(
            indices, signs, offsets, self.w1, self.w2, self.hidden, self.probabilities
        )
        self.indices.size += used
        self.signs.size += used
        self.dones.append(self.indices.size)
        return self.sample()

    def inputs(self) -> SparseRows:
        """Inputs of the episode so far."""
        ends = np.array(self.dones, np.int64)
        return SparseRows(self.indices.used.copy(), self.signs.used.copy(), ends)


class _RawDecision(_Decision):
    """Every number of the picture, kept as palette indices."""

    def go_on(self, number: int, step: int, memory: Any) -> None:
        super().go_on(number, step, memory)
        self.frames = Growing(np.uint8, SCREEN)

    def __call__(self) -> int:
        """Return the action for the picture in ``screen``."""
        self.frames.extend(self.frame)
        x = Frames(self.frame, PALETTE_RGB).dense()
        self.kernels.policy_forward_dense(x, self.w1, self.w2, self.hidden, self.probabilities)
        return self.sample()

    def inputs(self) -> Frames:
        """Inputs of the episode so far."""
        return Frames(self.frames.used, PALETTE_RGB)


class _TileDecision:
    """Picture -> view -> tiles -> the compiled network, which also keeps the buffer."""

    def __init__(self, setup: RolloutSetup, weights: np.ndarray):
        self.kernels = get_backend("cython").loops
        actions = len(setup.action_table)
        self.network = TileNetwork(
            setup.hidden, setup.input_spec, actions, setup.outputs, value=False, cell=setup.cell
        )
        self.weights, self.version = weights, -1.0
        self.lookback = setup.input_spec.lookback
        self.buffer = RolloutBuffer(self.lookback + StepwisePlayer.STEPS + 1, _TILE_ROOM)
        self.seed, self.find_background = setup.seed, setup.find_background
        self.frame = np.zeros((1, *SCREEN), np.uint8)
        self.screen = self.frame[0]
        self.view = np.zeros((1, VIEW_PIXELS), np.uint8)

    def go_on(self, number: int, step: int, memory: Any) -> None:
        """See ``_Decision``."""
        if self.weights[-1] != self.version:
            load_weights(self.weights, self.network)
            self.version = float(self.weights[-1])
        self.number, self.step, self.slot, self.tile = number, step, self.lookback, 0
        if memory is not None:
            self.screen[:], tiles, counts, self.buffer.actions[: self.lookback] = memory
            self.buffer.tiles[: len(tiles)] = tiles
            self.buffer.tile_counts[: self.lookback] = counts
            self.buffer.tile_offsets[: self.lookback] = np.cumsum(counts) - counts
            self.tile = len(tiles)
        self.first = self.tile

    def memory(self) -> tuple[np.ndarray, ...]:
        """The picture, and the tiles and actions before it that the next step looks back at."""
        buffer, last = self.buffer, slice(self.slot - self.lookback, self.slot)
        begin = buffer.tile_offsets[last][0] if self.lookback else self.tile
        tiles = buffer.tiles[begin : self.tile].copy()
        return (
            self.screen.copy(),
            tiles,
            buffer.tile_counts[last].copy(),
            buffer.actions[last].copy(),
        )

    def __call__(self) -> int:
        """Return the action for the picture in ``screen``."""
        self.kernels.preprocess_palette(self.frame, PALETTE_RED, self.find_background, self.view)
        age = min(self.step, 255)
        if self.tile > _TILE_ROOM - VIEW_PIXELS:
            raise MemoryError("views are too full of tiles")
        self.tile = self.buffer.observe(self.slot, self.tile, age, self.view[0])
        core, slot = self.network.core, self.slot
        self.slot, self.step = slot + 1, self.step + 1
        return core.choose(self.buffer, slot, self.seed, self.number, self.step - 1)

    def inputs(self) -> Tiles:
        """Inputs of the fragment so far."""
        own = slice(self.lookback, self.slot)
        tiles = self.buffer.tiles[self.first : self.tile].copy()
        return Tiles(
            tiles, self.buffer.tile_counts[own].copy(), self.buffer.action_probs[own].copy()
        )


def published_size(network: TileNetwork) -> int:
    """Numbers that hand a network's weights over to players: they end with a version."""
    core = network.core
    return core.w1[:, : core.rows].size + core.w2.size + 1


def publish_weights(network: TileNetwork, numbers: np.ndarray) -> None:
    """Write the weights for players to take over before their next fragment."""
    core = network.core
    rows = core.w1[:, : core.rows]
    numbers[: rows.size] = rows.ravel()
    numbers[rows.size : -1] = core.w2.ravel()
    numbers[-1] = (numbers[-1] + 1) % 1024


def load_weights(numbers: np.ndarray, network: TileNetwork) -> None:
    """The inverse of :func:`publish_weights`."""
    core = network.core
    rows = core.w1[:, : core.rows]
    core.w1[:, : core.rows] = numbers[: rows.size].reshape(rows.shape)
    core.w2[:] = numbers[rows.size : -1].reshape(core.w2.shape)
    core.changed()


_DECISIONS: dict[str, Any] = {
    "tiles": _TileDecision,
    "difference": _SparseDecision,
    "stack": _SparseDecision,
    "raw": _RawDecision,
}

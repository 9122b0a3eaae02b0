"""Playing whole episodes with a policy, and recording what is needed to learn from them.

A :class:`RolloutWorker` lives in each worker process and plays fragments of episodes, of any game,
with weights from shared memory; :func:`play_batch` shares the fragments out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.envs import game_class
from fastpg.envs.palette import PALETTE_RGB
from fastpg.envs.rules import Rules
from fastpg.envs.workers import SharedArray, WorkerPool
from fastpg.kernels import get_backend
from fastpg.kernels.spec import SCREEN, VIEW_PIXELS
from fastpg.policy import Frames, Inputs, SparseRows
from fastpg.recording import Episode, Growing, concatenate_inputs

# Long enough that handing a game over (0.3 ms) does not show, short enough that all workers end
# at nearly the same time.
FRAGMENT_STEPS = 256

# Pong's two decisions, as in the article: output 0 is DOWN and 1 is UP, as ale-py numbers them.
PONG_ACTIONS = (3, 2)


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


@dataclass(frozen=True)
class Job:
    """An episode to begin (``steps`` 0) or to go on with, in any worker.

    ``state`` is the game's; ``memory`` what the policy has before it: see ``_Decision``.
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
    inputs: Inputs
    actions: np.ndarray
    rewards: np.ndarray
    emulator_frames: int
    seconds_emulation: float
    seconds_forward: float


@dataclass(frozen=True)
class Batch:
    """Finished episodes in the order of their numbers, and the games' states after them."""

    episodes: list[Episode]
    states: list[bytes]
    seconds_emulation: float
    seconds_forward: float


def play_batch(pool: WorkerPool, plans: Sequence[Sequence[int]], states: Sequence[bytes]) -> Batch:
    """Play whole episodes on all workers, which share them in fragments.

    Of all episodes that wait the one with the fewest steps goes on next, so that all near their
    ends together and no worker stands idle for long. A game's state travels with its fragments; who
    plays a fragment changes nothing.

    Args:
        pool: of :class:`RolloutWorker`.
        plans: numbers of the episodes that each game plays, one after the other.
        states: one per game, between two episodes.
    """
    remaining = [list(numbers) for numbers in plans]
    after = list(states)
    waiting = [Job(g, own.pop(0), after[g]) for g, own in enumerate(remaining) if own]
    fragments: dict[int, list[Fragment]] = {}
    idle, running = list(range(len(pool))), 0
    while waiting or running:
        while idle and waiting:
            job = min(waiting, key=lambda job: (job.steps, job.number))
            waiting.remove(job)
            pool.submit(idle.pop(), "play", job)
            running += 1
        worker, played = pool.next_result()
        idle.append(worker)
        running -= 1
        game = played.job.game
        fragments.setdefault(played.job.number, []).append(played)
        if not played.over:
            waiting.append(played.job)
            continue
        after[game] = played.job.state
        if remaining[game]:
            waiting.append(Job(game, remaining[game].pop(0), after[game]))
    parts = [part for own in fragments.values() for part in own]
    seconds = [(part.seconds_emulation, part.seconds_forward) for part in parts]
    del parts  # whole pictures take room: let them go as they are joined
    episodes = [_join(number, fragments.pop(number)) for number in sorted(fragments)]
    return Batch(episodes, after, sum(s[0] for s in seconds), sum(s[1] for s in seconds))


def _join(number: int, fragments: Sequence[Fragment]) -> Episode:
    return Episode(
        number,
        concatenate_inputs([part.inputs for part in fragments]),
        np.concatenate([part.actions for part in fragments]),
        np.concatenate([part.rewards for part in fragments]),
        sum(part.emulator_frames for part in fragments),
    )


def action_table(game: str, action_count: int) -> tuple[int, tuple[int, ...]]:
    """Return the network's outputs A and the game's action for each sampled one.

    Pong has the article's two, UP and DOWN, from one output; another game all of its own.
    """
    if game == "pong":
        return 1, PONG_ACTIONS
    return action_count, tuple(range(action_count))


def input_size(kind: str) -> int:
    """Number of inputs D of the network."""
    rows, columns = SCREEN
    return {"difference": VIEW_PIXELS, "stack": 2 * VIEW_PIXELS, "raw": rows * columns * 3}[kind]


def rehearsal(kind: str) -> Episode:
    """A made-up episode of two steps: to compile, ahead of time, what learning from one calls."""
    blank: Inputs = SparseRows(np.zeros(0, np.uint16), np.zeros(0, np.int8), np.zeros(3, np.int64))
    if kind == "raw":
        blank = Frames(np.zeros((2, *SCREEN), np.uint8), PALETTE_RGB)
    return Episode(0, blank, np.zeros(2, np.uint8), np.zeros(2, np.float32), 0)


class RolloutWorker:
    """A worker's emulator and policy: plays any game's next fragment."""

    def __init__(self, setup: RolloutSetup, weights: SharedArray):
        """Set up, and compile every kernel before the first frame is played.

        Args:
            setup: what to play and how.
            weights: w1 (D, H) and then w2 (A, H) float32, flat; written by the learner alone.
        """
        self.setup = setup
        self.game = game_class(setup.emulator)(setup.rules)
        self.decide = _DECISIONS[setup.input](setup, weights.array)
        self.decide.go_on(0, 0, None)
        self.decide()

    def first_states(self, seeds: Sequence[int]) -> list[bytes]:
        """States of new games with the given seeds."""
        states = []
        for seed in seeds:
            game = game_class(self.setup.emulator)(self.setup.rules)
            game.reset(seed=seed)
            states.append(game.state())
        return states

    def play(self, job: Job) -> Fragment:
        """Play up to FRAGMENT_STEPS steps, to the end of the episode at most."""
        began, deciding = perf_counter(), 0.0
        game, decide, table = self.game, self.decide, self.setup.action_table
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
        while not over and len(actions) < FRAGMENT_STEPS:
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


class _Decision:
    """From a picture to an action; keeps the inputs of the episode.

    Called once an agent step between two runs of the emulator, on cold caches: what can be made
    ahead of time is.
    """

    def __init__(self, setup: RolloutSetup, weights: np.ndarray):
        self.kernels = get_backend(setup.backend).loops
        first = input_size(setup.input) * setup.hidden
        self.w1 = weights[:first].reshape(-1, setup.hidden)
        self.w2 = weights[first:].reshape(setup.outputs, setup.hidden)
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
        self.uniforms: np.ndarray | None = None
        if memory is not None:
            self.screen[:] = memory[0]

    def memory(self) -> tuple[np.ndarray, ...]:
        """What the next decision needs besides the weights: the picture in ``screen``."""
        return (self.screen.copy(),)

    def sample(self) -> int:
        """Draw an action with the probabilities of the last forward."""
        if self.uniforms is None:
            self.uniforms = np.empty(FRAGMENT_STEPS, np.float32)
            self.first_step = self.step
            steps = np.arange(self.step, self.step + FRAGMENT_STEPS, dtype=np.uint64)
            streams = np.full(FRAGMENT_STEPS, self.number, np.uint64)
            self.kernels.counter_uniforms(streams, steps, self.seed, self.uniforms)
        place = self.step - self.first_step
        uniform = self.uniforms[place : place + 1]
        self.kernels.sample_actions(self.probabilities, uniform, self.action)
        self.step += 1
        return self.action.item()


class _SparseDecision(_Decision):
    """Picture -> 80x80 view -> signed sparse pixels, written straight into the episode's record."""

    def __init__(self, setup: RolloutSetup, weights: np.ndarray):
        super().__init__(setup, weights)
        self.find_background = setup.find_background
        stacked = setup.input == "stack"
        self.compress = self.kernels.frame_stack if stacked else self.kernels.frame_difference
        self.most_pixels = (2 if stacked else 1) * VIEW_PIXELS
        self.red = np.ascontiguousarray(PALETTE_RGB[:, 0])
        self.current = np.zeros((1, VIEW_PIXELS), np.uint8)
        self.previous = np.zeros((1, VIEW_PIXELS), np.uint8)
        self.offsets = np.zeros(2, np.int64)

    def go_on(self, number: int, step: int, memory: Any) -> None:
        super().go_on(number, step, memory)
        if memory is not None:
            self.previous[:] = memory[1]
        self.indices, self.signs = Growing(np.uint16), Growing(np.int8)
        self.ends = [0]

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
        self.ends.append(self.indices.size)
        return self.sample()

    def inputs(self) -> SparseRows:
        """Inputs of the episode so far."""
        ends = np.array(self.ends, np.int64)
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


_DECISIONS: dict[str, Any] = {
    "difference": _SparseDecision,
    "stack": _SparseDecision,
    "raw": _RawDecision,
}

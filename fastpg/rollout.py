"""Playing whole episodes with a policy, and recording what is needed to learn from them.

An :class:`EpisodePlayer` lives in each worker process. It steps its games together, so that each
kernel call serves all of them, and hands back episodes; the weights are read from shared memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.envs.ale_game import AleGame
from fastpg.envs.palette import PALETTE_RGB
from fastpg.envs.rules import Rules
from fastpg.envs.workers import SharedArray
from fastpg.kernels import get_backend
from fastpg.policy import Frames, Inputs, SparseRows
from fastpg.recording import FRAME_SHAPE, Episode, FrameStore, Recording, SparseStore

VIEW_PIXELS = 6400

# Pong's two decisions, as in the article: output 0 is DOWN and 1 is UP, as ale-py numbers them.
PONG_ACTIONS = (3, 2)


@dataclass(frozen=True)
class Played:
    """What a worker hands back: its episodes, its games' generators, where its time went."""

    episodes: list[Episode]
    states: list[bytes]
    seconds_emulation: float
    seconds_forward: float


@dataclass(frozen=True)
class PlayerSetup:
    """All that a player must know, picklable."""

    rules: Rules
    seeds: tuple[int, ...]
    seed: int
    backend: str
    input: str
    find_background: bool
    hidden: int
    outputs: int
    action_table: tuple[int, ...]


def action_table(game: str, action_count: int) -> tuple[int, tuple[int, ...]]:
    """Return the network's outputs A and the game's action for each sampled one.

    Pong has the article's two, UP and DOWN, from one output; another game all of its own.
    """
    if game == "pong":
        return 1, PONG_ACTIONS
    return action_count, tuple(range(action_count))


def input_size(kind: str) -> int:
    """Number of inputs D of the network."""
    return {"difference": VIEW_PIXELS, "stack": 2 * VIEW_PIXELS, "raw": 210 * 160 * 3}[kind]


def rehearsal(kind: str) -> Episode:
    """A made-up episode of two steps: to compile, ahead of time, what learning from one calls."""
    blank: Inputs = SparseRows(np.zeros(0, np.uint16), np.zeros(0, np.int8), np.zeros(3, np.int64))
    if kind == "raw":
        blank = Frames(np.zeros((2, *FRAME_SHAPE), np.uint8), PALETTE_RGB)
    return Episode(0, blank, np.zeros(2, np.uint8), np.zeros(2, np.float32), 0)


@dataclass
class _Seat:
    """One game and the episodes that it has still to play."""

    game: AleGame
    numbers: list[int] = field(default_factory=list)
    steps: int = 0
    frames_before: int = 0


class EpisodePlayer:
    """Plays whole episodes on its own games, stepping them together."""

    def __init__(
        self, setup: PlayerSetup, weights: SharedArray, states: Sequence[bytes] | None = None
    ):
        """Set up the games.

        Args:
            setup: what to play and how.
            weights: w1 (D, H) and then w2 (A, H) float32, flat; written by the learner alone.
            states: go on after these :attr:`Played.states`, instead of from the setup's seeds.
        """
        self.setup = setup
        self.kernels = get_backend(setup.backend).loops
        first = input_size(setup.input) * setup.hidden
        self.w1 = weights.array[:first].reshape(-1, setup.hidden)
        self.w2 = weights.array[first:].reshape(setup.outputs, setup.hidden)
        self.seats = [_Seat(AleGame(setup.rules)) for _ in setup.seeds]
        for place, (seat, seed) in enumerate(zip(self.seats, setup.seeds, strict=True)):
            seat.game.reset(seed=seed)
            if states is not None:
                seat.game.restore(states[place])
        self.frames = np.zeros((len(self.seats), *FRAME_SHAPE), np.uint8)
        self.encoder = _ENCODERS[setup.input](self)
        # compile every kernel before the first frame is played
        zeros = np.zeros(len(self.seats), np.uint64)
        self._decide(len(self.seats), [], zeros, zeros, Recording(self.encoder.new_store()))

    def play(self, plan: Sequence[Sequence[int]]) -> Played:
        """Play, on each own game, the episodes with the given numbers, one after the other."""
        recording = Recording(self.encoder.new_store())
        seconds = {"emulation": 0.0, "forward": 0.0}
        began = perf_counter()
        active = [seat for seat, numbers in zip(self.seats, plan, strict=True) if numbers]
        for seat, numbers in zip(self.seats, plan, strict=True):
            seat.numbers = list(numbers)
        fresh = [self._begin(seat, k) for k, seat in enumerate(active)]
        while active:
            now = perf_counter()
            seconds["emulation"] += now - began
            streams = np.array([seat.numbers[0] for seat in active], np.uint64)
            steps = np.array([seat.steps for seat in active], np.uint64)
            actions = self._decide(len(active), fresh, streams, steps, recording)
            began = perf_counter()
            seconds["forward"] += began - now
            active, fresh = self._step(active, actions, recording)
        return Played(
            recording.episodes(),
            [seat.game.state() for seat in self.seats],
            seconds["emulation"],
            seconds["forward"],
        )

    def _begin(self, seat: _Seat, place: int) -> int:
        """Start the seat's next episode; its first picture goes to ``place``."""
        seat.frames_before = seat.game.emulated_frames
        seat.game.reset()
        seat.game.screen(self.frames[place])
        seat.steps = 0
        return place

    def _decide(
        self,
        count: int,
        fresh: list[int],
        streams: np.ndarray,
        steps: np.ndarray,
        recording: Recording,
    ) -> np.ndarray:
        """Sample an action for each of the first ``count`` pictures, and record the inputs."""
        kernels, outputs = self.kernels, self.setup.outputs
        probabilities = np.empty((count, outputs), np.float32)
        hidden = np.empty((count, self.setup.hidden), np.float32)
        uniforms = np.empty(count, np.float32)
        actions = np.empty(count, np.uint8)
        inputs = self.encoder.encode(count, fresh, recording)
        if isinstance(inputs, Frames):
            kernels.policy_forward_dense(inputs.dense(), self.w1, self.w2, hidden, probabilities)
        else:
            rows = (inputs.indices, inputs.signs, inputs.offsets)
            kernels.policy_forward(*rows, self.w1, self.w2, hidden, probabilities)
        kernels.counter_uniforms(streams, steps, np.uint64(self.setup.seed), uniforms)
        kernels.sample_actions(probabilities, uniforms, actions)
        recording.add(streams, actions)
        return actions

    def _step(
        self, active: list[_Seat], actions: np.ndarray, recording: Recording
    ) -> tuple[list[_Seat], list[int]]:
        """Step every active game; return those that go on and the places of new episodes."""
        table = self.setup.action_table
        rewards, leaving, fresh = [], [], []
        for place, (seat, action) in enumerate(zip(active, actions.tolist(), strict=True)):
            reward, terminated, truncated = seat.game.step(table[action])
            rewards.append(reward)
            seat.steps += 1
            if terminated or truncated:
                number = seat.numbers.pop(0)
                recording.finish(number, seat.game.emulated_frames - seat.frames_before)
                if seat.numbers:
                    fresh.append(self._begin(seat, place))
                else:
                    leaving.append(place)
            else:
                seat.game.screen(self.frames[place])
        recording.add_rewards(rewards)
        if leaving:
            staying = [place for place in range(len(active)) if place not in leaving]
            self.frames[: len(staying)] = self.frames[staying]
            self.encoder.keep(staying)
            fresh = [staying.index(place) for place in fresh]
            active = [active[place] for place in staying]
        return active, fresh


class _SparseEncoder:
    """Pictures -> 80x80 views -> sparse pixels, written straight into the recording."""

    loop_name = "frame_difference"

    def __init__(self, player: EpisodePlayer):
        self.frames = player.frames
        self.find_background = player.setup.find_background
        self.preprocess = player.kernels.preprocess_palette
        self.compress = getattr(player.kernels, self.loop_name)
        self.red = np.ascontiguousarray(PALETTE_RGB[:, 0])
        self.views = np.zeros((2, len(self.frames), VIEW_PIXELS), np.uint8)
        self.offsets = np.zeros(len(self.frames) + 1, np.int64)

    def encode(self, count: int, fresh: list[int], recording: Recording) -> SparseRows:
        """Inputs of the first ``count`` pictures; an episode's first has itself before it."""
        current, previous = self.views[0, :count], self.views[1, :count]
        self.preprocess(self.frames[:count], self.red, self.find_background, current)
        for place in fresh:
            previous[place] = current[place]
        offsets = self.offsets[: count + 1]
        indices, signs = recording.store.room(2 * current.size)
        used = self.compress(current, previous, indices, signs, offsets)
        recording.store.append(offsets)
        self.views = self.views[::-1]
        return SparseRows(indices[:used], signs[:used], offsets)

    def keep(self, places: list[int]) -> None:
        """Close the gaps that finished games leave."""
        self.views[1, : len(places)] = self.views[1, places]

    def new_store(self) -> SparseStore:
        """Where a recording keeps its inputs."""
        return SparseStore()


class _StackEncoder(_SparseEncoder):
    loop_name = "frame_stack"


class _RawEncoder:
    """Whole pictures, as palette indices."""

    def __init__(self, player: EpisodePlayer):
        self.frames = player.frames

    def encode(self, count: int, fresh: list[int], recording: Recording) -> Frames:
        """Inputs of the first ``count`` pictures."""
        recording.store.append(self.frames[:count])
        return Frames(self.frames[:count], PALETTE_RGB)

    def keep(self, places: list[int]) -> None:
        """Nothing stands between two pictures here."""

    def new_store(self) -> FrameStore:
        """Where a recording keeps its inputs."""
        return FrameStore(PALETTE_RGB)


_ENCODERS: dict[str, Any] = {
    "difference": _SparseEncoder,
    "stack": _StackEncoder,
    "raw": _RawEncoder,
}

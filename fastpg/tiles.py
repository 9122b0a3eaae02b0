"""The two-layer network on tiles, and games that it plays: compiled, on all cores, in few calls.

A view is a few tiles, solid rectangles of lit pixels; the compiled network keeps the sum of the
first layer's rows for each tile that it meets. It is the network of :mod:`fastpg.policy`, up to
rounding. This module knows how weights look to everybody else, and lays out what is played.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from fastpg import _training
from fastpg._training import Learner, Network, Pool, Record
from fastpg.envs.native_game import frame_range, pong_cartridge, seed_words
from fastpg.envs.palette import PALETTE_RGB
from fastpg.envs.rules import Rules
from fastpg.kernels.spec import VIEW_PIXELS, VIEW_SIDE

RED = np.ascontiguousarray(PALETTE_RGB[:, 0])
_FIRST_ROOM = 2048  # steps an episode; a row that is full is made longer
_TILES_A_STEP = 16  # four times what Pong shows
_CELLS_SCALE = 0.4  # of the first weights that a cell's pixels share, to those of pixels


@dataclass(frozen=True)
class Sight:
    """What the network sees.

    Attributes:
        views: each by the steps that it lies back, from 0 on; an episode's first has itself before
            it.
        difference: of two views, instead of both.
        past_actions: actions before the one to be chosen.
    """

    views: tuple[int, ...] = (0, 1)
    difference: bool = False
    past_actions: int = 0

    @property
    def planes(self) -> int:
        """Views side by side in the first layer's rows."""
        return 1 if self.difference else len(self.views)

    @property
    def carry(self) -> int:
        """Steps before a step that it looks back at."""
        return max(*self.views, self.past_actions)


class TileNetwork:
    """Weights of the network, as blocks of hidden units inside and as matrices outside.

    With cells, a pixel's weights are learned as a sum of two parts: one of its own, and one that it
    shares with the pixels of its cell. That is the same network (the parts are added up wherever
    weights are used, and in :meth:`tensors`), but what is learned of one place is learned of the
    places around it too.

    Attributes:
        core: the compiled network.
        hidden: H, number of hidden units.
        cell: pixels in a cell's side; 0: no cells.
    """

    def __init__(
        self, hidden: int, sight: Sight, actions: int, outputs: int, value: bool, cell: int = 0
    ):
        self.hidden, self.sight, self.outputs, self.cell = hidden, sight, outputs, cell
        self.core = Network(
            hidden,
            sight.views,
            sight.difference,
            sight.past_actions,
            actions,
            outputs,
            value,
            cell,
        )

    def initialize(self, seed: int, pixels: float | None, policy: float | None) -> None:
        """Draw the weights from normal distributions.

        Args:
            seed: of the generator.
            pixels: standard deviation of the first layer; 1 / sqrt(fan in) if None. That of the
                cells' parts is 0.4 of it.
            policy: standard deviation of the policy's head; 1 / sqrt(fan in) if None. The
                value's head always has 1 / sqrt(fan in).
        """
        rng = np.random.default_rng(seed)
        scales = [1 / np.sqrt(self.hidden)] * self.core.heads
        if policy is not None:
            scales[: self.outputs] = [policy] * self.outputs
        w1 = rng.standard_normal((self.core.inputs, self.hidden))
        w2 = rng.standard_normal((self.core.heads, self.hidden)) * np.array(scales)[:, None]
        scale = 1 / np.sqrt(self.core.inputs) if pixels is None else pixels
        cells = rng.standard_normal((self.core.rows - self.core.inputs, self.hidden))
        tensors = {"w1": w1 * scale, "w2": w2[: self.outputs], "value": w2[self.outputs :]}
        parts = np.concatenate([tensors["w1"], cells * scale * _CELLS_SCALE])
        self.load(tensors | {"w1_parts": parts})

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights as copies.

        ``w1 (D, H)``: rows of the pixels, view by view and row by row, then of past actions, the
        latest view and action first; ``w2 (A, H)``, and ``value (1, H)`` if there is such a head.
        With cells also ``w1_parts``: D rows of the pixels' own parts, then those of cells.
        """
        heads = self.heads_outside(self.core.w2)
        parts = self.rows_outside(self.core.w1)
        tensors = {"w1": parts, "w2": heads[: self.outputs]}
        if self.cell:
            tensors |= {"w1": self._sums(parts), "w1_parts": parts}
        if self.core.heads > self.outputs:
            tensors["value"] = heads[self.outputs :]
        return tensors

    def load(self, tensors: dict[str, Any]) -> None:
        """Take over the weights of :meth:`tensors`; without ``w1_parts`` those of cells are 0."""
        parts = np.zeros((self.core.rows, self.hidden), np.float32)
        given = tensors["w1_parts"] if self.cell and "w1_parts" in tensors else tensors["w1"]
        if given.shape not in (parts.shape, (self.core.inputs, self.hidden)):
            raise ValueError(f"w1: expected {(self.core.inputs, self.hidden)}, got {given.shape}")
        parts[: len(given)] = given
        self.rows_inside(parts, self.core.w1)
        heads = [tensors["w2"], *([tensors["value"]] if self.core.heads > self.outputs else [])]
        self.heads_inside(np.concatenate(heads), self.core.w2)
        self.core.changed()

    def _sums(self, parts: np.ndarray) -> np.ndarray:
        """(D, H): own parts and cells' added up."""
        across = -(-VIEW_SIDE // self.cell)
        x = y = np.arange(VIEW_SIDE) // self.cell
        of_pixel = (x[None, :] * across + y[:, None]).ravel()  # cells lie column by column
        w1, cells = parts[: self.core.inputs].copy(), parts[self.core.inputs :]
        planes = cells.reshape(self.sight.planes, across * across, self.hidden)
        pixels = self.sight.planes * VIEW_PIXELS
        w1[:pixels] += planes[:, of_pixel].reshape(pixels, self.hidden)
        return w1

    # ---- from blocks to matrices, and back ---------------------------------------------------

    def rows_outside(self, blocks: np.ndarray) -> np.ndarray:
        """(D, H) from (blocks, D or more, units), where pixels lie column by column."""
        rows, pixels = self.core.rows, self.sight.planes * VIEW_PIXELS
        flat = blocks[:, :rows].transpose(1, 0, 2).reshape(rows, -1)[:, : self.hidden]
        views = flat[:pixels].reshape(-1, VIEW_SIDE, VIEW_SIDE, self.hidden)
        return np.concatenate([_turned(views).reshape(pixels, self.hidden), flat[pixels:]])

    def rows_inside(self, matrix: Any, blocks: np.ndarray) -> None:
        """The inverse of :meth:`rows_outside`, into ``blocks``."""
        rows, pixels = self.core.rows, self.sight.planes * VIEW_PIXELS
        matrix = np.asarray(matrix)
        if matrix.shape != (rows, self.hidden):
            raise ValueError(f"w1: expected {(rows, self.hidden)}, got {matrix.shape}")
        views = matrix[:pixels].reshape(-1, VIEW_SIDE, VIEW_SIDE, self.hidden)
        whole = np.zeros((rows, blocks.shape[0] * blocks.shape[2]), blocks.dtype)
        whole[:pixels, : self.hidden] = _turned(views).reshape(pixels, -1)
        whole[pixels:, : self.hidden] = matrix[pixels:]
        blocks[:, :rows] = whole.reshape(rows, blocks.shape[0], -1).transpose(1, 0, 2)

    def heads_outside(self, blocks: np.ndarray) -> np.ndarray:
        """(heads, H) from (blocks, heads, units)."""
        flat = blocks.transpose(1, 0, 2).reshape(blocks.shape[1], -1)
        return flat[:, : self.hidden].copy()  # one head, or one block, may be a view

    def heads_inside(self, matrix: np.ndarray, blocks: np.ndarray) -> None:
        """The inverse of :meth:`heads_outside`, into ``blocks``."""
        if matrix.shape != (blocks.shape[1], self.hidden):
            expected = (blocks.shape[1], self.hidden)
            raise ValueError(f"w2, value: expected {expected} together, got {matrix.shape}")
        whole = np.zeros((blocks.shape[1], blocks.shape[0] * blocks.shape[2]), blocks.dtype)
        whole[:, : self.hidden] = matrix
        blocks[:] = whole.reshape(blocks.shape[1], blocks.shape[0], -1).transpose(1, 0, 2)


def _turned(views: np.ndarray) -> np.ndarray:
    return views.transpose(0, 2, 1, 3)


class Optimizer:
    """Gradients of a network's weights, and steps along them: RMSProp or Adam.

    Rows of the first layer whose pixels did not light in a batch are not touched. For RMSProp that
    is exact (a row's mean square is made up for when it lights again); for Adam it is what is
    called sparse or lazy Adam: the moments of such rows stand still, and so do their weights.
    """

    def __init__(
        self, network: TileNetwork, pool: Pool, most_samples: int, moments: tuple[str, ...]
    ):
        """``moments`` of those that are kept: ("square",) for RMSProp, and "mean" for Adam."""
        self.network, self.moments = network, moments
        self.core = Learner(network.core, pool, most_samples)

    def tensors(self) -> dict[str, np.ndarray]:
        """All moments, as matrices like the weights, and the count of updates."""
        core, network = self.core, self.network
        tensors = {"updated": core.updated[0].copy(), "updates": np.array([core.updates])}
        for name in self.moments:
            tensors[f"{name}_w1"] = network.rows_outside(getattr(core, f"{name}1"))
            tensors[f"{name}_w2"] = network.heads_outside(getattr(core, f"{name}2"))
        return tensors

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`tensors` gave."""
        core, network = self.core, self.network
        core.updated[:] = tensors["updated"]
        core.updates = int(tensors["updates"][0])
        for name in self.moments:
            network.rows_inside(tensors[f"{name}_w1"], getattr(core, f"{name}1"))
            network.heads_inside(tensors[f"{name}_w2"], getattr(core, f"{name}2"))


@dataclass(frozen=True)
class PlayedEpisodes:
    """Whole episodes in a record.

    Attributes:
        spans: entries (begin, end) of each, in the order of their numbers.
        emulator_frames: that they took, resets included.
        seconds_emulation: by the clock, in the emulator and its pictures.
        seconds_forward: the same, in the choice of actions.
    """

    spans: list[tuple[int, int]]
    emulator_frames: int
    seconds_emulation: float
    seconds_forward: float


class Games:
    """Games of Pong that a network plays, on a pool of threads, and the record of what it played.

    Attributes:
        core: the compiled rollout.
        carry: entries before a row's first step that it looks back at.
    """

    def __init__(
        self,
        network: TileNetwork,
        pool: Pool,
        rules: Rules,
        games: int,
        *,
        actions: Sequence[int],
        seed: int,
        find_background: bool = True,
        whole_episodes: bool = False,
        greedy: bool = False,
    ):
        """Get ready; :meth:`seed` or :meth:`restore` each game before the first step.

        Args:
            network: chooses the actions.
            pool: threads to play on.
            rules: of the game.
            games: how many.
            actions: the emulator's number of each action of the network.
            seed: of the actions' random numbers.
            find_background: as ``preprocess``.
            whole_episodes: play episodes by number, each with random numbers of its own, instead
                of a number of steps.
            greedy: take the likeliest action instead of drawing one.
        """
        self.network, self.games = network, games
        self.carry = network.sight.carry
        self.core = _training.Rollout(
            pong_cartridge(),
            network.core,
            pool,
            games,
            frameskip=frame_range(rules),
            repeat=rules.repeat_action_probability,
            most_frames=rules.max_num_frames_per_episode,
            noop_max=rules.noop_max,
            red=RED,
            find_background=find_background,
            seed=seed,
            emulator_actions=tuple(actions),
            whole=whole_episodes,
            greedy=greedy,
        )

    @property
    def record(self) -> Record:
        """What was played last; indices of its entries are those of the samples."""
        return self.core.record

    def make_room(self, steps: int) -> None:
        """Begin with empty rows of so many entries a game."""
        self.core.write_to(self._record(steps))

    def _record(self, steps: int) -> Record:
        return Record(self.games * steps, self.games * (steps * _TILES_A_STEP + 2 * VIEW_PIXELS))

    def grow(self) -> None:
        """Give every game twice the room; what is in it stays."""
        steps = 2 * (self.record.entries // self.games)
        larger = Record(self.games * steps, 2 * self.record.room)
        self.core.move_to(larger)

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin all games anew."""
        for game, seed in zip(range(self.games), seeds, strict=True):
            self.core.seed(game, seed_words(seed))

    def states(self) -> list[bytes]:
        """All that the games' future depends on, but for the record."""
        return [self.core.state(game) for game in range(self.games)]

    def restore(self, states: Sequence[bytes]) -> None:
        """Take over :meth:`states`."""
        for game, state in zip(range(self.games), states, strict=True):
            self.core.restore(game, state)

    # ---- whole episodes ----------------------------------------------------------------------

    def play_episodes(self, first: int, episodes: int) -> "PlayedEpisodes":
        """Play episodes ``first``, .. to their ends; they are shared out to the games in turn."""
        began, core, games = perf_counter(), self.core, self.games
        if core.record is None:
            self.make_room(-(-episodes // games) * _FIRST_ROOM)
        frames = core.frames().sum()
        for game in range(games):
            core.plan(game, first + game, len(range(game, episodes, games)), games)
        choosing = core.play()
        while core.unfinished():
            self.grow()
            choosing += core.play()
        seconds = perf_counter() - began
        forward = min(choosing / min(core.threads, games), seconds)
        emulated = int(core.frames().sum() - frames)
        return PlayedEpisodes(self._spans(), emulated, seconds - forward, forward)

    def _spans(self) -> list[tuple[int, int]]:
        spans = {}
        for game, (begin, entry, _) in enumerate(self.core.rows()):
            ends = np.flatnonzero(self.record.ends[begin:entry]) + 1 + begin
            for k, (first, last) in enumerate(zip([begin, *ends[:-1]], ends, strict=True)):
                spans[game + k * self.games] = int(first), int(last)
        return [spans[number] for number in sorted(spans)]

    def close(self) -> None:
        """Threads end with the pool."""

    # ---- a number of steps of each game ------------------------------------------------------

    def short_of(self, steps: int) -> bool:
        """Whether a game's row was full before it had played so many steps."""
        return any(entry - begin < self.carry + steps for begin, entry, _ in self.core.rows())

    def samples(self, steps: int) -> np.ndarray:
        """Entries (N * steps,) int32 of the last steps, game by game."""
        rows = np.arange(self.games)[:, None] * self._stride + self.carry
        return (rows + np.arange(steps)).astype(np.int32).ravel()

    def rows(self, name: str, steps: int) -> np.ndarray:
        """(steps, N): an array of the record as the games' steps side by side."""
        whole = getattr(self.record, name)[: self.games * self._stride]
        rows = whole.reshape(self.games, -1)[:, self.carry : self.carry + steps]
        return np.ascontiguousarray(rows.T)

    def entries(self, steps: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`rows`: (steps, N) at the record's entries, zeros elsewhere."""
        whole = np.zeros(self.record.entries, steps.dtype)
        rows = whole[: self.games * self._stride].reshape(self.games, -1)
        rows[:, self.carry : self.carry + len(steps)] = steps.T
        return whole

    @property
    def _stride(self) -> int:
        return self.record.entries // self.games

    def tail(self) -> dict[str, np.ndarray]:
        """What the next steps look back at: of each game the frame it shows and those before."""
        record, each = self.record, self.carry + 1
        last = [np.arange(entry - self.carry, entry + 1) for _, entry, _ in self.core.rows()]
        at = np.concatenate(last)
        begins, counts = record.begins[at].astype(np.int64), record.counts[at].astype(np.int64)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return {
            "tail_tiles": record.tiles[np.repeat(begins, counts) + within],
            "tail_counts": counts.astype(np.uint16).reshape(-1, each),
            "tail_ages": record.ages[at].reshape(-1, each),
            "tail_actions": record.actions[at].reshape(-1, each),
        }

    def set_tail(self, tail: Any) -> None:
        """Take over :meth:`tail`."""
        counts = tail["tail_counts"]
        first = np.cumsum([0, *counts.sum(axis=1, dtype=np.int64)])
        for game in range(self.games):
            self.core.set_tail(
                game,
                np.ascontiguousarray(tail["tail_tiles"][first[game] : first[game + 1]]),
                counts[game],
                tail["tail_ages"][game],
                tail["tail_actions"][game],
            )

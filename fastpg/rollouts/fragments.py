"""Playing whole episodes with a policy, and recording what is needed to learn from them.

A :class:`RolloutWorker` lives in each worker process and plays fragments of episodes, of any game,
with weights from shared memory; :func:`play_batch` shares the fragments out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastpg.emulator.palette import PALETTE_RGB
from fastpg.envs.worker_pool import SharedArray, WorkerPool
from fastpg.kernels.spec import SCREEN
from fastpg.network.table_policy import Frames, Inputs, SparseRows
from fastpg.rollouts.episode import Episode, concatenate_inputs
from fastpg.rollouts.stepwise_player import (
    Fragment,
    Job,
    RolloutSetup,
    StepwisePlayer,
    first_states,
)

# Pong's two decisions, as in the article: output 0 is DOWN and 1 is UP, by ale-py's names for where
# the paddle's knob turns. Its actions called DOWN and UP do nothing in Pong.
_PONG_ACTIONS = ("LEFT", "RIGHT")


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


def action_table(
    game: str, meanings: Sequence[str], allow_noop: bool = False
) -> tuple[int, tuple[int, ...]]:
    """Return the network's outputs A and the game's action for each sampled one.

    Pong has the article's two, DOWN and UP, from one output, or with ``allow_noop`` three outputs
    for NOOP, DOWN and UP; another game has all of its own.

    Args:
        game: its name.
        meanings: ale-py's names of the game's actions, in their order.
        allow_noop: whether Pong has NOOP too.
    """
    if game != "pong":
        return len(meanings), tuple(range(len(meanings)))
    names = ("NOOP", *_PONG_ACTIONS) if allow_noop else _PONG_ACTIONS
    return (3 if allow_noop else 1), tuple(meanings.index(name) for name in names)


def mirrored_actions(count: int) -> tuple[int, ...]:
    """For each of Pong's 2 or 3 of :func:`action_table` the one in its place upside down."""
    return (*range(count - 2), count - 1, count - 2)


def rehearsal(kind: str) -> Episode:
    """A made-up episode of two steps: to compile, ahead of time, what learning from one calls."""
    blank: Inputs = SparseRows(np.zeros(0, np.uint16), np.zeros(0, np.int8), np.zeros(3, np.int64))
    if kind == "raw":
        blank = Frames(np.zeros((2, *SCREEN), np.uint8), PALETTE_RGB)
    return Episode(0, blank, np.zeros(2, np.uint8), np.zeros(2, np.float32), 0)


class RolloutWorker:
    """What a worker process runs: plays any game's next fragment."""

    def __init__(self, setup: RolloutSetup, weights: SharedArray):
        """Set up, and compile every kernel before the first frame is played.

        Args:
            setup: what to play and how.
            weights: w1 (D, H) and then w2 (A, H) float32, flat; written by the learner alone.
        """
        self.setup = setup
        self.player = StepwisePlayer(setup, weights.array)
        self.play = self.player.play

    def first_states(self, seeds: Sequence[int]) -> list[bytes]:
        """States of new games with the given seeds."""
        return first_states(self.setup, seeds)

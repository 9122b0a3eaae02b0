"""How well a trained policy plays: whole episodes on either emulator, the same ones on both.

The episodes are fixed by their numbers before the first begins, and every one is played to its end,
so that short ones are not favoured. On our emulator they are played in compiled code, many at a
time; on ale-py's step by step, which is the check of everything that was trained on ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastpg.algorithms.base import stream_seed
from fastpg.checkpoint import Checkpoint, load
from fastpg.emulator._emulator import MOST_THREADS
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.envs.worker_pool import WorkerPool
from fastpg.evaluation.policy import Policy, actions_of, policy_of, weights_alone
from fastpg.kernels.geometry import VIEW_PIXELS
from fastpg.network._network import Pool, RolloutBuffer
from fastpg.rollouts.native import NativeCollector
from fastpg.rollouts.stepwise import StepwiseAgent

_STREAM = 3  # stream of the seed for evaluation; training uses others
_SLOTS = 64  # of a player's buffer; only the last few are looked at
_GAMES = 32  # games per call at least; more would delay Ctrl-C by more than a second


class Episode(NamedTuple):
    """The result of one episode.

    Attributes:
        won: sum of its positive rewards: in Pong, points of the policy.
        lost: sum of its negative rewards, as a positive number: points of the opponent.
        steps: agent steps.
        frames: emulator frames, without those of the reset.
    """

    won: float
    lost: float
    steps: int
    frames: int


@dataclass(frozen=True)
class Evaluation:
    """Episodes in the order of their numbers; each array is (N,), meanings as in ``Episode``."""

    won: np.ndarray
    lost: np.ndarray
    steps: np.ndarray
    frames: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """Of each episode: the sum of its rewards."""
        return self.won - self.lost


class Player:
    """Plays episodes with a policy, one after the other, on one game."""

    def __init__(self, policy: Policy, rules: Rules, emulator: str, greedy: bool, seed: int = 0):
        """Get ready.

        Args:
            policy: chooses the actions.
            rules: of the game.
            emulator: ``"native"`` or ``"ale"``.
            greedy: take the likeliest action instead of drawing one.
            seed: of the games and the actions.

        Raises:
            CheckpointError: the policy and the game have different numbers of actions.
        """
        self.policy, self.greedy, self.seed = policy, greedy, seed
        self.game = game_class(emulator)(rules)
        self.actions = actions_of(policy, rules, self.game.action_meanings)
        self.buffer = RolloutBuffer(_SLOTS, (_SLOTS + 1) * VIEW_PIXELS)
        self.agent = StepwiseAgent(
            self.game,
            policy.network,
            self.actions,
            find_background=policy.find_background,
            seed=seed,
            buffer=self.buffer,
        )
        self.slot = 0
        self.view = self.agent.view  #: (6400,) uint8: the view that the last action was chosen for

    def begin(self, number: int) -> None:
        """Begin the episode of a number."""
        self.game.reset(seed=game_seed(self.seed, number))
        self.game.reset()  # as in training: a game that was seeded begins with a reset

    def play(self, number: int) -> Episode:
        """Play the episode of a number to its end."""
        self.begin(number)
        won, lost, steps, over = 0.0, 0.0, 0, False
        while not over:
            reward, over = self.agent.step(self.choose(steps, number))
            won, lost = won + max(reward, 0.0), lost + max(-reward, 0.0)
            steps += 1
        return Episode(won, lost, steps, self.game.episode_frame_number)

    def choose(self, step: int, number: int) -> int:
        """The action for the picture that the game shows at a step of an episode."""
        self.slot = self._next_slot(step)
        self.agent.observe(self.slot, self.slot * VIEW_PIXELS, step)
        return self.agent.choose(self.slot, number, step, self.greedy)

    def network_output(self) -> tuple[np.ndarray, float | None]:
        """The network's output for the frame of the last :meth:`choose`.

        Returns:
            Probabilities (actions,) float32, and the estimated value if there is a value head.
        """
        return self.policy.network.core.evaluate(self.buffer, self.slot)

    def _next_slot(self, step: int) -> int:
        """The step's slot; the slots that it looks back at stand before it."""
        if step < _SLOTS:
            return step
        half = _SLOTS // 2
        if step % half == 0:  # move the second half to the front
            for name in ("tile_offsets", "tile_counts", "episode_steps", "actions"):
                array = getattr(self.buffer, name)
                array[:half] = array[half:]
            tiles = self.buffer.tiles[: _SLOTS * VIEW_PIXELS].reshape(_SLOTS, -1)
            tiles[:half] = tiles[half:]
            self.buffer.tile_offsets[:half] -= np.uint32(half * VIEW_PIXELS)
        return half + step % half


def game_seed(seed: int, number: int) -> int:
    """The seed of the game of an episode."""
    return stream_seed(seed, _STREAM, number)


def evaluate(
    policy: Checkpoint | str | Path,
    rules: Rules,
    *,
    emulator: str = "ale",
    episodes: int = 100,
    seed: int = 0,
    greedy: bool = False,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Play episodes with a saved policy.

    Args:
        policy: a checkpoint, or the path of a file or a run.
        rules: of the game; they need not be those of the training.
        emulator: ``"native"`` or ``"ale"``: the same episodes.
        episodes: number of episodes; they are numbered from 0, so the first 10 of 100 are the same
            10.
        seed: of the games and the actions.
        greedy: take the likeliest action instead of drawing one.
        threads: to play on (``"ale"``: processes); any number gives the same episodes.
        progress: is called with the number of episodes that have been played.

    Raises:
        CheckpointError: no policy, or one of another game.
        ValueError: episodes or threads; the message names it.
    """
    for name, count, least in (("episodes", episodes, 0), ("threads", threads, 1)):
        if count < least:
            raise ValueError(f"{name}: expected at least {least}, got {count}")
    saved = policy if isinstance(policy, Checkpoint) else load(policy)
    game = game_class(emulator)(rules)
    actions_of(policy_of(saved), rules, game.action_meanings)  # before any process starts
    play = _play_compiled if emulator == "native" else _play_stepwise
    results: list[tuple[int, Episode]] = []
    for number, episode in play(saved, rules, episodes, seed, greedy, threads):
        results.append((number, episode))
        if progress is not None:
            progress(len(results))
    columns = np.array([episode for _, episode in sorted(results)], np.float64).reshape(-1, 4).T
    won, lost, steps, frames = columns
    return Evaluation(won, lost, steps.astype(np.int64), frames.astype(np.int64))


def _play_compiled(
    saved: Checkpoint, rules: Rules, episodes: int, seed: int, greedy: bool, threads: int
) -> Iterator[tuple[int, Episode]]:
    """One game an episode, as many side by side as keep all threads busy to the end."""
    policy, pool = policy_of(saved), Pool(min(threads, MOST_THREADS))
    game = game_class("native")(rules)
    table = actions_of(policy, rules, game.action_meanings)
    together = max(_GAMES, 4 * pool.threads)
    for first in range(0, episodes, together):
        numbers = range(first, min(first + together, episodes))
        collector = NativeCollector(
            policy.network,
            pool,
            rules,
            len(numbers),
            actions=[game.emulator_actions[action] for action in table],
            seed=seed,
            find_background=policy.find_background,
            whole_episodes=True,
            greedy=greedy,
        )
        collector.seed([game_seed(seed, number) for number in numbers])
        rollout = collector.play_episodes(first, len(numbers))
        frames = collector.core.episode_frames()
        for k, (begin, end) in enumerate(rollout.episode_slices):
            rewards = collector.buffer.rewards[begin:end].astype(np.float64)
            won, lost = rewards[rewards > 0].sum(), -rewards[rewards < 0].sum()
            yield first + k, Episode(won, lost, end - begin, frames[k])


def _play_stepwise(
    saved: Checkpoint, rules: Rules, episodes: int, seed: int, greedy: bool, processes: int
) -> Iterator[tuple[int, Episode]]:
    """Each process plays the next episode as soon as it has played one."""
    factory = partial(_ale_player, weights_alone(saved), rules, greedy, seed)
    processes = min(processes, episodes)
    if not processes:
        return
    with WorkerPool([factory] * processes, inline=processes == 1) as pool:
        numbers = iter([(number,) for number in range(episodes)])
        for (number,), episode in pool.results("play", lambda: next(numbers, None)):
            yield number, episode


def _ale_player(saved: Checkpoint, rules: Rules, greedy: bool, seed: int) -> Player:
    return Player(policy_of(saved), rules, "ale", greedy, seed)

"""A policy at play, frame by frame, with its input and its probabilities.

A policy sees one picture per agent step, usually two to four emulator frames apart. To show every
frame, a second game replays each step from the state before it with a frame skip of 1. The frames
are the same, because the state holds everything that the rules draw within a step.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice

import numpy as np

from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.evaluation.episodes import Player
from fastpg.evaluation.policy import Policy
from fastpg.kernels.geometry import SCREEN, VIEW_SIDE

FRAMES_PER_SECOND = 60
_PONG_LABELS = {"RIGHT": "UP", "LEFT": "DOWN", "NOOP": "STAY"}


@dataclass(frozen=True)
class Decision:
    """One decision of the policy."""

    step: int  #: agent step of the episode, from 0
    #: (planes, 80, 80) int8: the network's input: views, or the difference of two.
    planes: np.ndarray
    probabilities: np.ndarray  #: (actions,) float32
    action: int  #: the chosen action
    value: float | None  #: output of the value head; None without one
    past_actions: tuple[int, ...] = ()  #: past actions in the network's input, the latest first


@dataclass(frozen=True)
class PlaybackFrame:
    """One emulator frame of a playback."""

    picture: np.ndarray  #: (210, 160, 3) uint8, RGB; overwritten by the next frame
    decision: Decision  #: the decision that led to this frame
    first: bool  #: True for the first frame after the decision
    episode: int  #: number of the episode, from 0
    score: float  #: sum of the episode's rewards so far
    over: bool  #: True for the last frame of the episode


class Playback:
    """Plays episodes and yields every emulator frame."""

    def __init__(self, policy: Policy, rules: Rules, emulator: str, greedy: bool, seed: int):
        """Make the games.

        Args:
            policy: chooses the actions.
            rules: the rules of the games.
            emulator: ``"native"`` or ``"ale"``.
            greedy: take the likeliest action instead of drawing one.
            seed: seed of games and actions; the episodes are those that ``evaluate`` scores.

        Raises:
            CheckpointError: the policy has not as many actions as the game.
        """
        self.player = Player(policy, rules, emulator, greedy, seed)  #: plays the episodes
        meanings, pong = self.player.game.action_meanings, rules.game == "pong"
        #: Label of each action of the network.
        self.labels = [
            _PONG_LABELS.get(meanings[action], meanings[action]) if pong else meanings[action]
            for action in self.player.actions
        ]
        self.replay = game_class(emulator)(replace(rules, frameskip=1, noop_max=0))
        self.replay.reset(seed=0)  # a game must be reset before it can restore states
        self.scores: list[float] = []  #: of each episode that has been played to its end
        self._picture = np.zeros((*SCREEN, 3), np.uint8)
        input_spec = policy.network.input_spec
        self._views: deque[np.ndarray] = deque(maxlen=input_spec.lookback + 1)
        self._past_actions: deque[int] = deque(maxlen=input_spec.past_actions)  # the latest first

    @property
    def up(self) -> int | None:
        """Index of the action UP; None if the game has no action of that name."""
        return self.labels.index("UP") if "UP" in self.labels else None

    def frames(
        self, episodes: int | None = None, seconds: float | None = None
    ) -> Iterator[PlaybackFrame]:
        """Yield all frames until a limit is reached, at least one.

        Args:
            episodes: number of episodes; None for no limit.
            seconds: seconds of game time; None for no limit.
        """
        numbers = count() if episodes is None else range(episodes)
        limit = None if seconds is None else max(round(seconds * FRAMES_PER_SECOND), 1)
        yield from islice(chain.from_iterable(map(self.episode, numbers)), limit)

    def episode(self, number: int) -> Iterator[PlaybackFrame]:
        """Yield all frames of one episode."""
        player, game = self.player, self.player.game
        player.begin(number)
        self._views.clear()
        self._past_actions.clear()
        step, score, over = 0, 0.0, False
        while not over:
            decision = self._decide(step, number)
            state, frames_before = game.state(), game.episode_frame_number
            action = player.actions[decision.action]
            _, terminated, truncated = game.step(action)
            shown, over = game.episode_frame_number - frames_before, terminated or truncated
            self.replay.restore(state)
            for k in range(shown):
                score += self.replay.step(action)[0]
                self.replay.rgb(self._picture)
                last = over and k == shown - 1
                if last:
                    self.scores.append(score)
                yield PlaybackFrame(self._picture, decision, k == 0, number, score, last)
            step += 1

    def _decide(self, step: int, number: int) -> Decision:
        action = self.player.choose(step, number)
        probabilities, value = self.player.network_output()
        self._views.append(self.player.view.reshape(VIEW_SIDE, VIEW_SIDE).astype(np.int8))
        input_spec, views = self.player.policy.network.input_spec, self._views
        planes = np.stack([views[max(-1 - age, -len(views))] for age in input_spec.views])
        if input_spec.difference:
            planes = planes[:1] - planes[1:]
        past = tuple(self._past_actions)
        self._past_actions.appendleft(action)
        return Decision(step, planes, probabilities, action, value, past)

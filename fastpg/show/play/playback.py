"""A policy at play, picture by picture, with what it saw and how sure it was.

The game that the policy plays shows a picture a step, two to four emulated frames apart. To show
all of them, a second game replays each step frame by frame from the state before it: the same
frames, since everything that the rules draw within a step is in that state.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastpg.checkpoint import Checkpoint, CheckpointError, load
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.evaluation.episodes import Player
from fastpg.evaluation.policy import Policy, load_pretrained, policy_of
from fastpg.kernels.geometry import SCREEN, VIEW_SIDE
from fastpg.show import ShowError

FRAMES_PER_SECOND = 60
_NAMES = {"RIGHT": "UP", "LEFT": "DOWN", "NOOP": "STAY"}  # what they do in Pong


def saved_run(run: Path | None) -> Checkpoint:
    """The newest checkpoint of a run, a checkpoint file, or the policy that ships if None.

    Raises:
        ShowError: it is not there, cannot be read, or has no checkpoint.
    """
    if run is not None and not run.exists():
        raise ShowError(f"{run}: no such run; python -m fastpg.train makes and names one")
    try:
        return load_pretrained() if run is None else load(run)
    except CheckpointError as error:
        raise ShowError(str(error)) from None


def policy_of_run(run: Path | None) -> tuple[Policy, dict[str, Any]]:
    """The policy of a run (that which ships if None), and the settings it was trained with.

    Raises:
        ShowError: it cannot be read, or holds no policy that sees sparse views.
    """
    saved = saved_run(run)
    try:
        return policy_of(saved), saved.state["config"]
    except CheckpointError as error:
        raise ShowError(str(error)) from None


@dataclass(frozen=True)
class Decision:
    """One choice of the policy.

    Attributes:
        step: of its episode, from 0.
        planes: (planes, 80, 80) int8: the network's input: views, or their difference.
        probabilities: (actions,) float32.
        action: the one chosen.
        value: what the value head expects; None without one.
        past_actions: that the network sees too, the latest first.
    """

    step: int
    planes: np.ndarray
    probabilities: np.ndarray
    action: int
    value: float | None
    past_actions: tuple[int, ...] = ()


@dataclass(frozen=True)
class PlaybackFrame:
    """One emulated frame.

    Attributes:
        picture: (210, 160, 3) uint8, red, green, blue; overwritten by the next frame.
        decision: the last one, that this frame follows.
        first: whether it is the decision's first frame.
        episode: number of the episode, from 0.
        score: sum of its rewards so far.
        over: whether this is the episode's last frame.
    """

    picture: np.ndarray
    decision: Decision
    first: bool
    episode: int
    score: float
    over: bool


class Playback:
    """Plays episodes and gives every emulated frame.

    Attributes:
        labels: what each action of the network is called.
    """

    def __init__(self, policy: Policy, rules: Rules, emulator: str, greedy: bool, seed: int):
        """Get ready.

        Args:
            policy: chooses the actions.
            rules: of the game.
            emulator: ``"native"`` or ``"ale"``.
            greedy: take the likeliest action instead of drawing one.
            seed: of the games and the actions: the episodes that ``evaluate`` scores with it.

        Raises:
            ShowError: the game has other actions than the policy.
        """
        try:
            self.player = Player(policy, rules, emulator, greedy, seed)
        except CheckpointError as error:
            raise ShowError(str(error)) from None
        meanings, pong = self.player.game.action_meanings, rules.game == "pong"
        self.labels = [
            _NAMES.get(meanings[action], meanings[action]) if pong else meanings[action]
            for action in self.player.actions
        ]
        self.replay = game_class(emulator)(replace(rules, frameskip=1, noop_max=0))
        self.replay.reset(seed=0)  # makes it ready to take over states
        self._picture = np.zeros((*SCREEN, 3), np.uint8)
        input_spec = policy.network.input_spec
        self._views: deque[np.ndarray] = deque(maxlen=input_spec.lookback + 1)
        self._actions: deque[int] = deque(maxlen=input_spec.past_actions)  # the latest first

    @property
    def up(self) -> int | None:
        """Which action is UP; None in games that have none of that name."""
        return self.labels.index("UP") if "UP" in self.labels else None

    def moments(self, episodes: int | None = None) -> Iterator[PlaybackFrame]:
        """All frames of so many episodes; of endless ones if None."""
        number = 0
        while episodes is None or number < episodes:
            yield from self.episode(number)
            number += 1

    def episode(self, number: int) -> Iterator[PlaybackFrame]:
        """All frames of the episode of a number."""
        player, game = self.player, self.player.game
        player.begin(number)
        self._views.clear()
        self._actions.clear()
        step, score, over = 0, 0.0, False
        while not over:
            decision = self._decide(step, number)
            before, began = game.state(), game.episode_frame_number
            action = player.actions[decision.action]
            _, terminated, truncated = game.step(action)
            frames, over = game.episode_frame_number - began, terminated or truncated
            self.replay.restore(before)
            for frame in range(frames):
                score += self.replay.step(action)[0]
                self.replay.rgb(self._picture)
                last = over and frame == frames - 1
                yield PlaybackFrame(self._picture, decision, frame == 0, number, score, last)
            step += 1

    def _decide(self, step: int, number: int) -> Decision:
        action = self.player.choose(step, number)
        probabilities, value = self.player.judgement()
        self._views.append(self.player.view.reshape(VIEW_SIDE, VIEW_SIDE).astype(np.int8))
        input_spec, views = self.player.policy.network.input_spec, self._views
        planes = np.stack([views[max(-1 - age, -len(views))] for age in input_spec.views])
        if input_spec.difference:
            planes = planes[:1] - planes[1:]
        past = tuple(self._actions)
        self._actions.appendleft(action)
        return Decision(step, planes, probabilities, action, value, past)

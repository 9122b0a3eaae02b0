"""How well a trained policy plays: whole episodes on either emulator, step by step.

Every episode is played to its end, so that short ones are not favoured. On ale-py's emulator this
is the check of everything that was trained on ours.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from fastpg._training import Record
from fastpg.algorithms.base import stream_seed
from fastpg.checkpoint import Checkpoint, CheckpointError, load
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.kernels import get_backend
from fastpg.kernels.spec import SCREEN, VIEW_PIXELS
from fastpg.rollout import action_table
from fastpg.tiles import RED, Sight, TileNetwork

_STREAM = 3  # of the seed: apart from those of training
_ROOM = 64  # entries; only the last few are looked at


@dataclass(frozen=True)
class Policy:
    """A trained network, its way to see, and the number of its update."""

    network: TileNetwork
    find_background: bool
    update: int


def load_policy(path: str | Path) -> Policy:
    """The policy of a checkpoint file, or of the newest one of a run.

    Raises:
        CheckpointError: it cannot be read, or holds no policy that sees sparse views.
    """
    return policy_of(load(path))


def policy_of(saved: Checkpoint) -> Policy:
    """The policy of a checkpoint; see :func:`load_policy`."""
    try:
        config, tensors = saved.state["config"], saved.tensors
        outputs, hidden = tensors["w2"].shape
        seen, background = config["input"], config["background"]
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{saved.path}: is no checkpoint of fastpg.train: {error}") from None
    if seen == "raw":
        raise CheckpointError(f"{saved.path}: sees whole pictures (--input raw), expected views")
    views = tuple(config.get("views", (0, 1)))
    sight = Sight(views, seen == "difference", config.get("past_actions", 0))
    network = TileNetwork(hidden, sight, max(outputs, 2), outputs, value="value" in tensors)
    network.load(tensors)
    return Policy(network, background == "frame", saved.update)


class Player:
    """Plays episodes with a policy, one after the other, on one game.

    Attributes:
        view: (6400,) uint8, the view of the picture chosen for last.
    """

    def __init__(self, policy: Policy, rules: Rules, emulator: str, greedy: bool):
        """Get ready.

        Args:
            policy: chooses the actions.
            rules: of the game.
            emulator: ``"native"`` or ``"ale"``.
            greedy: take the likelier action instead of drawing one.
        """
        self.policy, self.greedy = policy, greedy
        self.game = game_class(emulator)(rules)
        idle = policy.network.outputs == 3
        _, self.actions = action_table(rules.game, len(self.game.action_meanings), idle)
        self.kernels = get_backend("cython")
        self.record = Record(_ROOM, (_ROOM + 1) * VIEW_PIXELS)
        self.screen = np.zeros((1, *SCREEN), np.uint8)
        self.entry, self.view = 0, np.zeros(VIEW_PIXELS, np.uint8)

    def play(self, seed: int) -> tuple[float, int]:
        """Play the episode of a seed: its score, and its length in steps."""
        self.game.reset(seed=seed)
        score, steps, over = 0.0, 0, False
        while not over:
            action = self.choose(steps, seed)
            reward, terminated, truncated = self.game.step(self.actions[action])
            score += reward
            steps += 1
            over = terminated or truncated
        return score, steps

    def choose(self, step: int, seed: int) -> int:
        """The action for the picture that the game shows at a step of its episode."""
        self.game.screen(self.screen[0])
        view = self.kernels.preprocess_palette(self.screen, RED, self.policy.find_background)[0]
        entry = self.entry = self._next_entry(step)
        self.view = view
        self.record.observe(entry, entry * VIEW_PIXELS, min(step, 255), view)
        network = self.policy.network.core
        action = network.choose(self.record, entry, seed, 0, step)
        if self.greedy:
            probabilities, _ = network.evaluate(self.record, entry)
            action = int(np.argmax(probabilities))
            self.record.actions[entry] = action  # what later steps may look back at
        return action

    def judgement(self) -> tuple[np.ndarray, float | None]:
        """What the network said of the picture chosen for last.

        Returns:
            Probabilities (actions,) float32, and the value of its state if it has a value head.
        """
        return self.policy.network.core.evaluate(self.record, self.entry)

    def _next_entry(self, step: int) -> int:
        """Where the step's frame goes; what it looks back at stands before it."""
        if step < _ROOM:
            return step
        half = _ROOM // 2
        if step % half == 0:  # move the second half to the front
            for name in ("begins", "counts", "ages", "actions"):
                array = getattr(self.record, name)
                array[:half] = array[half:]
            tiles = self.record.tiles[: _ROOM * VIEW_PIXELS].reshape(_ROOM, -1)
            tiles[:half] = tiles[half:]
            self.record.begins[:half] -= np.uint32(half * VIEW_PIXELS)
        return half + step % half


def evaluate(
    policy_path: str | Path,
    rules: Rules,
    *,
    emulator: str = "ale",
    episodes: int = 100,
    seed: int = 0,
    greedy: bool = False,
    processes: int = 1,
) -> np.ndarray:
    """Play episodes with a saved policy.

    Args:
        policy_path: a checkpoint file, or a run.
        rules: of the game; they need not be those of the training.
        emulator: ``"native"`` or ``"ale"``: the same scores.
        episodes: how many.
        seed: of the games and the actions.
        greedy: take the likelier action instead of drawing one.
        processes: to share the episodes out to.

    Returns:
        (episodes, 2) float64: score and length in agent steps of each episode.
    """
    seeds = [stream_seed(seed, _STREAM, number) for number in range(episodes)]
    play = partial(_play_all, str(policy_path), rules, emulator, greedy)
    if processes == 1:
        return np.array(play(seeds), np.float64).reshape(-1, 2)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        parts = list(pool.map(play, [seeds[k::processes] for k in range(processes)]))
    played = np.zeros((episodes, 2))
    for k, part in enumerate(parts):
        played[k::processes] = np.array(part, np.float64).reshape(-1, 2)
    return played


def _play_all(
    path: str, rules: Rules, emulator: str, greedy: bool, seeds: Sequence[int]
) -> list[Any]:
    player = Player(load_policy(path), rules, emulator, greedy)
    return [player.play(seed) for seed in seeds]

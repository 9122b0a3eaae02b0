"""What a policy has learned, as pictures: its first layer, and what each pixel would change."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from fastpg.emulator.palette import PALETTE_RGB
from fastpg.evaluation.policy import Policy
from fastpg.kernels.geometry import VIEW_PIXELS, VIEW_SIDE
from fastpg.show.play.playback import Decision, Playback, PlaybackFrame

#: Pixels of a view: half the size of the things in it. Smoothed so, the start's noise recedes.
THINGS = 2.0
_DECISIONS = 2000  # of an episode that are looked at: a game of 21 points, or a long one's begin


@dataclass(frozen=True)
class Unit:
    """A hidden unit.

    Attributes:
        number: of the unit.
        planes: (planes, 80, 80) float32: its weight of each pixel; above 0 excites, below inhibits.
        wants: how much it, when active, speaks for UP against DOWN.
    """

    number: int
    planes: np.ndarray
    wants: float


@dataclass(frozen=True)
class Look:
    """A decision and what each pixel means to it.

    Attributes:
        moment: its picture is the one that was decided on.
        saliency: (planes, 80, 80) float32: what each pixel of the input adds to the log-odds of UP
            against DOWN, the gradient of a network that is linear between its units' kinks; so
            the log-odds are the sum over the lit pixels.
    """

    moment: PlaybackFrame
    saliency: np.ndarray


class Weights:
    """A policy's network as matrices, for Pong's two directions.

    Attributes:
        w1: (D, H) float32.
        direction: (H,) float32: weights of UP less those of DOWN.
    """

    def __init__(self, policy: Policy, up: int, down: int):
        tensors = policy.network.tensors()
        self.input_spec, self.w1, w2 = policy.network.input_spec, tensors["w1"], tensors["w2"]
        self._actions = max(len(w2), 2)
        self.direction = w2[0] if len(w2) == 1 else w2[up] - w2[down]

    def units(self, count: int) -> list[Unit]:
        """The units whose smoothed weights can move the choice most, the greatest first.

        Smoothed, since what they began with is noise, and what is learned is not.
        """
        pixels = self.w1[: self.input_spec.planes * VIEW_PIXELS].T
        planes = pixels.reshape(-1, self.input_spec.planes, VIEW_SIDE, VIEW_SIDE)
        smooth = np.square(blurred(planes, THINGS)).sum((1, 2, 3))
        order = np.argsort(-np.abs(self.direction) * np.sqrt(smooth), kind="stable")[:count]
        return [Unit(int(k), planes[k], float(self.direction[k])) for k in order]

    def active(self, decision: Decision) -> np.ndarray:
        """(H,) float32: the hidden units after their rectifier."""
        x = decision.planes.reshape(-1).astype(np.float32)
        lit = np.flatnonzero(x)
        hidden = x[lit] @ self.w1[lit]
        for age, action in enumerate(decision.past_actions):
            hidden = hidden + self.w1[len(x) + age * self._actions + action]
        return np.maximum(hidden, 0)

    def log_odds(self, decision: Decision) -> float:
        """Of UP against DOWN."""
        return float(self.active(decision) @ self.direction)

    def saliency(self, decision: Decision, pixels: np.ndarray | None = None) -> np.ndarray:
        """(planes * 6400,) float32, see :class:`Look`; of some ``pixels`` alone if given."""
        on = np.flatnonzero(self.active(decision))
        rows = self.w1[: decision.planes.size] if pixels is None else self.w1[pixels]
        return rows[:, on] @ self.direction[on]


def most_salient_decisions(
    playback: Playback, weights: Weights, count: int, episode: int = 0
) -> list[Look]:
    """Decisions of an episode that lit pixels weighed most on, one of each part of its begin.

    A good policy plays the same rally many times: what was seen in one is not shown again.
    """
    scores: list[float] = []
    seen: list[bytes] = []
    for moment in _decisions(playback, episode):
        scores.append(_weight(weights, moment.decision, playback.up))
        seen.append(moment.decision.planes.tobytes())
    steps: dict[bytes, int] = {}
    for part in np.array_split(np.arange(len(scores)), count):
        fresh = [int(k) for k in part if seen[k] not in steps]
        if fresh:
            best = max(fresh, key=scores.__getitem__)
            steps[seen[best]] = best
    looks = []
    for moment in _decisions(playback, episode):
        if moment.decision.step in steps.values():
            # what was decided on is the picture before the decision's first frame
            picture = PALETTE_RGB[playback.player.agent.screen[0]]
            saliency = weights.saliency(moment.decision).reshape(moment.decision.planes.shape)
            looks.append(Look(replace(moment, picture=picture), saliency))
    return looks


def _weight(weights: Weights, decision: Decision, up: int | None) -> float:
    """How much its lit pixels move the probability of UP."""
    p = float(decision.probabilities[up]) if up is not None else 0.5
    lit = np.flatnonzero(decision.planes)
    return float(p * (1 - p) * np.abs(weights.saliency(decision, lit)).sum())


def _decisions(playback: Playback, episode: int) -> Iterator[PlaybackFrame]:
    """The first moments of an episode's first decisions."""
    return islice((m for m in playback.episode(episode) if m.first), _DECISIONS)


def blurred(pictures: np.ndarray, sigma: float) -> np.ndarray:
    """Pictures (.., rows, columns) under a Gaussian of so many pixels; nothing lies outside."""
    for axis in (-1, -2):
        places = np.arange(pictures.shape[axis])
        kernel = np.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
        kernel /= kernel[len(places) // 2].sum()  # of a row far from the edges
        pictures = np.moveaxis(np.moveaxis(pictures, axis, -1) @ kernel, -1, axis)
    return pictures

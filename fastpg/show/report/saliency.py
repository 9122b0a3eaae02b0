"""What a policy has learned: its hidden units' weights, and the saliency of each input pixel."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from fastpg.emulator.palette import PALETTE_RGB
from fastpg.evaluation.policy import Policy
from fastpg.kernels.geometry import VIEW_PIXELS, VIEW_SIDE
from fastpg.show.play.playback import Decision, Playback, PlaybackFrame

#: Width in pixels of the Gaussian that weights are smoothed with: half the size of the ball and of
#: other objects in a view. It removes much of the noise that weights start with.
OBJECT_SIGMA = 2.0
_DECISIONS = 2000  # decisions of an episode to search: about a game, or the start of a long one


@dataclass(frozen=True)
class Unit:
    """A hidden unit."""

    number: int  #: index of the unit
    #: (planes, 80, 80) float32: weight of each pixel; above 0 excites, below 0 inhibits.
    planes: np.ndarray
    up_preference: float  #: weight to UP minus weight to DOWN: what an active unit votes for


@dataclass(frozen=True)
class SalientDecision:
    """A decision and the saliency of its input."""

    #: Frame of the decision; its picture is the one that the policy decided on.
    frame: PlaybackFrame
    #: (planes, 80, 80) float32: gradient of the log-odds of UP against DOWN by each input pixel.
    #: The network is linear as long as the same units are active, so the log-odds are the sum over
    #: the lit pixels.
    saliency: np.ndarray


class Weights:
    """The weights of a policy's network, for Pong's two directions.

    Attributes:
        w1: (D, H) float32.
        up_preference: (H,) float32: each hidden unit's weight to UP minus its weight to DOWN.
    """

    def __init__(self, policy: Policy, up: int, down: int):
        tensors = policy.network.tensors()
        self.input_spec, self.w1, w2 = policy.network.input_spec, tensors["w1"], tensors["w2"]
        self._actions = max(len(w2), 2)
        self.up_preference = w2[0] if len(w2) == 1 else w2[up] - w2[down]

    def units(self, count: int) -> list[Unit]:
        """Return the units whose weights can move the choice most, the strongest first.

        Weights are smoothed before ranking: initial weights are noise, learned ones vary smoothly.
        """
        pixels = self.w1[: self.input_spec.planes * VIEW_PIXELS].T
        planes = pixels.reshape(-1, self.input_spec.planes, VIEW_SIDE, VIEW_SIDE)
        smooth = np.square(blurred(planes, OBJECT_SIGMA)).sum((1, 2, 3))
        order = np.argsort(-np.abs(self.up_preference) * np.sqrt(smooth), kind="stable")[:count]
        return [Unit(int(k), planes[k], float(self.up_preference[k])) for k in order]

    def active(self, decision: Decision) -> np.ndarray:
        """Return the hidden units after their rectifier, (H,) float32."""
        x = decision.planes.reshape(-1).astype(np.float32)
        lit = np.flatnonzero(x)
        hidden = x[lit] @ self.w1[lit]
        for age, action in enumerate(decision.past_actions):
            hidden = hidden + self.w1[len(x) + age * self._actions + action]
        return np.maximum(hidden, 0)

    def saliency(self, decision: Decision, pixels: np.ndarray | None = None) -> np.ndarray:
        """Return the saliency of all pixels, or of ``pixels``, as in :class:`SalientDecision`.

        Returns:
            (planes * 6400,) or (pixels,) float32.
        """
        active = np.flatnonzero(self.active(decision))
        rows = self.w1[: decision.planes.size] if pixels is None else self.w1[pixels]
        return rows[:, active] @ self.up_preference[active]


def most_salient_decisions(
    playback: Playback, weights: Weights, count: int, episode: int = 0
) -> list[SalientDecision]:
    """Return the decisions of an episode whose lit pixels mattered most, one per section of it.

    A good policy plays the same rally many times, so no input is returned twice.
    """
    scores: list[float] = []
    inputs: list[bytes] = []
    for frame in _decisions(playback, episode):
        scores.append(_saliency_score(weights, frame.decision, playback.up))
        inputs.append(frame.decision.planes.tobytes())
    steps: dict[bytes, int] = {}
    for section in np.array_split(np.arange(len(scores)), count):
        new = [int(k) for k in section if inputs[k] not in steps]
        if new:
            best = max(new, key=scores.__getitem__)
            steps[inputs[best]] = best
    found = []
    for frame in _decisions(playback, episode):
        if frame.decision.step in steps.values():
            # the policy decided on the picture before the decision's first frame
            picture = PALETTE_RGB[playback.player.agent.screen]
            saliency = weights.saliency(frame.decision).reshape(frame.decision.planes.shape)
            found.append(SalientDecision(replace(frame, picture=picture), saliency))
    return found


def _saliency_score(weights: Weights, decision: Decision, up: int | None) -> float:
    """Sum over the lit pixels of how much each can move the probability of UP."""
    p = float(decision.probabilities[up]) if up is not None else 0.5
    lit = np.flatnonzero(decision.planes)
    return float(p * (1 - p) * np.abs(weights.saliency(decision, lit)).sum())


def _decisions(playback: Playback, episode: int) -> Iterator[PlaybackFrame]:
    """Yield the first frame of each of an episode's first decisions."""
    return islice((frame for frame in playback.episode(episode) if frame.first), _DECISIONS)


def blurred(pictures: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth pictures (.., rows, columns) with a Gaussian; beyond the edges everything is 0."""
    for axis in (-1, -2):
        positions = np.arange(pictures.shape[axis])
        kernel = np.exp(-0.5 * ((positions[:, None] - positions) / sigma) ** 2)
        kernel /= kernel[len(positions) // 2].sum()  # of a row far from the edges
        pictures = np.moveaxis(np.moveaxis(pictures, axis, -1) @ kernel, -1, axis)
    return pictures

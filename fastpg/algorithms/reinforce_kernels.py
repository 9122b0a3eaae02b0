"""REINFORCE from pixels, as in the article: a thin loop over many games and compiled kernels.

All arithmetic is in the kernels of one backend (:func:`fastpg.kernels.get_backend`); all games are
in one Gymnasium vector environment. Every backend of the CPU gives the same weights, bit for bit.
:mod:`fastpg.algorithms.reinforce` does the same at full speed, in one compiled call per batch.

Source: Karpathy, "Deep Reinforcement Learning: Pong from Pixels", 2016.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from fastpg.algorithms.base import GAMES, WEIGHTS, Diverged, Played, stream_seed
from fastpg.emulator.palette import PALETTE_RED, PALETTE_RGB
from fastpg.kernels.geometry import SCREEN, VIEW_PIXELS
from fastpg.kernels.ops import Backend
from fastpg.rollouts.returns import ReturnEstimator

# Sizes of the network's input; tensors of a checkpoint; samples per call of the backward pass.
INPUTS = {"difference": VIEW_PIXELS, "stack": 2 * VIEW_PIXELS, "raw": SCREEN[0] * SCREEN[1] * 3}
TENSORS = ("w1", "w2", "cache_w1", "cache_w2")
SAMPLES = 160  # raw frames take 0.4 MB each as float32


class ReinforceKernels:
    """An episode of each of N games, then a step of RMSProp along sum_t A_t grad log pi(a_t | x_t).

    An episode's number seeds its game and its actions, so a resumed run plays the same episodes.
    The network's layers are ``w1`` (D, H), pixel-major, and ``w2`` (A, H), both float32. For speed,
    a step calls the backend's unchecked loops. Frames are checked; all other arrays are made here.
    """

    def __init__(
        self,
        envs: VectorEnv,
        kernels: Backend,
        estimator: ReturnEstimator,
        *,
        actions: Sequence[int],
        outputs: int,
        hidden: int,
        input: str,
        find_background: bool,
        learning_rate: float,
        decay: float,
        seed: int,
    ):
        """Draw the weights, and compile every kernel.

        Args:
            envs: N games. Observations are uint8 frames: palette indices (N, 210, 160) or RGB
                (N, 210, 160, 3). The environment resets a game in the step after its episode.
            kernels: the backend.
            estimator: how rewards become advantages.
            actions: the environment's action for each action of the policy.
            outputs: logits A of the network; 1 for two actions.
            hidden: H, number of hidden units.
            input: ``"difference"`` or ``"stack"`` of two 80x80 views, or ``"raw"`` frames.
            find_background: as in ``Backend.preprocess``.
            learning_rate: step size of RMSProp.
            decay: share of its mean square that RMSProp keeps at each update.
            seed: of the weights, the games and the actions.

        Raises:
            ValueError: the environment has other observations or autoreset; ``play`` raises it too.
        """
        mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if mode is not AutoresetMode.NEXT_STEP:
            raise ValueError(f"envs: expected autoreset in the next step, got {mode}")
        self.envs, self.kernels, self.estimator, self.seed = envs, kernels, estimator, seed
        self.close = envs.close
        self.actions, self.input, self.find_background = np.array(actions), input, find_background
        loops, dense = kernels.loops, input == "raw"
        self.compress: Any = loops.frame_stack if input == "stack" else loops.frame_difference
        self.forward: Any = loops.policy_forward_dense if dense else loops.policy_forward
        self.backward: Any = kernels.policy_backward_dense if dense else kernels.policy_backward
        rng = np.random.default_rng(stream_seed(seed, WEIGHTS))
        w1 = rng.standard_normal((INPUTS[input], hidden)) / np.sqrt(INPUTS[input])
        w2 = rng.standard_normal((outputs, hidden)) / np.sqrt(hidden)
        zeros = [np.zeros_like(w) for w in (w1, w2, w1, w2)]
        arrays = [kernels.to_backend(w.astype(np.float32)) for w in (w1, w2, *zeros)]
        self.w1, self.w2, self.dw1, self.dw2, self.cache_w1, self.cache_w2 = arrays
        self.red, most = kernels.to_backend(PALETTE_RED), 2 * envs.num_envs * VIEW_PIXELS
        self.indices, self.signs = kernels.empty(most, np.uint16), kernels.empty(most, np.int8)
        self.learning_rate, self.decay, self.episode = 0.0, 1.0, 0
        self.learn(self.play(most_steps=1))  # compiles every kernel, and changes no weight
        self.learning_rate, self.decay, self.episode = learning_rate, decay, 0

    def play(self, most_steps: int | None = None) -> Played:
        """Play the next N episodes to their ends, one in each game."""
        began, kernels, loops, envs = perf_counter(), self.kernels, self.kernels.loops, self.envs
        games, (outputs, units) = envs.num_envs, self.w2.shape
        numbers = np.arange(self.episode, self.episode + games, dtype=np.uint64)
        seeds: Any = [stream_seed(self.seed, GAMES, int(number)) for number in numbers]
        envs.reset(seed=seeds)
        frames, _ = envs.reset()  # like the other collectors: seeding is a reset of its own
        streams, uniforms = kernels.to_backend(numbers), kernels.empty(games, np.float32)
        over = np.zeros(games, np.bool_)  # games whose episode is over; they play on
        records: list[Any] = []
        views, seconds_emulation = None, perf_counter() - began
        while not over.all() and len(records) != most_steps:
            inputs, views = self._inputs(frames, views)
            hidden = kernels.empty((games, units), np.float32)
            probabilities = kernels.empty((games, outputs), np.float32)
            self.forward(*self._arrays(inputs), self.w1, self.w2, hidden, probabilities)
            step = kernels.to_backend(np.full(games, len(records), np.uint64))
            loops.counter_uniforms(streams, step, np.uint64(self.seed), uniforms)
            actions = kernels.empty(games, np.uint8)
            loops.sample_actions(probabilities, uniforms, actions)
            before, chosen = perf_counter(), self.actions[kernels.to_host(actions)]
            frames, reward, terminated, truncated, infos = envs.step(chosen)
            seconds_emulation += perf_counter() - before
            age = np.array(infos.get("episode_frame_number", 0 * numbers))
            records.append(((*inputs, hidden, probabilities, actions), reward.copy(), ~over, age))
            over = over | terminated | truncated
        steps, rewards, active, ages = zip(*records, strict=True)
        lengths, scored = np.sum(active, axis=0), np.where(active, rewards, 0)
        return Played(
            agent_steps=int(lengths.sum()),
            emulator_frames=int(np.array(ages)[lengths - 1, range(len(lengths))].sum()),
            scores=scored.sum(axis=0).tolist(),
            lengths=lengths.tolist(),
            seconds_emulation=seconds_emulation,
            seconds_forward=perf_counter() - began - seconds_emulation,
            batch=(steps, scored.astype(np.float32), np.array(active)),
        )

    def _inputs(self, frames: np.ndarray, before: Any) -> tuple[tuple[Any, ...], Any]:
        """The network's inputs, and the views (N, 6400) that the next inputs look back at."""
        kernels, loops, games = self.kernels, self.kernels.loops, self.envs.num_envs
        if frames.dtype != np.uint8 or frames.shape != (games, *SCREEN, 3)[: max(3, frames.ndim)]:
            wanted = f"{(games, *SCREEN)} or {(games, *SCREEN, 3)} uint8 frames"
            raise ValueError(f"envs: expected {wanted}, got {frames.shape} {frames.dtype}")
        if self.input == "raw":
            return (frames.copy(),), None
        frames = kernels.to_backend(np.ascontiguousarray(frames))
        views = kernels.empty((games, VIEW_PIXELS), np.uint8)
        if frames.ndim == 4:
            loops.preprocess(frames, self.find_background, views)
        else:
            loops.preprocess_palette(frames, self.red, self.find_background, views)
        offsets, before = kernels.empty(games + 1, np.int64), views if before is None else before
        self.compress(views, before, self.indices, self.signs, offsets)
        lit = int(kernels.to_host(offsets)[-1])
        return (kernels.cut(self.indices, lit), kernels.cut(self.signs, lit), offsets), views

    def _arrays(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Sparse rows as they are; of raw frames every number over 255, (N, 100800) float32."""
        if self.input != "raw":
            return tuple(inputs)
        rgb = inputs[0] if inputs[0].ndim == 4 else PALETTE_RGB[inputs[0]]
        return (self.kernels.to_backend(rgb.reshape(len(rgb), -1) / np.float32(255)),)

    def learn(self, played: Played) -> dict[str, float]:
        """Take one step along the gradient of the whole batch.

        Raises:
            Diverged: a weight is not finite.
        """
        kernels, (steps, rewards, active) = self.kernels, played.batch
        rows = active.T  # (N, T): as a mask it selects episode after episode
        advantages = np.zeros(rows.shape, np.float32)  # 0 after an episode's end
        advantages[rows] = self.estimator.advantages(kernels, rewards.T[rows], played.lengths)
        for first in range(0, len(steps), length := max(1, SAMPLES // len(rows))):
            part = slice(first, first + length)
            weights = kernels.to_backend(advantages.T[part].ravel()), self.w2
            self.backward(*self._samples(steps[part]), *weights, self.dw1, self.dw2, first > 0)
        kernels.rmsprop_update(self.dw1, self.learning_rate, self.decay, self.w1, self.cache_w1)
        kernels.rmsprop_update(self.dw2, self.learning_rate, self.decay, self.w2, self.cache_w2)
        if not all(np.isfinite(kernels.to_host(w)).all() for w in (self.w1, self.w2)):
            raise Diverged("the weights are not finite")
        self.episode += len(played.scores)
        return {}

    def _samples(self, steps: Sequence[Any]) -> tuple[Any, ...]:
        """The inputs, hidden units, probabilities and actions of several steps, as one batch."""
        kernels, columns = self.kernels, zip(*steps, strict=True)
        joined = [np.concatenate([*map(kernels.to_host, column)]) for column in columns]
        if self.input != "raw":  # each step's offsets begin at 0
            joined[2] = np.append(0, np.cumsum(np.diff(joined[2].reshape(len(steps), -1))))
            joined[:3] = map(kernels.to_backend, joined[:3])
        return *self._arrays(joined[:-3]), *map(kernels.to_backend, joined[-3:])

    def tensors(self) -> dict[str, np.ndarray]:
        """Weights, mean squares, and the number of the next episode."""
        tensors = {name: self.kernels.to_host(getattr(self, name)) for name in TENSORS}
        return tensors | {"episode": np.array([self.episode])}

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Restore the state that :meth:`tensors` returned."""
        for name in TENSORS:
            found, shape = tensors[name], getattr(self, name).shape
            if (got := (found.shape, str(found.dtype))) != (wanted := (shape, "float32")):
                raise ValueError(f"{name}: expected {wanted}, got {got}")
            setattr(self, name, self.kernels.to_backend(np.array(found, order="C")))
        self.episode = int(tensors["episode"][0])

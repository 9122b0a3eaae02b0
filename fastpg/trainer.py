"""A training run: its players, its learner, its records on disk."""

from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from fastpg.algorithms.reinforce import Reinforce
from fastpg.checkpoint import Checkpoint, save
from fastpg.config import ConfigError, TrainConfig
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.envs.workers import SharedArray, WorkerPool, available_cores
from fastpg.kernels import get_backend
from fastpg.metrics import MetricsFile, Progress, Row, ScoreWindow, TensorBoard
from fastpg.player import RolloutSetup, input_size
from fastpg.policy import Policy, RMSProp
from fastpg.rollout import Batch, RolloutWorker, action_table, play_batch, rehearsal
from fastpg.run_dir import METRICS

# Weights and games draw from different streams of one seed.
_WEIGHTS, _GAMES = 0, 1


class Diverged(RuntimeError):
    """The weights are no longer finite; the message names the last good checkpoint."""


class Trainer:
    """Plays batches of whole episodes with the policy, learns from each, keeps the books.

    All episodes of a batch are fixed when it begins and are played to their end by the weights that
    they will update. Which worker plays a game changes nothing: games and actions draw from
    generators of their own, and the batch is summed in the order of its episodes' numbers.
    """

    def __init__(
        self,
        config: TrainConfig,
        rules: Rules,
        run_dir: Path,
        saved: Checkpoint | None,
        started: float,
    ):
        """Start the workers and open the records.

        Args:
            config: settings of the run.
            rules: those of its game.
            run_dir: folder to write.
            saved: checkpoint to go on from, or None.
            started: ``perf_counter()`` at which the start-up began.
        """
        self.config, self.rules, self.run_dir = config, rules, run_dir
        self.counters = {"update": 0, "episodes": 0, "agent_steps": 0, "emulator_frames": 0}
        self.seconds = {"total": 0.0, "emulation": 0.0, "forward": 0.0, "learning": 0.0}
        self.scores = ScoreWindow()
        self.states: list[bytes] = []
        self._saved_update: int | None = None
        self._whole = saved is not None  # whether weights, states and counters fit together
        self._shown = True
        self.games = config.num_envs or config.episodes_per_batch
        self.cores = min(config.threads or available_cores(), self.games)
        game = game_class(config.emulator)(rules)
        self.outputs, self.actions = action_table(rules.game, len(game.action_meanings))
        self._build_learner()
        if saved is not None:
            self._restore(saved)
        self.pool = self._start_players()
        if saved is None:
            self.states = self._new_games()
        self._open_records(saved)
        self._warm_up()
        self._resumed_at = self.seconds["total"]
        self._began = self._batch_began = perf_counter()
        self.seconds_startup = self._began - started

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.terminate()
        self.progress.__exit__(None, None, None)
        self.metrics.close()
        if self.tensorboard is not None:
            self.tensorboard.close()

    # ---- the algorithm ------------------------------------------------------------------------

    @property
    def reached(self) -> tuple[str, float, float] | None:
        """The first limit that is reached: its option, its value and the count; or None."""
        config = self.config
        for option, limit, count in (
            ("--episodes", config.episodes, self.counters["episodes"]),
            ("--agent-steps", config.agent_steps, self.counters["agent_steps"]),
            ("--max-seconds", config.max_seconds, self.seconds["total"]),
            ("--stop-at-score", config.stop_at_score, self.scores.mean),
        ):
            if limit is not None and count is not None and count >= limit:
                return option, limit, count
        return None

    def play(self) -> Batch:
        """Play the next batch on all workers."""
        self._batch_began = perf_counter()
        first = self.counters["episodes"]
        last = first + self.config.episodes_per_batch
        plans = [list(range(first + game, last, self.games)) for game in range(self.games)]
        return play_batch(self.pool, plans, self.states)

    def learn(self, batch: Batch) -> None:
        """Update the weights with a batch, and write it into the books."""
        began = perf_counter()
        self._whole = False
        self.algorithm.update(self.optimizer, batch.episodes)
        if not (np.isfinite(self.policy.w1).all() and np.isfinite(self.policy.w2).all()):
            raise Diverged(
                f"the weights are no longer finite after update {self.counters['update'] + 1}; "
                f"lower --learning-rate; the last good checkpoint is in {self.run_dir}"
            )
        self.states = batch.states
        row = self._count(batch, perf_counter() - began)
        self._whole = True
        self.metrics.write(row)
        self._show(row)
        if self.counters["update"] % self.config.checkpoint_every == 0:
            self.save()

    # ---- setting up ---------------------------------------------------------------------------

    def _build_learner(self) -> None:
        config = self.config
        size = input_size(config.input)
        self.shared = SharedArray(((size + self.outputs) * config.hidden,), "float32")
        w1 = self.shared.array[: size * config.hidden].reshape(size, config.hidden)
        w2 = self.shared.array[size * config.hidden :].reshape(self.outputs, config.hidden)
        self.policy = Policy(w1, w2, get_backend(config.backend))
        self.policy.initialize(self._seed(_WEIGHTS))
        self.optimizer = RMSProp(self.policy, config.learning_rate, config.decay)
        self.algorithm = Reinforce(config.gamma, config.cut_at_rewards, config.standardize)

    def _seed(self, *key: int) -> int:
        return int(np.random.SeedSequence([self.config.seed, *key]).generate_state(1)[0])

    def _start_players(self) -> WorkerPool:
        config = self.config
        setup = RolloutSetup(
            rules=self.rules,
            emulator=config.emulator,
            seed=config.seed,
            backend=config.backend,
            input=config.input,
            find_background=config.background == "frame",
            hidden=config.hidden,
            outputs=self.outputs,
            action_table=self.actions,
        )
        factory = partial(RolloutWorker, setup, self.shared)
        return WorkerPool([factory] * self.cores, inline=self.cores == 1)

    def _new_games(self) -> list[bytes]:
        """States of this run's games before their first episodes."""
        seeds = [self._seed(_GAMES, game) for game in range(self.games)]
        shares = [seeds[worker :: self.cores] for worker in range(self.cores)]
        parts = self.pool.call("first_states", [(share,) for share in shares])
        return [parts[game % self.cores][game // self.cores] for game in range(self.games)]

    def _warm_up(self) -> None:
        """Compile what learning needs, so that no update's time has compilation in it."""
        if self.config.backend == "numba":
            w1 = np.zeros((self.policy.w1.shape[0], 1), np.float32)
            w2 = np.zeros((self.outputs, 1), np.float32)
            small = Policy(w1, w2, self.policy.backend)
            self.algorithm.update(RMSProp(small, 0.0, 0.0), [rehearsal(self.config.input)])

    # ---- the books ----------------------------------------------------------------------------

    def _open_records(self, saved: Checkpoint | None) -> None:
        path = self.run_dir / METRICS
        if saved is None:
            self.metrics = MetricsFile(path)
        else:
            try:
                self.metrics = MetricsFile.resume(path, saved.update)
            except ValueError as error:
                raise ConfigError(f"--resume: {error}") from None
        self.tensorboard = None
        if self.config.track:
            self.tensorboard = TensorBoard(self.run_dir, saved.update if saved else None)
        limits = {name: getattr(self.config, name) for name in ("episodes", "agent_steps")}
        self.progress = Progress({**limits, "seconds": self.config.max_seconds})
        self.progress.__enter__()

    def _count(self, batch: Batch, seconds_learning: float) -> Row:
        episodes = batch.episodes
        steps = sum(len(episode.actions) for episode in episodes)
        frames = sum(episode.emulator_frames for episode in episodes)
        for episode in episodes:
            self.scores.add(episode.score)
        for name, count in (
            ("update", 1),
            ("episodes", len(episodes)),
            ("agent_steps", steps),
            ("emulator_frames", frames),
        ):
            self.counters[name] += count
        self.seconds["emulation"] += batch.seconds_emulation / self.cores
        self.seconds["forward"] += batch.seconds_forward / self.cores
        self.seconds["learning"] += seconds_learning
        now = perf_counter()
        self.seconds["total"] = self._resumed_at + now - self._began
        batch_seconds = now - self._batch_began
        return Row(
            **self.counters,
            seconds=self.seconds["total"],
            seconds_startup=self.seconds_startup,
            mean_score_100=self.scores.mean,
            mean_score_batch=sum(episode.score for episode in episodes) / len(episodes),
            mean_length_batch=steps / len(episodes),
            agent_steps_per_second=steps / batch_seconds,
            emulator_frames_per_second=frames / batch_seconds,
            seconds_emulation=self.seconds["emulation"],
            seconds_forward=self.seconds["forward"],
            seconds_learning=self.seconds["learning"],
        )

    def _show(self, row: Row) -> None:
        if self.tensorboard is not None:
            self.tensorboard.write(row)
        if self._shown:
            try:
                self.progress.show(row)
            except (BrokenPipeError, SystemExit):  # rich leaves when nobody reads any more
                self._shown = False

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this update, or none whole to write."""
        if not self._whole or self._saved_update == self.counters["update"]:
            return
        tensors = {
            "w1": self.policy.w1,
            "w2": self.policy.w2,
            "cache_w1": self.optimizer.cache_w1,
            "cache_w2": self.optimizer.cache_w2,
            "scores": self.scores.array(),
        }
        for game, generators in enumerate(self.states):
            tensors[f"game_{game}"] = np.frombuffer(generators, np.uint8)
        state = {
            "config": self.config.to_json(),
            "counters": self.counters,
            "seconds": self.seconds,
        }
        update = self.counters["update"]
        save(self.run_dir, update, tensors, state, keep=self.config.keep_checkpoints)
        self._saved_update = update

    def _restore(self, saved: Checkpoint) -> None:
        for name, target in (
            ("w1", self.policy.w1),
            ("w2", self.policy.w2),
            ("cache_w1", self.optimizer.cache_w1),
            ("cache_w2", self.optimizer.cache_w2),
        ):
            target[:] = saved.tensors[name]
        self.scores = ScoreWindow.from_array(saved.tensors["scores"])
        self.states = [saved.tensors[f"game_{game}"].tobytes() for game in range(self.games)]
        self.counters.update(saved.state["counters"])
        self.seconds.update(saved.state["seconds"])
        self._saved_update = saved.update

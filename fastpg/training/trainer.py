"""A training run: its loop, its metrics and its checkpoints."""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.algorithms.base import Diverged, Played
from fastpg.algorithms.build import make_algorithm
from fastpg.algorithms.run_spec import RunSpec
from fastpg.checkpoint import Checkpoint, save
from fastpg.config import ConfigError, TrainConfig
from fastpg.network.network import weights_of
from fastpg.training.interrupt import Interruptible
from fastpg.training.metrics_file import MetricsFile, Row
from fastpg.training.progress import Limits, Progress
from fastpg.training.run_folder import METRICS
from fastpg.training.run_state import RunState
from fastpg.training.tensorboard import TensorBoard

_OUTPUT_LOST = OSError, SystemExit  # closed or full; rich raises SystemExit if nobody reads it


class Trainer:
    """Runs the algorithm, and records metrics and checkpoints."""

    def __init__(
        self,
        config: TrainConfig,
        spec: RunSpec,
        run_dir: Path,
        saved: Checkpoint | None,
        started: float,
    ):
        """Set up the algorithm and open the run's files.

        Args:
            config: settings of the run, which its checkpoints save.
            spec: the same settings, resolved.
            run_dir: folder to write to.
            saved: checkpoint to continue from, or None.
            started: ``perf_counter()`` at which the start-up began.
        """
        self.config, self.run_dir = config, run_dir
        self.state = RunState()
        self._saved_update: int | None = None
        self._consistent = True  # weights, games and counters belong to the same update
        self._shown = True
        self.algorithm = make_algorithm(spec)
        if saved is not None:
            self._restore(saved)
        self._open_records(saved)
        self._resumed_at = self.state.seconds["total"]
        self._began = self._round_began = perf_counter()
        self.seconds_startup = self._began - started

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as closing:  # one that fails must not keep the others open
            closing.callback(self.algorithm.close)
            closing.callback(self.metrics.close)
            if self.tensorboard is not None:
                closing.callback(self.tensorboard.close)
            with suppress(*_OUTPUT_LOST):
                self.progress.__exit__(None, None, None)

    @property
    def reached(self) -> tuple[str, float, float] | None:
        """The first limit that has been reached, as (option, limit, count); None before that."""
        config, counters = self.config, self.state.counters
        for option, limit, count in (
            ("--episodes", config.episodes, counters["episodes"]),
            ("--agent-steps", config.agent_steps, counters["agent_steps"]),
            ("--max-seconds", config.max_seconds, self.state.seconds["total"]),
            ("--stop-at-score", config.stop_at_score, self.state.scores.mean),
        ):
            if limit is not None and count is not None and count >= limit:
                return option, limit, count
        return None

    def run(self) -> None:
        """Train until a limit is reached or a signal to stop arrives, then save.

        It saves after an error too, for example when a worker dies.
        """
        with Interruptible() as interrupt:
            try:
                while self.reached is None and not interrupt.requested:
                    self._round_began = perf_counter()
                    played = interrupt.run(self.algorithm.play)
                    if played is not None:
                        self._learn(played)
            finally:
                self.save()

    def save(self) -> None:
        """Write a checkpoint, unless this update has one or was left incomplete by an error.

        Raises:
            Diverged: the weights are not finite; nothing is written.
        """
        update = self.state.counters["update"]
        if not self._consistent or self._saved_update == update:
            return
        tensors = self.algorithm.tensors()
        if not all(np.isfinite(weights).all() for weights in weights_of(tensors).values()):
            self._consistent = False
            raise Diverged(self._advice(update, "the weights are not finite"))
        to_save = self.state.to_save(self.config, tensors)
        save(self.run_dir, update, *to_save, keep=self.config.keep_checkpoints)
        self._saved_update = update

    def _learn(self, played: Played) -> None:
        began = perf_counter()
        self._consistent = False
        try:
            learned = self.algorithm.learn(played)
        except Diverged as error:
            update = self.state.counters["update"] + 1
            raise Diverged(self._advice(update, str(error))) from None
        row = self._count(played, learned, perf_counter() - began)
        self._consistent = True
        self.metrics.write(row)
        self._show(row)
        if self.state.counters["update"] % self.config.checkpoint_every == 0:
            self.save()

    def _advice(self, update: int, reason: str) -> str:
        kept = f"the last good checkpoint is in {self.run_dir}"
        if self._saved_update is None:
            kept = "no checkpoint was written before"
        return f"update {update}: {reason}; lower --learning-rate; {kept}"

    def _restore(self, saved: Checkpoint) -> None:
        try:
            self.algorithm.restore(saved.tensors)
            self.state.restore(saved)
        except KeyError as missing:
            raise ConfigError(f"--resume {saved.path}: has no tensor {missing}") from None
        except ValueError as error:
            raise ConfigError(f"--resume {saved.path}: {error}") from None
        if saved.path.resolve().parent.parent == self.run_dir.resolve():
            self._saved_update = saved.update  # a branch's new folder has no checkpoint yet

    # ---- records ----------------------------------------------------------------------------

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
        limits = self.config.episodes, self.config.agent_steps, self.config.max_seconds
        self.progress = Progress(Limits(*limits))
        self.progress.__enter__()

    def _count(self, played: Played, learned: Mapping[str, Any], seconds_learning: float) -> Row:
        now = perf_counter()
        self.state.count(played, seconds_learning, self._resumed_at + now - self._began)
        seconds, finished = self.state.seconds, len(played.scores)
        round_seconds = now - self._round_began
        row = Row(
            **self.state.counters,
            seconds=seconds["total"],
            seconds_startup=self.seconds_startup,
            mean_score_100=self.state.scores.mean,
            mean_score_batch=sum(played.scores) / finished if finished else None,
            mean_length_batch=sum(played.lengths) / finished if finished else None,
            agent_steps_per_second=played.agent_steps / round_seconds,
            emulator_frames_per_second=played.emulator_frames / round_seconds,
            seconds_emulation=seconds["emulation"],
            seconds_forward=seconds["forward"],
            seconds_learning=seconds["learning"],
        )
        return replace(row, **learned)

    def _show(self, row: Row) -> None:
        if self.tensorboard is not None:
            self.tensorboard.write(row)
        if self._shown:
            try:
                self.progress.show(row)
            except _OUTPUT_LOST:
                self._shown = False

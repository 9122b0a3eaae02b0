"""A training run: its algorithm, its records on disk."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fastpg.algorithms.base import Diverged, Played
from fastpg.algorithms.build import make_algorithm
from fastpg.checkpoint import Checkpoint, save
from fastpg.config import ConfigError, TrainConfig
from fastpg.envs.rules import Rules
from fastpg.training.metrics_file import MetricsFile, Row
from fastpg.training.progress import Progress
from fastpg.training.run_folder import METRICS
from fastpg.training.scores import ScoreWindow
from fastpg.training.tensorboard import TensorBoard

_NOBODY_READS = BrokenPipeError, SystemExit  # rich leaves when what it writes to is closed


class Trainer:
    """Lets the algorithm play and learn, and keeps the books."""

    def __init__(
        self,
        config: TrainConfig,
        rules: Rules,
        run_dir: Path,
        saved: Checkpoint | None,
        started: float,
    ):
        """Set the algorithm up and open the records.

        Args:
            config: settings of the run.
            rules: those of its game.
            run_dir: folder to write.
            saved: checkpoint to go on from, or None.
            started: ``perf_counter()`` at which the start-up began.
        """
        self.config, self.run_dir = config, run_dir
        self.counters = {"update": 0, "episodes": 0, "agent_steps": 0, "emulator_frames": 0}
        self.seconds = {"total": 0.0, "emulation": 0.0, "forward": 0.0, "learning": 0.0}
        self.scores = ScoreWindow()
        self._saved_update: int | None = None
        self._whole = True  # whether weights, games and counters fit together
        self._shown = True
        self.algorithm = make_algorithm(config, rules)
        if saved is not None:
            self._restore(saved)
        self._open_records(saved)
        self._resumed_at = self.seconds["total"]
        self._began = self._round_began = perf_counter()
        self.seconds_startup = self._began - started

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.algorithm.close()
        self.metrics.close()
        if self.tensorboard is not None:
            self.tensorboard.close()
        with suppress(*_NOBODY_READS):
            self.progress.__exit__(None, None, None)

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

    def play(self) -> Played:
        """Play a round."""
        self._round_began = perf_counter()
        return self.algorithm.play()

    def learn(self, played: Played) -> None:
        """Update the weights with a round, and write it into the books."""
        began = perf_counter()
        self._whole = False
        try:
            learned = self.algorithm.learn(played)
        except Diverged as error:
            raise Diverged(self._advice(str(error))) from None
        row = self._count(played, learned, perf_counter() - began)
        self._whole = True
        self.metrics.write(row)
        self._show(row)
        if self.counters["update"] % self.config.checkpoint_every == 0:
            self.save()

    def _advice(self, what: str) -> str:
        kept = f"the last good checkpoint is in {self.run_dir}"
        if self._saved_update is None:
            kept = "no checkpoint was written before"
        return f"update {self.counters['update'] + 1}: {what}; lower --learning-rate; {kept}"

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

    def _count(self, played: Played, learned: Mapping[str, Any], seconds_learning: float) -> Row:
        finished = len(played.scores)
        for score in played.scores:
            self.scores.add(score)
        for name, count in (
            ("update", 1),
            ("episodes", finished),
            ("agent_steps", played.agent_steps),
            ("emulator_frames", played.emulator_frames),
        ):
            self.counters[name] += count
        self.seconds["emulation"] += played.seconds_emulation
        self.seconds["forward"] += played.seconds_forward
        self.seconds["learning"] += seconds_learning
        now = perf_counter()
        self.seconds["total"] = self._resumed_at + now - self._began
        round_seconds = now - self._round_began
        row = Row(
            **self.counters,
            seconds=self.seconds["total"],
            seconds_startup=self.seconds_startup,
            mean_score_100=self.scores.mean,
            mean_score_batch=sum(played.scores) / finished if finished else None,
            mean_length_batch=sum(played.lengths) / finished if finished else None,
            agent_steps_per_second=played.agent_steps / round_seconds,
            emulator_frames_per_second=played.emulator_frames / round_seconds,
            seconds_emulation=self.seconds["emulation"],
            seconds_forward=self.seconds["forward"],
            seconds_learning=self.seconds["learning"],
        )
        return replace(row, **learned)

    def _show(self, row: Row) -> None:
        if self.tensorboard is not None:
            self.tensorboard.write(row)
        if self._shown:
            try:
                self.progress.show(row)
            except _NOBODY_READS:
                self._shown = False

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this update, or none whole to write.

        Raises:
            Diverged: the weights are not finite; nothing is written.
        """
        update = self.counters["update"]
        if not self._whole or self._saved_update == update:
            return
        tensors = self.algorithm.tensors()
        weights = [tensors[name] for name in ("w1", "w2", "value") if name in tensors]
        if not all(np.isfinite(tensor).all() for tensor in weights):
            self._whole = False
            raise Diverged(self._advice("the weights are not finite"))
        tensors["scores"] = self.scores.array()
        state = {
            "config": self.config.to_json(),
            "counters": self.counters,
            "seconds": self.seconds,
        }
        save(self.run_dir, update, tensors, state, keep=self.config.keep_checkpoints)
        self._saved_update = update

    def _restore(self, saved: Checkpoint) -> None:
        try:
            self.algorithm.restore(saved.tensors)
        except KeyError as missing:
            raise ConfigError(f"--resume {saved.path}: has no tensor {missing}") from None
        except ValueError as error:
            raise ConfigError(f"--resume {saved.path}: {error}") from None
        self.scores = ScoreWindow.from_array(saved.tensors["scores"])
        self.counters.update(saved.state["counters"])
        self.seconds.update(saved.state["seconds"])
        if saved.path.resolve().parent.parent == self.run_dir.resolve():
            self._saved_update = saved.update  # else this folder has none yet

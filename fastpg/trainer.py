"""A training run: its algorithm, its records on disk."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fastpg._emulator import MOST_THREADS
from fastpg._training import Pool
from fastpg.algorithms.base import Algorithm, Diverged, Played
from fastpg.algorithms.parts import NetworkPart, OptimizerPart
from fastpg.algorithms.ppo import PPO, PPOSettings
from fastpg.algorithms.reinforce import Reinforce
from fastpg.algorithms.reinforce_ops import ReinforceOps
from fastpg.checkpoint import Checkpoint, save
from fastpg.config import PPO_GAMES, ConfigError, TrainConfig
from fastpg.credit import Credit
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.envs.workers import available_cores
from fastpg.games import GameRows, Games
from fastpg.metrics import MetricsFile, Progress, Row, ScoreWindow, TensorBoard
from fastpg.player import RolloutSetup
from fastpg.rollout import action_table, mirrored_actions
from fastpg.run_dir import METRICS
from fastpg.stepped_games import SteppedGames
from fastpg.stepped_rows import SteppedRows
from fastpg.tiles import Optimizer, Sight, TileNetwork

_NOBODY_READS = BrokenPipeError, SystemExit  # rich leaves when what it writes to is closed


def make_algorithm(config: TrainConfig, rules: Rules) -> Algorithm:
    """The algorithm that a run's settings ask for."""
    game = game_class(config.emulator)(rules)
    outputs, table = action_table(rules.game, game.action_meanings, config.idle)
    setup = RolloutSetup(
        rules=rules,
        emulator=config.emulator,
        seed=config.seed,
        backend=config.backend,
        input=config.input,
        find_background=config.background == "frame",
        hidden=config.hidden,
        outputs=outputs,
        action_table=table,
        sight=Sight(config.views, config.input == "difference", config.past_actions),
        cell=config.cells,
        mirrored=mirrored_actions(len(table)) if config.mirror else None,
    )
    cores = config.threads or available_cores()
    if config.algorithm == "ppo":
        return _make_ppo(config, setup, cores)
    return _make_reinforce(config, setup, cores)


def _make_reinforce(config: TrainConfig, setup: RolloutSetup, cores: int) -> Algorithm:
    credit = Credit(config.gamma, config.cut_at_rewards, config.standardize)
    games = config.num_envs or config.episodes_per_batch
    cores = min(cores, games)
    settings: dict[str, Any] = {
        "learning_rate": config.learning_rate,
        "decay": config.decay,
        "episodes_per_batch": config.episodes_per_batch,
    }
    if config.backend != "tiles":
        return ReinforceOps(credit, setup, games=games, workers=cores, **settings)
    if config.device == "cuda":
        parts = _on_gpu(setup, games, Reinforce.MOMENTS, steps=None)
        return Reinforce(credit, *parts, seed=config.seed, **settings)
    network, pool = _network(setup, value=False), Pool(min(cores, MOST_THREADS))
    players: Games | SteppedGames
    if config.emulator == "native":
        players = Games(network, pool, **_compiled(setup, games, whole_episodes=True))
    else:
        players = SteppedGames(network, setup, games, cores)
    optimizer = Optimizer(network, pool, Reinforce.MOMENTS)
    return Reinforce(credit, network, players, optimizer, seed=config.seed, **settings)


def _make_ppo(config: TrainConfig, setup: RolloutSetup, cores: int) -> PPO:
    final = config.final_learning_rate
    settings = PPOSettings(
        steps=config.steps_per_update,
        epochs=config.epochs,
        minibatch=config.minibatch,
        learning_rate=config.learning_rate,
        final_learning_rate=config.learning_rate if final is None else final,
        entropy=config.entropy,
        anneal_steps=config.anneal_steps,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        lost_weight=config.lost_weight,
        clip=config.clip,
        value_weight=config.value_weight,
        max_gradient=config.max_gradient,
    )
    games = config.num_envs or PPO_GAMES
    if config.device == "cuda":
        return PPO(settings, *_on_gpu(setup, games, PPO.MOMENTS, settings.steps), seed=config.seed)
    network, pool = _network(setup, value=True), Pool(min(cores, MOST_THREADS))
    rows: GameRows
    if config.emulator == "native":
        rows = compiled = Games(network, pool, **_compiled(setup, games, whole_episodes=False))
        compiled.make_room(compiled.carry + settings.steps + 1)
    else:
        rows = SteppedRows(network, setup, games, cores, settings.steps)
    optimizer = Optimizer(network, pool, PPO.MOMENTS)
    return PPO(settings, network, rows, optimizer, seed=config.seed)


def _network(setup: RolloutSetup, value: bool) -> TileNetwork:
    return TileNetwork(**_shape(setup, value))


def _shape(setup: RolloutSetup, value: bool) -> dict[str, Any]:
    return {
        "hidden": setup.hidden,
        "sight": setup.sight,
        "actions": len(setup.action_table),
        "outputs": setup.outputs,
        "value": value,
        "cell": setup.cell,
        "mirrored": setup.mirrored,
    }


def _compiled(setup: RolloutSetup, games: int, whole_episodes: bool) -> dict[str, Any]:
    emulator_actions = game_class("native")(setup.rules).emulator_actions
    return {
        "rules": setup.rules,
        "games": games,
        "actions": [emulator_actions[action] for action in setup.action_table],
        "seed": setup.seed,
        "find_background": setup.find_background,
        "whole_episodes": whole_episodes,
    }


def _on_gpu(
    setup: RolloutSetup, games: int, moments: tuple[str, ...], steps: int | None
) -> tuple[NetworkPart, Any, OptimizerPart]:
    """Network, games and optimizer on the GPU: games of so many steps, or of whole episodes."""
    from fastpg.device import DeviceGames, DeviceNetwork, DeviceOptimizer

    whole = steps is None
    network = DeviceNetwork(**_shape(setup, value=not whole))
    optimizer = DeviceOptimizer(network, moments)
    players = DeviceGames(network, **_compiled(setup, games, whole))
    if steps is not None:
        players.make_room(players.carry + steps + 1)
    return network, players, optimizer


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

"""From the settings of a run to its algorithm."""

from typing import Any

from fastpg.algorithms.base import Algorithm
from fastpg.algorithms.parts import NetworkPart, OptimizerPart
from fastpg.algorithms.ppo import PPO, PPOSettings
from fastpg.algorithms.reinforce import Reinforce
from fastpg.algorithms.reinforce_kernels import ReinforceOps
from fastpg.config import PPO_GAMES, TrainConfig
from fastpg.emulator._emulator import MOST_THREADS
from fastpg.envs import game_class
from fastpg.envs.rules import Rules
from fastpg.envs.worker_pool import available_cores
from fastpg.network._network import Pool
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.network.optimizer import Optimizer
from fastpg.rollouts.base import RolloutCollector
from fastpg.rollouts.fragments import action_table, mirrored_actions
from fastpg.rollouts.native import Games
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.stepwise_episodes import SteppedGames
from fastpg.rollouts.stepwise_player import RolloutSetup
from fastpg.rollouts.stepwise_steps import SteppedRows


def make_algorithm(config: TrainConfig, rules: Rules) -> Algorithm:
    """The algorithm that a run's settings ask for."""
    game = game_class(config.emulator)(rules)
    outputs, table = action_table(rules.game, game.action_meanings, config.allow_noop)
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
        input_spec=InputSpec(config.views, config.input == "difference", config.past_actions),
        cell=config.cells,
        mirrored=mirrored_actions(len(table)) if config.mirror else None,
    )
    cores = config.threads or available_cores()
    if config.algorithm == "ppo":
        return _make_ppo(config, setup, cores)
    return _make_reinforce(config, setup, cores)


def _make_reinforce(config: TrainConfig, setup: RolloutSetup, cores: int) -> Algorithm:
    estimator = ReturnEstimator(config.gamma, config.cut_at_rewards, config.standardize)
    games = config.num_envs or config.episodes_per_batch
    cores = min(cores, games)
    settings: dict[str, Any] = {
        "learning_rate": config.learning_rate,
        "decay": config.decay,
        "episodes_per_batch": config.episodes_per_batch,
    }
    if config.backend != "tiles":
        return ReinforceOps(estimator, setup, games=games, workers=cores, **settings)
    if config.device == "cuda":
        parts = _on_gpu(setup, games, Reinforce.MOMENTS, steps=None)
        return Reinforce(estimator, *parts, seed=config.seed, **settings)
    network, pool = _network(setup, value=False), Pool(min(cores, MOST_THREADS))
    players: Games | SteppedGames
    if config.emulator == "native":
        players = Games(network, pool, **_compiled(setup, games, whole_episodes=True))
    else:
        players = SteppedGames(network, setup, games, cores)
    optimizer = Optimizer(network, pool, Reinforce.MOMENTS)
    return Reinforce(estimator, network, players, optimizer, seed=config.seed, **settings)


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
        lost_point_weight=config.lost_point_weight,
        clip=config.clip,
        value_weight=config.value_weight,
        max_grad_norm=config.max_grad_norm,
    )
    games = config.num_envs or PPO_GAMES
    if config.device == "cuda":
        return PPO(settings, *_on_gpu(setup, games, PPO.MOMENTS, settings.steps), seed=config.seed)
    network, pool = _network(setup, value=True), Pool(min(cores, MOST_THREADS))
    rows: RolloutCollector
    if config.emulator == "native":
        rows = compiled = Games(network, pool, **_compiled(setup, games, whole_episodes=False))
        compiled.allocate(compiled.lookback + settings.steps + 1)
    else:
        rows = SteppedRows(network, setup, games, cores, settings.steps)
    optimizer = Optimizer(network, pool, PPO.MOMENTS)
    return PPO(settings, network, rows, optimizer, seed=config.seed)


def _network(setup: RolloutSetup, value: bool) -> TileNetwork:
    return TileNetwork(**_shape(setup, value))


def _shape(setup: RolloutSetup, value: bool) -> dict[str, Any]:
    return {
        "hidden": setup.hidden,
        "input_spec": setup.input_spec,
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
    from fastpg.cuda import DeviceGames, DeviceNetwork, DeviceOptimizer

    whole = steps is None
    network = DeviceNetwork(**_shape(setup, value=not whole))
    optimizer = DeviceOptimizer(network, moments)
    players = DeviceGames(network, **_compiled(setup, games, whole))
    if steps is not None:
        players.allocate(players.lookback + steps + 1)
    return network, players, optimizer

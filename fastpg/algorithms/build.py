"""From the settings of a run to its algorithm."""

from typing import Any

from fastpg.algorithms.base import Algorithm, PolicyNetwork, PolicyOptimizer
from fastpg.algorithms.ppo import PPO, PPOSettings
from fastpg.algorithms.reinforce import Reinforce
from fastpg.algorithms.reinforce_kernels import ReinforceKernels
from fastpg.config import PPO_GAMES, TrainConfig
from fastpg.emulator._emulator import MOST_THREADS
from fastpg.envs import AleVectorEnv, NativeVectorEnv, game_class
from fastpg.envs.rules import Rules
from fastpg.envs.worker_pool import available_cores
from fastpg.kernels import get_backend
from fastpg.network._network import Pool
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork
from fastpg.network.optimizer import Optimizer
from fastpg.rollouts.actions import action_table, mirrored_actions
from fastpg.rollouts.base import RolloutCollector
from fastpg.rollouts.native import NativeCollector
from fastpg.rollouts.processes import StepwiseCollector
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.stepwise import StepwiseSetup


def make_algorithm(config: TrainConfig, rules: Rules) -> Algorithm:
    """The algorithm that a run's settings ask for."""
    game = game_class(config.emulator)(rules)
    outputs, table = action_table(rules.game, game.action_meanings, config.allow_noop)
    setup = StepwiseSetup(
        rules=rules,
        emulator=config.emulator,
        seed=config.seed,
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


def _make_reinforce(config: TrainConfig, setup: StepwiseSetup, cores: int) -> Algorithm:
    estimator = ReturnEstimator(config.gamma, config.cut_at_rewards, config.standardize)
    games = config.num_envs or config.episodes_per_batch
    cores = min(cores, games)
    settings: dict[str, Any] = {
        "learning_rate": config.learning_rate,
        "decay": config.decay,
        "episodes_per_batch": config.episodes_per_batch,
    }
    if config.backend != "tiles":
        return _make_reinforce_kernels(config, setup, estimator, cores)
    if config.device == "cuda":
        parts = _on_gpu(setup, games, Reinforce.MOMENTS, steps=None)
        return Reinforce(estimator, *parts, seed=config.seed, **settings)
    network, pool = _network(setup, value=False), Pool(min(cores, MOST_THREADS))
    players: RolloutCollector
    if config.emulator == "native":
        players = NativeCollector(network, pool, **_compiled(setup, games, whole_episodes=True))
    else:
        players = StepwiseCollector(network, setup, games, cores)
    optimizer = Optimizer(network, pool, Reinforce.MOMENTS)
    return Reinforce(estimator, network, players, optimizer, seed=config.seed, **settings)


def _make_reinforce_kernels(
    config: TrainConfig, setup: StepwiseSetup, estimator: ReturnEstimator, cores: int
) -> ReinforceKernels:
    make = NativeVectorEnv if setup.emulator == "native" else AleVectorEnv
    rules = {name: value for name, value in vars(setup.rules).items() if name != "game"}
    envs = make(
        config.env, config.episodes_per_batch, num_threads=cores, obs_type="palette", **rules
    )
    return ReinforceKernels(
        envs,
        get_backend(config.backend),
        estimator,
        actions=setup.action_table,
        outputs=setup.outputs,
        hidden=setup.hidden,
        input=config.input,
        find_background=setup.find_background,
        learning_rate=config.learning_rate,
        decay=config.decay,
        seed=setup.seed,
    )


def _make_ppo(config: TrainConfig, setup: StepwiseSetup, cores: int) -> PPO:
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
        rows = compiled = NativeCollector(
            network, pool, **_compiled(setup, games, whole_episodes=False)
        )
        compiled.allocate(compiled.lookback + settings.steps + 1)
    else:
        rows = StepwiseCollector(network, setup, games, cores, settings.steps)
    optimizer = Optimizer(network, pool, PPO.MOMENTS)
    return PPO(settings, network, rows, optimizer, seed=config.seed)


def _network(setup: StepwiseSetup, value: bool) -> TileNetwork:
    return TileNetwork(**_shape(setup, value))


def _shape(setup: StepwiseSetup, value: bool) -> dict[str, Any]:
    return {
        "hidden": setup.hidden,
        "input_spec": setup.input_spec,
        "actions": len(setup.action_table),
        "outputs": setup.outputs,
        "value": value,
        "cell": setup.cell,
        "mirrored": setup.mirrored,
    }


def _compiled(setup: StepwiseSetup, games: int, whole_episodes: bool) -> dict[str, Any]:
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
    setup: StepwiseSetup, games: int, moments: tuple[str, ...], steps: int | None
) -> tuple[PolicyNetwork, Any, PolicyOptimizer]:
    """Network, games and optimizer on the GPU: games of so many steps, or of whole episodes."""
    from fastpg.cuda import DeviceCollector, DeviceNetwork, DeviceOptimizer

    whole = steps is None
    network = DeviceNetwork(**_shape(setup, value=not whole))
    optimizer = DeviceOptimizer(network, moments)
    players = DeviceCollector(network, **_compiled(setup, games, whole))
    if steps is not None:
        players.allocate(players.lookback + steps + 1)
    return network, players, optimizer

"""Builds a run's algorithm: the network, the games and the optimizer that its RunSpec names."""

from typing import Any

from fastpg.algorithms.base import Algorithm, PolicyNetwork, PolicyOptimizer
from fastpg.algorithms.ppo import PPO, PPOSettings
from fastpg.algorithms.reinforce import Reinforce
from fastpg.algorithms.reinforce_kernels import ReinforceKernels
from fastpg.algorithms.run_spec import ReinforceSettings, RunSpec
from fastpg.emulator._emulator import MOST_THREADS
from fastpg.envs import AleVectorEnv, NativeVectorEnv, game_class
from fastpg.kernels import get_backend
from fastpg.network._network import Pool
from fastpg.network.network import TileNetwork
from fastpg.network.optimizer import Optimizer
from fastpg.rollouts.actions import action_table, mirrored_actions
from fastpg.rollouts.base import RolloutCollector
from fastpg.rollouts.native import NativeCollector
from fastpg.rollouts.processes import StepwiseCollector
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.rollouts.stepwise import StepwiseSetup


def make_algorithm(spec: RunSpec) -> Algorithm:
    """Build the algorithm of a run, with its games, network and optimizer."""
    if isinstance(spec.learning, PPOSettings):
        return _make_ppo(spec, spec.learning)
    if spec.backend == "tiles":
        return _make_reinforce(spec, spec.learning)
    return _make_reinforce_kernels(spec, spec.learning)


def _make_reinforce(spec: RunSpec, settings: ReinforceSettings) -> Reinforce:
    setup, games = _stepwise_setup(spec), spec.games
    threads = min(spec.threads, games)
    network: PolicyNetwork
    collector: RolloutCollector
    optimizer: PolicyOptimizer
    if spec.device == "cuda":
        network, collector, optimizer = _on_gpu(setup, games, Reinforce.MOMENTS, steps=None)
    else:
        tiles, pool = _network(setup, value=False), Pool(min(threads, MOST_THREADS))
        if spec.emulator == "native":
            compiled = _compiled(setup, games, whole_episodes=True)
            collector = NativeCollector(tiles, pool, **compiled)
        else:
            collector = StepwiseCollector(tiles, setup, games, threads)
        network, optimizer = tiles, Optimizer(tiles, pool, Reinforce.MOMENTS)
    return Reinforce(
        _estimator(settings),
        network,
        collector,
        optimizer,
        learning_rate=settings.learning_rate,
        decay=settings.decay,
        episodes_per_batch=settings.episodes_per_batch,
        seed=spec.seed,
    )


def _make_reinforce_kernels(spec: RunSpec, settings: ReinforceSettings) -> ReinforceKernels:
    kernels = get_backend(spec.backend)
    make = NativeVectorEnv if spec.emulator == "native" else AleVectorEnv
    setup = _stepwise_setup(spec)
    rules = {name: value for name, value in vars(spec.rules).items() if name != "game"}
    threads = min(spec.threads, spec.games)
    envs = make(spec.env, spec.games, num_threads=threads, obs_type="palette", **rules)
    return ReinforceKernels(
        envs,
        kernels,
        _estimator(settings),
        actions=setup.action_table,
        outputs=setup.outputs,
        hidden=spec.hidden,
        input=spec.input,
        find_background=spec.find_background,
        learning_rate=settings.learning_rate,
        decay=settings.decay,
        seed=spec.seed,
    )


def _make_ppo(spec: RunSpec, settings: PPOSettings) -> PPO:
    setup, games = _stepwise_setup(spec), spec.games
    if spec.device == "cuda":
        parts = _on_gpu(setup, games, PPO.MOMENTS, settings.steps)
        return PPO(settings, *parts, seed=spec.seed)
    network, pool = _network(setup, value=True), Pool(min(spec.threads, MOST_THREADS))
    collector: RolloutCollector
    if spec.emulator == "native":
        compiled = _compiled(setup, games, whole_episodes=False)
        collector = native = NativeCollector(network, pool, **compiled)
        native.allocate(native.lookback + settings.steps + 1)
    else:
        collector = StepwiseCollector(network, setup, games, spec.threads, settings.steps)
    optimizer = Optimizer(network, pool, PPO.MOMENTS)
    return PPO(settings, network, collector, optimizer, seed=spec.seed)


def _estimator(settings: ReinforceSettings) -> ReturnEstimator:
    return ReturnEstimator(settings.gamma, settings.cut_at_rewards, settings.standardize)


def _stepwise_setup(spec: RunSpec) -> StepwiseSetup:
    game = game_class(spec.emulator)(spec.rules)
    outputs, table = action_table(spec.rules.game, game.action_meanings, spec.allow_noop)
    return StepwiseSetup(
        rules=spec.rules,
        emulator=spec.emulator,
        seed=spec.seed,
        find_background=spec.find_background,
        hidden=spec.hidden,
        outputs=outputs,
        action_table=table,
        input_spec=spec.input_spec,
        cell=spec.cells,
        mirrored=mirrored_actions(len(table)) if spec.mirror else None,
    )


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
    """Build everything on the GPU: games of ``steps`` steps, or of whole episodes if None."""
    from fastpg.cuda import DeviceCollector, DeviceNetwork, DeviceOptimizer

    whole = steps is None
    network = DeviceNetwork(**_shape(setup, value=not whole))
    optimizer = DeviceOptimizer(network, moments)
    players = DeviceCollector(network, **_compiled(setup, games, whole))
    if steps is not None:
        players.allocate(players.lookback + steps + 1)
    return network, players, optimizer

"""Builds a run's algorithm: the network, the games and the optimizer that its RunSpec names."""

from typing import Any

from fastpg.algorithms.base import Algorithm, PolicyNetwork, PolicyOptimizer
from fastpg.algorithms.ppo import PPO, PPOSettings
from fastpg.algorithms.reinforce import Reinforce, ReinforceSettings
from fastpg.algorithms.reinforce_kernels import ReinforceKernels
from fastpg.algorithms.run_spec import RunSpec
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
from fastpg.rollouts.stepwise import StepwiseSetup


def make_algorithm(spec: RunSpec) -> Algorithm:
    """Build the algorithm of a run, with its games, network and optimizer."""
    settings = spec.learning
    if isinstance(settings, PPOSettings):
        parts = _parts(spec, PPO.MOMENTS, settings.steps_per_update)
        return PPO(settings, *parts, seed=spec.seed)
    if spec.backend == "tiles":
        parts = _parts(spec, Reinforce.MOMENTS, steps=None)
        return Reinforce(settings, *parts, seed=spec.seed)
    return _make_reinforce_kernels(spec, settings)


def _parts(
    spec: RunSpec, moments: tuple[str, ...], steps: int | None
) -> tuple[PolicyNetwork, RolloutCollector, PolicyOptimizer]:
    """Build network, collector and optimizer, on the CPU or on a GPU.

    Args:
        spec: the run's settings.
        moments: names of the moments that the optimizer keeps.
        steps: steps of each game in a rollout, or None for whole episodes.
    """
    setup, games, whole = _stepwise_setup(spec), spec.games, steps is None
    shape = setup.network_shape(value=not whole)
    if spec.device == "cuda":
        from fastpg.cuda import DeviceCollector, DeviceNetwork, DeviceOptimizer

        on_gpu = DeviceNetwork(**shape)
        optimizer = DeviceOptimizer(on_gpu, moments)
        players = DeviceCollector(on_gpu, **_compiled(setup, games, whole))
        if steps is not None:
            players.allocate(players.lookback + steps + 1)
        return on_gpu, players, optimizer
    threads = min(spec.threads, games) if whole else spec.threads
    network, pool = TileNetwork(**shape), Pool(min(threads, MOST_THREADS))
    if spec.emulator == "ale":
        stepwise = StepwiseCollector(network, setup, games, threads, steps)
        return network, stepwise, Optimizer(network, pool, moments)
    native = NativeCollector(network, pool, **_compiled(setup, games, whole))
    if steps is not None:
        native.allocate(native.lookback + steps + 1)
    return network, native, Optimizer(network, pool, moments)


def _make_reinforce_kernels(spec: RunSpec, settings: ReinforceSettings) -> ReinforceKernels:
    kernels = get_backend(spec.backend)
    make = NativeVectorEnv if spec.emulator == "native" else AleVectorEnv
    setup = _stepwise_setup(spec)
    rules = {name: value for name, value in vars(spec.rules).items() if name != "game"}
    threads = min(spec.threads, spec.games)
    envs = make(spec.env, spec.games, num_threads=threads, obs_type="palette", copy=False, **rules)
    return ReinforceKernels(
        envs,
        kernels,
        settings.estimator,
        actions=setup.action_table,
        outputs=setup.outputs,
        hidden=spec.hidden,
        input=spec.input,
        find_background=spec.find_background,
        learning_rate=settings.learning_rate,
        decay=settings.decay,
        seed=spec.seed,
    )


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


def _compiled(setup: StepwiseSetup, games: int, whole_episodes: bool) -> dict[str, Any]:
    """Arguments of a collector that plays in compiled code."""
    emulator_actions = game_class("native")(setup.rules).emulator_actions
    return {
        "rules": setup.rules,
        "games": games,
        "actions": [emulator_actions[action] for action in setup.action_table],
        "seed": setup.seed,
        "find_background": setup.find_background,
        "whole_episodes": whole_episodes,
    }

"""From settings to a run: rules, emulator, backend and device, each decided and checked once."""

from dataclasses import fields, replace
from typing import Literal

from fastpg.algorithms.ppo import PPOSettings
from fastpg.algorithms.reinforce import ReinforceSettings
from fastpg.algorithms.run_spec import RunSpec
from fastpg.checkpoint import Checkpoint
from fastpg.cli.validate import check
from fastpg.config import PPO_GAMES, ConfigError, TrainConfig, chosen_backend
from fastpg.emulator.roms import pong_rom
from fastpg.envs.rules import Rules, training_rules
from fastpg.evaluation.policy import saved_settings
from fastpg.kernels import BackendUnavailable
from fastpg.network.input_spec import InputSpec
from fastpg.rollouts.returns import ReturnEstimator
from fastpg.system.cores import available_cores

Emulator = Literal["native", "ale"]


def resolve(config: TrainConfig) -> RunSpec:
    """Check a run's settings and make every choice that they leave open.

    Raises:
        ConfigError: a setting is wrong; names the option, what was expected and what came.
        BackendUnavailable: ``--device cuda`` or ``--backend cuda`` where no GPU can be used. This
            is the last check.
    """
    check(config)
    rules = resolve_rules(config)
    emulator = resolve_emulator(config.emulator, rules, config.env)
    if config.mirror and rules.game != "pong":
        raise ConfigError(f"--env {config.env}: --mirror is for Pong alone")
    if config.device == "cuda":
        if emulator != "native":
            raise ConfigError(f"--env {config.env}: --device cuda plays Pong alone")
        _require_gpu("--device")
    backend = chosen_backend(config)
    if backend == "cuda":
        _require_gpu("--backend")
    ppo = config.algorithm == "ppo"
    return RunSpec(
        env=config.env,
        rules=rules,
        emulator=emulator,
        backend=backend,
        device=config.device,
        seed=config.seed,
        games=config.num_envs or (PPO_GAMES if ppo else config.episodes_per_batch),
        threads=config.threads or available_cores(),
        input=config.input,
        input_spec=InputSpec(config.views, config.input == "difference", config.past_actions),
        find_background=config.background == "frame",
        allow_noop=config.allow_noop,
        hidden=config.hidden,
        cells=config.cells,
        mirror=config.mirror,
        learning=_ppo_settings(config) if ppo else _reinforce_settings(config),
    )


def settings_to_save(config: TrainConfig, spec: RunSpec) -> TrainConfig:
    """Return the settings with the names of the emulator and backend that ``auto`` chose."""
    return replace(config, emulator=spec.emulator, backend=spec.backend)


def resolve_rules(config: TrainConfig) -> Rules:
    """Look up the game's rules by name, with the settings that override them."""
    try:
        return training_rules(
            config.env,
            frameskip=config.frameskip,
            repeat_action_probability=config.repeat_action_probability,
            noop_max=config.noop_max,
        )
    except ValueError as error:
        raise ConfigError(f"--env {config.env}: {error}") from None


def resolve_emulator(emulator: str, rules: Rules, env: str) -> Emulator:
    """Choose the emulator and check that it can play the game.

    Args:
        emulator: ``"native"``, ``"ale"``, or ``"auto"``: native for Pong, ale for other games.
        rules: of the game.
        env: their name as it was given, for the error.
    """
    is_pong = rules.game == "pong"
    if emulator == "native" and not is_pong:
        raise ConfigError(
            f"--emulator native: it plays Pong only; leave it out to play {env} on ale-py"
        )
    if emulator == "ale" or not is_pong:
        return "ale"
    try:
        pong_rom()
    except RuntimeError as error:
        raise ConfigError(f"--emulator native: {error}") from None
    return "native"


def game_to_show(saved: Checkpoint, env: str | None, emulator: str) -> tuple[Rules, Emulator, str]:
    """Choose the rules and the emulator for playing with a saved policy.

    Args:
        saved: the policy's checkpoint.
        env: rules by name; None: those of its training.
        emulator: ``"native"``, ``"ale"`` or ``"auto"``.

    Returns:
        The rules, the emulator, and the rules' name.

    Raises:
        CheckpointError: the settings of its training are needed, and it has none.
        ConfigError: no such rules, or the emulator cannot play them.
    """
    config = saved_settings(saved) if env is None else TrainConfig(env=env)
    rules = resolve_rules(config)
    return rules, resolve_emulator(emulator, rules, config.env), config.env


def _require_gpu(option: str) -> None:
    try:
        from fastpg.cuda.functions import current_capability

        current_capability()
    except BackendUnavailable as error:
        raise BackendUnavailable(f"{option} cuda: {error}") from error


def _reinforce_settings(config: TrainConfig) -> ReinforceSettings:
    estimator = ReturnEstimator(config.gamma, config.cut_at_rewards, config.standardize)
    episodes = config.episodes_per_batch
    return ReinforceSettings(episodes, config.learning_rate, config.decay, estimator)


def _ppo_settings(config: TrainConfig) -> PPOSettings:
    same_named = {field.name: getattr(config, field.name) for field in fields(PPOSettings)}
    if config.final_learning_rate is None:
        same_named["final_learning_rate"] = config.learning_rate
    return PPOSettings(**same_named)

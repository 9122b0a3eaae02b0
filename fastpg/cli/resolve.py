"""From settings to what a run needs: rules, emulator, backend, checked once."""

from typing import Literal

from fastpg.config import ConfigError, TrainConfig
from fastpg.emulator.roms import pong_rom
from fastpg.envs.rules import Rules, training_rules


def resolve_rules(config: TrainConfig) -> Rules:
    """The game's rules by name, with what was set apart from them."""
    try:
        return training_rules(
            config.env,
            frameskip=config.frameskip,
            repeat_action_probability=config.repeat_action_probability,
            noop_max=config.noop_max,
        )
    except ValueError as error:
        raise ConfigError(f"--env {config.env}: {error}") from None


def resolve_emulator(emulator: str, rules: Rules, env: str) -> Literal["native", "ale"]:
    """Who emulates: ``"native"``, our own, or ``"ale"``.

    Args:
        emulator: one of them, or ``"auto"``: native for what it plays.
        rules: of the game.
        env: their name as it was given, for the error.
    """
    plays = rules.game == "pong"
    if emulator == "native" and not plays:
        raise ConfigError(
            f"--emulator native: it plays Pong only; leave it out to play {env} on ale-py"
        )
    if emulator == "ale" or not plays:
        return "ale"
    try:
        pong_rom()
    except RuntimeError as error:
        raise ConfigError(f"--emulator native: {error}") from None
    return "native"

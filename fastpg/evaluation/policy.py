"""A trained policy: read from a checkpoint, ready to play."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from fastpg.checkpoint import Checkpoint, CheckpointError, load
from fastpg.config import ConfigError, TrainConfig
from fastpg.envs.rules import Rules
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import TileNetwork, weights_of
from fastpg.rollouts.actions import action_table


def load_pretrained() -> Checkpoint:
    """The policy that ships with the package, weights only.

    Its state names the run that trained them.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    file = resources.files("fastpg.evaluation") / "pretrained" / "pong.safetensors"
    with resources.as_file(file) as path:
        return load(path)


@dataclass(frozen=True)
class Policy:
    """A trained network, how it preprocesses frames, the number of its update, and its file."""

    network: TileNetwork
    find_background: bool
    update: int
    name: str = ""


def load_policy(path: str | Path) -> Policy:
    """The policy of a checkpoint file, or of the newest one of a run.

    Raises:
        CheckpointError: it cannot be read, or holds no policy that sees sparse views.
        ConfigError: its settings are not those of this version.
    """
    return policy_of(load(path))


def saved_settings(saved: Checkpoint) -> TrainConfig:
    """Return the settings of the run that wrote a checkpoint.

    Raises:
        CheckpointError: it was not written by training.
        ConfigError: it has settings that this version does not know, or lacks some.
    """
    if "config" not in saved.state:
        raise CheckpointError(f"{saved.path}: is no checkpoint of fastpg.train")
    try:
        return TrainConfig.from_json(saved.state["config"])
    except ConfigError as error:
        raise ConfigError(f"{saved.path}: {error}") from None


def check_finite(tensors: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Raise CheckpointError, with the file's name, if a weight is NaN or infinite."""
    for name, array in weights_of(tensors).items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {name} has weights that are not finite")


def policy_of(saved: Checkpoint) -> Policy:
    """The policy of a checkpoint; see :func:`load_policy`."""
    settings, tensors = saved_settings(saved), saved.tensors
    if settings.input == "raw":
        raise CheckpointError(
            f"{saved.path}: sees whole pictures (--input raw), which only training plays; "
            "expected a policy that sees views"
        )
    try:
        seen = InputSpec(settings.views, settings.input == "difference", settings.past_actions)
        outputs, hidden = tensors["w2"].shape
        network = TileNetwork(hidden, seen, max(outputs, 2), outputs, value="value" in tensors)
        network.load(tensors)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{saved.path}: weights do not fit their config: {error}") from None
    check_finite(tensors, saved.path)
    return Policy(network, settings.background == "frame", saved.update, str(saved.path))


def actions_of(policy: Policy, rules: Rules, meanings: Sequence[str]) -> tuple[int, ...]:
    """The game's action, of those with these names, for each one of the policy.

    Raises:
        CheckpointError: the policy is for a game with another number of actions.
    """
    outputs = policy.network.outputs
    expected, actions = action_table(rules.game, meanings, allow_noop=outputs == 3)
    if outputs != expected:
        raise CheckpointError(
            f"{policy.name}: a policy of {max(outputs, 2)} actions, {rules.game} needs "
            f"{max(expected, 2)}; play it in the game that it was trained on"
        )
    return actions


def weights_alone(saved: Checkpoint) -> Checkpoint:
    """Return the checkpoint without moments and games, to send to worker processes."""
    return Checkpoint(saved.update, weights_of(saved.tensors), saved.state, saved.path)

"""A trained policy: read from a checkpoint, ready to play."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fastpg.checkpoint import Checkpoint, CheckpointError, load
from fastpg.envs.rules import Rules
from fastpg.network.input_spec import InputSpec
from fastpg.network.network import WEIGHT_NAMES, TileNetwork
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
    """
    return policy_of(load(path))


def policy_of(saved: Checkpoint) -> Policy:
    """The policy of a checkpoint; see :func:`load_policy`."""
    try:
        config, tensors = saved.state["config"], saved.tensors
        outputs, hidden = tensors["w2"].shape
        seen, background = config["input"], config["background"]
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{saved.path}: is no checkpoint of fastpg.train: {error}") from None
    if seen == "raw":
        raise CheckpointError(
            f"{saved.path}: sees whole pictures (--input raw), which only training plays; "
            "expected a policy that sees views"
        )
    views = tuple(config.get("views", (0, 1)))
    input_spec = InputSpec(views, seen == "difference", config.get("past_actions", 0))
    try:
        network = TileNetwork(
            hidden, input_spec, max(outputs, 2), outputs, value="value" in tensors
        )
        network.load(tensors)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{saved.path}: weights do not fit their config: {error}") from None
    return Policy(network, background == "frame", saved.update, str(saved.path))


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
    weights = {name: saved.tensors[name] for name in WEIGHT_NAMES if name in saved.tensors}
    return Checkpoint(saved.update, weights, saved.state, saved.path)

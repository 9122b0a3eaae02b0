"""The game that ``watch`` and ``report`` show."""

from typing import Any

from fastpg.checkpoint import Checkpoint
from fastpg.cli.resolve import game_to_show
from fastpg.evaluation.policy import policy_of
from fastpg.show.play.playback import Playback


def playback_of(saved: Checkpoint, options: Any) -> tuple[Playback, str]:
    """A saved policy at play, and the name of the rules that it plays under.

    Args:
        saved: the policy's checkpoint.
        options: have ``env``, ``emulator``, ``greedy`` and ``seed``.
    """
    rules, emulator, env = game_to_show(saved, options.env, options.emulator)
    return Playback(policy_of(saved), rules, emulator, options.greedy, options.seed), env

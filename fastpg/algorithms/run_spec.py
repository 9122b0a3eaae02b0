"""What :func:`fastpg.algorithms.build.make_algorithm` needs: checked settings, no choice left open.

:func:`fastpg.cli.resolve.resolve` makes a :class:`RunSpec` of a person's settings.
"""

from dataclasses import dataclass
from typing import Literal

from fastpg.algorithms.ppo import PPOSettings
from fastpg.algorithms.reinforce import ReinforceSettings
from fastpg.envs.rules import Rules
from fastpg.network.input_spec import InputSpec


@dataclass(frozen=True)
class RunSpec:
    """A run whose settings are valid and complete."""

    env: str  #: ale-py's name of the rules
    rules: Rules  #: of the game, with all overrides
    emulator: Literal["native", "ale"]  #: what emulates it
    backend: Literal["tiles", "cython", "numba", "reference", "cuda"]  #: what computes
    device: Literal["cpu", "cuda"]  #: where everything runs
    seed: int  #: of the weights, the games and the actions
    games: int  #: played in parallel
    threads: int  #: at most; worker processes with ale-py
    #: The network's input. ``"raw"``: whole frames, for which ``input_spec`` is unused.
    input: Literal["difference", "stack", "raw"]
    input_spec: InputSpec  #: views and past actions in the network's input
    find_background: bool  #: whether each frame's most frequent colour counts as empty
    allow_noop: bool  #: whether the policy may choose to do nothing
    hidden: int  #: units
    cells: int  #: side of the cells in pixels; 0 without cells
    mirror: bool  #: whether hidden units are mirrored in pairs
    #: Settings of the algorithm, whose type says which one.
    learning: ReinforceSettings | PPOSettings

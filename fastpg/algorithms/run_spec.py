"""What :func:`fastpg.algorithms.build.make_algorithm` needs: checked settings, no choice left open.

:func:`fastpg.cli.resolve.resolve` makes a :class:`RunSpec` of a person's settings.
"""

from dataclasses import dataclass
from typing import Literal

from fastpg.algorithms.ppo import PPOSettings
from fastpg.envs.rules import Rules
from fastpg.network.input_spec import InputSpec


@dataclass(frozen=True)
class ReinforceSettings:
    """Settings of REINFORCE; meanings as in :class:`fastpg.config.TrainConfig`."""

    episodes_per_batch: int
    learning_rate: float
    decay: float
    gamma: float
    cut_at_rewards: bool
    standardize: str


@dataclass(frozen=True)
class RunSpec:
    """A run whose settings are valid and complete.

    Attributes:
        env: ale-py's name of the rules.
        rules: of the game, with all overrides.
        emulator: what emulates it.
        backend: what computes.
        device: where everything runs.
        seed: of the weights, the games and the actions.
        games: played in parallel.
        threads: at most; worker processes with ale-py.
        input: the network's input. ``"raw"``: whole frames, for which ``input_spec`` is unused.
        input_spec: views and past actions in the network's input.
        find_background: whether each frame's most frequent colour counts as empty.
        allow_noop: whether the policy may choose to do nothing.
        hidden: units.
        cells: side of the cells in pixels; 0 without cells.
        mirror: whether hidden units are mirrored in pairs.
        learning: settings of the algorithm, whose type says which one.
    """

    env: str
    rules: Rules
    emulator: Literal["native", "ale"]
    backend: Literal["tiles", "cython", "numba", "reference", "cuda"]
    device: Literal["cpu", "cuda"]
    seed: int
    games: int
    threads: int
    input: Literal["difference", "stack", "raw"]
    input_spec: InputSpec
    find_background: bool
    allow_noop: bool
    hidden: int
    cells: int
    mirror: bool
    learning: ReinforceSettings | PPOSettings

"""The settings of a training run: the options of the command line, saved with every checkpoint.

This module imports the standard library only. Code below the commands takes plain arguments or a
:class:`fastpg.algorithms.run_spec.RunSpec`; only what saves these settings or reads saved ones
knows them.
"""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

Backend = Literal["tiles", "cython", "numba", "reference", "cuda"]

PRESETS: dict[str, dict[str, Any]] = {
    "pong": {},
    "blog": {"learning_rate": 1e-4, "background": "blog"},
}
_PPO = {
    "algorithm": "ppo",
    "input": "stack",
    "allow_noop": True,
    "cells": 5,
    "num_envs": 32,
    "epochs": 3,
    "minibatch": 1024,
    "episodes": None,
    "checkpoint_every": 50,
}
PRESETS["fast"] = _PPO | {
    "env": "PongNoFrameskip-v4",
    "hidden": 128,
    "learning_rate": 2e-3,
    "final_learning_rate": 4e-4,
    "anneal_steps": 1_000_000,
    "agent_steps": 3_000_000,
}
PRESETS["sticky"] = _PPO | {
    "env": "ALE/Pong-v5",
    "hidden": 256,
    "views": (0, 1, 4),
    "learning_rate": 1e-3,
    "final_learning_rate": 1e-4,
    "anneal_steps": 10_000_000,
    "agent_steps": 11_000_000,
}
PRESETS["random-skip"] = PRESETS["sticky"] | {
    "env": "Pong-v0",
    "hidden": 512,
    "views": (0, 1, 2, 4, 6),
    "mirror": True,
    "lost_point_weight": 2.0,
    "learning_rate": 2e-3,
    "final_learning_rate": 5e-5,
    "anneal_steps": 38_000_000,
    "agent_steps": 40_000_000,
    "epochs": 1,
    "minibatch": 4096,
    "checkpoint_every": 500,  # of 262 MB each
}

PPO_GAMES = 16  # default of num_envs for ppo


class ConfigError(ValueError):
    """A setting is wrong. The message is one line: which setting, why, and what to do."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a two-layer policy network on an Atari game from its pixels."""

    preset: Literal["pong", "blog", "fast", "sticky", "random-skip"] = "pong"
    """Named set of defaults. pong: the article's algorithm, tuned for speed. blog: the same with
    the numbers of the article's script. fast: PPO for games without sticky actions. sticky: PPO for
    games with sticky actions. random-skip: PPO for games that also have a random frame skip (ten
    minutes or more)."""

    algorithm: Literal["reinforce", "ppo"] = "reinforce"
    """reinforce: the article's algorithm: whole episodes and RMSProp. ppo: clipped policy gradients
    with a value head, several epochs over a fixed number of steps of each game, and Adam."""

    env: str = "Pong-v0"
    """Rules of the game, by ale-py's name: Pong-v0 (random frame skip of 2 to 4, sticky actions
    0.25), ALE/Pong-v5 (frame skip 4, sticky actions 0.25), PongNoFrameskip-v4 (here with frame skip
    4 and up to 30 no-op frames at the start), or another Atari game such as ALE/Breakout-v5 (with a
    softmax over its actions)."""

    frameskip: int | None = None
    """Emulator frames per agent step. None: as in the rules."""

    repeat_action_probability: float | None = None
    """Probability that a frame repeats the previous action (sticky actions). None: as in the
    rules."""

    noop_max: int | None = None
    """Largest number of no-op frames at the start of an episode; the number is drawn from 1 to this
    one. None: as in the rules."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """The Atari 2600 emulator. native: fastpg's own, for Pong. ale: ale-py. Both give bit-identical
    runs. auto: native for Pong, ale for other games."""

    backend: Literal["auto", "tiles", "cython", "numba", "reference", "cuda"] = "auto"
    """Implementation of the network and of learning. tiles: the compiled network on tiles; with the
    native emulator, playing and learning run without Python. cython, numba, reference (NumPy): the
    kernel table, called step by step; these three are bit-identical. They run the same algorithm as
    tiles, but play other episodes from the second batch on. cuda: the kernel table on an NVIDIA
    GPU; the games stay on the CPU. auto: tiles, or cython for raw inputs. ppo needs tiles."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Device that runs the emulator, the network and learning. cuda: an NVIDIA GPU, for Pong with
    the native emulator and backend tiles. The run is the same up to rounding, and its checkpoints
    work on both devices."""

    input: Literal["difference", "stack", "raw"] = "difference"
    """Input of the network. difference: the current 80x80 view minus the previous one. stack:
    several views side by side. raw: all 100,800 numbers of one frame divided by 255, as the article
    describes at first (dense, a thousand times slower)."""

    allow_noop: bool = False
    """Let the policy also choose to do nothing. In Pong it then has three actions instead of UP and
    DOWN."""

    views: tuple[int, ...] = (0, 1)
    """Views in the input, each given by its age in agent steps; 0 is the current view."""

    past_actions: int = 0
    """Number of most recent actions in the input (backend tiles)."""

    background: Literal["frame", "blog"] = "frame"
    """The colour that counts as background. frame: the most frequent colour of each frame. blog:
    the article's two constants."""

    hidden: int = 200
    """Number of hidden units."""

    cells: int = 0
    """Side, in pixels, of the square cells whose pixels share part of their weights while learning,
    so that the network generalizes to nearby positions. The saved network has no cells (backend
    tiles). 0: no cells."""

    mirror: bool = False
    """Learn hidden units in pairs that are mirror images of each other, with up and down exchanged,
    so that the network generalizes between the two halves of Pong's field. The saved network is an
    ordinary one (backend tiles)."""

    learning_rate: float = 2e-3
    """Step size of RMSProp or Adam."""

    final_learning_rate: float | None = None
    """ppo: step size after anneal_steps. None: the same as learning_rate."""

    anneal_steps: int = 0
    """ppo: agent steps over which the step size falls to final_learning_rate and the entropy weight
    to 0. 0: both stay constant."""

    decay: float = 0.99
    """Decay of RMSProp's mean square at each update."""

    gamma: float = 0.99
    """Discount factor of rewards per agent step, 0 to 1."""

    cut_at_rewards: bool = True
    """Restart the discounted return at each non-zero reward: in Pong, at each point."""

    standardize: Literal["episode", "batch", "none"] = "episode"
    """Set of returns that is shifted to mean 0 and scaled to standard deviation 1."""

    episodes_per_batch: int = 10
    """reinforce: episodes per update."""

    steps_per_update: int = 256
    """ppo: agent steps of each game per update."""

    epochs: int = 8
    """ppo: passes over the steps of an update. One pass with clip inf is an actor-critic."""

    minibatch: int = 2048
    """ppo: steps per gradient and optimizer step."""

    clip: float = 0.2
    """ppo: the ratio of new to old probability is clipped to between 1 - clip and 1 + clip."""

    gae_lambda: float = 0.95
    """ppo: lambda of generalized advantage estimation, from one-step returns (0) to whole returns
    (1)."""

    lost_point_weight: float = 1.0
    """ppo: factor on negative rewards while learning (in Pong, on lost points). Discounting makes a
    quick point worth a risk; a factor above 1 offsets that. Reported scores do not include it."""

    entropy: float = 0.01
    """ppo: weight of the policy's entropy in the objective."""

    value_weight: float = 0.5
    """ppo: weight of the squared error of the value head."""

    max_grad_norm: float = 0.5
    """ppo: largest norm of a gradient; a gradient with a larger norm is scaled down to it."""

    episodes: int | None = 8000
    """Stop after this many episodes. None: no limit. All limits are checked after each update, so a
    run may exceed them by up to one update."""

    agent_steps: int | None = None
    """Stop after this many agent steps."""

    max_seconds: float | None = None
    """Stop after this many seconds, counted from the first frame played."""

    stop_at_score: float | None = None
    """Stop when the mean score of the last 100 episodes reaches this."""

    num_envs: int | None = None
    """Games played in parallel. None: one for each episode of a batch (backends other than tiles
    require this number); 16 for ppo."""

    threads: int | None = None
    """Threads, one per core (worker processes with ale-py). None: all cores."""

    seed: int = 0
    """Seed of the weights, the games and the actions. The same seed gives the same run."""

    run_dir: Path | None = None
    """Folder for the run's files. None: a new folder in runs/."""

    resume: Path | None = None
    """Run to continue, or checkpoint file to start from. The result is bit-identical to an
    uninterrupted run."""

    checkpoint_every: int = 10
    """Number of updates between two checkpoints."""

    keep_checkpoints: int = 3
    """Number of newest checkpoints to keep."""

    track: bool = False
    """Also write TensorBoard events (needs the [track] extra)."""

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON has them: paths as strings, tuples as lists."""
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        return plain | {"views": list(self.views)}

    @staticmethod
    def from_json(values: dict[str, Any]) -> "TrainConfig":
        """Parse what :meth:`to_json` returned.

        Raises:
            ConfigError: no settings, an unknown one, one of another type, or none that says what
                the network sees.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"config: expected an object, got {type(values).__name__}")
        known = {field.name for field in fields(TrainConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"config: {', '.join(unknown)} unknown to this version of fastpg")
        missing = sorted({"input", "background"} - set(values))
        if missing:
            raise ConfigError(f"config: has no {', '.join(missing)}")
        types = get_type_hints(TrainConfig)
        return TrainConfig(**{name: _typed(name, v, types[name]) for name, v in values.items()})


def _typed(name: str, value: Any, wanted: Any) -> Any:
    """A setting from JSON as the type that its field has."""
    kinds = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    for kind in kinds:
        if get_origin(kind) is Literal and isinstance(value, str) and value in get_args(kind):
            return value
        if kind is Path and isinstance(value, str):
            return Path(value)
        if get_origin(kind) is tuple and isinstance(value, list):
            return tuple(_typed(name, item, get_args(kind)[0]) for item in value)
        if kind is float and type(value) is int:
            return value  # as JSON writes some floats; it stays what it was
        if type(value) is kind:
            return value
    text = repr(value)
    raise ConfigError(
        f"config: {name}: expected {_noun(wanted)}, got {text if len(text) < 60 else text[:57]}"
    )


def _noun(wanted: Any) -> str:
    """A type as text, such as ``int | None``."""
    if get_origin(wanted) is Literal:
        return f"one of {', '.join(get_args(wanted))}"
    return str(wanted) if get_args(wanted) else wanted.__name__


# Settings that may change when a run is resumed: none of them changes what is learned from a step,
# except for the device's rounding.
RESUMABLE = frozenset(
    "device episodes agent_steps max_seconds stop_at_score threads run_dir resume "
    "checkpoint_every keep_checkpoints track".split()
)


def preset(name: str) -> TrainConfig:
    """Return the settings of a preset.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"--preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return replace(TrainConfig(), preset=name, **PRESETS[name])  # type: ignore[arg-type]


def option(name: str) -> str:
    """Return the command-line option of a setting."""
    return "--" + name.replace("_", "-")


def chosen_backend(config: TrainConfig) -> Backend:
    """Return the backend, which for ``auto`` depends on the input."""
    if config.backend != "auto":
        return config.backend
    return "cython" if config.input == "raw" else "tiles"

"""What a person can set: one frozen dataclass is the command line, and is saved beside the weights.

Imports the standard library only. Everything below the commands takes plain arguments.
"""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

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

PPO_GAMES = 16  # played at the same time, if nothing else is set
_MOST_STEPS, _MOST_EPISODES = 1 << 24, 1 << 14  # of one update: what is played must fit in memory
_MOST_GAMES = {"cpu": 1 << 14, "cuda": 1 << 16}
_MOST_LAG = 32  # steps; what lies back further is not kept


_PATHS = ("run_dir", "resume")


class ConfigError(ValueError):
    """A setting is wrong; the message is one line that says which, why, and what to do."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a two-layer policy network on an Atari game from its pixels."""

    preset: Literal["pong", "blog", "fast", "sticky", "random-skip"] = "pong"
    """Named set of defaults: pong is the article's algorithm at its fastest, blog the same with its
    script's numbers, fast is PPO for games without sticky actions, sticky PPO for those with,
    random-skip PPO for those whose frame skip is random too (ten minutes and more)."""

    algorithm: Literal["reinforce", "ppo"] = "reinforce"
    """reinforce: the article's, whole episodes and RMSProp. ppo: clipped policy gradients with a
    value head, several epochs over some steps of each game, Adam."""

    env: str = "Pong-v0"
    """Rules of the game by ale-py's name: Pong-v0 (frame skip random 2..4, sticky actions 0.25),
    ALE/Pong-v5 (skip 4, sticky 0.25), PongNoFrameskip-v4 (here with skip 4 and up to 30 no-op
    starts), or another Atari game, e.g. ALE/Breakout-v5 (softmax over its actions)."""

    frameskip: int | None = None
    """Emulator frames per agent step; None: the rules'."""

    repeat_action_probability: float | None = None
    """Probability that a frame repeats the action before (sticky actions); None: the rules'."""

    noop_max: int | None = None
    """Most no-op frames at the start of an episode, drawn from 1..N; None: the rules'."""

    emulator: Literal["auto", "native", "ale"] = "auto"
    """Who emulates the Atari 2600: native is our own, for Pong, ale is ale-py; the same run bit for
    bit. auto: native for Pong, ale for other games."""

    backend: Literal["auto", "tiles", "cython", "numba", "reference"] = "auto"
    """Who computes: tiles is the compiled network on tiles, and with the native emulator plays and
    learns in compiled code alone; cython, numba and reference (NumPy) are the kernels of the table,
    called step by step, equal bit for bit, and to tiles up to rounding. auto: tiles, for raw
    inputs cython."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where everything runs. cuda: emulator, network and learning on an NVIDIA GPU, for Pong with
    our emulator and backend tiles; the same run up to rounding, saved alike."""

    input: Literal["difference", "stack", "raw"] = "difference"
    """What the network sees: the difference of two 80x80 views, the views side by side, or all
    100,800 numbers of one frame over 255 (dense, a thousand times slower: the article's first
    description)."""

    allow_noop: bool = False
    """Whether the network may also do nothing: three actions in Pong instead of UP and DOWN."""

    views: tuple[int, ...] = (0, 1)
    """Views that a stack has, each by the steps that it lies back: 0 is the present."""

    past_actions: int = 0
    """Actions before the one to choose that the network sees too (backend tiles)."""

    background: Literal["frame", "blog"] = "frame"
    """What counts as empty: each frame's most frequent colour, or the article's constants."""

    hidden: int = 200
    """Hidden units of the network."""

    cells: int = 0
    """Pixels in the side of cells that share a part of their weights in learning, so that what is
    learned of one place is learned of those around it; the network is the same (backend tiles).
    0: none."""

    mirror: bool = False
    """Whether hidden units learn in pairs that are each other's mirror image, up and down
    exchanged, so that what is learned of one half of Pong's field is learned of the other; the
    network is the same (backend tiles)."""

    learning_rate: float = 2e-3
    """Step size of RMSProp or Adam."""

    final_learning_rate: float | None = None
    """ppo: the step size after anneal_steps; None: the same."""

    anneal_steps: int = 0
    """ppo: agent steps in which the step size goes to the final one, and entropy to 0; 0: never."""

    decay: float = 0.99
    """Share of RMSProp's mean square that is kept at each update."""

    gamma: float = 0.99
    """Discount of rewards per agent step, 0 to 1."""

    cut_at_rewards: bool = True
    """End the credit at each non-zero reward: in Pong, each point."""

    standardize: Literal["episode", "batch", "none"] = "episode"
    """Over what the returns are brought to mean 0 and deviation 1."""

    episodes_per_batch: int = 10
    """reinforce: whole episodes played for one update."""

    steps_per_update: int = 256
    """ppo: steps of each game played for one update."""

    epochs: int = 8
    """ppo: times that what was played is gone through; 1 with clip inf is an actor-critic."""

    minibatch: int = 2048
    """ppo: steps of one gradient."""

    clip: float = 0.2
    """ppo: how far the ratio of new and old probability may leave 1 before it stops to count."""

    gae_lambda: float = 0.95
    """ppo: between one-step (0) and whole returns (1) as advantages."""

    lost_point_weight: float = 1.0
    """ppo: what a negative reward (in Pong, a lost point) counts beside a positive one. Discounting
    makes a quick point worth a risk; above 1 takes the risk out again. Scores stay the game's."""

    entropy: float = 0.01
    """ppo: weight of the policy's entropy."""

    value_weight: float = 0.5
    """ppo: weight of the value's squared error."""

    max_grad_norm: float = 0.5
    """ppo: longest gradient; longer ones are cut to it."""

    episodes: int | None = 8000
    """Stop after this many episodes; None: no such limit. All limits are looked at after each
    batch, so that they may be passed by up to one."""

    agent_steps: int | None = None
    """Stop after this many decisions of the agent."""

    max_seconds: float | None = None
    """Stop after this many seconds since the first played frame."""

    stop_at_score: float | None = None
    """Stop when the mean score of the last 100 episodes is at least this."""

    num_envs: int | None = None
    """Games played at the same time; None: one for each episode of a batch, 16 for ppo."""

    threads: int | None = None
    """Threads (worker processes on ale-py), one core each; None: all cores."""

    seed: int = 0
    """Seed of the weights, the games and the actions: the same seed gives the same run."""

    run_dir: Path | None = None
    """Folder to write; None: a new one below runs/."""

    resume: Path | None = None
    """Go on with this run, or from this checkpoint file, bit for bit."""

    checkpoint_every: int = 10
    """Updates between two checkpoints."""

    keep_checkpoints: int = 3
    """Newest checkpoints that are kept."""

    track: bool = False
    """Also write TensorBoard events (needs the [track] extra)."""

    def to_json(self) -> dict[str, Any]:
        """Plain values: paths as strings, tuples as lists."""
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        return plain | {"views": list(self.views)}

    @staticmethod
    def from_json(values: dict[str, Any]) -> "TrainConfig":
        """The inverse of :meth:`to_json`; unknown keys are refused."""
        # what there was before there was a choice
        values = {"emulator": "ale", "backend": "cython", **values}
        known = {field.name for field in fields(TrainConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"config: {', '.join(unknown)} unknown to this version of fastpg")
        typed: dict[str, Any] = {k: Path(v) for k, v in values.items() if k in _PATHS and v}
        if "views" in values:
            typed["views"] = tuple(values["views"])
        return TrainConfig(**{**values, **typed})


# What may be changed when a run is resumed: nothing that changes what is learned from a step, but
# for the device's rounding.
RESUMABLE = frozenset(
    "device episodes agent_steps max_seconds stop_at_score threads run_dir resume "
    "checkpoint_every keep_checkpoints track".split()
)


def preset(name: str) -> TrainConfig:
    """Return the named preset."""
    if name not in PRESETS:
        raise ConfigError(f"--preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return replace(TrainConfig(), preset=name, **PRESETS[name])  # type: ignore[arg-type]


def check(config: TrainConfig) -> None:
    """Refuse values that no run can have.

    Raises:
        ConfigError: names the option, what was expected and what came.
    """
    for name in ("hidden", "episodes_per_batch", "checkpoint_every", "keep_checkpoints"):
        _at_least(config, name, 1)
    for name in ("episodes", "agent_steps", "num_envs", "threads", "frameskip"):
        _at_least(config, name, 1)
    for name in ("steps_per_update", "epochs", "minibatch"):
        _at_least(config, name, 1)
    for name in ("noop_max", "seed", "anneal_steps"):
        _at_least(config, name, 0)
    for name in ("gamma", "decay", "repeat_action_probability", "gae_lambda"):
        _between(config, name, 0.0, 1.0)
    for name in (
        "learning_rate",
        "final_learning_rate",
        "entropy",
        "value_weight",
        "max_grad_norm",
    ):
        _between(config, name, 0.0, 1e3)
    _between(config, "lost_point_weight", 0.0, 1e3)
    _between(config, "clip", 0.0, float("inf"))
    _between(config, "cells", 0, 80)
    _between(config, "past_actions", 0, 16)
    _between(config, "max_seconds", 0.0, 1e12)
    _between(config, "stop_at_score", -1e12, 1e12)
    if config.hidden > 1 << 16:
        raise ConfigError(f"--hidden: expected at most {1 << 16}, got {config.hidden}")
    if config.seed >= 1 << 32:
        raise ConfigError(f"--seed: expected below 2**32, got {config.seed}")
    views = config.views
    if (
        not 1 <= len(views) <= 8
        or views[0] != 0
        or list(views) != sorted(set(views))
        or views[-1] > _MOST_LAG
    ):
        raise ConfigError(
            f"--views: expected 1 to 8 that rise from 0 to at most {_MOST_LAG}, "
            f"got {' '.join(map(str, views)) or 'none'}"
        )
    if config.mirror and config.hidden % 2:
        raise ConfigError(f"--hidden: expected an even number with --mirror, got {config.hidden}")
    if config.mirror and config.cells and 80 % config.cells:
        raise ConfigError(f"--cells: expected to divide 80 with --mirror, got {config.cells}")
    _check_algorithm(config)
    if config.device == "cuda":
        _check_cuda(config)


def _check_cuda(config: TrainConfig) -> None:
    for option, value, possible in (
        ("--emulator", config.emulator, ("auto", "native")),
        ("--input", config.input, ("difference", "stack")),
        ("--backend", config.backend, ("auto", "tiles")),
    ):
        if value not in possible:
            needed = " or ".join(name for name in possible if name != "auto")
            raise ConfigError(f"{option} {value}: --device cuda needs {needed}")


def _check_algorithm(config: TrainConfig) -> None:
    if config.algorithm == "ppo":
        if config.backend not in ("auto", "tiles"):
            raise ConfigError(f"--backend {config.backend}: --algorithm ppo needs tiles")
        if config.input == "raw":
            raise ConfigError("--input raw: --algorithm ppo needs difference or stack")
        games = config.num_envs or PPO_GAMES
        most = _MOST_GAMES[config.device]
        if games > most:
            raise ConfigError(f"--num-envs: expected at most {most}, got {games}")
        if games * config.steps_per_update > _MOST_STEPS:
            raise ConfigError(
                f"--steps-per-update: expected at most {_MOST_STEPS // games} with {games} games, "
                f"got {config.steps_per_update}"
            )
        return
    if config.episodes_per_batch > _MOST_EPISODES:
        raise ConfigError(
            f"--episodes-per-batch: expected at most {_MOST_EPISODES}, "
            f"got {config.episodes_per_batch}"
        )
    if config.num_envs is not None and config.num_envs > config.episodes_per_batch:
        raise ConfigError(
            f"--num-envs: expected at most --episodes-per-batch = {config.episodes_per_batch} "
            f"(more would stand idle), got {config.num_envs}"
        )


def check_resumed(saved: TrainConfig, wanted: TrainConfig) -> None:
    """Refuse to resume a run under settings that would have made it another run."""
    for field in fields(TrainConfig):
        before, now = getattr(saved, field.name), getattr(wanted, field.name)
        if field.name not in RESUMABLE and before != now:
            raise ConfigError(
                f"{_option(field.name)}: the resumed run has {before}, got {now}; "
                f"leave it out, or start a new run"
            )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _at_least(config: TrainConfig, name: str, low: int) -> None:
    value = getattr(config, name)
    if value is not None and value < low:
        raise ConfigError(f"{_option(name)}: expected at least {low}, got {value}")


def _between(config: TrainConfig, name: str, low: float, high: float) -> None:
    value = getattr(config, name)
    if value is not None and not low <= value <= high:
        raise ConfigError(f"{_option(name)}: expected {low:g} to {high:g}, got {value}")

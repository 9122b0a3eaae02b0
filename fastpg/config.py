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


class ConfigError(ValueError):
    """A setting is wrong; the message is one line that says which, why, and what to do."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a two-layer policy network on an Atari game from its pixels."""

    preset: Literal["pong", "blog"] = "pong"
    """Named set of defaults: pong learns fastest, blog is the article with its script's numbers."""

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

    backend: Literal["numba", "cython", "reference"] = "cython"
    """Kernels: cython (compiled at installation) and numba (when first run) give the same bits,
    reference is plain NumPy."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the kernels run."""

    input: Literal["difference", "stack", "raw"] = "difference"
    """What the network sees: the difference of two 80x80 views, both views, or all 100,800 numbers
    of one frame over 255 (dense, a thousand times slower: the article's first description)."""

    background: Literal["frame", "blog"] = "frame"
    """What counts as empty: each frame's most frequent colour, or the article's constants."""

    hidden: int = 200
    """Hidden units of the network."""

    learning_rate: float = 2e-3
    """Step size of RMSProp."""

    decay: float = 0.99
    """Share of RMSProp's mean square that is kept at each update."""

    gamma: float = 0.99
    """Discount of rewards per agent step, 0 to 1."""

    cut_at_rewards: bool = True
    """End the credit at each non-zero reward: in Pong, each point."""

    standardize: Literal["episode", "batch", "none"] = "episode"
    """Over what the returns are brought to mean 0 and deviation 1."""

    episodes_per_batch: int = 10
    """Whole episodes played for one update."""

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
    """Games played at the same time; None: one for each episode of a batch."""

    threads: int | None = None
    """Worker processes that play, one core each; None: all cores."""

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
        """Plain values, paths as strings."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_json(values: dict[str, Any]) -> "TrainConfig":
        """The inverse of :meth:`to_json`; unknown keys are refused."""
        values = {"emulator": "ale", **values}  # what there was before there was a choice
        known = {field.name for field in fields(TrainConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"config: {', '.join(unknown)} unknown to this version of fastpg")
        paths = {k: Path(v) for k, v in values.items() if k in ("run_dir", "resume") and v}
        return TrainConfig(**{**values, **paths})


# What may be changed when a run is resumed: nothing that changes what is learned from a step.
RESUMABLE = frozenset(
    "episodes agent_steps max_seconds stop_at_score threads run_dir resume "
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
    for name in ("noop_max", "seed"):
        _at_least(config, name, 0)
    for name in ("gamma", "decay", "repeat_action_probability"):
        _between(config, name, 0.0, 1.0)
    _between(config, "learning_rate", 0.0, 1e3)
    _between(config, "max_seconds", 0.0, 1e12)
    _between(config, "stop_at_score", -1e12, 1e12)
    if config.hidden > 1 << 16:
        raise ConfigError(f"--hidden: expected at most {1 << 16}, got {config.hidden}")
    if config.seed >= 1 << 32:
        raise ConfigError(f"--seed: expected below 2**32, got {config.seed}")
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

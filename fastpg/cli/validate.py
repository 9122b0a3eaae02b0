"""Which settings are valid, as far as that depends on neither the game nor the machine."""

from dataclasses import fields

from fastpg.config import PPO_GAMES, RESUMABLE, ConfigError, TrainConfig, chosen_backend, option
from fastpg.kernels.geometry import VIEW_SIDE

_MAX_STEPS, _MAX_EPISODES = 1 << 24, 1 << 14  # of one update: its rollout must fit in memory
_MAX_GAMES = {"cpu": 1 << 14, "cuda": 1 << 16}
_MAX_VIEW_AGE = 32  # agent steps; the rollout buffer keeps no earlier views
_LOWEST = {
    1: "hidden episodes_per_batch checkpoint_every keep_checkpoints episodes agent_steps num_envs "
    "threads frameskip steps_per_update epochs minibatch",
    0: "noop_max anneal_steps",
}
_RANGES = {
    (0.0, 1.0): "gamma decay repeat_action_probability gae_lambda",
    (0.0, 1e3): "learning_rate final_learning_rate entropy value_weight max_grad_norm "
    "lost_point_weight",
    (0.0, float("inf")): "clip",
    (0, VIEW_SIDE): "cells",
    (0, 16): "past_actions",
    (0.0, 1e12): "max_seconds",
    (-1e12, 1e12): "stop_at_score",
}


def check(config: TrainConfig) -> None:
    """Check the settings; ``fastpg.cli.resolve.resolve`` checks what depends on the game.

    Raises:
        ConfigError: names the option, what was expected and what came.
    """
    for low, names in _LOWEST.items():
        for name in names.split():
            value = getattr(config, name)
            if value is not None and value < low:
                raise ConfigError(f"{option(name)}: expected at least {low}, got {value}")
    for (least, most), names in _RANGES.items():
        for name in names.split():
            value = getattr(config, name)
            if value is not None and not least <= value <= most:  # also refuses NaN
                raise ConfigError(f"{option(name)}: expected {least:g} to {most:g}, got {value}")
    check_seed(config.seed)
    _check_network(config)
    if config.algorithm == "ppo":
        _check_ppo(config)
    else:
        _check_reinforce(config)
    if config.device == "cuda":
        _check_cuda(config)
    _check_backend(config)


def check_seed(seed: int) -> None:
    """Raise ConfigError unless a seed has 32 bits."""
    if not 0 <= seed < 1 << 32:
        raise ConfigError(f"--seed: expected 0 to below 2**32, got {seed}")


def _check_network(config: TrainConfig) -> None:
    if config.hidden > 1 << 16:
        raise ConfigError(f"--hidden: expected at most {1 << 16}, got {config.hidden}")
    views = config.views
    rising = list(views) == sorted(set(views))
    if not (1 <= len(views) <= 8 and views[0] == 0 and rising and views[-1] <= _MAX_VIEW_AGE):
        raise ConfigError(
            f"--views: expected 1 to 8 that rise from 0 to at most {_MAX_VIEW_AGE}, "
            f"got {' '.join(map(str, views)) or 'none'}"
        )
    if config.mirror and config.hidden % 2:
        raise ConfigError(f"--hidden: expected an even number with --mirror, got {config.hidden}")
    if config.mirror and config.cells and VIEW_SIDE % config.cells:
        raise ConfigError(
            f"--cells: expected to divide {VIEW_SIDE} with --mirror, got {config.cells}"
        )


def _check_ppo(config: TrainConfig) -> None:
    if config.backend not in ("auto", "tiles"):
        raise ConfigError(f"--backend {config.backend}: --algorithm ppo needs tiles")
    if config.input == "raw":
        raise ConfigError("--input raw: --algorithm ppo needs difference or stack")
    games = config.num_envs or PPO_GAMES
    most = _MAX_GAMES[config.device]
    if games > most:
        raise ConfigError(f"--num-envs: expected at most {most}, got {games}")
    if games * config.steps_per_update > _MAX_STEPS:
        raise ConfigError(
            f"--steps-per-update: expected at most {_MAX_STEPS // games} with {games} games, "
            f"got {config.steps_per_update}"
        )


def _check_reinforce(config: TrainConfig) -> None:
    episodes, games = config.episodes_per_batch, config.num_envs
    if episodes > _MAX_EPISODES:
        raise ConfigError(f"--episodes-per-batch: expected at most {_MAX_EPISODES}, got {episodes}")
    if games is not None and games > episodes:
        raise ConfigError(
            f"--num-envs: expected at most --episodes-per-batch = {episodes} "
            f"(more would stand idle), got {games}"
        )


def _check_cuda(config: TrainConfig) -> None:
    for name, possible in (
        ("emulator", ("auto", "native")),
        ("input", ("difference", "stack")),
        ("backend", ("auto", "tiles")),
    ):
        value = getattr(config, name)
        if value not in possible:
            needed = " or ".join(other for other in possible if other != "auto")
            raise ConfigError(f"{option(name)} {value}: --device cuda needs {needed}")


def _check_backend(config: TrainConfig) -> None:
    backend = chosen_backend(config)
    if backend == "tiles" and config.input == "raw":
        raise ConfigError(
            "--input raw: needs --backend cython, numba, reference or cuda, got tiles"
        )
    if backend != "tiles":
        for name in ("past_actions", "views", "cells", "mirror"):
            if getattr(config, name) != getattr(TrainConfig, name):
                raise ConfigError(f"{option(name)}: needs --backend tiles, got {backend}")
        if config.num_envs not in (None, config.episodes_per_batch):
            raise ConfigError(
                f"--num-envs: with --backend {backend} each episode of a batch has a game, "
                f"expected {config.episodes_per_batch}, got {config.num_envs}; leave it out"
            )
    if config.input == "difference" and len(config.views) != 2:
        shown = " ".join(map(str, config.views))
        raise ConfigError(f"--views: expected 2 for --input difference, got {shown}")


def check_resumed(saved: TrainConfig, wanted: TrainConfig) -> None:
    """Check that a run is resumed with the settings that it had, except for :data:`RESUMABLE`.

    Raises:
        ConfigError: names the first setting that differs.
    """
    for field in fields(TrainConfig):
        before, now = getattr(saved, field.name), getattr(wanted, field.name)
        if field.name not in RESUMABLE and before != now:
            raise ConfigError(
                f"{option(field.name)}: the resumed run has {before}, got {now}; "
                f"leave it out, or start a new run"
            )

"""The rules of a game: frame skip, sticky actions, no-op starts, frame limit, set of actions.

:func:`rules` returns what ale-py registers for a Gymnasium id. :func:`training_rules` adds what
``NoFrameskip`` leaves to wrappers. Sticky actions are drawn in
``fastpg/envs/sticky_actions.py`` on ale-py, in ``csrc/envs/ale_game.h`` on our own emulator.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Any, TypedDict, Unpack

import ale_py
import gymnasium
import numpy as np

from fastpg._registration import ALE_IDS

_ENTRY_POINT = "ale_py.env:AtariEnv"
_MOST_FRAMES = 2**31 - 1  # the emulators count in 32 bits
_MOST_SKIP = 1_000_000  # more than four hours of play
_ALE_DEFAULTS = {"mode": 0, "difficulty": 0, "continuous": False, "sound_obs": False}
_NO_FRAMESKIP = {"frameskip": 4, "noop_max": 30}  # what training_rules adds to NoFrameskip


class BadArgument(ValueError, gymnasium.error.Error):
    """An argument has a wrong value; the message names it. It is Gymnasium's own error, too."""


class NotPlayed(BadArgument, RuntimeError):
    """An option of ale-py that our emulator lacks. ale-py's own refusals are RuntimeErrors."""


@dataclass(frozen=True)
class Rules:
    """How a game is played. Equal rules, seeds and actions give equal games.

    Attributes:
        game: name of the ROM in ale-py, such as ``"pong"``.
        frameskip: emulator frames per agent step, or a half-open range (low, high) from which each
            step draws its number.
        repeat_action_probability: probability, in each emulator frame, of repeating the previous
            frame's action instead of taking the agent's (sticky actions). 0 to 1.
        max_num_frames_per_episode: emulator frames after which an episode is truncated; 0 for no
            limit.
        full_action_space: all 18 actions instead of the game's minimal set.
        noop_max: no-op start: after a reset the game runs for 1 to ``noop_max`` emulator frames
            without action; the number is drawn. 0 for none.
    """

    game: str
    frameskip: int | tuple[int, int] = 4
    repeat_action_probability: float = 0.25
    max_num_frames_per_episode: int = 108_000
    full_action_space: bool = False
    noop_max: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: a value is out of its range; the message names it.
        """
        if isinstance(self.frameskip, list):  # as JSON gives it
            object.__setattr__(self, "frameskip", tuple(self.frameskip))
        for name in ("frameskip", "max_num_frames_per_episode", "full_action_space", "noop_max"):
            value = getattr(self, name)
            if isinstance(value, (np.integer, np.bool_)):
                object.__setattr__(self, name, value.item())
        if not _is_frameskip(self.frameskip):
            expected = "an int above 0 or (low, high) with 0 < low < high"
            raise _bad("frameskip", f"{expected}, at most {_MOST_SKIP}", self)
        if not (
            isinstance(self.repeat_action_probability, Real)
            and 0 <= self.repeat_action_probability <= 1
        ):
            raise _bad("repeat_action_probability", "0 to 1", self)
        if not _is_int(self.max_num_frames_per_episode, 0, _MOST_FRAMES):
            raise _bad("max_num_frames_per_episode", f"an int of 0 to {_MOST_FRAMES}", self)
        if not isinstance(self.full_action_space, bool):
            raise _bad("full_action_space", "True or False", self)
        if not _is_int(self.noop_max, 0, _MOST_SKIP):
            raise _bad("noop_max", f"an int of 0 to {_MOST_SKIP}", self)


class RuleOverrides(TypedDict, total=False):
    """Rules that replace those of an environment id, by their names in :class:`Rules`.

    A rule that is missing or None stays as the id registers it; no id registers no-op starts. The
    last five are options of ale-py's environment; only their defaults are played.
    """

    frameskip: int | tuple[int, int] | None
    repeat_action_probability: float | None
    max_num_frames_per_episode: int | None
    full_action_space: bool | None
    noop_max: int | None
    mode: int | None
    difficulty: int | None
    continuous: bool | None
    continuous_action_threshold: float | None
    sound_obs: bool | None


def rules(env_id: str, **overrides: Unpack[RuleOverrides]) -> Rules:
    """Return the rules that ale-py registers for a Gymnasium id, with overrides.

    Args:
        env_id: any Atari id of ale-py: ``"Pong-v0"``, ``"PongNoFrameskip-v4"``, ``"ALE/Pong-v5"``;
            or our own id for the same game, such as ``"fastpg/Pong-v5"``.
        **overrides: see :class:`RuleOverrides`.

    Raises:
        TypeError: an override has another name.
        NotPlayed: an option of ale-py's that is not at its default.
        ValueError: ale-py registers no such id (the message names similar ones), or a value is out
            of its range.
    """
    for name in overrides.keys() - RuleOverrides.__annotations__.keys():
        expected = ", ".join(RuleOverrides.__annotations__)
        raise TypeError(f"{name}: no such argument; rules are {expected}")
    given = {name: value for name, value in overrides.items() if value is not None}
    for name, usual in _ALE_DEFAULTS.items():
        value = given.pop(name, usual)
        if isinstance(value, (np.integer, np.bool_)):
            value = value.item()
        if type(value) is not type(usual) or value != usual:
            raise NotPlayed(f"{name}: expected {usual}, got {value!r}; ale-py plays others")
    given.pop("continuous_action_threshold", None)  # discrete actions have none
    return Rules(**_registered(env_id) | given)


def training_rules(env_id: str, **overrides: Unpack[RuleOverrides]) -> Rules:
    """Return the rules that agents train under: :func:`rules`, with ``NoFrameskip`` completed.

    A ``NoFrameskip`` id registers frame skip 1 and no random start, because it leaves both to
    wrappers. Agents train on it with 4 frames a step and up to 30 no-ops at the start of an
    episode, as ``gymnasium.wrappers.AtariPreprocessing`` has them; here these are the defaults.

    Args:
        env_id: as in :func:`rules`.
        **overrides: as in :func:`rules`.

    Raises:
        ValueError: as in :func:`rules`.
    """
    if "NoFrameskip" in str(env_id):
        given = {name: value for name, value in overrides.items() if value is not None}
        return rules(env_id, **{**_NO_FRAMESKIP, **given})  # type: ignore[arg-type]
    return rules(env_id, **overrides)


def _registered(env_id: str) -> dict[str, Any]:
    """Keyword arguments that ale-py registers for an id."""
    gymnasium.register_envs(ale_py)
    if not isinstance(env_id, str):
        raise BadArgument(f"env_id: expected a str, got {type(env_id).__name__}")
    env_id = ALE_IDS.get(env_id, env_id)
    atari = {
        name: spec.kwargs
        for name, spec in gymnasium.registry.items()
        if spec.entry_point == _ENTRY_POINT
    }
    if env_id not in atari:
        near = get_close_matches(str(env_id), atari, n=4, cutoff=0.5)
        hint = f"; near are {', '.join(near)}" if near else ""
        raise BadArgument(f"env_id: expected an Atari id of ale-py, got {env_id!r}{hint}")
    return atari[env_id]


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_frameskip(value: Any) -> bool:
    if isinstance(value, tuple):
        if len(value) != 2 or not _is_int(value[0], 1, _MOST_SKIP):
            return False
        return _is_int(value[1], value[0] + 1, _MOST_SKIP)
    return _is_int(value, 1, _MOST_SKIP)


def _bad(name: str, expected: str, rules: Rules) -> BadArgument:
    return BadArgument(f"{name}: expected {expected}, got {getattr(rules, name)!r}")

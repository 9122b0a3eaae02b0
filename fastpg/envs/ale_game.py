"""One Atari game on ale-py's emulator, step for step as Gymnasium's own environment plays it."""

import base64
import json
import math
from typing import Any

import numpy as np
from ale_py import ALEInterface, ALEState, LoggerMode
from ale_py.roms import get_all_rom_ids, get_rom_path

from fastpg.envs.rules import Rules

_STATE_FORMAT = "fastpg-ale-game-1"


class AleGame:
    """A game under :class:`~fastpg.envs.rules.Rules`, equal to ``gymnasium.make`` with its id.

    Equal means: after ``reset(seed=s)`` the same actions give the same pictures, rewards, ends and
    frame numbers, for as many episodes as you like. The ROM is loaded when first needed.

    Attributes:
        rules: the rules it is played under.
    """

    def __init__(self, rules: Rules):
        # an own loop on ALEInterface: ale_py.AtariEnv draws an RGB picture each step, which costs
        # half a frame's emulation and is not always wanted
        self.rules = rules
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._ale = ALEInterface()
        rom = get_rom_path(rules.game) if rules.game in get_all_rom_ids() else None
        if rom is None:
            raise ValueError(f"game: expected the name of a ROM in ale-py, got {rules.game!r}")
        self._rom = rom
        self._random: np.random.Generator | None = None
        self._sticky: StickyActions | None = None
        self._actions: list[Any] = []
        self._frames_of_past_loads = 0

    # ---- playing ----------------------------------------------------------------------------

    def reset(self, seed: int | None = None) -> None:
        """Begin a new episode.

        Args:
            seed: at least 0: begin the random numbers anew (loads the ROM anew, 120 ms); None: let
                them run on, or take a seed from the system if there never was one.

        Raises:
            ValueError: seed is no int of at least 0.
        """
        if seed is not None or not self._actions:
            self._load(seed)
        self._reset_game()
        if self.rules.noop_max > 0:
            self._start_idle(seed)

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Play one action for as many frames as the rules or their draw say.

        Args:
            action: index into :attr:`action_meanings`.

        Returns:
            (reward, terminated, truncated); the reward is the sum over the frames. After the end
            of an episode a step emulates nothing.

        Raises:
            ValueError: there is no such action.
            RuntimeError: the game has not been reset yet.
        """
        if self._random is None:
            raise RuntimeError("step: expected reset() before the first step")
        if not 0 <= action < len(self._actions):
            raise ValueError(f"action: expected 0 to {len(self._actions) - 1}, got {action}")
        frames = self.rules.frameskip
        if isinstance(frames, tuple):
            frames = int(self._random.integers(*frames))
        act, hold, wanted = self._ale.act, self._sticky, self._actions[action]
        reward = 0
        for _ in range(frames):  # to the last one even after the end: sticky actions draw in each
            reward += act(hold(wanted) if hold else wanted)
        if not self._ale.game_over():
            return float(reward), False, False
        return float(reward), self.terminated, self.truncated

    def _start_idle(self, seed: int | None) -> None:
        # as gymnasium.wrappers.AtariPreprocessing, which goes on counting after a reset
        assert self._random is not None
        for _ in range(self._random.integers(1, self.rules.noop_max + 1)):
            noop = self._actions[0]
            self._ale.act(self._sticky(noop) if self._sticky else noop)
            if self._ale.game_over():
                if seed is not None:
                    self._load(seed)
                self._reset_game()

    def _reset_game(self) -> None:
        self._ale.reset_game()
        if self._sticky:
            self._sticky.held = self._actions[0]

    def _load(self, seed: int | None) -> None:
        if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ValueError(f"seed: expected an int of at least 0, got {seed!r}")
        # ale-py's environment gives the first word to NumPy and the second, as int32, to ALE
        numpy_seed, ale_seed = np.random.SeedSequence(seed).generate_state(2)
        self._random = np.random.default_rng(int(numpy_seed))
        if self._actions:
            self._frames_of_past_loads += self._ale.getFrameNumber()
        ale, rules = self._ale, self.rules
        ale.setInt("random_seed", int(ale_seed.astype(np.int32)))
        ale.setInt("max_num_frames_per_episode", rules.max_num_frames_per_episode)
        ale.setInt("frame_skip", 1)
        # sticky actions are drawn here, as ALE would: it does not tell which action it holds, so
        # that its own could not be saved in the midst of an episode
        ale.setFloat("repeat_action_probability", 0.0)
        self._sticky = None
        if rules.repeat_action_probability > 0:
            self._sticky = StickyActions(rules.repeat_action_probability, int(ale_seed))
        ale.loadROM(self._rom)
        full = rules.full_action_space
        self._actions = list(ale.getLegalActionSet() if full else ale.getMinimalActionSet())

    def _loaded(self) -> ALEInterface:
        if not self._actions:
            self._load(None)
        return self._ale

    # ---- what it shows ----------------------------------------------------------------------

    def screen(self, out: np.ndarray) -> None:
        """Write the picture into ``out`` (210, 160) uint8, C-contiguous: palette indices."""
        self._loaded().getScreen(out)

    def rgb(self, out: np.ndarray) -> None:
        """Write the picture into ``out`` (210, 160, 3) uint8, C-contiguous: red, green, blue."""
        self._loaded().getScreenRGB(out)

    def gray(self, out: np.ndarray) -> None:
        """Write the picture into ``out`` (210, 160) uint8, C-contiguous: ALE's grey values."""
        self._loaded().getScreenGrayscale(out)

    def ram(self, out: np.ndarray) -> None:
        """Write the console's memory into ``out`` (128,) uint8."""
        self._loaded().getRAM(out)

    @property
    def action_meanings(self) -> tuple[str, ...]:
        """What each action presses: ``("NOOP", "FIRE", "RIGHT", ..)``."""
        self._loaded()
        return tuple(action.name for action in self._actions)

    @property
    def terminated(self) -> bool:
        """Whether the game is over by its own rules."""
        return self._ale.game_over(with_truncation=False)

    @property
    def truncated(self) -> bool:
        """Whether the episode has reached the largest number of frames."""
        return self._ale.game_truncated()

    @property
    def lives(self) -> int:
        """Lives left; 0 in games without lives."""
        return self._loaded().lives()

    @property
    def episode_frame_number(self) -> int:
        """Frames emulated in this episode, without those of the reset."""
        return self._loaded().getEpisodeFrameNumber()

    @property
    def frame_number(self) -> int:
        """Frames emulated since the last ``reset(seed)``, without those of resets."""
        return self._loaded().getFrameNumber()

    @property
    def emulated_frames(self) -> int:
        """Frames emulated in the life of this game (:meth:`restore` sets it too)."""
        return self._frames_of_past_loads + self._loaded().getFrameNumber()

    # ---- keeping ----------------------------------------------------------------------------

    def state(self) -> bytes:
        """All that what is to come depends on, 10 to 20 KB: emulator and generators.

        The picture is not in it: after :meth:`restore` it is right from the next step or reset on.

        Raises:
            RuntimeError: the game has not been reset yet.
        """
        if self._random is None:
            raise RuntimeError("state: expected reset() before the first state")
        emulator = self._ale.cloneState(include_rng=True).serialize()
        head = {
            "format": _STATE_FORMAT,
            "game": self.rules.game,
            "random": self._random.bit_generator.state,
            "frames_of_past_loads": self._frames_of_past_loads,
            "sticky": self._sticky.state() if self._sticky else None,
            "emulator_bytes": len(emulator),
        }
        return json.dumps(head).encode() + b"\n" + emulator

    def restore(self, state: bytes) -> None:
        """Take over a :meth:`state`; :meth:`step` or :meth:`reset` then do what they would have.

        The rules are this game's own, not those of the game that gave the state.

        Raises:
            ValueError: state is none, or that of another game.
        """
        head, found, emulator = state.partition(b"\n")
        try:
            values = json.loads(head)
            game = values["game"] if found and values["format"] == _STATE_FORMAT else None
            whole = len(emulator) == values["emulator_bytes"]
        except (ValueError, KeyError, TypeError):
            game, whole = None, False
        if game != self.rules.game or not whole:
            got = "the state of no game" if game is None else f"that of {game}"
            raise ValueError(f"state: expected a state of {self.rules.game}, got {got}")
        self._loaded().restoreState(ALEState(emulator))
        assert self._random is not None
        self._random.bit_generator.state = values["random"]
        self._frames_of_past_loads = values["frames_of_past_loads"]
        if self._sticky and values["sticky"]:
            self._sticky.restore(values["sticky"], self._actions)


class StickyActions:
    """Which action each frame gets: the one wanted, or that of the frame before.

    Draws as ALE does: an MT19937 seeded with the emulator's seed gives two raw 32-bit words a
    frame, one for each player; below the probability, as a float32 share of 2**32, the first keeps
    the action held. A reset lets the generator run on.

    Attributes:
        held: the action of the frame before.
    """

    _BLOCK = 512

    def __init__(self, probability: float, seed: int):
        """``seed``: 32 bits; a signed one's two's complement."""
        self._least = math.ceil(float(np.float32(probability)) * 2**32)
        self._bits = np.random.MT19937()
        np.random.RandomState(self._bits).seed(seed & 0xFFFFFFFF)  # std::mt19937's seeding
        self._draw_block()
        self.held: Any = None

    def __call__(self, wanted: Any) -> Any:
        """Return the action of the next frame."""
        if self._at == self._BLOCK:
            self._draw_block()
        if self._words[self._at] >= self._least:
            self.held = wanted
        self._at += 2
        return self.held

    def _draw_block(self) -> None:
        self._before = self._bits.state["state"]
        self._words = self._bits.random_raw(self._BLOCK).tolist()
        self._at = 0

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` takes, as JSON knows it."""
        key = self._before["key"].astype("<u4").tobytes()
        return {
            "key": base64.b64encode(key).decode(),
            "pos": int(self._before["pos"]),
            "at": self._at,
            "held": None if self.held is None else self.held.value,
        }

    def restore(self, state: dict[str, Any], actions: list[Any]) -> None:
        """Go on after a :meth:`state`; ``actions`` are those that may be held."""
        key = np.frombuffer(base64.b64decode(state["key"]), "<u4")
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": key.astype(np.uint32), "pos": state["pos"]},
        }
        self._draw_block()
        self._at = state["at"]
        self.held = next((a for a in actions if a.value == state["held"]), None)

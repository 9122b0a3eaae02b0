"""N games of Pong on a GPU, a thread each, played without the host."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda.emulator_kernels import kernels
from fastpg.cuda.functions import current_capability
from fastpg.cuda.launch_shape import games_a_block
from fastpg.cuda.memory import VIEW_BYTES, fixed_bytes, require_room
from fastpg.emulator import roms
from fastpg.emulator._emulator import SCRATCH_BYTES, SNAPSHOT_BYTES, put_under_rules, seed_bytes
from fastpg.envs.native_game import actions as actions_of
from fastpg.envs.native_game import frame_range, pong_cartridge
from fastpg.envs.rules import Rules
from fastpg.envs.seeds import seed_words
from fastpg.kernels._cuda import kernels as table_kernels
from fastpg.kernels._cuda.arrays import adopted, as_stream, stream_number, stream_of_arrays
from fastpg.kernels._cuda.jit import SCAN_THREADS, SIMULATED, WARP, cuda, require_device

TERMINATED, TRUNCATED = 1, 2  # bits of `dones`


class Played(NamedTuple):
    """What T steps of N environments gave, on the GPU.

    Attributes:
        rewards: (T, N) float32.
        dones: (T, N) uint8: 0, or of an episode that ended ``TERMINATED``, ``TRUNCATED`` or both.
        views: (T, N, 800) uint8: the 80x80 view after each step, of an episode that begins where
            one ended, a bit a pixel, row by row, the first pixel lowest
            (``np.unpackbits(views, axis=-1, bitorder="little")``); (T, N, 0) if none were wanted.
    """

    rewards: Any
    dones: Any
    views: Any


def free_and_fixed_bytes() -> tuple[int, int] | None:
    """Of the current GPU's memory, and what it takes whatever is played; None in the simulator."""
    require_device()
    if SIMULATED:
        return None
    context = cuda.current_context()
    context.deallocations.clear()  # numba frees arrays that nobody has only now and then
    free = context.get_memory_info().free
    return free, fixed_bytes(cuda.get_current_device())


class DevicePong:
    """N games of Pong on the current GPU, each equal to the CPU's with its seed, bit for bit.

    An episode's end begins the next at once, as ``NativeVectorEnv`` with
    ``AutoresetMode.SAME_STEP``. Launches go to one stream and wait for nothing; only
    :meth:`states`, :meth:`reset` and arrays of the host make the host wait. The games themselves
    need no copy between host and GPU.

    Attributes:
        num_envs: N.
        rules: the rules that they are played under.
        actions: what each action is as the emulator numbers it.
        stream: the stream, as numba's.
    """

    def __init__(
        self,
        rules: Rules,
        num_envs: int,
        *,
        steps: int = 1,
        views: bool = True,
        find_background: bool = True,
        actions: Sequence[int] | None = None,
        stream: Any = 0,
    ):
        """Get ready; the first time on a GPU the emulator is compiled, some twenty seconds.

        Args:
            rules: frame skip, sticky actions and the rest: ``fastpg.envs.rules.rules(env_id)``.
            num_envs: N.
            steps: the most of a launch: there must be room for what they give, too.
            views: whether views can be asked for; without, an eighth of the memory.
            find_background: as ``kernels.preprocess_palette``.
            actions: what each action is as the emulator numbers it; the game's own if None.
            stream: as ``fastpg.kernels.cuda.CudaBackend.on`` takes it.

        Raises:
            ValueError: rules of another game, or fewer than one environment.
            BackendUnavailable: no GPU, driver or compiler; the message says what to do.
            MemoryError: the GPU has too little; the message names the largest N that fits.
        """
        if rules.game != roms.PONG.name:
            raise ValueError(f"rules: expected those of pong, got {rules.game!r}")
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
        capability = current_capability()
        room = free_and_fixed_bytes()
        if room is not None:
            free, fixed = room
            require_room(num_envs, free, steps, views, fixed)
        self.num_envs, self.rules = num_envs, rules
        self.actions = actions_of(rules) if actions is None else tuple(actions)
        self.stream = as_stream(stream)
        self._number = stream_number(self.stream)
        self._kernels = kernels(capability)
        self._each = games_a_block(num_envs, blocks=16, least=1, most=WARP)
        self._shared = self._upload(self._made_shared(find_background))
        self._games = self._upload(np.zeros((num_envs, SNAPSHOT_BYTES), np.uint8))
        self._scratch = self._empty((num_envs, SCRATCH_BYTES if views else 0), np.uint8)
        self._fresh = True

    @property
    def arrays(self) -> tuple[Any, Any, Any]:
        """What kernels of your own give the functions of :mod:`fastpg.cuda.functions`.

        States (N, SNAPSHOT_BYTES) uint8, what games share (bytes,), scratch (N, SCRATCH_BYTES);
        always the same arrays.
        """
        return self._games, self._shared, self._scratch

    def _made_shared(self, find_background: bool) -> np.ndarray:
        rules = self.rules
        shared = pong_cartridge().shared(
            frame_range(rules),
            rules.repeat_action_probability,
            rules.max_num_frames_per_episode,
            rules.noop_max,
            bytes(self.actions),
            find_background,
        )
        return np.frombuffer(shared, np.uint8)

    def _upload(self, array: np.ndarray) -> Any:
        """A copy on the GPU, which must not outlive what it is copied from: this waits."""
        copy = cuda.to_device(array, stream=stream_of_arrays(self.stream))
        self.stream.synchronize()
        return copy

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return cuda.device_array(shape, dtype, stream=stream_of_arrays(self.stream))

    def _launch(self, kernel: Any, things: int, *arguments: Any, each: int = WARP) -> None:
        if things:  # a GPU has no grids of nothing
            kernel[-(-things // each), each, self.stream](*arguments)

    # ---- playing ----------------------------------------------------------------------------

    def reset(self, seed: int | Sequence[int | None] | None = None, *, views: bool = True) -> Any:
        """Begin an episode in every environment.

        Args:
            seed: of environment 0, the others have the next ones; or one for each; or None:
                random numbers go on, or the first time come from the system.
            views: whether to make views, as of :meth:`play`.

        Returns:
            (N, 800) uint8 on the GPU: the views, or (N, 0) if there are none.

        Raises:
            ValueError: another number of seeds, or one below 0.
        """
        seeds = self._seeds(seed)
        first = self._empty((self.num_envs, self._view_bytes(views)), np.uint8)
        arguments = self._games, self._shared, self._upload(seeds), self._scratch, first
        self._launch(self._kernels.begin, self.num_envs, *arguments, each=self._each)
        self._fresh = False
        return first

    def _seeds(self, seed: int | Sequence[int | None] | None) -> np.ndarray:
        if seed is None:
            if not self._fresh:
                return np.zeros((0, len(seed_bytes(seed_words(0)))), np.uint8)
            seed = [None] * self.num_envs
        elif isinstance(seed, (int, np.integer)):
            seed = range(int(seed), int(seed) + self.num_envs)
        if len(seed) != self.num_envs:
            raise ValueError(f"seed: expected {self.num_envs} seeds, got {len(seed)}")
        rows = b"".join(seed_bytes(seed_words(number)) for number in seed)
        return np.frombuffer(rows, np.uint8).reshape(self.num_envs, -1)

    def play(self, actions: Any, *, views: bool = True, out: Played | None = None) -> Played:
        """Play T steps of every environment in one launch.

        Args:
            actions: (T, N) uint8, numbers below ``len(self.actions)``, on the GPU (numba's, CuPy's,
                PyTorch's) or the host's; others, which are not looked for, do nothing.
            views: whether to make views. Without, only the games' end is the same in every bit:
                rewards, ends, memory, random numbers; masks that a picture needs may be stale.
            out: what an earlier call returned, for as many steps, to be written over.

        Raises:
            RuntimeError: before the first :meth:`reset`.
            ValueError: wrong shapes, or views of an object that makes none.
            TypeError: another dtype.
        """
        if self._fresh:
            raise RuntimeError("play: expected reset() before the first step")
        actions = self._adopted_actions(actions)
        if out is None:
            out = self._room(actions.shape[0], views)
        elif out.rewards.shape != actions.shape or (out.views.size > 0) != views:
            raise ValueError(f"out: expected room for {actions.shape[0]} steps, views: {views}")
        arguments = self._games, self._shared, actions, self._scratch, *out
        self._launch(self._kernels.play, self.num_envs, *arguments, each=self._each)
        return out

    def _adopted_actions(self, actions: Any) -> Any:
        if isinstance(actions, np.ndarray) and actions.dtype == np.uint8:
            actions = self._upload(np.ascontiguousarray(actions))
        actions = adopted(actions, self._number)
        if getattr(actions, "dtype", None) != np.uint8:
            raise TypeError(f"actions: expected uint8, got {getattr(actions, 'dtype', actions)}")
        if len(actions.shape) != 2 or actions.shape[1] != self.num_envs or not actions.shape[0]:
            raise ValueError(f"actions: expected (T, {self.num_envs}), got {actions.shape}")
        if not actions.is_c_contiguous():
            raise ValueError("actions: expected a C-contiguous array")
        return actions

    def _view_bytes(self, wanted: bool) -> int:
        return VIEW_BYTES if wanted and self._scratch.shape[1] else 0

    def _room(self, steps: int, views: bool) -> Played:
        if views and not self._scratch.shape[1]:
            raise ValueError("views: this object was made without")
        shape = steps, self.num_envs
        return Played(
            self._empty(shape, np.float32),
            self._empty(shape, np.uint8),
            self._empty((*shape, self._view_bytes(views)), np.uint8),
        )

    # ---- what the network looks at ----------------------------------------------------------

    def difference(
        self, current: Any, previous: Any, indices: Any, signs: Any, offsets: Any
    ) -> None:
        """Write sparse difference frames, as the op ``frame_difference`` of the views' pixels.

        Args:
            current: (B, 800) uint8 on the GPU, bits of views as :class:`Played` has them.
            previous: likewise, or None: nothing was lit.
            indices: (room,) uint16 on the GPU: pixels, row after row, ascending.
            signs: (room,) int8: +1 where ``current`` alone is lit, -1 where ``previous`` alone is.
            offsets: (B + 1,) int64: where each row begins; the last is the room that is needed,
                and nothing is written beyond what there is.
        """
        rows = current.shape[0]
        if previous is None:
            previous = self._empty((rows, 0), np.uint8)
        nothing = self._empty((0,), np.uint8)
        kernel = self._kernels
        self._launch(kernel.count_differences, rows, current, previous, nothing, offsets)
        table_kernels.sum_up[1, SCAN_THREADS, self.stream](offsets)
        self._launch(kernel.write_differences, rows, current, previous, offsets, indices, signs)

    def tiles(self, views: Any, tiles: Any, offsets: Any) -> None:
        """Write the tiles of views (csrc/network/tiles.h), as the CPU's compiled rollouts have
        them.

        Args:
            views: (B, 800) uint8 on the GPU, as :class:`Played` has them.
            tiles: (room,) uint16 on the GPU: one view's after the other's.
            offsets: (B + 1,) int64: as of :meth:`difference`.
        """
        rows, kernel = views.shape[0], self._kernels
        self._launch(kernel.count_tiles, rows, views, self._empty((0,), np.uint8), offsets)
        table_kernels.sum_up[1, SCAN_THREADS, self.stream](offsets)
        self._launch(kernel.write_tiles, rows, views, offsets, tiles)

    # ---- keeping ----------------------------------------------------------------------------

    def states(self) -> np.ndarray:
        """(N, SNAPSHOT_BYTES) uint8 on the host: the games, as the CPU's states of them."""
        copy = self._games.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return copy

    def restore(self, states: np.ndarray) -> None:
        """Take over :meth:`states`, of this layout; under the rules that are these games'.

        Raises:
            ValueError: another shape, or values that no game has.
        """
        states = np.array(states, np.uint8, order="C")
        if states.shape != (self.num_envs, SNAPSHOT_BYTES):
            expected = (self.num_envs, SNAPSHOT_BYTES)
            raise ValueError(f"states: expected {expected}, got {states.shape}")
        rules = self.rules
        sticky, most = rules.repeat_action_probability, rules.max_num_frames_per_episode
        if not put_under_rules(states, sticky, most):
            raise ValueError("states: expected those of games, got values that none has")
        self._games.copy_to_device(states, stream=self.stream)
        self.stream.synchronize()
        self._fresh = False

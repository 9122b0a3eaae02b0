"""N games of Pong on a GPU, one thread each, played without the host."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastpg.cuda.emulator_kernels import kernels
from fastpg.cuda.functions import current_capability
from fastpg.cuda.launch_shape import games_per_block
from fastpg.cuda.memory import VIEW_BYTES, fixed_bytes, require_environments_fit
from fastpg.emulator import roms
from fastpg.emulator._emulator import SCRATCH_BYTES, SNAPSHOT_BYTES, put_under_rules, seed_bytes
from fastpg.envs.native_game import actions as actions_of
from fastpg.envs.native_game import frame_range, pong_cartridge
from fastpg.envs.rules import Rules
from fastpg.envs.seeds import seed_words
from fastpg.kernels._cuda.arrays import adopted, as_stream, stream_number, stream_of_arrays
from fastpg.kernels._cuda.jit import WARP, cuda, require_device

TERMINATED, TRUNCATED = 1, 2  # bits of `dones`


class StepResults(NamedTuple):
    """Results of T steps of N environments, on the GPU.

    Attributes:
        rewards: (T, N) float32.
        dones: (T, N) uint8: 0, or for an episode that ended ``TERMINATED``, ``TRUNCATED`` or both.
        views: (T, N, 800) uint8: the 80x80 view after each step; where an episode ended, the first
            view of the next. One bit per pixel, row by row, least significant bit first:
            ``np.unpackbits(views, axis=-1, bitorder="little")``. (T, N, 0) without views.
    """

    rewards: Any
    dones: Any
    views: Any


def free_and_fixed_bytes() -> tuple[int, int]:
    """Free bytes of the current GPU, and bytes used regardless of the number of games."""
    require_device()
    context = cuda.current_context()
    context.deallocations.clear()  # numba frees arrays that nobody refers to only now and then
    free = context.get_memory_info().free
    return free, fixed_bytes(cuda.get_current_device())


class DevicePong:
    """N games of Pong on the current GPU, each bit-identical to the CPU's game of the same seed.

    When an episode ends, the next starts in the same step, as in ``NativeVectorEnv`` with
    ``AutoresetMode.SAME_STEP``. Launches go to one stream and do not wait. The host waits only in
    :meth:`states` and :meth:`reset`, and for arrays of its own. Playing copies nothing between host
    and GPU.

    Attributes:
        num_envs: N.
        rules: the rules of the games.
        actions: the emulator's number of each action.
        stream: the stream, as numba's object.
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
        """Allocate the games. The first use of a GPU compiles the emulator, some twenty seconds.

        Args:
            rules: frame skip, sticky actions and the rest: ``fastpg.envs.rules.rules(env_id)``.
            num_envs: N.
            steps: largest number of steps per launch, for the check that the results fit.
            views: whether views can be requested; without them the games take an eighth of the
                memory.
            find_background: as ``kernels.preprocess_palette``.
            actions: the emulator's number of each action; the game's own actions if None.
            stream: as ``fastpg.kernels.cuda.CudaBackend.on`` takes it.

        Raises:
            ValueError: rules of another game, or fewer than one environment.
            BackendUnavailable: no GPU, driver or compiler; the message has the cure.
            MemoryError: too little memory; the message has the largest N that fits.
        """
        if rules.game != roms.PONG.name:
            raise ValueError(f"rules: expected those of pong, got {rules.game!r}")
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, got {num_envs}")
        capability = current_capability()
        free, fixed = free_and_fixed_bytes()
        require_environments_fit(num_envs, free, steps, views, fixed)
        self.num_envs, self.rules = num_envs, rules
        self.actions = actions_of(rules) if actions is None else tuple(actions)
        self.stream = as_stream(stream)
        self._number = stream_number(self.stream)
        self._kernels = kernels(capability)
        self._games_per_block = games_per_block(num_envs, blocks=16, lowest=1, highest=WARP)
        self._shared = self._upload(self._shared_data(find_background))
        self._games = self._upload(np.zeros((num_envs, SNAPSHOT_BYTES), np.uint8))
        self._scratch = self._empty((num_envs, SCRATCH_BYTES if views else 0), np.uint8)
        self._unseeded = True

    @property
    def arrays(self) -> tuple[Any, Any, Any]:
        """Arrays for your own kernels that call :mod:`fastpg.cuda.functions`.

        States (N, SNAPSHOT_BYTES) uint8, data that the games share (bytes,) uint8, scratch memory
        (N, SCRATCH_BYTES) uint8. They are the same arrays for the lifetime of this object.
        """
        return self._games, self._shared, self._scratch

    def _shared_data(self, find_background: bool) -> np.ndarray:
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
        """Copy to the GPU; waits, because the source may be freed afterwards."""
        copy = cuda.to_device(array, stream=stream_of_arrays(self.stream))
        self.stream.synchronize()
        return copy

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return cuda.device_array(shape, dtype, stream=stream_of_arrays(self.stream))

    def _launch(self, kernel: Any, *arguments: Any) -> None:
        """Launch one thread per game."""
        threads = self._games_per_block
        kernel[-(-self.num_envs // threads), threads, self.stream](*arguments)

    # ---- playing ----------------------------------------------------------------------------

    def reset(self, seed: int | Sequence[int | None] | None = None, *, views: bool = True) -> Any:
        """Start an episode in every environment.

        Args:
            seed: of environment 0, the others get the following numbers; or one for each; or None:
                the random generators continue, or at the first reset are seeded by the system.
            views: whether to make views, as in :meth:`play`.

        Returns:
            (N, 800) uint8 on the GPU: the views, or (N, 0) without.

        Raises:
            ValueError: another number of seeds, or one below 0.
        """
        seeds = self._seeds(seed)
        first = self._empty((self.num_envs, self._view_bytes(views)), np.uint8)
        arguments = self._games, self._shared, self._upload(seeds), self._scratch, first
        self._launch(self._kernels.begin, *arguments)
        self._unseeded = False
        return first

    def _seeds(self, seed: int | Sequence[int | None] | None) -> np.ndarray:
        if seed is None:
            if not self._unseeded:
                return np.zeros((0, len(seed_bytes(seed_words(0)))), np.uint8)
            seed = [None] * self.num_envs
        elif isinstance(seed, (int, np.integer)):
            seed = range(int(seed), int(seed) + self.num_envs)
        if len(seed) != self.num_envs:
            raise ValueError(f"seed: expected {self.num_envs} seeds, got {len(seed)}")
        rows = b"".join(seed_bytes(seed_words(number)) for number in seed)
        return np.frombuffer(rows, np.uint8).reshape(self.num_envs, -1)

    def play(
        self, actions: Any, *, views: bool = True, out: StepResults | None = None
    ) -> StepResults:
        """Play T steps of every environment in one launch.

        Args:
            actions: (T, N) uint8, numbers below ``len(self.actions)``, on the GPU (numba's, CuPy's,
                PyTorch's) or the host. Other numbers are not checked; they act as the no-op.
            views: whether to make views. Without them rewards, dones, memory and random numbers are
                the same in every bit, but collision masks that only a picture needs may be stale.
            out: results of an earlier call with as many steps, to be overwritten.

        Raises:
            RuntimeError: before the first :meth:`reset`.
            ValueError: wrong shapes, or views of games that were made with ``views=False``.
            TypeError: another dtype.
        """
        if self._unseeded:
            raise RuntimeError("play: expected reset() before the first step")
        actions = self._adopted_actions(actions)
        if out is None:
            out = self._allocate_results(actions.shape[0], views)
        elif out.rewards.shape != actions.shape or (out.views.size > 0) != views:
            expected, got = (actions.shape, views), (out.rewards.shape, out.views.size > 0)
            raise ValueError(f"out: expected (T, N) and views as {expected}, got {got}")
        arguments = self._games, self._shared, actions, self._scratch, *out
        self._launch(self._kernels.play, *arguments)
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

    def _allocate_results(self, steps: int, views: bool) -> StepResults:
        if views and not self._scratch.shape[1]:
            raise ValueError("views: expected False, as views=False made these games, got True")
        shape = steps, self.num_envs
        return StepResults(
            self._empty(shape, np.float32),
            self._empty(shape, np.uint8),
            self._empty((*shape, self._view_bytes(views)), np.uint8),
        )

    # ---- snapshots --------------------------------------------------------------------------

    def states(self) -> np.ndarray:
        """(N, SNAPSHOT_BYTES) uint8 on the host: the games' states, in the CPU's layout."""
        copy = self._games.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return copy

    def restore(self, states: np.ndarray) -> None:
        """Restore states that :meth:`states` returned; the rules stay those of this object.

        Raises:
            ValueError: another shape, or values out of range.
        """
        states = np.array(states, np.uint8, order="C")
        if states.shape != (self.num_envs, SNAPSHOT_BYTES):
            expected = (self.num_envs, SNAPSHOT_BYTES)
            raise ValueError(f"states: expected {expected}, got {states.shape}")
        rules = self.rules
        sticky, max_frames = rules.repeat_action_probability, rules.max_num_frames_per_episode
        if not put_under_rules(states, sticky, max_frames):
            raise ValueError("states: expected states from states(), got values out of range")
        self._games.copy_to_device(states, stream=self.stream)
        self.stream.synchronize()
        self._unseeded = False

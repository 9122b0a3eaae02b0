"""Play our emulator and ale-py side by side and compare them after every action.

    python tests/proofs/lockstep.py --frames 10_000_000 --processes 2
    python tests/proofs/lockstep.py --replay lockstep-difference.json

Memory, reward, end and, as often as a plan says, the whole picture. The first difference is
printed, and what led to it is written to a file that ``--replay`` plays again.
"""

import argparse
import itertools
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ale_py import ALEInterface, LoggerMode

from fastpg.emulator import Emulator, pong_rom

BALL_ROW, PADDLE_ROW = 0x36, 0x33  # in Pong's RAM
NOOP, FIRE, UP, DOWN = 0, 1, 3, 4


@dataclass(frozen=True)
class Plan:
    """A way of playing.

    ``play``: random, held (random, for up to 8 steps), follow (the ball: long games, won), away
    (from the ball: lost), mixed (all of these in turn). ``look``: take the picture after every so
    many actions, 0 never. ``reset``: begin a new game after so many actions, 0 at its end only.
    """

    play: str
    seed: int
    sticky: float = 0.0
    skip: int = 1
    look: int = 1
    reset: int = 0


class Difference(AssertionError):
    """The two emulators differ: ``Difference(what, script)``; the script replays it."""

    @property
    def script(self) -> dict[str, Any]:
        """The plan, and the actions up to the difference."""
        return self.args[1]

    def __str__(self) -> str:
        return self.args[0]


def plans() -> Iterator[Plan]:
    """Yield plans without end; all combinations come up."""
    ways = itertools.cycle(
        itertools.product(
            ("follow", "random", "mixed", "held", "away"), (0.0, 0.25), (1, 4, 2, 3), (1, 4, 0)
        )
    )
    for seed, (play, sticky, skip, look) in enumerate(ways):
        yield Plan(play, seed, sticky, skip, look, 0 if seed % 4 else 700)


def actions(plan: Plan, emulator: Emulator) -> Iterator[int]:
    """Yield the plan's actions; some plans look at the game's RAM."""
    rng = np.random.default_rng(plan.seed)
    legal = [action.value for action in emulator.getMinimalActionSet()]
    ram = np.empty(128, np.uint8)

    def drawn() -> int:
        return int(legal[rng.integers(len(legal))])

    def towards() -> int:
        emulator.getRAM(ram)
        return UP if ram[PADDLE_ROW] > ram[BALL_ROW] else DOWN

    def once(play: str) -> Iterator[int]:
        if play == "random" or rng.random() < 0.1:
            yield drawn()
        elif play == "held":
            yield from [drawn()] * int(rng.integers(1, 9))
        elif play == "away":
            yield UP + DOWN - towards()
        else:
            yield towards()

    while True:
        play = plan.play
        if play == "mixed":
            play = ("random", "held", "follow", "away")[int(rng.integers(4))]
            for _ in range(int(rng.integers(1, 400))):
                yield from once(play)
        else:
            yield from once(play)


def start(kind: Any, plan: Plan) -> Any:
    """Create our emulator or ale-py's, with the plan's settings, and load Pong."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    emulator = kind()
    emulator.setInt("random_seed", plan.seed)
    emulator.setInt("frame_skip", plan.skip)
    emulator.setFloat("repeat_action_probability", plan.sticky)
    emulator.loadROM(pong_rom())
    return emulator


def compare(ours: Emulator, theirs: ALEInterface, look: bool, rewards: tuple[int, int]) -> str:
    """Describe what differs; empty if nothing does."""
    found = []
    if rewards[0] != rewards[1]:
        found.append(f"reward {rewards[0]}, expected {rewards[1]}")
    if ours.game_over() != theirs.game_over():
        found.append(f"game over {ours.game_over()}, expected {theirs.game_over()}")
    mine, other = ours.getRAM(), theirs.getRAM()
    if not np.array_equal(mine, other):
        bytes_ = [
            f"${128 + k:02X}: {mine[k]} for {other[k]}" for k in np.flatnonzero(mine != other)
        ]
        found.append("memory " + ", ".join(bytes_))
    if look:
        mine, other = ours.getScreen(), theirs.getScreen()
        if not np.array_equal(mine, other):
            rows = np.flatnonzero((mine != other).any(1)).tolist()
            found.append(f"picture, {(mine != other).sum()} pixels in rows {rows}")
    return "; ".join(found)


def play(plan: Plan, frames: int, script: list[int] | None = None) -> dict[str, int]:
    """Play this many frames in lockstep; return counts of what happened.

    Raises:
        Difference: the first one.
    """
    ours, theirs = start(Emulator, plan), start(ALEInterface, plan)
    chosen = iter(script) if script is not None else actions(plan, ours)
    counts = {"frames": 0, "pictures": 0, "won": 0, "lost": 0}
    played: list[int] = []
    since = 0

    def check(look: bool, rewards: tuple[int, int]) -> None:
        counts["pictures"] += look
        different = compare(ours, theirs, look, rewards)
        if different:
            text = f"{plan}: action {len(played)}, frame {theirs.getFrameNumber()}: {different}"
            raise Difference(text, {"plan": asdict(plan), "actions": played})

    check(bool(plan.look), (0, 0))
    for action in chosen:
        played.append(action)
        rewards = ours.act(action), theirs.act(action)
        check(bool(plan.look) and len(played) % plan.look == 0, rewards)
        since += 1
        if theirs.game_over() or since == plan.reset:
            if theirs.game_over():
                counts["won" if rewards[1] > 0 else "lost"] += 1
            since = 0
            ours.reset_game()
            theirs.reset_game()
            check(bool(plan.look), (0, 0))
        if theirs.getFrameNumber() >= frames:
            break
    counts["frames"] = theirs.getFrameNumber()
    return counts


def _one(job: tuple[Plan, int]) -> tuple[Plan, dict[str, int] | Difference]:
    try:
        return job[0], play(*job)
    except Difference as difference:
        return job[0], difference


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000_000, help="in all")
    parser.add_argument("--frames-per-plan", type=int, default=40_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save", type=Path, default=Path("lockstep-difference.json"))
    parser.add_argument("--replay", type=Path, help="a file that --save wrote")
    args = parser.parse_args()
    if args.replay:
        script = json.loads(args.replay.read_text())
        try:
            play(Plan(**script["plan"]), sys.maxsize, script["actions"])
        except Difference as difference:
            print(difference)
            return 1
        print("no difference")
        return 0
    per = min(args.frames_per_plan, args.frames)
    jobs = [(plan, per) for plan in itertools.islice(plans(), -(-args.frames // per))]
    total: dict[str, int] = {}
    began = shown = time.monotonic()
    with multiprocessing.Pool(args.processes) as pool:
        for _plan, result in pool.imap_unordered(_one, jobs):
            if isinstance(result, Difference):
                args.save.write_text(json.dumps(result.script))
                print(f"{result}\nreplay: python tests/proofs/lockstep.py --replay {args.save}")
                return 1
            for key, count in result.items():
                total[key] = total.get(key, 0) + count
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{shown - began:.0f} s: {total}", flush=True)
    print(f"no difference in {time.monotonic() - began:.0f} s: {total}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

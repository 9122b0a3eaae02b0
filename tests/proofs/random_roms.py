"""Run random test ROMs on the console of csrc/ and on ale-py, and compare after every frame.

Compared: the 128 bytes of RAM and the 210 x 160 picture. A ROM is made from its family and its seed
alone; so are the bytes that are poked into RAM and the actions between its frames.
"""

import argparse
import faulthandler
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.support import rom_bus, rom_cpu, rom_frames, rom_tia  # noqa: F401  (they register families)
from tests.support.emulator_core import Core, build, oracle
from tests.support.rom_decimal import compare_decimal
from tests.support.rom_generator import FAMILIES, Rom, make_rom, names

SCREEN = (210, 160)
WARM_UP = 3  # frames after the load: both frame buffers are then drawn
LOAD_SECONDS = 60  # a load that takes longer hangs: ale-py waits for RAM $96


class Result(NamedTuple):
    """Result of a comparison: frames compared, and the first difference."""

    frames: int
    difference: dict | None


def pokes(rom: Rom, rng: random.Random) -> dict[int, int]:
    """RAM bytes to change before the next frame, by address."""
    some = rng.sample(rom.cells, min(rom.pokes, len(rom.cells)))
    return {address: rng.randrange(256) for address in some}


def compare_state(core: Core, ale, screen) -> dict:
    """RAM bytes and rows of the picture that differ: address or row -> core's, ale-py's."""
    found = {}
    mine, theirs = core.ram(), ale.getRAM()
    bad = np.flatnonzero(mine != theirs)
    if bad.size:
        found["ram"] = {f"{0x80 + k:02X}": [int(mine[k]), int(theirs[k])] for k in bad}
    if screen is not None:
        rows = np.flatnonzero((core.screens[0] != screen).any(1))
        if rows.size:
            row = int(rows[0])
            columns = np.flatnonzero(core.screens[0][row] != screen[row])
            found["rows"] = rows.tolist()
            found["first row"] = {
                int(x): [int(core.screens[0][row, x]), int(screen[row, x])] for x in columns[:8]
            }
    return found


def compare(rom: Rom, library, folder: Path) -> Result:
    """The core and ale-py side by side, from the load on."""
    path = folder / "pong.bin"
    path.write_bytes(rom.data)
    core = Core(library, rom.data)
    if core.ram()[0x96 - 0x80]:
        return Result(
            0, {"frame": 0, "unusable": "RAM $96 is set after the load: ale-py would hang"}
        )
    faulthandler.dump_traceback_later(LOAD_SECONDS, exit=True, file=sys.__stderr__)
    ale = oracle(str(path))
    faulthandler.cancel_dump_traceback_later()
    if ale.getScreenDims() != SCREEN:
        return Result(0, {"frame": 0, "unusable": "ale-py takes it for PAL"})
    actions = {a.value: a for a in ale.getLegalActionSet()}
    rng = random.Random(f"host {rom.family} {rom.seed}")
    screen = np.zeros(SCREEN, np.uint8)
    found = compare_state(core, ale, None)
    if found:
        return Result(0, {"frame": 0} | found)
    changes = {}
    for frame in range(1, rom.frames + 1):
        for address, value in changes.items():
            core.poke(address & 127, value)
            ale.setRAM(address & 127, value)
        action = rng.choice((0, 0, 0, *actions))
        core.act(action)
        if core.error():
            return Result(frame - 1, None)
        ale.act(actions[action])
        if ale.game_over():
            break
        ale.getScreen(screen)
        found = compare_state(core, ale, screen)
        if found:
            return Result(frame, {"frame": frame, "action": action} | found)
        changes = pokes(rom, rng)
        if rom.flag and frame == WARM_UP:
            changes[0x80] = 1
    return Result(frame, None)


def save(rom: Rom, difference: dict, folder: Path) -> Path:
    """Write the ROM and the difference; return the JSON file, for --replay."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{rom.family}-{rom.seed}"
    (folder / f"{name}.bin").write_bytes(rom.data)
    path = folder / f"{name}.json"
    about = {"family": rom.family, "seed": rom.seed, "rom": f"{name}.bin"} | difference
    path.write_text(json.dumps(about, indent=1) + "\n")
    return path


def run(plan: list[tuple[str, int]], library, folder: Path, save_to: Path | None) -> int:
    """Compare ROMs by family and seed; prints progress and totals; returns how many differ."""
    done, differ, frames = Counter(), Counter(), Counter()
    begin = time.perf_counter()
    for k, (name, seed) in enumerate(plan, 1):
        rom = make_rom(name, seed)
        result = compare(rom, library, folder)
        done[name] += 1
        frames[name] += result.frames
        if result.difference:
            differ[name] += 1
            where = f", saved to {save(rom, result.difference, save_to)}" if save_to else ""
            print(
                f"DIFFERENCE {name} {seed}: frame {result.difference['frame']}{where}", flush=True
            )
        if k % 100 == 0:
            seconds = time.perf_counter() - begin
            print(f"{k} of {len(plan)} ROMs, {differ.total()} differ, {seconds:.0f} s", flush=True)
    print(f"{'family':14}{'ROMs':>6}{'frames':>8}{'differ':>8}")
    for name in done:
        print(f"{name:14}{done[name]:6}{frames[name]:8}{differ[name]:8}")
    print(f"{'all':14}{done.total():6}{frames.total():8}{differ.total():8}")
    return differ.total()


def replay(path: Path, library, folder: Path) -> int:
    """Compare a saved ROM again and print what differs."""
    about = json.loads(path.read_text())
    data = (path.parent / about["rom"]).read_bytes()
    rom = make_rom(about["family"], about["seed"])._replace(data=data)
    result = compare(rom, library, folder)
    print(json.dumps(result.difference, indent=1) if result.difference else "no difference")
    return int(result.difference is not None)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roms", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first ROM of each family")
    parser.add_argument("--family", choices=sorted(FAMILIES), help="only this one")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write ROMs that differ there")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a JSON file written by --save")
    parser.add_argument("--decimal", action="store_true", help="all decimal ADC and SBC instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = build(folder)
        if options.replay:
            return replay(options.replay, library, folder)
        if options.decimal:
            done, differ = compare_decimal(library, folder)
            print(f"{done} decimal sums and differences, {differ} differ")
            return int(differ > 0)
        chosen = [options.family] * options.roms if options.family else names(options.roms)
        seeds = Counter()
        plan = []
        for family in chosen:
            plan.append((family, options.seed + seeds[family]))
            seeds[family] += 1
        return int(run(plan, library, folder, options.save) > 0)


if __name__ == "__main__":
    sys.exit(main())

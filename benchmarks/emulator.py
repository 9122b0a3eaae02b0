"""Compare our emulator with ale-py's and with other vector environments, in one run.

``python benchmarks/emulator.py --rounds 5 --seconds 2`` builds the bare core with the package's
flags, runs all contenders in turn, round after round, and prints medians and ratios as a Markdown
table. Contenders that are not installed are named and left out. Frames are emulator frames, four
to an agent step. An action is held for 1 to 8 steps, as players do.
"""

import argparse
import importlib.util
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ale_py
import gymnasium
import numpy as np
from ale_py import ALEInterface, LoggerMode, roms

from fastpg.envs import NativeVectorEnv
from fastpg.system.cores import available_cores

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
SKIP, GAMES, CORES = 4, 64, available_cores()
# paddles instead of joysticks, the first player has the second one, reward known
GAME = {"pong": "111", "breakout": "100", "space_invaders": "000"}
NO_VECTORS = "-DA26_NO_VECTORS"

Contender = Callable[[float], float]


def build(folder: Path, game: str, *options: str) -> Path:
    """Compile benchmarks/emulator.c with a game's translation."""
    rom = roms.get_rom_path(game)
    program = folder / f"{game}{''.join(options)}"
    if not (folder / f"{game}.h").exists():
        command = [sys.executable, ROOT / "csrc/translate/rom_to_c.py", rom, game]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        (folder / f"{game}.h").write_text(text)
    named = [f'-DROM_H="{game}.h"', f"-DRUN=a2600_run_{game}", *options]
    includes = [f"-I{ROOT / 'csrc'}", f"-I{folder}"]
    source = ROOT / "benchmarks/emulator.c"
    command = ["cc", *FLAGS, *named, *includes, str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def core(program: Path, game: str, way: str, summaries: int = 0xFFFFFFFF) -> Contender:
    """The bare core, in a process of its own."""
    words = [str(program), str(roms.get_rom_path(game)), *GAME[game], way, str(summaries)]

    def run(seconds: float) -> float:
        done = subprocess.run([*words, str(seconds)], check=True, capture_output=True, text=True)
        return float(done.stdout)

    return run


def core_twice(program: Path, game: str, way: str) -> Contender:
    """Two processes of the bare core that share nothing: an upper bound for two threads."""
    words = [str(program), str(roms.get_rom_path(game)), *GAME[game], way, str(0xFFFFFFFF)]

    def run(seconds: float) -> float:
        command = [*words, str(seconds)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        rates = [float(process.communicate()[0]) for process in both]
        if any(process.returncode for process in both):
            raise RuntimeError(f"{command}: exit codes {[p.returncode for p in both]}")
        return sum(rates)

    return run


def bare_act(game: str) -> Contender:
    """``ALEInterface.act`` alone, without taking the picture."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setInt("frame_skip", SKIP)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    actions = ale.getMinimalActionSet()
    rng = np.random.default_rng(0)

    def run(seconds: float) -> float:
        frames, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            held = rng.integers(1, 9, 20).tolist()
            for k, times in zip(rng.integers(len(actions), size=20).tolist(), held, strict=True):
                for _ in range(times):
                    ale.act(actions[k])
                frames += times * SKIP
            if ale.game_over():
                ale.reset_game()
        return frames / took

    return run


def stepping(make: Callable[[], gymnasium.vector.VectorEnv], games: int = GAMES) -> Contender:
    """Steps of a vector environment with held actions, through episode ends."""

    def run(seconds: float) -> float:
        env = make()
        env.reset()
        rng = np.random.default_rng(0)
        actions = [rng.integers(6, size=games) for _ in range(64)]
        env.step(actions[0])
        steps, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            for _ in range(4):
                env.step(actions[steps // 4 % 64])
                steps += 1
        env.close()
        return steps * games * SKIP / took

    return run


def native(obs_type: str, threads: int, games: int = GAMES) -> Contender:
    """Our vector environment."""
    return stepping(
        lambda: NativeVectorEnv("ALE/Pong-v5", games, num_threads=threads, obs_type=obs_type), games
    )


def one_game() -> gymnasium.Env:
    """Gymnasium's own environment."""
    gymnasium.register_envs(ale_py)
    return gymnasium.make("ALE/Pong-v5", disable_env_checker=True)


def others() -> dict[str, Contender]:
    """Vector environments of other packages."""
    from ale_py import AtariVectorEnv
    from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

    found = {
        "ale-py AtariVectorEnv, 84x84": stepping(lambda: AtariVectorEnv("pong", GAMES)),
        "Gymnasium SyncVectorEnv, 8 games, RGB": stepping(lambda: SyncVectorEnv([one_game] * 8), 8),
        "Gymnasium AsyncVectorEnv, 8 games, RGB": stepping(
            lambda: AsyncVectorEnv([one_game] * 8, context="spawn"), 8
        ),
    }
    if importlib.util.find_spec("envpool"):
        import envpool

        def pool() -> gymnasium.vector.VectorEnv:
            return envpool.make("Pong-v5", env_type="gymnasium", num_envs=GAMES, frame_skip=SKIP)

        found["EnvPool, 84x84"] = stepping(pool)
    else:
        print("not installed: envpool", file=sys.stderr)
    return found


def contenders(folder: Path) -> dict[str, tuple[Contender, str]]:
    """Return all contenders: name -> (function, name of the base of its ratio)."""
    pong, plain = build(folder, "pong"), build(folder, "pong", NO_VECTORS)
    base = "ale-py act, pong"
    found = {base: (bare_act("pong"), base)}
    for way, text in (
        ("none", "no picture"),
        ("picture", "full picture every 4th frame"),
        ("view", "80x80 view every 4th frame"),
    ):
        found[f"core, {text}"] = core(pong, "pong", way), base
        found[f"core, {text}, no AVX"] = core(plain, "pong", way), base
    found["core, summaries off, no picture"] = core(pong, "pong", "none", 0), base
    found["core, interpreter, no picture"] = core(pong, "pong", "interpreter"), base
    for game in ("breakout", "space_invaders"):
        name = f"ale-py act, {game}"
        found[name] = bare_act(game), name
        program = build(folder, game)
        found[f"core, {game}, no picture"] = core(program, game, "none", 0), name
    loop = f"core, {GAMES} games in turn, 80x80 view"
    found[loop] = core(pong, "pong", "games"), base
    found[f"{loop}, 2 processes"] = core_twice(pong, "pong", "games"), loop
    found["step(), pong80, 1 thread"] = native("pong80", 1), loop
    found["step(), pong80, 2 threads"] = native("pong80", 2), "step(), pong80, 1 thread"
    one, two = (f"step(), pong80, 128 games, {n} thread{'s' * (n > 1)}" for n in (1, 2))
    found[one] = native("pong80", 1, 128), loop
    found[two] = native("pong80", 2, 128), one
    for kind in ("ram", "palette", "grayscale", "rgb", "dqn"):
        found[f"step(), {kind}, {CORES} threads"] = native(kind, CORES), base
    for name, how in others().items():
        found[name] = how, base
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", nargs="*", help="parts of names")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    gymnasium.logger.min_level = gymnasium.logger.ERROR
    multiprocessing.set_start_method("spawn", force=True)
    with tempfile.TemporaryDirectory() as folder:
        found = contenders(Path(folder))
        if args.only:
            wanted = {name for name in found if any(part in name for part in args.only)}
            wanted |= {found[name][1] for name in wanted}
            wanted |= {found[name][1] for name in wanted}
            found = {name: found[name] for name in found if name in wanted}
        rates: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(args.rounds):
            for name, (run, _base) in found.items():
                rates[name].append(run(args.seconds))
    print("| | frames/s | times | of |\n|---|--:|--:|---|")
    for name, (_, base) in found.items():
        ratios = [a / b for a, b in zip(rates[name], rates[base], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        times, of = (ratio, base) if base != name else ("", "")
        print(f"| {name} | {statistics.median(rates[name]):,.0f} | {times} | {of} |")
    if args.json:
        args.json.write_text(json.dumps(rates))


if __name__ == "__main__":
    main()

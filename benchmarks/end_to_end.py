"""How fast is training as a whole? Beside emulation alone, other packages and a NumPy loop.

    python benchmarks/end_to_end.py --rounds 5 --seconds 20

Contenders run alone on all cores, in turn, round after round. The table has medians, and medians
and ranges of the ratio of training to each contender in the same round. A package that is not
installed is left out with a message.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from fastpg.system.cores import available_cores

HERE = Path(__file__).parent
CORES = available_cores()


def bare_act_worker(seconds, seed, results):
    """``act`` under Pong-v0's rules, no picture read; frames of resets are not counted."""
    import ale_py
    import numpy as np

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", 0.25)
    ale.loadROM(ale_py.roms.get_rom_path("pong"))
    actions = ale.getMinimalActionSet()
    rng = np.random.default_rng(seed)
    frames, began = 0, perf_counter()
    while perf_counter() - began < seconds:
        for choice, skip in zip(
            rng.integers(2, 4, 256).tolist(), rng.integers(2, 5, 256).tolist(), strict=True
        ):
            action = actions[choice]
            for _ in range(skip):
                ale.act(action)
            frames += skip
            if ale.game_over():
                ale.reset_game()
    results.put(frames / (perf_counter() - began))


def bare_act(seconds):
    """ale-py's emulation alone, one process per core."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [
        context.Process(target=bare_act_worker, args=(seconds, seed, results))
        for seed in range(CORES)
    ]
    for worker in workers:
        worker.start()
    rates = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return {"frames": sum(rates), "steps": sum(rates) / 3}


def fastpg_train(seconds, *options):
    """``python -m fastpg.train``: playing and learning, without start-up."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fastpg.train", "--run-dir", f"{folder}/run"]
        command += ["--max-seconds", str(seconds), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        row = json.loads(Path(folder, "run", "metrics.jsonl").read_text().splitlines()[-1])
    return {
        "frames": row["emulator_frames"] / row["seconds"],
        "steps": row["agent_steps"] / row["seconds"],
        "emulation": row["seconds_emulation"] / row["seconds"],
        "forward": row["seconds_forward"] / row["seconds"],
        "learning": row["seconds_learning"] / row["seconds"],
        "startup": row["seconds_startup"],
    }


def numpy_loop(seconds):
    """``baseline.py``: the article's loop on one environment and one thread."""
    episodes = max(2, int(seconds))
    command = [sys.executable, "-W", "ignore", str(HERE / "baseline.py")]
    done = subprocess.run(
        [*command, "--episodes", str(episodes)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    result = json.loads(done.stdout.splitlines()[-1])
    return {
        "frames": result["emulator_frames_per_second"],
        "steps": result["agent_steps_per_second"],
    }


def _step_vector(env, seconds, num_envs, skip=4):
    import numpy as np

    rng = np.random.default_rng(0)
    env.reset()
    steps, began = 0, perf_counter()
    while perf_counter() - began < seconds:
        env.step(rng.integers(2, 4, num_envs).astype(np.int32))
        steps += num_envs
    rate = steps / (perf_counter() - began)
    env.close()
    return {"frames": rate * skip, "steps": rate}


def native_vector(seconds):
    """``NativeVectorEnv.step`` under Pong-v0's rules with 80x80 views, on all cores.

    Training plays the same games and computes the same views, but stores them as tiles.
    """
    from fastpg.envs import NativeVectorEnv

    games = 64
    env = NativeVectorEnv("Pong-v0", games, num_threads=CORES, obs_type="pong80")
    return _step_vector(env, seconds, games, skip=3)  # the mean of 2 to 4


def ale_vector(seconds):
    """ale-py's AtariVectorEnv.step: 84x84 greyscale, frame skip 4."""
    from ale_py.vector_env import AtariVectorEnv

    return _step_vector(AtariVectorEnv("pong", num_envs=16, num_threads=CORES), seconds, 16)


def envpool(seconds):
    """EnvPool's step: 84x84 greyscale, frame skip 4."""
    import envpool as package

    env = package.make_gymnasium("Pong-v5", num_envs=16, num_threads=CORES)
    return _step_vector(env, seconds, 16)


CONTENDERS = {
    "fastpg.train": fastpg_train,
    "fastpg.train --threads 1": lambda s: fastpg_train(s, "--threads", "1"),
    "NativeVectorEnv, stepping only, 80x80 views": native_vector,
    "fastpg.train --backend numba": lambda s: fastpg_train(s, "--backend", "numba"),
    "fastpg.train --emulator ale": lambda s: fastpg_train(s, "--emulator", "ale"),
    "fastpg.train --emulator ale --backend numba": lambda s: fastpg_train(
        s, "--emulator", "ale", "--backend", "numba"
    ),
    "bare ALEInterface.act, one process a core": bare_act,
    "NumPy loop of the article, one environment": numpy_loop,
    "ale-py AtariVectorEnv, stepping only": ale_vector,
    "EnvPool, stepping only": envpool,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all contenders (5)")
    parser.add_argument(
        "--seconds", type=float, default=20, help="seconds per contender and round (20)"
    )
    parser.add_argument("--only", help="only contenders whose name contains this")
    arguments = parser.parse_args()
    names = [name for name in CONTENDERS if (arguments.only or "") in name]
    if importlib.util.find_spec("envpool") is None:
        names = [name for name in names if not name.startswith("EnvPool")]
        print("EnvPool is not installed (pip install envpool): left out", file=sys.stderr)
    measured = {name: [] for name in names}
    for done in range(arguments.rounds):
        for name in names:
            measured[name].append(CONTENDERS[name](arguments.seconds))
            rate = measured[name][-1]["frames"]
            print(f"round {done + 1}: {name}: {rate:,.0f} frames/s", file=sys.stderr)
    print(f"\n{CORES} cores, {platform.machine()}, Python {platform.python_version()}\n")
    compared = [name for name in ("fastpg.train", "fastpg.train --emulator ale") if name in names]
    columns = "".join(f" {name} / this |" for name in compared)
    print(f"| | frames/s | agent steps/s |{columns}\n|---|--:|--:|{'--:|' * len(compared)}")
    for name, rows in measured.items():
        cells = [
            f"{statistics.median(row[key] for row in rows):,.0f}" for key in ("frames", "steps")
        ]
        for by in compared:
            ratios = [a["frames"] / b["frames"] for a, b in zip(measured[by], rows, strict=True)]
            low, high = min(ratios), max(ratios)
            cells.append(f"{statistics.median(ratios):.2f} ({low:.2f}-{high:.2f})")
        print(f"| {name} | {' | '.join(cells)} |")
    for name in names:
        if "emulation" in measured[name][0]:
            shares = {
                key: statistics.median(row[key] for row in measured[name])
                for key in ("emulation", "forward", "learning", "startup")
            }
            print(name, {key: round(value, 3) for key, value in shares.items()})


if __name__ == "__main__":
    main()

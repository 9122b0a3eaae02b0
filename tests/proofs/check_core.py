"""Check the C core of csrc/ with several compilers, sanitizers and fuzzers.

``python tests/proofs/check_core.py [compilers] [pictures] [targets] [sanitizers] [fuzzers]``
(default: all).
If a tool is missing, its check is skipped with a message; with ``--require``, as in CI, it fails.
Exit code 1 on any warning, difference, crash or hang.
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ale_py import roms
from check_core_nvrtc import compile_with_nvrtc, nvrtc_library

HERE = Path(__file__).resolve().parent
CSRC, SOURCES = HERE.parents[1] / "csrc", HERE / "c"
CORPUS = SOURCES / "corpus"
# a26_game_t: paddles, swapped, reset_frames, pong, draws_all_lines
CONSOLES = {
    "pong": (1, 1, 12, 1, 1),
    "breakout": (1, 0, 12, 0, 0),
    "freeway": (0, 0, 12, 0, 0),
    "space_invaders": (0, 0, 12, 0, 0),
    "boxing": (0, 0, 8, 0, 0),
}
INCLUDES = [f"-I{CSRC}", f"-I{SOURCES}"]
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
PORTABLE = ["-Wpedantic", "-DA26_NO_VECTORS", "-DA26_NO_LABEL_VALUES"]  # ISO C alone
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g1"]
# Under sanitizers, inlining takes minutes of compile time and finds nothing more.
QUICK = ["-std=gnu11", "-O0", "-DA26_FN=static __attribute__((unused))", "-ffp-contract=off"]
# The loader would choose clones before ThreadSanitizer is ready, so there are none.
THREADS = ["-fsanitize=thread", "-g1", "-DA26_NO_VECTORS", "-DFASTPG_CLONES="]
LIBRARIES = ["-lm", "-lpthread"]
BUILDS = {  # equal results are expected
    "vectors and labels": [],
    "words, without labels": ["-DA26_NO_VECTORS", "-DA26_NO_LABEL_VALUES"],
}
TARGETS = (  # name, compiler, what runs its programs
    ("x86-64", "gcc", []),
    ("ARM64", "aarch64-linux-gnu-gcc", ["qemu-aarch64-static"]),
    ("musl", "musl-gcc", []),
)
CUDA_TARGETS = ("sm_80", "sm_90")
ON_DEVICE = ["--relocatable-device-code=true", "--maxrregcount=128"]
PONG_ON_DEVICE = [
    '-DFASTPG_DEVICE_TRANSLATION="pong.c"',
    "-DFASTPG_DEVICE_RUN=a2600_run_pong",
    *ON_DEVICE,
]


class Missing(Exception):
    """A tool is not installed."""


def tool(name):
    """Return a program's path, or raise Missing."""
    path = shutil.which(name)
    if path is None:
        raise Missing(name)
    return path


def translator():
    """Import csrc/translate/rom_to_c.py."""
    folder = CSRC / "translate"
    if str(folder) not in sys.path:  # for its imports
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("rom_to_c", folder / "rom_to_c.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generate(folder, games, translated=True):
    """Write the translations and the table of games that tests/proofs/c/games.h includes."""
    folder.mkdir()
    translate = translator()
    # the fuzzer starts at the display kernel and at the score
    translate.COMPUTED_JUMPS["pong"] += (0x5D0, 0x585)
    includes, rows = [], []
    for game in games:
        data = Path(roms.get_rom_path(game)).read_bytes()
        data *= 4096 // len(data)
        if translated:
            (folder / f"{game}.c").write_text(translate.translate(data, game))
            includes.append(f'#include "{game}.c"')
        console, image = ", ".join(map(str, CONSOLES[game])), ", ".join(map(str, data))
        run = f"a2600_run_{game}" if translated else "0"
        rows.append(f'    {{"{game}", {{{console}}}, {run}, {{{image}}}}},')
    table = [*includes, "static const game_t GAMES[] = {", *rows, "};", ""]
    (folder / "games.inc").write_text("\n".join(table))


def run(title, command, timeout=600, cwd=None):
    """Run a command and return its output. If it fails, print the output and exit."""
    began = time.monotonic()
    done = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        cwd=cwd,
        check=False,
    )
    print(f"{title}: {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout)
        raise SystemExit(f"FAILED: {title}, exit code {done.returncode}")
    return done.stdout


def report_of_ptxas(log):
    """Print stack and spills of the functions that spill registers."""
    name = ""
    for line in log.splitlines():
        if found := re.search(r"Function properties for (\S+)", line):
            name = re.sub(r"^_ZN\d+_INTERNAL_\w+?_cu_[0-9a-f]{8}\d+", "", found[1])
        elif found := re.search(r"\d+ bytes stack frame, [1-9]\d* bytes spill.*", line):
            print(f"    {name}: {found[0]}")


def check_cuda(folder):
    """Compile cuda/device_games.cu by nvcc, or by NVRTC; if both exist, by NVRTC to PTX only."""
    nvcc, nvrtc = shutil.which("nvcc"), nvrtc_library()
    if not (nvcc or nvrtc):
        raise Missing("nvcc or the package nvidia-cuda-nvrtc")
    source, include = CSRC / "cuda/device_games.cu", [f"-I{CSRC}", f"-I{folder}"]
    # translations include the interpreter, to fall back on
    for target, name, options in (
        ("sm_80", "translated Pong", [*PONG_ON_DEVICE, *include]),
        ("sm_90", "translated Pong", [*PONG_ON_DEVICE, *include]),
        ("sm_90", "interpreter", [*ON_DEVICE, *include]),
    ):
        if nvcc:
            strict = ["--Werror", "all-warnings", "-Xptxas", "-v", f"-arch={target}", "-cubin"]
            command = [nvcc, *strict, *options, source, "-o", folder / "device.cubin"]
            report_of_ptxas(run(f"nvcc {target}, {name}", command))
        if nvrtc:
            target = target.replace("sm", "compute") if nvcc else target
            began = time.monotonic()
            log = compile_with_nvrtc(nvrtc, source, target, options)
            print(f"NVRTC {target}, {name}: {time.monotonic() - began:.0f} s", flush=True)
            report_of_ptxas(log)
            if "warning" in log or "error" in log:
                print(log)
                raise SystemExit(f"FAILED: NVRTC {target}, {name}")


def check_compilers(folder, _):
    """Compile the sources with gcc, clang and a CUDA compiler, warnings as errors."""
    generate(folder / "all", CONSOLES)
    generate(folder / "pong", ["pong"])
    for compiler, games, title, options in (
        ("gcc", "all", "", []),
        ("gcc", "pong", ", portable", PORTABLE),
        ("clang", "pong", "", []),
    ):
        command = [tool(compiler), *STRICT, *options, "-O1", *INCLUDES, f"-I{folder / games}"]
        command += ["-c", SOURCES / "pictures.c", "-o", folder / "core.o"]
        run(f"{compiler} -O1, {games}{title}", command)
    check_cuda(folder / "all")


def check_sanitizers(folder, _):
    """Run the programs of tests/proofs/c under address, UB and thread sanitizers."""
    generate(folder / "all", CONSOLES)
    generate(folder / "pong", ["pong"])
    compiler = [shutil.which("clang") or tool("gcc"), *QUICK, *INCLUDES]
    for title, games, options, source, arguments in (
        ("games, images, old age", "all", SANITIZE, "sanitize", [1000, 600]),
        ("Pong's kernel from random states", "pong", SANITIZE, "fuzz_pong_kernel", [800]),
        ("painting", "pong", SANITIZE, "paint", [50000]),
        ("vectors of games, television", "pong", SANITIZE, "host", [24, 60]),
        ("the same, data races", "pong", THREADS, "host", [12, 60]),
        ("games of a GPU, on the CPU", "pong", SANITIZE, "device", [300]),
        ("games that a network plays, learning", "pong", SANITIZE, "training", [60, 4]),
        ("the same, data races", "pong", THREADS, "training", [40, 3]),
    ):
        program = folder / source
        command = [*compiler, *options, "-DSTANDALONE", f"-I{folder / games}"]
        run("build", [*command, SOURCES / f"{source}.c", "-o", program, *LIBRARIES])
        # a forked child starts threads of its own, which ThreadSanitizer would forbid
        print(run(title, ["env", "TSAN_OPTIONS=die_after_fork=0", program, *arguments]))


def check_pictures(folder, _):
    """Compare the pictures of builds with and without vector instructions."""
    generate(folder / "all", CONSOLES)
    shown = {}
    for name, flags in BUILDS.items():
        program = folder / "pictures"
        command = [tool("gcc"), *QUICK, *flags, *INCLUDES, f"-I{folder / 'all'}"]
        run(f"build, {name}", [*command, SOURCES / "pictures.c", "-o", program])
        shown[name] = run(name, [program, 300, 200])
    if len(set(shown.values())) != 1:
        raise SystemExit(f"FAILED: {', '.join(shown)} do not show the same")


def check_fuzzers(folder, seconds):
    """Run the two libFuzzer targets, each for some seconds."""
    generate(folder / "pong", ["pong"])
    generate(folder / "rom", ["pong"], translated=False)
    compiler = [tool("clang"), *QUICK, *SANITIZE, "-fsanitize=fuzzer", *INCLUDES]
    for target, games in (("fuzz_core", "rom"), ("fuzz_pong_kernel", "pong")):
        program, found = folder / target, folder / f"{target}.corpus"
        found.mkdir()
        source = SOURCES / f"{target}.c"
        run(f"build {target}", [*compiler, f"-I{folder / games}", source, "-o", program])
        limits = [f"-max_total_time={seconds}", "-timeout=20", "-max_len=4099", "-seed=1"]
        log = run(target, [program, *limits, found, CORPUS / target], cwd=folder)
        print("   ", log.strip().splitlines()[-1])


def check_targets(folder, _):
    """Compare a training run on x86-64 with one on ARM64, by qemu, and one with musl's library."""
    generate(folder / "pong", ["pong"])
    digests = {}
    for name, compiler, emulator in TARGETS:
        program = folder / "training"
        command = [tool(compiler), *QUICK, *INCLUDES, f"-I{folder / 'pong'}", "-static"]
        run(f"build, {name}", [*command, SOURCES / "training.c", "-o", program, *LIBRARIES])
        words = [*map(tool, emulator), program, 40, 3]
        digests[name] = run(name, words)
    print(digests["x86-64"])
    if len(set(digests.values())) != 1:
        raise SystemExit(f"FAILED: {', '.join(digests)} do not learn the same: {digests}")


CHECKS = {
    "compilers": check_compilers,
    "pictures": check_pictures,
    "targets": check_targets,
    "sanitizers": check_sanitizers,
    "fuzzers": check_fuzzers,
}


def main():
    """Run the checks that were named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checks", nargs="*", help=f"{', '.join(CHECKS)}; default: all")
    parser.add_argument("--require", action="store_true", help="fail where a tool is missing")
    parser.add_argument("--seconds", type=int, default=20, help="for each fuzzer")
    arguments = parser.parse_args()
    for name in arguments.checks or CHECKS:
        if name not in CHECKS:
            parser.error(f"{name}: not one of {', '.join(CHECKS)}")
        print(f"-- {name}", flush=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                CHECKS[name](Path(folder), arguments.seconds)
        except Missing as missing:
            if arguments.require:
                sys.exit(f"FAILED: {name} needs {missing}")
            print(f"SKIPPED the rest of {name}: no {missing}")
    print("checks of the console core: passed, but for what is skipped above")


if __name__ == "__main__":
    main()

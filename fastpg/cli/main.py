"""The command ``fastpg``, also ``python -m fastpg``: its subcommands, and ``--version``.

Imports are delayed until they are needed, so ``fastpg --help`` answers at once.
"""

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module

import fastpg
from fastpg.system.output import lost_output, prepare_streams, print_error
from fastpg.system.uncaught import FAILED, import_failure

# Name: the function that takes the words and returns an exit code, and a description.
COMMANDS = {
    "train": ("fastpg.train:command", "train a policy network on Pong from its pixels"),
    "evaluate": ("fastpg.evaluate:main", "play whole episodes and report a policy's score"),
    "watch": ("fastpg.watch:main", "watch a policy play: terminal, window, mp4 or gif"),
    "report": ("fastpg.report:main", "make one HTML file about runs: curves, weights, a game"),
    "convert": (
        "fastpg.convert:main",
        "convert checkpoints to .npz or the article's save.p, and back",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code; 2 if there is no such subcommand."""
    words = sys.argv[1:] if argv is None else list(argv)
    prepare_streams()
    if not words or words[0] in ("-h", "--help", "help"):
        try:
            print(_help())
            lost = lost_output()
        except OSError as error:
            lost = error
        return FAILED if lost else 0 if words else 2
    if words[0] in ("--version", "-V"):
        from fastpg.cli.errors import guarded

        return guarded("fastpg", lambda _: print("\n".join(_version())), [])
    if words[0] not in COMMANDS:
        near = get_close_matches(words[0], [*COMMANDS, "--version", "--help"], 1)
        hint = f"; near is {near[0]}" if near else ""
        print_error(f"fastpg: no command {words[0]!r}{hint}; --help lists them")
        return 2
    module, _, function = COMMANDS[words[0]][0].partition(":")
    try:
        command: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    except (KeyboardInterrupt, ImportError) as error:
        found = import_failure(error)
        assert found is not None
        print_error(f"fastpg {words[0]}: {found[1]}")
        return found[0]
    return command(words[1:])


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: fastpg COMMAND [OPTIONS]      (or: python -m fastpg COMMAND [OPTIONS])",
            "",
            "Pong from pixels, fast.",
            "",
            *(f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()),
            "",
            "  fastpg COMMAND --help   explain every option of a command",
            "  fastpg --version        show version, vector instructions, cores, CUDA",
        ]
    )


def _version() -> list[str]:
    from fastpg.emulator._emulator import LAYOUT_VERSION, MOST_THREADS
    from fastpg.network._network import VECTORS
    from fastpg.system.cores import core_limit

    cores, reason = core_limit()
    return [
        f"fastpg {fastpg.__version__}",
        f"vector instructions  {VECTORS} (chosen at run time)",
        f"threads              {min(cores, MOST_THREADS)}: {cores} core{'s'[: cores != 1]} to run "
        f"on ({reason}), at most {MOST_THREADS} threads",
        f"CUDA                 {_cuda()}",
        f"emulator layout      {LAYOUT_VERSION} (of its saved states)",
    ]


def _cuda() -> str:
    """Ask the driver about devices, without loading a compiler."""
    import ctypes

    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "no driver"
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "a driver, no device"
    return f"{count.value} device{'s'[: count.value != 1]}"


if __name__ == "__main__":
    sys.exit(main())

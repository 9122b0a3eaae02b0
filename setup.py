"""Build the extension modules. Everything else about the package is in pyproject.toml."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent

# No -march: one wheel runs on every machine. The headers choose an instruction set at run time.
# No contraction: a*b+c must round twice, as in the reference, or backends would differ in bits.
# No errno and no traps: they are not used, and keep square roots and selects from vectorising.
if sys.platform == "win32":
    FLAGS = ["/O2", "/std:c11"]
else:
    FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-pthread"]

EMULATOR = "fastpg.emulator._emulator"
# Extension module -> its source.
SOURCES = {
    "fastpg.kernels._cython": "csrc/kernels/_cython.pyx",
    EMULATOR: "csrc/envs/_emulator.pyx",
    "fastpg.network._network": "csrc/network/_network.pyx",
    "fastpg.rollouts._rollouts": "csrc/rollouts/_rollouts.pyx",
}
# A change of any of these recompiles every extension.
DEPENDS = [
    str(path.relative_to(HERE))
    for pattern in ("csrc/**/*.h", "csrc/**/*.px[di]", "csrc/translate/*.py", "fastpg/**/*.pxd")
    for path in sorted(HERE.glob(pattern))
]
QUIET = [] if sys.platform == "win32" else ["-Wno-unused-label", "-Wno-unused-function"]
THREADS = [] if sys.platform == "win32" else ["-pthread"]
EXTENSIONS = [
    Extension(
        name,
        [source],
        include_dirs=["csrc"],
        depends=DEPENDS,
        extra_compile_args=[*FLAGS, *QUIET],
        extra_link_args=THREADS,
    )
    for name, source in SOURCES.items()
]


def load(path):
    """Import a Python file without its package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class BuildWithRom(build_ext):
    """Translates Pong's ROM, which ale-py ships, to C before the emulator is compiled.

    The translation stays in the build folder: it derives from the ROM and must not be distributed.
    """

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or True  # the extensions at the same time

    def build_extension(self, ext):
        if ext.name == EMULATOR:
            ext.include_dirs.append(self.translate())
        super().build_extension(ext)

    def translate(self):
        rom = load(HERE / "fastpg" / "emulator" / "roms.py").pong_rom()
        folder = Path(self.build_temp) / "roms"
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            str(HERE / "csrc" / "translate" / "rom_to_c.py"),
            str(rom),
            "pong",
        ]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        (folder / "rom_pong.h").write_text(text)
        return str(folder)


class BuildWithSources(build_py):
    """Copies the C sources beside the modules: GPU code is compiled on the user's machine."""

    def run(self):
        super().run()
        if self.editable_mode:  # the checkout has them
            return
        csrc, copies = HERE / "csrc", Path(self.build_lib) / "fastpg" / "csrc"
        for name in ("*.h", "*.cu", "translate/*.py"):
            for path in sorted(csrc.rglob(name)):
                copy = copies / path.relative_to(csrc)
                copy.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(path), str(copy))


setup(
    # c_emulator.pxd and c_network.pxd declare what the headers beside them define
    ext_modules=cythonize(EXTENSIONS, include_path=[".", "csrc/envs", "csrc/network"]),
    cmdclass={"build_ext": BuildWithRom, "build_py": BuildWithSources},
)

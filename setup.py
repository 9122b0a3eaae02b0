"""Build the extension modules. Everything else about the package is in pyproject.toml."""

import importlib
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CCompilerError, ExecError

HERE = Path(__file__).resolve().parent

# No -march: one wheel runs on every machine. The headers choose an instruction set at run time.
# No contraction: a*b+c must round twice, as in the reference, or backends would differ in bits.
# No errno and no traps: they are not used, and keep square roots and selects from vectorising.
if sys.platform == "win32":
    FLAGS = ["/O2", "/std:c11"]
else:
    FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-pthread"]

NEEDED = """fastpg needs a C compiler and Python's headers:
  Debian, Ubuntu:  apt-get install gcc python3-dev
  Fedora:          dnf install gcc python3-devel
  macOS:           xcode-select --install"""
# Extension module -> its source.
SOURCES = {
    "fastpg.kernels._cython": "csrc/kernels/_cython.pyx",
    "fastpg.emulator._emulator": "csrc/envs/_emulator.pyx",
    "fastpg.network._network": "csrc/network/_network.pyx",
    "fastpg.rollouts._rollouts": "csrc/rollouts/_rollouts.pyx",
}
# A change of any of these recompiles every extension.
DEPENDS = [
    str(path.relative_to(HERE))
    for pattern in ("csrc/**/*.h", "csrc/**/*.px[di]", "fastpg/**/*.pxd")
    for path in sorted(HERE.glob(pattern))
]
QUIET = [] if sys.platform == "win32" else ["-Wno-unused-label", "-Wno-unused-function"]
THREADS = [] if sys.platform == "win32" else ["-pthread"]


def of_package(name):
    """Import a module of the package, whose __init__ needs what is being built."""
    package = ModuleType("fastpg")
    package.__path__ = [str(HERE / "fastpg")]
    sys.modules["fastpg"] = package
    return importlib.import_module(name)


EXTENSIONS = [
    Extension(
        name,
        [source],
        include_dirs=["csrc"],
        depends=DEPENDS,
        extra_compile_args=[*FLAGS, *QUIET],
        extra_link_args=THREADS,
        define_macros=[("FASTPG_HEADERS", f'"{of_package("fastpg.system.c_sources").digest()}"')],
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


class BuildWithTranslation(build_ext):
    """Compiles the translation of Pong's ROM too, but only for an editable installation.

    It derives from the ROM, which ale-py ships, and must not be distributed. So no wheel has it.
    fastpg/system/translation.py compiles it when it is first needed.
    """

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or True  # the extensions at the same time

    def run(self):
        self.editable = self.inplace  # which setuptools unsets while it compiles
        super().run()

    def build_extensions(self):
        with ThreadPoolExecutor(1) as beside:
            translated = beside.submit(self.translate) if self.editable else None
            try:
                super().build_extensions()
            except (CCompilerError, ExecError) as error:
                raise SystemExit(f"fastpg cannot be compiled: {error}\n{NEEDED}") from None
            if translated is not None:
                translated.result()

    def translate(self):
        roms = load(HERE / "fastpg" / "emulator" / "roms.py")
        translation = of_package("fastpg.system.translation")
        try:
            rom = roms.pong_rom().read_bytes()
            target = translation.BESIDE / translation.library_name(roms.PONG.name, rom)
            if not translation.is_whole(target):
                for old in target.parent.glob("*"):
                    old.unlink()
                translation.compile_library(roms.PONG.name, rom, target)
        except (RuntimeError, OSError) as error:  # it is compiled later, or the ROM is interpreted
            print(f"Pong is not translated now: {error}", file=sys.stderr)


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
    cmdclass={"build_ext": BuildWithTranslation, "build_py": BuildWithSources},
)

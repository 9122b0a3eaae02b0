"""Builds the extension modules; everything else about the package is in pyproject.toml."""

import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

# No -march: one wheel runs on every machine, and the headers pick an instruction set at run time.
# No contraction: a*b+c must round twice, as in the reference, or backends would differ in bits.
# No errno and no traps: nobody reads them, and they keep square roots and choices out of vectors.
if sys.platform == "win32":
    FLAGS = ["/O2"]
else:
    FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]

EXTENSIONS = [
    Extension(
        "fastpg.kernels._cython",
        ["csrc/_kernels.pyx"],
        include_dirs=["csrc"],
        depends=["csrc/fastpg_rows.h", "csrc/fastpg_policy.h", "fastpg/kernels/_cython.pxd"],
        extra_compile_args=FLAGS,
    ),
]

setup(ext_modules=cythonize(EXTENSIONS, include_path=["."]))

"""Imported by every Python process of a command on the stand-in, see ../../README.md.

Makes numba-cuda link libraries for the CPU, and NVRTC return PTX. It replaces private functions of
numba-cuda and fastpg, so it depends on their releases: see ../requirements.py.
"""

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import SimpleNamespace


def link_for_the_cpu(driver):
    """Patch numba.cuda.cudadrv.driver: its linker returns the path of a library as the cubin."""
    from tests.gpu.ptx.build import kernels

    defined = [f"GPU_{what}" for what in ("CHECK", "COUNT") if os.environ.get(f"PTX_{what}")]

    def complete(linker):
        given = linker._object_codes
        late = [code for code in given if code.code_type == "ltoir"]
        texts = [code.code for code in given if code.code_type != "ltoir"]
        if late:  # link-time optimization: nvJitLink generates PTX from all of it
            whole = driver.Linker(*late, options=linker._get_linker_options(ptx=True))
            texts.append(whole.link("ptx").code)
            whole.close()
        library = kernels([text.rstrip(b"\0") for text in texts], *defined)
        linker._info_log = linker._error_log = ""
        linker.linker, linker._complete = library, True
        return driver.ObjectCode.from_cubin(os.fsencode(library) + b"\0")

    driver._Linker.complete = complete


def return_ptx(compiler):
    """Patch fastpg.cuda.compiler: NVRTC returns PTX where it is asked for a cubin."""
    found = compiler._nvrtc

    def nvrtc():
        own = vars(found())
        ptx = {f"nvrtcGetCUBIN{what}": own[f"nvrtcGetPTX{what}"] for what in ("", "Size")}
        return SimpleNamespace(**own | ptx)

    compiler._nvrtc = nvrtc


PATCHES = {"numba.cuda.cudadrv.driver": link_for_the_cpu, "fastpg.cuda.compiler": return_ptx}


class Patcher(MetaPathFinder):
    """Patches modules right after their import."""

    def __init__(self):
        self.found = set()

    def find_spec(self, name, path, target=None):
        """Return the module's own spec, with a loader that patches the module at the end."""
        if name not in PATCHES or name in self.found:
            return None
        self.found.add(name)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            PATCHES[name](module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Patcher())

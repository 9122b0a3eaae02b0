"""In each Python of a command: numba-cuda links libraries of the CPU, NVRTC writes PTX.

See tests/gpu/ptx/__init__.py. What is replaced is private to numba-cuda and to fastpg, so this
follows them.
"""

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import SimpleNamespace


def link_for_the_cpu(driver):
    """Of numba.cuda.cudadrv.driver: its linker writes the path of a library instead of a cubin."""
    from tests.gpu.ptx.build import kernels

    defined = [f"GPU_{what}" for what in ("CHECK", "COUNT") if os.environ.get(f"PTX_{what}")]

    def complete(linker):
        given = linker._object_codes
        late = [code for code in given if code.code_type == "ltoir"]
        texts = [code.code for code in given if code.code_type != "ltoir"]
        if late:  # what a GPU's code would be made of once all of it is known
            whole = driver.Linker(*late, options=linker._get_linker_options(ptx=True))
            texts.append(whole.link("ptx").code)
            whole.close()
        library = kernels([text.rstrip(b"\0") for text in texts], *defined)
        linker._info_log = linker._error_log = ""
        linker.linker, linker._complete = library, True
        return driver.ObjectCode.from_cubin(os.fsencode(library) + b"\0")

    driver._Linker.complete = complete


def hand_out_ptx(compiler):
    """Of fastpg.cuda.compiler: what NVRTC gives as a GPU's machine code is the PTX of it."""
    found = compiler._nvrtc

    def nvrtc():
        own = vars(found())
        ptx = {f"nvrtcGetCUBIN{what}": own[f"nvrtcGetPTX{what}"] for what in ("", "Size")}
        return SimpleNamespace(**own | ptx)

    compiler._nvrtc = nvrtc


CHANGES = {
    "numba.cuda.cudadrv.driver": link_for_the_cpu,
    "fastpg.cuda.compiler": hand_out_ptx,
}


class Changes(MetaPathFinder):
    """Changes modules as they are imported."""

    def __init__(self):
        self.asked = set()

    def find_spec(self, name, path, target=None):
        """The module's own, which changes it in the end."""
        if name not in CHANGES or name in self.asked:
            return None
        self.asked.add(name)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            CHANGES[name](module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Changes())

"""Compile with NVRTC, the CUDA compiler as a library, through ctypes: no GPU, no toolkit."""

import ctypes
import importlib.util
from pathlib import Path


def nvrtc_library():
    """Return the path of the library in the package nvidia-cuda-nvrtc (or -cu12), or None."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for pattern in ("cu*/lib/libnvrtc.so.*", "cuda_nvrtc/lib/libnvrtc.so.*"):
            for path in sorted(Path(folder).glob(pattern)):
                if "builtins" not in path.name and "alt" not in path.name:
                    return path
    return None


def compile_with_nvrtc(library, source, target, options):
    """Compile for sm_NN (binary) or compute_NN (PTX); returns the log."""
    nvrtc = ctypes.CDLL(str(library))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    text, name = Path(source).read_bytes(), Path(source).name.encode()
    words = [f"--gpu-architecture={target}", *options]
    if target.startswith("sm"):
        words.append("--ptxas-options=-v")
    encoded = (ctypes.c_char_p * len(words))(*(str(word).encode() for word in words))
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, name, 0, None, None):
        raise SystemExit("FAILED: NVRTC takes no program")
    code = nvrtc.nvrtcCompileProgram(program, len(words), encoded)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    result = nvrtc.nvrtcGetCUBINSize if target.startswith("sm") else nvrtc.nvrtcGetPTXSize
    result(program, ctypes.byref(size))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    message = log.value.decode(errors="replace")
    if code or not size.value:
        raise SystemExit(f"FAILED: NVRTC {target}, code {code}\n{message}")
    return message

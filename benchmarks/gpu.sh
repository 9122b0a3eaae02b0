#!/bin/sh
# Everything that needs a GPU, on a machine that has nothing but one: builds fastpg in a virtual environment of its
# own, runs the CUDA tests on the device, then measures (benchmarks/gpu.py) and prints one report, which is also
# written under benchmarks/results/.
#
#   benchmarks/gpu.sh [options of benchmarks/gpu.py]
#
# FASTPG_GPU_VENV: the environment's folder (build/gpu-venv). FASTPG_GPU_PYTHON: a Python that has all of it, in
# place of that. pip's own variables (PIP_NO_INDEX, PIP_FIND_LINKS) are for machines without a network.
set -eu
cd "$(dirname "$0")/.."

if ! { command -v nvidia-smi && nvidia-smi -L; } >/dev/null 2>&1; then
    echo "gpu.sh: no GPU here: nvidia-smi is missing or finds none; run this on a machine with NVIDIA's driver" >&2
    exit 1
fi
nvidia-smi -L

python=${FASTPG_GPU_PYTHON:-}
if [ -z "$python" ]; then
    cuda=$(nvidia-smi | sed -n 's/.*CUDA[A-Za-z ]*Version: *\([0-9]*\).*/\1/p' | head -n 1)
    extra=cuda
    if [ "${cuda:-12}" -ge 13 ]; then
        extra=cuda13
    fi
    venv=${FASTPG_GPU_VENV:-build/gpu-venv}
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    python=$venv/bin/python
    "$python" -m pip install -q -e ".[test,plot,$extra]"
fi

"$python" -m pytest -q tests/test_cuda.py tests/test_cuda_compile.py tests/test_device*.py
"$python" -m benchmarks.gpu "$@"

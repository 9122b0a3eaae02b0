#!/bin/sh
# Build, test and measure fastpg on a machine with a GPU and nothing else: makes a virtual
# environment, runs the CUDA tests on the device, measures with benchmarks/gpu.py, and prints one
# report, which is also written to benchmarks/results/. A failure does not stop it: failures are
# listed at the end.
#
#   benchmarks/gpu.sh [options of benchmarks/gpu.py]
#
# FASTPG_GPU_SECONDS  time limit of one file of tests (600)
# FASTPG_GPU_TESTS    "no": only measure
# FASTPG_GPU_VENV     folder of the virtual environment (build/gpu-venv)
# FASTPG_GPU_PYTHON   a Python that has everything installed, instead of a virtual environment
# pip's own variables (PIP_NO_INDEX, PIP_FIND_LINKS) work for machines without a network.
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
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then # missing or unfinished
        rm -rf "$venv"
        python3 -m venv "$venv"
    fi
    python=$venv/bin/python
    "$python" -m pip install -q -e ".[test,plot,$extra]"
fi

export NUMBA_ENABLE_CUDASIM=0 PYTHONUNBUFFERED=1
# numba's cache notices changes of a kernel's own file, but not of what the kernel calls: start with
# an empty one.
NUMBA_CACHE_DIR=$(mktemp -d)
export NUMBA_CACHE_DIR
trap 'rm -rf "$NUMBA_CACHE_DIR"' EXIT

failed=
# One process per file: after an error on the device, a process can no longer use it.
for tests in tests/gpu/cuda_ops.py tests/gpu/device_*.py; do
    [ "${FASTPG_GPU_TESTS:-yes}" != no ] || break
    timeout "${FASTPG_GPU_SECONDS:-600}" \
        "$python" -m pytest -q --maxfail=20 --durations=3 -p no:cacheprovider "$tests" || failed="$failed $tests"
done
"$python" -m benchmarks.gpu "$@" || failed="$failed benchmarks.gpu"
if [ -n "$failed" ]; then
    echo "gpu.sh: failed:$failed" >&2
    exit 1
fi

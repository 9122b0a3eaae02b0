#!/bin/sh
# Everything that needs a GPU, on a machine that has nothing but one: builds fastpg in a virtual environment of its
# own, runs the CUDA tests on the device, then measures (benchmarks/gpu.py) and prints one report, which is also
# written under benchmarks/results/. What fails is said at the end, after all has been measured that can be.
#
#   benchmarks/gpu.sh [options of benchmarks/gpu.py]
#
# FASTPG_GPU_SECONDS: of one file of tests, at most (600). FASTPG_GPU_TESTS=no: only measure. FASTPG_GPU_VENV: the environment's folder
# (build/gpu-venv). FASTPG_GPU_PYTHON: a Python that has all of it, in place of that. pip's own variables (PIP_NO_INDEX, PIP_FIND_LINKS) are for machines without a network.
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
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then # none, or one that was not finished
        rm -rf "$venv"
        python3 -m venv "$venv"
    fi
    python=$venv/bin/python
    "$python" -m pip install -q -e ".[test,plot,$extra]"
fi

export NUMBA_ENABLE_CUDASIM=0 PYTHONUNBUFFERED=1
# numba's cache sees changes of a kernel's own file alone, not of what the kernel calls: it begins empty.
NUMBA_CACHE_DIR=$(mktemp -d)
export NUMBA_CACHE_DIR
trap 'rm -rf "$NUMBA_CACHE_DIR"' EXIT

# A process each: an error on the device ends all that its process could still do there.
failed=
files="cuda_ops device_games device_rollouts device_learning device_training"
[ "${FASTPG_GPU_TESTS:-yes}" != no ] || files=
for tests in $files; do
    timeout "${FASTPG_GPU_SECONDS:-600}" \
        "$python" -m pytest -q --maxfail=20 --durations=3 -p no:cacheprovider "tests/$tests.py" || failed="$failed tests/$tests.py"
done
"$python" -m benchmarks.gpu "$@" || failed="$failed benchmarks.gpu"
if [ -n "$failed" ]; then
    echo "gpu.sh: failed:$failed" >&2
    exit 1
fi

#!/usr/bin/env bash
# All that a GPU can settle, in one command of at most 8 minutes (docs/gpu.md):
#   scripts/gpu_check.sh [--out FOLDER] [--steps NAME …]   on a machine with CUDA, Python 3.12 and PyTorch 2.11 or newer
#   scripts/gpu_check.sh --rehearse                        the same steps on a CPU, with tiny shapes
#   scripts/gpu_check.sh --report [FOLDER]                 what a run found, into results/ and docs/engine.md
# PYTHON says which Python (default: .venv's where there is one, else python3). A kit in gpu-kit/ is unpacked first.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; fi
fi
path="$PWD:$PWD/src"
if [ -f gpu-kit/site.tar.xz ] && [ "${PYTHON#.venv}" = "$PYTHON" ]; then
    if [ ! -f gpu-kit/site/.unpacked ] || [ gpu-kit/site.tar.xz -nt gpu-kit/site/.unpacked ]; then
        rm -rf gpu-kit/site
        "$PYTHON" -m tarfile --filter data -e gpu-kit/site.tar.xz gpu-kit/site
        touch gpu-kit/site/.unpacked
    fi
    path="$path:$PWD/gpu-kit/site"
fi
export PYTHONPATH="$path" PYTHONUNBUFFERED=1
exec "$PYTHON" -m scripts.gpu.check "$@"

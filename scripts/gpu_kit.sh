#!/usr/bin/env bash
# Packs into gpu-kit/ what scripts/gpu_check.sh needs on a machine without network beyond what is there (docs/gpu.md):
#   scripts/gpu_kit.sh [--have FILE]    FILE: its `pip list --format=freeze`; default: requirements/gpu-machine.txt
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD:$PWD/src"
exec "${PYTHON:-.venv/bin/python}" -m scripts.gpu.kit "$@"

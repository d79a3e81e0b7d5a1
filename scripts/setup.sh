#!/usr/bin/env bash
# Makes .venv ready: scripts/setup.sh [EXTRA...] with extras of corpus, tuning, compare, engine, serve, store, dev
# (default: all).
# Does nothing, in a blink, when nothing changed since the last time.
#   PYTHON=...          which Python 3.11 or 3.12 to use (default: the first one found)
#   SHOPTALK_NO_APT=1   never install Debian packages, only name those that are missing
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH_VERSION=2.13.0
PROGRAMS=(espeak-ng) # which the pipeline starts; the Debian packages have the same names
extras=("$@")
[ ${#extras[@]} -gt 0 ] || extras=(corpus tuning compare engine serve store dev)

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 1
}

is_fitting_python() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' > /dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3; do
        if is_fitting_python "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    if [ -x .venv/bin/python ] && is_fitting_python .venv/bin/python; then
        return
    fi
    local python
    if ! python=$(find_python); then
        fail "no Python 3.11 or 3.12 found. Install one (Debian 12: apt-get install python3 python3-venv)," \
            "or name it: PYTHON=/path/to/python3.11 make setup"
    fi
    # Debian keeps the module that makes virtual environments in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
        scripts/debian.sh "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

stamp_of() { # what the content of .venv depends on, in one line
    local extra files=(pyproject.toml scripts/setup.sh)
    for extra in "${extras[@]}"; do files+=("requirements/$extra.lock"); done
    .venv/bin/python - "$PWD" "${files[@]}" << 'END'
import hashlib, pathlib, sys
content = [sys.argv[1].encode(), *(pathlib.Path(file).read_bytes() for file in sys.argv[2:])]
print(hashlib.sha256(b"\0".join(content)).hexdigest())
END
}

install_packages() {
    local extra locks=() torch=()
    for extra in "${extras[@]}"; do
        locks+=(--requirement "requirements/$extra.lock")
        case $extra in corpus | tuning | engine | serve) torch=("torch==$TORCH_VERSION") ;; esac
    done
    local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input)
    # setuptools first and alone, so that the few packages without a wheel are built by the pinned one, not by
    # whatever is newest. Then the lock, with hashes. Then torch: all it needs is there, so pip adds nothing of its own
    # choice but what this machine's build of torch asks for. Bytecode is compiled at the first import: doing it for all
    # that NeMo brings takes longer than the rest.
    say "installing pinned packages for: ${extras[*]} (some minutes the first time)"
    awk '/^[a-z]/ {wanted = /^setuptools==/} wanted' "requirements/${extras[0]}.lock" > .venv/setuptools.lock
    "${pip[@]}" install --quiet --no-deps --require-hashes --requirement .venv/setuptools.lock &&
        "${pip[@]}" install --quiet --no-deps --require-hashes --no-build-isolation --no-compile \
            "${locks[@]}" &&
        { [ ${#torch[@]} -eq 0 ] || "${pip[@]}" install --quiet --no-compile "${torch[@]}"; } &&
        "${pip[@]}" install --quiet --no-deps --no-build-isolation --editable .
}

for extra in "${extras[@]}"; do
    [ -f "requirements/$extra.lock" ] || fail "unknown extra '$extra'; there are: corpus, tuning, compare, engine, serve, piper, polly, riva, ray, store, dev"
done
scripts/debian.sh "${PROGRAMS[@]}"
make_venv
stamp=$(stamp_of)
if [ "$(cat .venv/setup.stamp 2> /dev/null)" = "$stamp" ]; then
    exit 0
fi
rm -f .venv/setup.stamp
install_packages
printf '%s\n' "$stamp" > .venv/setup.stamp
say "ready: .venv/bin/shoptalk --help"

#!/usr/bin/env bash
# Resolves pyproject.toml anew and writes requirements/*.lock: every file of every pinned release with its sha256, for
# Python 3.11 and 3.12 on Linux and macOS. Run it as `make lock` after changing a dependency.
# `make lock UPGRADE=1` takes the newest versions; without it, pins that still fit are kept.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
EXTRAS=(corpus tuning compare engine serve piper polly riva ray store dev)
CLIENTS=(clients clients-openai2) # environments of their own, which share no version with the rest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-.venv/bin/python}" -m venv "$work/tool"
"$work/tool/bin/python" -m pip install --quiet "uv==$UV_VERSION"

# An impossible marker takes torch, and with it CUDA's wheels, out of the resolution.
echo "torch ; python_version < '0'" > "$work/without-torch.txt"
# nvidia-riva-client asks for an old websockets and for a compiler of messages; the messages that we use need neither.
printf '%s\n' "websockets>=16" "grpcio-tools ; python_version < '0'" > "$work/riva.txt"
echo "setuptools" > "$work/setuptools.in"
if [ -z "${UPGRADE:-}" ]; then
    for extra in "${EXTRAS[@]}"; do cat "requirements/$extra.lock"; done > "$work/kept.txt" 2> /dev/null || true
fi

compile() { # OUTPUT ARGUMENTS...: no --index-url lines, no machine names in what is written
    local output=$1
    shift
    "$work/tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --fork-strategy fewest \
        --no-annotate --no-emit-index-url --no-emit-find-links --override "$work/without-torch.txt" \
        --output-file "$output" "$@" > /dev/null
}

[ -s "$work/kept.txt" ] && cp "$work/kept.txt" "$work/all.lock"   # uv keeps the versions its output file has
compile "$work/all.lock" pyproject.toml requirements/torch.in --all-extras --override "$work/riva.txt"
for name in "${CLIENTS[@]}"; do
    [ -n "${UPGRADE:-}" ] || ! [ -s "requirements/$name.lock" ] || cp "requirements/$name.lock" "$work/$name.lock"
    compile "$work/$name.lock" "requirements/$name.in"
done
for extra in "${EXTRAS[@]}"; do
    inputs=(pyproject.toml "$work/setuptools.in" --extra "$extra")
    case $extra in corpus | tuning | engine | serve) inputs+=(requirements/torch.in) ;; esac
    compile "$work/$extra.lock" "${inputs[@]}" --constraint "$work/all.lock" --override "$work/riva.txt"
done
for extra in "${EXTRAS[@]}" "${CLIENTS[@]}"; do
    {
        echo "# Made by \`make lock\`; use: pip install --no-deps --require-hashes -r requirements/$extra.lock"
        cat "$work/$extra.lock"
    } > "requirements/$extra.lock"
    echo "requirements/$extra.lock: $(grep -c '^[a-z0-9].*==' "requirements/$extra.lock") packages"
done

#!/usr/bin/env bash
# Installs programs of Debian packages where they are missing: scripts/debian.sh PACKAGE...
# A package counts as there if a program of its name is, or if dpkg says so. Where it cannot install, it names what to do.
#   SHOPTALK_NO_APT=1   never install, only name what is missing
set -euo pipefail

is_there() { # PACKAGE
    command -v "$1" > /dev/null || dpkg-query --show --showformat='${Status}' "$1" 2> /dev/null | grep -q ' installed$'
}

missing=()
for package in "$@"; do
    is_there "$package" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && [ -z "${SHOPTALK_NO_APT:-}" ] && command -v apt-get > /dev/null; then
    printf 'setup: installing Debian packages: %s\n' "${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq < /dev/null
    apt-get install -qq -y --no-install-recommends "${missing[@]}" < /dev/null > /dev/null
    exit 0
fi
if command -v brew > /dev/null; then
    how="Install with: brew install ${missing[*]}"
else
    how="Install with: sudo apt-get install ${missing[*]} (or your system's equivalent), then run this again"
fi
printf 'setup: error: missing: %s. %s\n' "${missing[*]}" "$how" >&2
exit 1

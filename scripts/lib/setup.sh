# shellcheck shell=bash
# Sourced by the scripts beside it: one virtual environment with bundler, and with EXTRAS=[dev] also what its
# development needs. After it, $PYTHON is its interpreter. It stands in $BUNDLER_VENV or .venv.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=${BUNDLER_VENV:-$ROOT/.venv}
PYTHON=$VENV/bin/python

say() { printf '%s\n' "$*" >&2; }

# The newest interpreter of 3.10 or later that can make a virtual environment.
find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_environment() {
    local stamp="$VENV/.made-from" wanted made extras=${EXTRAS:-}
    made=$(cat "$stamp" 2>/dev/null || true)
    case "$made" in
        *"[dev]") extras="[dev]" ;; # what a developer installed is not taken away by a run that needs less
    esac
    wanted=$(sha256sum <"$ROOT/pyproject.toml" | cut -d' ' -f1)$extras
    if [ -x "$PYTHON" ] && [ "$made" = "$wanted" ]; then
        return
    fi
    local base
    if ! base=$(find_python); then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "installing python3 and python3-venv from the distribution's packages"
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy python3 python3-venv; } >/dev/null
            base=$(find_python)
        else
            say "no Python of 3.10 or later with venv was found"
            say "do: install python3 and python3-venv with your package manager, then run this again"
            exit 10
        fi
    fi
    say "making the virtual environment in $VENV ($("$base" --version))"
    "$base" -m venv "$VENV"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable "$ROOT$extras" >&2
    printf '%s\n' "$wanted" >"$stamp"
}

make_environment

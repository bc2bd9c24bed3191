# Sourced by the scripts beside it: one virtual environment with bundler and what its development needs.
# After it, $PYTHON is that environment's interpreter. The environment stands in $BUNDLER_VENV or .venv.

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
    local stamp="$VENV/.made-from" wanted
    wanted=$(cat "$ROOT/pyproject.toml" | sha256sum | cut -d' ' -f1)
    if [ -x "$PYTHON" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    local base
    if ! base=$(find_python); then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "installing python3 and python3-venv from the distribution's packages"
            apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qy python3 python3-venv >&2
            base=$(find_python)
        else
            say "no Python of 3.10 or later with venv was found"
            say "do: install python3 and python3-venv with your package manager, then run this again"
            exit 10
        fi
    fi
    say "making the virtual environment in $VENV ($("$base" --version))"
    "$base" -m venv "$VENV"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable "$ROOT[dev]" 2>&1 | grep -v '^WARNING' >&2 || true
    "$PYTHON" -c 'import bundler, click, docker, pytest, pydantic'
    printf '%s\n' "$wanted" >"$stamp"
}

make_environment

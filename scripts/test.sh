#!/usr/bin/env bash
# Every test. Python's run side by side, as many as there are cores, four at most; beside them, at the lowest priority,
# the contracts', and those of kernels again with bounds checks on and with the JIT off: some Python tests drive a live
# chain whose blocks do not wait.
#   scripts/test.sh FORGE KERNEL_TEST…
set -uo pipefail
cd "$(dirname "$0")/.."
forge=$1
shift
log=build/test
mkdir -p "$log"
failed=()

# A gas figure other than the committed one fails: docs/development.md says how to accept it.
(cd contracts && FORGE_SNAPSHOT_CHECK=true nice -n 19 "$forge" test --offline) >"$log/forge.log" 2>&1 &
contracts=$!
NUMBA_BOUNDSCHECK=1 nice -n 19 .venv/bin/python -m pytest "$@" >"$log/boundscheck.log" 2>&1 &
bounds=$!
NUMBA_DISABLE_JIT=1 nice -n 19 .venv/bin/python -m pytest "$@" >"$log/interpreted.log" 2>&1 &
interpreted=$!
# Short, for the folders of tests hold sockets, whose paths may have 107 bytes.
folders=$(mktemp -d)
trap 'kill "$contracts" "$bounds" "$interpreted" 2>/dev/null; rm -rf "$folders"' EXIT

.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal --basetemp "$folders/t" --durations 25 ||
    failed+=("pytest")

for kernels in boundscheck:$bounds interpreted:$interpreted; do
    if wait "${kernels#*:}"; then
        lines=1
    else
        failed+=("kernels, ${kernels%:*}")
        lines=100
    fi
    echo "kernels: $log/${kernels%:*}.log"
    tail -n "$lines" "$log/${kernels%:*}.log"
done

echo "contracts: forge test, $log/forge.log"
wait "$contracts" || failed+=("forge test")
trap 'rm -rf "$folders"' EXIT
if [[ " ${failed[*]} " == *" forge test "* ]]; then
    grep -E -A 8 '\[FAIL|Failed to match|Error|panicked' "$log/forge.log" | tail -n 200
fi
tail -n 2 "$log/forge.log"

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'test: failed: %s\n' "${failed[@]}" >&2
    exit 1
fi

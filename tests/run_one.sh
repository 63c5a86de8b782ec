#!/usr/bin/env bash
# run_one.sh - runs one test program and judges what it said. tests/run.sh starts several of these at a time.
# Usage: tests/run_one.sh MODE KIND NAME COMMAND [ARGUMENT...]
# Writes build/test-logs/MODE.NAME.log and beside it .counts: passed, failed, skipped, seconds. Always exits 0.
set -uo pipefail
mode=$1 kind=$2 name=$3
shift 3
log=build/test-logs/$mode.$name.log
# A test that hangs fails; macOS has no timeout(1) of its own.
limit=(env)
command -v timeout >/dev/null && limit=(timeout 600)

begun=$SECONDS
"${limit[@]}" "$@" >"$log" 2>&1 </dev/null
status=$?
seconds=$((SECONDS - begun))
# cmocka writes a skipped test as "not ok N # SKIP name", TAP's own way is "ok N # SKIP reason".
skip=$(grep -cE '^(not )?ok .*# *SKIP' "$log")
ok=$(grep -E '^ok ' "$log" | grep -cvE '# *SKIP')
bad=$(grep -E '^not ok ' "$log" | grep -cvE '# *SKIP')
# One program may hold several groups, each with a plan.
plan=$(grep -oE '^1\.\.[0-9]+' "$log" | awk -F'\\.\\.' '{n += $2} END {print n + 0}')
if [ "$plan" -eq 0 ] || [ $((ok + bad + skip)) -ne "$plan" ] || { [ $status -ne 0 ] && [ "$bad" -eq 0 ]; }; then
    bad=$((bad + 1))
    echo "# exit status $status, plan $plan, $ok ok" >>"$log"
fi
echo "$ok $bad $skip $seconds" >"${log%.log}.counts"
# One write, so that what several say at once stays apart.
said=$(
    printf '%-8s %-5s %-32s %4d ok %3d failed %3d skipped %4d s\n' "$mode" "$kind" "$name" "$ok" "$bad" "$skip" "$seconds"
    [ "$skip" -gt 0 ] && grep -E '^(not )?ok .*# *SKIP' "$log" | sed -E 's/^(not )?ok [0-9]+( -)?/    skipped:/'
    [ "$bad" -gt 0 ] && tail -n 40 "$log" | sed 's/^/    | /'
)
printf '%s\n' "$said"

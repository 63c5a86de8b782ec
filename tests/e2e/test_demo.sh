#!/usr/bin/env bash
# test_demo.sh - scripts/demo.sh shows what the README says it shows, and fails when the service does.
# Usage: test_demo.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# Programs built outside the checkout do not find its model by themselves.
[ -d "$build/../../models/starter" ] || export ECAPA_CACHE_DIR=models/starter
n=0

check() { # text, command...: one TAP line; what the demo said is shown on failure
    local text=$1
    shift
    n=$((n + 1))
    if "$@"; then
        echo "ok $n - $text"
    else
        echo "not ok $n - $text"
        sed 's/^/# /' "$work/said"
    fi
}

demo() {
    timeout 120 scripts/demo.sh "$build" >"$work/said" 2>&1
}

similarity() { # line of the demo's output, by its first words
    sed -nE "s/^ *$1: +similarity (-?[0-9.e-]+), verified: (true|false)\$/\\1 \\2/p" "$work/said"
}

closer_and_verified() {
    local one two
    one=$(similarity "one reader, two recordings")
    two=$(similarity "two readers")
    [[ $one == *" true" && $two == *" false" ]] || return 1
    awk -v one="${one% *}" -v two="${two% *}" 'BEGIN { exit !(one > two + 0.1 && one <= 1 && two >= -1) }'
}

nothing_left_behind() {
    local port
    port=$(sed -nE 's/.*http:\/\/127\.0\.0\.1:([0-9]+).*/\1/p' "$work/said" | head -n 1)
    [ -n "$port" ] && ! curl -s -o "$work/left" "http://127.0.0.1:$port/health"
}

without_a_service() { # a setting that the service refuses: the demo says so and fails
    ! VOXLOCK_QUEUE=many demo && grep -q VOXLOCK_QUEUE "$work/said"
}

without_a_model() {
    ! ECAPA_CACHE_DIR=/nonexistent demo && ! grep -q "similarity" "$work/said"
}

check "it runs to its end" demo
check "it shows an embedding" grep -qE '"embedding": ?\[(-?[0-9.e-]+,){3} ?\.\.\. 189 more\]' "$work/said"
check "one reader's recordings are closer than two readers', and the verdicts follow" closer_and_verified
check "the service ended with status 0" grep -q "ended with status 0" "$work/said"
check "it enrols a voice" grep -q "^ *\[3/3\] .*good" "$work/said"
check "the owner's fourth recording is accepted" grep -q "the voice is accepted" "$work/said"
check "another reader is not" grep -q "the voice is not accepted" "$work/said"
check "a replay of an enrolled recording is known for one" grep -q "this looks like a recording" "$work/said"
check "all tables of evidence are shown" [ "$(grep -cE '^ *(ml|physics) +valid' "$work/said")" = 6 ]
check "nothing is left running" nothing_left_behind
check "it fails when the service does not start" without_a_service
check "it fails when there is no model" without_a_model
echo "1..$n"

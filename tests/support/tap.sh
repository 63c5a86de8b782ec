# tap.sh - sourced by shell tests: one TAP line for each check. Needs a folder in $work.
# shellcheck shell=bash
n=0

check() { # text, command...: what the command said is shown on failure
    local text=$1
    shift
    n=$((n + 1))
    # shellcheck disable=SC2154
    if "$@" >"$work/said" 2>&1; then
        echo "ok $n - $text"
    else
        echo "not ok $n - $text"
        sed 's/^/# /' "$work/said"
    fi
}

# tap.sh - sourced by shell tests: one TAP line for each check, counted in n and failed. Needs a folder in $work.
# shellcheck shell=bash disable=SC2034
n=0 failed=0

check() { # text, command...: what the command said is shown on failure
    local text=$1
    shift
    n=$((n + 1))
    # shellcheck disable=SC2154
    if "$@" >"$work/said" 2>&1; then
        echo "ok $n - $text"
    else
        failed=$((failed + 1))
        echo "not ok $n - $text"
        sed 's/^/# /' "$work/said"
    fi
}

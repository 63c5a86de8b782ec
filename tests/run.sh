#!/usr/bin/env bash
# run.sh - builds and runs every test, in every build mode it is meant for, and adds up the results.
# Usage: tests/run.sh [--only KIND] [--mode MODE] [--coverage]
#   KIND  unit, api, e2e, fuzz, image: that folder only
#   MODE  release, asan, tsan, cov: that mode only (default: release, asan, tsan)
# Every test program speaks TAP; a crash, a missing plan or a non-zero exit is a failure of its own.
# Last line: N passed, N failed, N skipped. Exit status 0 only if nothing failed and something passed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

only=all modes="release asan tsan" coverage=no
while [ $# -gt 0 ]; do
    case $1 in
    --only) only=$2; shift 2 ;;
    --mode) modes=$2; shift 2 ;;
    --coverage) coverage=yes; shift ;;
    *) echo "run.sh: unknown argument '$1'" >&2; exit 2 ;;
    esac
done

export CMOCKA_MESSAGE_OUTPUT=tap
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1
# The file says what each of these is for; without libtorch none of it matters.
export LSAN_OPTIONS=use_tls=0:print_suppressions=0:suppressions=tests/support/lsan_torch.supp
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
logs=build/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0 failures=()
# A test that hangs fails; macOS has no timeout(1) of its own.
limit=(env)
command -v timeout >/dev/null && limit=(timeout 600)

# Under ThreadSanitizer only what has threads: the rest would only cost time. The container image is a release build.
kinds_of() {
    case $1 in
    tsan) echo "unit api" ;;
    release) echo "unit api e2e fuzz image" ;;
    *) echo "unit api e2e fuzz" ;;
    esac
}

run_one() { # mode, kind, name, command...
    local mode=$1 kind=$2 name=$3 log status ok bad skip plan
    shift 3
    log=$logs/$mode.$name.log
    "${limit[@]}" "$@" >"$log" 2>&1 </dev/null
    status=$?
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
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
    printf '%-8s %-5s %-32s %4d ok %3d failed %3d skipped\n' "$mode" "$kind" "$name" "$ok" "$bad" "$skip"
    [ "$skip" -gt 0 ] && grep -E '^(not )?ok .*# *SKIP' "$log" | sed -E 's/^(not )?ok [0-9]+( -)?/    skipped:/'
    if [ "$bad" -gt 0 ]; then
        failures+=("$log")
        tail -n 40 "$log" | sed 's/^/    | /'
    fi
}

jobs=$(getconf _NPROCESSORS_ONLN)
for mode in $modes; do
    if ! make --no-print-directory -s -j "$jobs" MODE="$mode" tests >"$logs/$mode.build.log" 2>&1; then
        tail -n 60 "$logs/$mode.build.log"
        echo "build of mode $mode failed: $logs/$mode.build.log"
        failed=$((failed + 1))
        continue
    fi
    grep -E 'warning:' "$logs/$mode.build.log"
    for kind in $(kinds_of "$mode"); do
        [ "$only" = all ] || [ "$only" = "$kind" ] || continue
        for source in tests/"$kind"/test_*.c tests/"$kind"/fuzz_*.c; do
            [ -e "$source" ] || continue
            name=$(basename "$source" .c)
            if [ "$kind" = fuzz ]; then
                run_one "$mode" "$kind" "$name" "build/$mode/tests/$name" "tests/fuzz/corpus/${name#fuzz_}"
            else
                run_one "$mode" "$kind" "$name" "build/$mode/tests/$name"
            fi
        done
        # Shell tests drive the programs of the release build; sanitizers cover the same programs through C tests.
        for script in tests/"$kind"/test_*.sh; do
            [ -e "$script" ] && [ "$mode" != tsan ] && run_one "$mode" "$kind" "$(basename "$script" .sh)" "$script" "build/$mode"
        done
    done
done

if [ "$coverage" = yes ]; then
    find build/cov -name '*.gcda' -exec gcov -b -r -s "$PWD" {} + 2>/dev/null | grep -A1 "^File '\(shared\|cloud\|edge\)" |
        paste - - - | sed -E "s/File '([^']*)'.*executed:([0-9.]+)% of ([0-9]+).*/\2% of \3 lines  \1/" | sort -n
    rm -f ./*.gcov
fi

if [ ${#failures[@]} -gt 0 ]; then
    echo "failed:"
    printf '  %s\n' "${failures[@]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

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
rm -f "$logs"/*.counts
failed=0

# Under ThreadSanitizer only what has threads: the rest would only cost time, and these the most of it. The container image is
# a release build.
NO_THREADS='test_pava_[a-z]+|test_decode(_hostile)?|test_spoof_[a-z]+|test_ecapa_wipe'
kinds_of() {
    case $1 in
    tsan) echo "api unit" ;;
    release) echo "image e2e api unit fuzz" ;; # the longest first, so that none is left at the end
    *) echo "e2e api unit fuzz" ;;
    esac
}

# The tests of one mode and kind, a line each: what run_one.sh is given.
list() { # mode, kind
    local source name script
    for script in tests/"$2"/test_*.sh; do
        [ -e "$script" ] && [ "$1" != tsan ] && echo "$1 $2 $(basename "$script" .sh) $script build/$1"
    done
    for source in tests/"$2"/test_*.c tests/"$2"/fuzz_*.c; do
        [ -e "$source" ] || continue
        name=$(basename "$source" .c)
        if [ "$2" = fuzz ]; then
            echo "$1 $2 $name build/$1/tests/$name tests/fuzz/corpus/${name#fuzz_}"
        else
            echo "$1 $2 $name build/$1/tests/$name"
        fi
    done
}
at_a_time() { # how many; the list on standard input, which may be empty
    local lines
    lines=$(cat)
    [ -z "$lines" ] || xargs -P "$1" -L 1 tests/run_one.sh <<<"$lines"
}
# Those in which somebody speaks, and is waited for, run beside each other only.
SPOKEN='test_agent_wake|test_agent_people|test_live_enroll|test_unlock_live|test_unlock_loud|test_listen_pulse'
# Those that count the processor's time or the machine's memory run when nothing else does.
ALONE='test_jit|test_load|test_keeper|test_store_memory|test_valgrind'

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
        list "$mode" "$kind"
    done | if [ "$mode" = tsan ]; then grep -vE " ($NO_THREADS) "; else cat; fi >"$logs/$mode.list"
    # Many of them mostly wait, for a second or for a sound: so one more at a time than there are cores.
    grep -E " ($SPOKEN) " "$logs/$mode.list" | at_a_time "$jobs"
    grep -vE " ($ALONE|$SPOKEN) " "$logs/$mode.list" | at_a_time $((jobs + 1))
    grep -E " ($ALONE) " "$logs/$mode.list" | at_a_time 1
done

if [ "$coverage" = yes ]; then
    find build/cov -name '*.gcda' -exec gcov -b -r -s "$PWD" {} + 2>/dev/null | grep -A1 "^File '\(shared\|cloud\|edge\)" |
        paste - - - | sed -E "s/File '([^']*)'.*executed:([0-9.]+)% of ([0-9]+).*/\2% of \3 lines  \1/" | sort -n
    rm -f ./*.gcov
fi

failures=$(grep -LE '^[0-9]+ 0 ' "$logs"/*.counts 2>/dev/null | sed 's/counts$/log/')
if [ -n "$failures" ]; then
    echo "failed:"
    echo "  ${failures//$'\n'/$'\n'  }"
fi
read -r passed failed skipped < <(cat "$logs"/*.counts 2>/dev/null | awk -v broken="$failed" \
    '{ok += $1; bad += $2; skip += $3} END {print ok + 0, bad + broken, skip + 0}')
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

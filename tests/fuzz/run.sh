#!/usr/bin/env bash
# run.sh - looks for new inputs with libFuzzer: tests/fuzz/run.sh TARGET SECONDS
#   TARGET   json, base64, config, audio, ...: the part behind fuzz_ of a file in this folder
# Starts from the committed corpus; what it learns stays in build/fuzz/corpus/TARGET. A crash is written to
# build/fuzz/TARGET-crash-*: mend the fault, then add that file to tests/fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${1:-} seconds=${2:-60}
if [ ! -f "tests/fuzz/fuzz_$target.c" ]; then
    echo "usage: tests/fuzz/run.sh TARGET SECONDS, TARGET one of:" tests/fuzz/fuzz_*.c >&2
    exit 2
fi
if ! echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
    clang -fsanitize=fuzzer -x c -o /dev/null - 2>/dev/null; then
    echo "run.sh: needs a clang with libFuzzer (Debian: clang and libclang-rt-*-dev; macOS: brew install llvm)" >&2
    exit 1
fi

b=build/fuzz learned=build/fuzz/corpus/$target
objects=("$b/obj/tests/fuzz/fuzz_$target.o" "$b/libservice.a" "$b/libagent.a" "$b/libvoxlock.a")
make --no-print-directory -s CC=clang MODE=asan B=$b CFLAGS=-fsanitize=fuzzer-no-link "${objects[@]}"
read -ra libs < <(pkg-config --libs jansson libcrypto sndfile soxr libmicrohttpd zlib sqlite3)
clang -fsanitize=fuzzer,address,undefined -pthread -o "$b/fuzz_$target" "${objects[@]}" "${libs[@]}" -lm -ldl

mkdir -p "$learned"
export UBSAN_OPTIONS=print_stacktrace=1
exec "$b/fuzz_$target" -max_total_time="$seconds" -timeout=10 -artifact_prefix="$b/$target-" -print_final_stats=1 \
    "$learned" "tests/fuzz/corpus/$target"

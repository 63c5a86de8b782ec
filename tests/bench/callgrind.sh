#!/usr/bin/env bash
# callgrind.sh - instructions of one embedding: what they count depends on code, compiler and libraries, never on how busy
# the machine is.
# Usage: tests/bench/callgrind.sh, in the repository root, after make; needs valgrind
# Each number is the difference between a run with more recordings and one with fewer, so that starting up cancels out.
# valgrind knows no AVX-512, so the engine is held to levels without it. Not the service: under valgrind it answers too
# slowly for its own deadlines.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${BUILD:-build/release} work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v valgrind >/dev/null || { echo "callgrind.sh: valgrind is not installed" >&2; exit 1; }
"$build/tools/contender" clips "$work"
export VOXLOCK_ISA=avx2

count() { # seconds of each recording, how many of them
    local files=() i
    for ((i = 0; i < $2; i++)); do files+=("$work/$1s.wav"); done
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$work/log" \
        "$build/voxlock" embed --threads 1 --model models/starter "${files[@]}" >/dev/null
    sed -n 's/.*Collected : //p' "$work/log"
}

printf 'millions of instructions, WAV to embedding, starter, one thread; %s\n' "$(${CC:-cc} --version | head -n 1)"
for seconds in 1 3; do
    few=$(count "$seconds" 1) many=$(count "$seconds" 4)
    printf '  avx2, %s s  %9.2f\n' "$seconds" "$(awk "BEGIN {print ($many - $few) / 3e6}")"
done

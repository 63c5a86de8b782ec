#!/usr/bin/env bash
# callgrind.sh - instructions of one embedding and of one request: what they count depends on code, compiler and libraries,
# never on how busy the machine is.
# Usage: tests/bench/callgrind.sh, in the repository root, after make programs tools; needs valgrind; takes four minutes
# Each number is the difference between a run with more and one with fewer, so that starting up cancels out.
# valgrind knows no AVX-512, so all is held to levels without it. Nor does it know the SHA instructions: libcrypto hashes a
# body in 28 instructions a byte, which would hide everything else in a request, and are a column of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${BUILD:-build/release} work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v valgrind >/dev/null || { echo "callgrind.sh: valgrind is not installed" >&2; exit 1; }
"$build/tools/contender" clips "$work"
export VOXLOCK_ISA=avx2

collected() { sed -n 's/.*Collected : //p' "$work/log"; }

# ---- embeddings -----------------------------------------------------------------------------------------------------
embed() { # seconds of each recording, how many of them
    local files=() i
    for ((i = 0; i < $2; i++)); do files+=("$work/$1s.wav"); done
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$work/log" \
        "$build/voxlock" embed --threads 1 --model models/starter "${files[@]}" >/dev/null
    collected
}

printf 'millions of instructions, WAV to embedding, starter, one thread; %s\n' "$(${CC:-cc} --version | head -n 1)"
for seconds in 1 3; do
    { embed "$seconds" 1; embed "$seconds" 4; } |
        awk -v seconds="$seconds" 'NR == 1 {few = $1} NR == 2 {printf "  avx2, %s s  %9.2f\n", seconds, ($1 - few) / 3e6}'
done

# ---- requests -------------------------------------------------------------------------------------------------------
# The real service, as tests/tools/load.c starts it. What the engine does is left out: the smallest model will do, and has
# to, since under valgrind a clip takes the starter 20 s. That it listens is told only when the model is there: a request
# before then runs into what libcrypto sets up once, and some 2 million instructions are counted or not.
cat >"$work/service" <<END
#!/usr/bin/env bash
exec valgrind --tool=callgrind --callgrind-out-file="$work/profile" --log-file="$work/log" \\
    --toggle-collect=vx_engine_embed --collect-atstart=yes "$build/voxlock-cloud" "\$@" \\
    2> >(awk '/"listening"/ {said = \$0} /"model ready"/ {print said; fflush()}' >&2)
END
chmod +x "$work/service"
export VOXLOCK_DEADLINE_MS=300000

ask() { # how many, switches of load...; prints the instructions, and those of them that hash
    "$build/tools/load" --service "$work/service" --model tests/data/golden/model --seconds 600 --requests "$@" \
        -- --threads 1 >"$work/report" || { cat "$work/report" >&2; return 1; }
    callgrind_annotate --inclusive=yes --threshold=100 --auto=no "$work/profile" |
        awk -v all="$(collected)" '/sha256\.c:vx_sha256_update/ {gsub(",", "", $1); hash = $1} END {print all, hash}'
}

request() { # name, how many of the fewer, switches of load...
    local name=$1 few=$2
    shift 2
    { ask "$few" "$@"; ask $((4 * few)) "$@"; } | awk -v name="$name" -v n=$((3 * few)) '
        NR == 1 {all = $1; hash = $2}
        NR == 2 {all = ($1 - all) / n / 1e3; hash = ($2 - hash) / n / 1e3
                 printf "  %-16s %9.1f %9.1f %9.1f\n", name, all, hash, all - hash}'
}

printf 'thousands of instructions of a request, 3 s int16, one worker, without the engine\n'
printf '  %-16s %9s %9s %9s\n' '' all SHA-256 rest
request 'cached, raw' 50 --body raw
request 'cached, JSON' 50 --body json
request 'uncached, JSON' 4 --body json --unique

#!/usr/bin/env bash
# bench.sh - from the start of a process to its first embedding over HTTP: in the container, outside, and a Python service.
# Usage: bench.sh [TARGET [RUNS]]   slim or full (default: slim), 20 starts of each
#   container   runc makes the container and starts the program
#   image       the same files and user, without a runtime: what is left is the program's own start
#   outside     the program of BUILD (default: build/release) on this machine's libraries
#   FastAPI     models/peer_fastapi.py with TorchScript, where Python has torch and FastAPI
# Each start once with its files in the page cache, and once after they were taken out of it. Shared libraries that other
# programs use stay in memory: only the container has copies of its own. A markdown table, and the same numbers in
# build/bench/image.json. Needs root. Measure on a machine that does nothing else.
# shellcheck disable=SC2154
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
target=${1:-slim} runs=${2:-20}
build=${BUILD:-build/release} out=build/bench tag=localhost/voxlock-cloud:$target model=models/starter
peers=$out/peers-starter
work=$(mktemp -d) || exit 1
mkdir -p "$out"
. tests/image/container.sh
finish() {
    clean_up
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM
fail() {
    echo "bench.sh: $*" >&2
    exit 1
}

# ---- what is started, and the files that a start reads ---------------------------------------------------------------

rows=()
# The load generator starts every program as "PROGRAM --port 0 --bind 127.0.0.1 --model FOLDER --log-format json".
add_row() { # name, command line of a shell that replaces itself
    printf '#!/bin/sh\nexec %s\n' "$2" >"$work/$1" && chmod +x "$work/$1" && rows+=("$1")
}

closure() { # programs: themselves and the libraries they load
    printf '%s\n' "$@"
    ldd "$@" | sed -nE 's/^\t(.* => )?(\/[^ ]+) \(0x.*/\2/p'
}

add_ours() {
    local settings='--port 0 --bind 127.0.0.1 --log-format json'
    make_bundle "$work/bundle" "$tag" "$root" \
        '.linux.namespaces |= map(select(.type != "network")) | .process.args += ("'"$settings"'" | split(" "))' || return
    add_row container "runc --root '$image_state/runc' run --bundle '$work/bundle' voxlock-bench-$$"
    add_row image "chroot --userspec=10001:10001 '$root' /usr/local/bin/voxlock-cloud $settings"
    add_row outside "'$PWD/$build/voxlock-cloud' \"\$@\""
    find "$root" -type f >"$work/container.files"
    cp "$work/container.files" "$work/image.files"
    { closure "$build/voxlock-cloud"; find "$PWD/$model" -type f; } >"$work/outside.files"
}

# Its thousands of files are known only after a start.
trace_peer() { # python
    strace -f -qq -o "$work/trace" -e trace=openat,execve "$1" -c \
        'import sys; sys.path.insert(0, "models"); import peer_fastapi, torch; torch.jit.load(sys.argv[1])' \
        "$peers/ecapa_jit_traced.pt" 2>/dev/null &&
        sed -nE 's/.*(openat\(AT_FDCWD, |execve\()"([^"]+)".* = [0-9]+.*/\2/p' "$work/trace" |
        grep -vE '^/(proc|sys|dev)/' | sort -u >"$work/FastAPI.files"
}

add_peer() {
    local python
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import torch, numpy, fastapi, uvicorn' 2>/dev/null || continue
        [ -e "$peers/.optimization_manifest.json" ] ||
            "$python" models/bake.py "$model" "$peers" --program "$build/voxlock-cloud" >"$work/said" 2>&1 ||
            { cat "$work/said" >&2; fail "models/bake.py failed"; }
        add_row FastAPI "env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $python -W ignore models/peer_fastapi.py \"\$@\" --peers $peers"
        trace_peer "$python" || echo "FastAPI: warm only, strace is not installed or may not trace"
        return
    done
    echo "FastAPI: not installed (tests/bench/install_peers.sh)"
}

# ---- measure ---------------------------------------------------------------------------------------------------------

start_once() { # row, warm or cold
    if [ "$2" = cold ]; then
        [ -s "$work/$1.files" ] || return 0
        "$build/tools/uncache" <"$work/$1.files" >"$work/$1.dropped" || fail "$1: its files stay in the page cache"
    fi
    "$build/tools/load" --service "$work/$1" --model "$model" --requests 1 --cosine 0.999 --json "$work/load.json" \
        >"$work/load.log" 2>&1 || { cat "$work/load.log" >&2; fail "$1 gave no embedding"; }
    jq .first_answer_ms "$work/load.json" >>"$work/$1.$2"
}

# Rows take turns, so that what else the machine does meets all of them. A cold start leaves its files in memory for the
# next warm one.
measure() {
    local row cache
    sync
    for row in "${rows[@]}"; do
        start_once "$row" warm
        rm -f "$work/$row.warm"
    done
    for _ in $(seq "$runs"); do
        for cache in warm cold; do
            for row in "${rows[@]}"; do
                start_once "$row" $cache
            done
        done
    done
}

# ---- report ----------------------------------------------------------------------------------------------------------

write_json() {
    local row cache
    for row in "${rows[@]}"; do
        for cache in warm cold; do
            [ ! -s "$work/$row.$cache" ] ||
                jq -s --arg row "$row" --arg cache $cache --arg target "$target" 'sort | {row: $row, cache: $cache,
                    target: $target, runs: length, p95_ms: .[(0.95 * length | ceil) - 1], least_ms: .[0], most_ms: .[-1],
                    median_ms: ((.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2)}' "$work/$row.$cache"
        done
    done | jq -s . >"$out/image.json"
}

print_table() {
    local row
    echo "Start to first embedding of 3 s over HTTP, ms; $runs starts, image $target, load $(cut -d' ' -f1-3 /proc/loadavg)"
    echo
    echo "| | warm: median | warm: p95 | cold: median | cold: p95 |"
    echo "|---|---|---|---|---|"
    jq -r --arg rows "${rows[*]}" 'def ms: if . then 10 * . | round / 10 else "-" end;
        . as $all | $rows | split(" ")[] as $row | [$all[] | select(.row == $row) | {(.cache): .}] | add as $of |
        "| \($row) | \($of.warm.median_ms | ms) | \($of.warm.p95_ms | ms) | \($of.cold.median_ms | ms) | \($of.cold.p95_ms | ms) |"' \
        "$out/image.json"
    echo
    for row in "${rows[@]}"; do
        [ ! -e "$work/$row.dropped" ] || echo "cold, $row: $(cat "$work/$row.dropped")"
    done
}

obstacle=$(image_obstacle)
[ -z "$obstacle" ] || fail "$obstacle"
{ make_base && build_image "$target" "$tag" && mount_image "$tag"; } >"$work/build.log" 2>&1 ||
    { tail -n 40 "$work/build.log" >&2; fail "the image could not be made"; }
root=$ret_root
add_ours || fail "the container could not be prepared"
add_peer
measure
write_json
print_table
jq -r '.[] | select(.cache == "warm" and (.row == "container" or .row == "image")) | .median_ms as $ms |
    "warm, \(.row): \(10 * $ms | round / 10) ms, wanted < 100 ms: \(if $ms < 100 then "met" else "missed" end)"' "$out/image.json"

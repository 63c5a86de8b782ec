#!/usr/bin/env bash
# run.sh - every benchmark, with the machine named and the peers beside, as tables; the numbers go to build/bench/*.json.
# Usage: tests/bench/run.sh [--quick] [engine] [kernels] [start] [http]
#   --quick  a few turns of each: shows that the benchmarks work, not how fast anything is
#   without names, all of them: about five minutes on two cores
# Peers that are not installed are named, with the way to get them. Exit status 1 if any answer was wrong.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

quick=no sections=()
for argument; do
    case $argument in
    --quick) quick=yes ;;
    engine | kernels | start | http) sections+=("$argument") ;;
    *) sed -n '3s/^# //p' tests/bench/run.sh >&2; exit 2 ;;
    esac
done
[ ${#sections[@]} -gt 0 ] || sections=(engine kernels start http)

build=${BUILD:-build/release} out=build/bench status=0
models=(starter 20.8M)
rounds=0 http_s=3 long_s=10 starts=11
[ "$quick" = no ] || { rounds=2 http_s=1 long_s=3 starts=2; }
mkdir -p "$out/clips"

heading() { printf '\n== %s\n' "$1"; }
must() { "$@" || { echo "run.sh: failed: $1" >&2; status=1; }; }
# One JSON array from several files that hold one value each; what failed wrote none.
join() { # result, files...
    local to=$1 file separator='['
    shift
    for file; do
        [ -e "$file" ] || continue
        echo "$separator"
        cat "$file"
        echo
        separator=,
    done >"$to"
    echo ']' >>"$to"
    rm -f "$@"
}

# ---- machine --------------------------------------------------------------------------------------------------------
machine() {
    local cpu isa kernel compiler load
    kernel=$(uname -srm) compiler=$(${CC:-cc} --version | head -n 1)
    load=$(uptime | sed 's/.*load average[s]*: *//')
    if [ -r /proc/cpuinfo ]; then
        cpu="$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), family $(sed -n 's/^cpu family[^:]*: *//p' \
            /proc/cpuinfo | head -n 1) model $(sed -n 's/^model[^n:]*: *//p' /proc/cpuinfo | head -n 1)"
        isa=$(sed -n 's/^flags[^:]*: *//p' /proc/cpuinfo | head -n 1 | tr ' ' '\n' |
            grep -xE 'avx2|fma|avx_vnni|avx512f|avx512_vnni|avx512_bf16|avx512vbmi|amx_[a-z0-9]+|asimd|sve|i8mm|bf16' | xargs)
    else
        cpu=$(sysctl -n machdep.cpu.brand_string) isa=$(sysctl -a | sed -n 's/^hw.optional.arm.\(FEAT_[A-Z0-9]*\): 1/\1/p' | xargs)
    fi
    cores=$(getconf _NPROCESSORS_ONLN)
    printf 'machine   %s, %s cores\nsets      %s\nkernel    %s\ncompiler  %s\nload      %s at the start\n' \
        "$cpu" "$cores" "$isa" "$kernel" "$compiler" "$load"
    printf '{"cpu": "%s", "cores": %s, "sets": "%s", "kernel": "%s", "compiler": "%s", "load": "%s", "version": "%s"}\n' \
        "$cpu" "$cores" "$isa" "$kernel" "$compiler" "$load" "$(cat VERSION)" >"$out/machine.json"
}

# ---- models, clips, peers -------------------------------------------------------------------------------------------
folder_of() { [ "$1" = starter ] && echo models/starter || echo "$out/model-$1"; }

prepare() {
    python=
    for candidate in python3 /usr/bin/python3; do
        "$candidate" -c 'import torch, numpy' 2>/dev/null && { python=$candidate; break; }
    done
    if [ ! -e "$(folder_of 20.8M)/.optimization_manifest.json" ]; then
        python3 models/random_ecapa.py "$(folder_of 20.8M)" >/dev/null || exit 1
    fi
    "$build/tools/contender" clips "$out/clips" || exit 1
    for model in "${models[@]}"; do
        [ -z "$python" ] || [ -e "$out/peers-$model/ecapa_model.onnx" ] ||
            must "$python" -W ignore models/export_peers.py "$(folder_of "$model")" "$out/peers-$model" >/dev/null 2>&1
    done
    onnx=no
    [ -d "$out/node_modules/onnxruntime-node" ] && command -v node >/dev/null && onnx=yes
    for plugin in onednn blas; do
        [ -e "$build/vx_gemm_$plugin.so" ] || echo "peer      voxlock with $plugin: not installed (make plugins builds it where the library is)"
    done
    [ -n "$python" ] || echo "peer      libtorch: not installed (tests/bench/install_peers.sh)"
    [ "$onnx" = yes ] || echo "peer      ONNX Runtime: not installed (tests/bench/install_peers.sh)"
    [ -n "$python" ] || [ ! "$onnx" = yes ] || [ -e "$out/peers-starter/ecapa_model.onnx" ] ||
        { onnx=no; echo "peer      ONNX Runtime: no model to run (its export needs libtorch)"; }
}

# OpenMP and OpenBLAS read their thread counts from the environment only: without it "one thread" uses every core.
pinned() { echo "exec env OMP_NUM_THREADS=$1 OPENBLAS_NUM_THREADS=$1"; }
torch_command() { echo "$(pinned "$2") $python models/peer_torch.py $out/peers-$1 $2"; }
onnx_command() { echo "$(pinned "$2") node tests/bench/onnx_peer.mjs $out/node_modules $out/peers-$1 $2"; }

# ---- a: engine ------------------------------------------------------------------------------------------------------
engine() {
    heading "engine: samples to embedding"
    local parts=() model threads rows
    for model in "${models[@]}"; do
        for threads in 1 2; do
            rows=("voxlock simd=$(pinned "$threads") $build/tools/contender serve $(folder_of "$model") simd $threads")
            for plugin in onednn blas; do
                [ -e "$build/vx_gemm_$plugin.so" ] &&
                    rows+=("voxlock $plugin=$(pinned "$threads") $build/tools/contender serve $(folder_of "$model") $plugin $threads")
            done
            [ -n "$python" ] && rows+=("libtorch f32=$(torch_command "$model" "$threads")"
                "libtorch bf16=$(torch_command "$model" "$threads") --bf16")
            [ "$onnx" = yes ] && rows+=("ONNX Runtime=$(onnx_command "$model" "$threads")")
            parts+=("$out/engine-$model-$threads.json")
            must "$build/bench/bench_engine" --model "$model" --threads "$threads" --clips "$out/clips" \
                --rounds "$rounds" --json "$out/engine-$model-$threads.json" "${rows[@]}"
        done
    done
    join "$out/engine.json" "${parts[@]}"
}

# ---- b: front end, base64, and what else is small --------------------------------------------------------------------
kernels() {
    local program
    for program in "$build"/bench/bench_*; do
        case $program in
        *.d | */bench_engine | */bench_startup) continue ;;
        esac
        heading "$(basename "$program")"
        must "$program"
    done
}

# ---- c: start -------------------------------------------------------------------------------------------------------
# Median and tenths of a number that each of the files holds under the key.
spread() { # key, files...
    local key=$1 file
    shift
    for file; do sed "s/.*\"$key\":\([-0-9.e]*\).*/\1/" "$file" && echo; done | grep . | sort -g |
        awk '{v[NR] = $1} function q(p) {return v[int(1.5 + p * (NR - 1))]}
            END {printf "%.1f (%.1f .. %.1f)", q(0.5), q(0.1), q(0.9)}'
}

start() {
    local model threads=2 parts=() rows i
    [ "$cores" -ge 2 ] || threads=1
    heading "start: program start to first embedding, $threads threads"
    for model in "${models[@]}"; do
        rows=("voxlock embed=exec $build/voxlock embed --json --threads $threads --model $(folder_of "$model") $out/clips/3s.wav")
        [ -n "$python" ] && rows+=("Python, libtorch=$(torch_command "$model" "$threads")")
        [ "$onnx" = yes ] && rows+=("node, ONNX Runtime=$(onnx_command "$model" "$threads")")
        parts+=("$out/start-$model.json")
        must "$build/bench/bench_startup" --runs "$starts" --model "$model" --clip "$out/clips/3s" \
            --json "$out/start-$model.json" "${rows[@]}"
    done
    heading "start: voxlock-cloud to its first answered request, $starts starts"
    printf '%-8s %-26s %-26s %-18s %s\n' model "first answer, ms" "listening, ms" "memory after 1, MB" "after 20, MB"
    for model in "${models[@]}"; do
        for ((i = 0; i < starts; i++)); do
            must "$build/tools/load" --service "$build/voxlock-cloud" --model "$(folder_of "$model")" --requests 19 \
                --json "$out/start-cloud-$model-$i.json" >/dev/null
        done
        local files=("$out/start-cloud-$model"-*.json)
        printf '%-8s %-26s %-26s %-18s %s\n' "$model" "$(spread first_answer_ms "${files[@]}")" \
            "$(spread listening_ms "${files[@]}")" "$(spread first_rss_mb "${files[@]}" | cut -d' ' -f1)" \
            "$(spread last_rss_mb "${files[@]}" | cut -d' ' -f1)"
        join "$out/start-cloud-$model.json" "${files[@]}"
        parts+=("$out/start-cloud-$model.json")
    done
    join "$out/start.json" "${parts[@]}"
}

# ---- d: HTTP --------------------------------------------------------------------------------------------------------
http() {
    local model body clients parts=() file
    # More than 64 clients at once: the default queue would answer the others 429, which is not what is measured here.
    export VOXLOCK_QUEUE=256
    heading "HTTP: 3 s int16 clips, keep-alive, loopback; load generator and service share the cores"
    for model in "${models[@]}"; do
        echo "model $model"
        for body in json raw; do
            for clients in 1 2 10 100; do
                file=$out/http-$model-$body-$clients.json
                parts+=("$file")
                must "$build/tools/load" --service "$build/voxlock-cloud" --model "$(folder_of "$model")" --body "$body" \
                    --clients "$clients" --seconds "$http_s" --unique --json "$file"
            done
        done
        file=$out/http-$model-repeated.json
        parts+=("$file")
        must "$build/tools/load" --service "$build/voxlock-cloud" --model "$(folder_of "$model")" --body raw --clients 10 \
            --seconds "$http_s" --json "$file"
    done
    heading "HTTP: 100 clients for $long_s s, then SIGTERM under load"
    for model in "${models[@]}"; do
        echo "model $model"
        file=$out/http-$model-terminate.json
        parts+=("$file")
        must "$build/tools/load" --service "$build/voxlock-cloud" --model "$(folder_of "$model")" --clients 100 \
            --seconds "$long_s" --unique --terminate --json "$file"
    done
    unset VOXLOCK_QUEUE
    join "$out/http.json" "${parts[@]}"
}

machine
prepare
for section in "${sections[@]}"; do
    case $section in
    engine) engine ;;
    kernels) kernels ;;
    start) start ;;
    http) http ;;
    esac
done
exit $status

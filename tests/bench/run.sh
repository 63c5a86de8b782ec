#!/usr/bin/env bash
# run.sh - every benchmark, with the machine named and the peers beside, as tables; the numbers go to build/bench/*.json.
# Usage: tests/bench/run.sh [--quick] [engine] [kernels] [start] [memory] [http] [load] [soak] [verdict]
#   --quick  a few turns of each: shows that the benchmarks work, not how fast anything is
#   without names, all of them but soak (ten minutes): about seven minutes on two cores
# Peers that are not installed are named, with the way to get them. Exit status 1 if any answer was wrong.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

quick=no sections=()
for argument; do
    case $argument in
    --quick) quick=yes ;;
    engine | kernels | start | memory | http | load | soak | verdict) sections+=("$argument") ;;
    *) sed -n '3s/^# //p' tests/bench/run.sh >&2; exit 2 ;;
    esac
done
[ ${#sections[@]} -gt 0 ] || sections=(engine kernels start memory http load)

build=${BUILD:-build/release} out=build/bench modules=build/node/node_modules status=0
models=(starter 20.8M)
rounds=0 http_s=3 long_s=10 starts=11 load_s=3 soak_s=600
[ "$quick" = no ] || { rounds=2 http_s=1 long_s=3 starts=2 load_s=1 soak_s=10; }
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
# starter, 20.8M: the f32 weights alone; starter-baked, 20.8M-baked: what bake.py made of them, where auto chooses.
folder_of() {
    case $1 in
    *-baked) echo "$out/peers-${1%-baked}" ;;
    starter) echo models/starter ;;
    *) echo "$out/model-$1" ;;
    esac
}
is_baked() { # by the exporters as they are now, where they can run
    local manifest=$out/peers-$1/.optimization_manifest.json
    [ -e "$manifest" ] && { [ -z "$python" ] || [ -z "$(find models -maxdepth 1 -name '*.py' -newer "$manifest")" ]; }
}

prepare() {
    # The interpreter itself: what is measured must not start by looking for one.
    python=$(scripts/with_torch.sh -c 'import sys; print(sys.executable)' 2>/dev/null) || python=
    if [ ! -e "$(folder_of 20.8M)/.optimization_manifest.json" ]; then
        python3 models/random_ecapa.py "$(folder_of 20.8M)" >/dev/null || exit 1
    fi
    "$build/tools/contender" clips "$out/clips" || exit 1
    for model in "${models[@]}"; do
        [ -z "$python" ] || is_baked "$model" ||
            must "$python" models/bake.py "$(folder_of "$model")" "$out/peers-$model" --program "$build/voxlock-cloud" >/dev/null
    done
    served=("${models[@]}")
    for model in "${models[@]}"; do
        ! is_baked "$model" || served+=("$model-baked")
    done
    onnx=no sherpa=no
    [ -d "$modules/sherpa-onnx-linux-x64" ] && command -v node >/dev/null && sherpa=yes
    [ -d "$modules/onnxruntime-node" ] && command -v node >/dev/null && onnx=yes
    for plugin in gemm_onednn gemm_blas network_torch network_onnx; do
        [ -e "$build/vx_$plugin.so" ] || echo "peer      voxlock with ${plugin#*_}: not installed (make plugins builds it where the library is)"
    done
    [ -n "$python" ] || echo "peer      libtorch: not installed (tests/bench/install_peers.sh)"
    [ "$onnx" = yes ] || echo "peer      ONNX Runtime: not installed (tests/bench/install_peers.sh)"
    [ -n "$python" ] || [ ! "$onnx" = yes ] || [ -e "$out/peers-starter/ecapa_model.onnx" ] ||
        { onnx=no; echo "peer      ONNX Runtime: no model to run (its export needs libtorch)"; }
    [ -e "$out/peers-starter/ecapa_model.onnx" ] || sherpa=no
    [ "$sherpa" = yes ] || echo "peer      sherpa-onnx: not installed (tests/bench/install_peers.sh)"
}

# OpenMP and OpenBLAS read their thread counts from the environment only: without it "one thread" uses every core.
pinned() { echo "exec env OMP_NUM_THREADS=$1 OPENBLAS_NUM_THREADS=$1"; }
torch_command() { echo "$(pinned "$2") $python models/peer_torch.py $out/peers-$1 $2"; }
# voxlock with somebody else's library for the network: model, threads, strategy, precision.
hosted_command() { echo "$(pinned "$2") $build/tools/contender serve $out/peers-$1 auto $2 --strategy $3 --precision $4"; }
sherpa_command() {
    echo "$(pinned "$2") LD_LIBRARY_PATH=$modules/sherpa-onnx-linux-x64 node tests/bench/sherpa_peer.mjs $modules $out/peers-$1 $2"
}
onnx_command() { echo "$(pinned "$2") node tests/bench/onnx_peer.mjs $modules $out/peers-$1 $2"; }

# ---- a: engine ------------------------------------------------------------------------------------------------------
engine() {
    heading "engine: samples to embedding"
    local parts=() model threads rows isa
    for model in "${models[@]}"; do
        for threads in 1 2; do
            rows=("voxlock simd=$(pinned "$threads") $build/tools/contender serve $(folder_of "$model") simd $threads --strategy native")
            for plugin in onednn blas; do
                [ -e "$build/vx_gemm_$plugin.so" ] &&
                    rows+=("voxlock $plugin=$(pinned "$threads") $build/tools/contender serve $(folder_of "$model") $plugin $threads --strategy native")
            done
            rows+=("voxlock bf16=${rows[0]#*=} --precision bf16")
            # 8-bit weights, and the network by other libraries inside our engine, need what bake made.
            if is_baked "$model"; then
                rows+=("voxlock int8=$(hosted_command "$model" "$threads" quantized int8)")
                # Levels without the dot products of VNNI, where this machine can be held to them.
                for isa in avx512 avx2; do
                    ! grep -qs "$isa" /proc/cpuinfo ||
                        rows+=("int8 $isa=$(hosted_command "$model" "$threads" quantized int8) --isa $isa")
                done
                [ -e "$build/vx_network_torch.so" ] && rows+=("voxlock jit f32=$(hosted_command "$model" "$threads" jit f32)"
                    "voxlock jit bf16=$(hosted_command "$model" "$threads" jit bf16)")
                [ -e "$build/vx_network_onnx.so" ] && rows+=("voxlock onnx=$(hosted_command "$model" "$threads" onnx f32)")
            fi
            [ -n "$python" ] && rows+=("libtorch f32=$(torch_command "$model" "$threads")"
                "libtorch bf16=$(torch_command "$model" "$threads") --bf16")
            [ "$onnx" = yes ] && rows+=("ONNX Runtime=$(onnx_command "$model" "$threads")")
            [ "$sherpa" = yes ] && rows+=("sherpa-onnx=$(sherpa_command "$model" "$threads")")
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
        *.d | */bench_engine | */bench_startup | */bench_memory | */bench_verdict) continue ;; # sections of their own
        */bench_decisions | */bench_fingerprint | */bench_movement | */bench_phrase | */bench_quality | */bench_reverb | */bench_tract | */bench_vad)
            continue ;; # want recordings of yours
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
    for model in "${served[@]}"; do
        rows=("voxlock embed=exec $build/voxlock embed --json --threads $threads --model $(folder_of "$model") $out/clips/3s.wav")
        [ -n "$python" ] && rows+=("Python, libtorch=$(torch_command "${model%-baked}" "$threads")")
        [ "$sherpa" = yes ] && rows+=("node, sherpa-onnx=$(sherpa_command "${model%-baked}" "$threads")")
        [ "$onnx" = yes ] && rows+=("node, ONNX Runtime=$(onnx_command "${model%-baked}" "$threads")")
        parts+=("$out/start-$model.json")
        must "$build/bench/bench_startup" --runs "$starts" --model "$model" --clip "$out/clips/3s" \
            --json "$out/start-$model.json" "${rows[@]}"
    done
    heading "start: voxlock-cloud to its first answered request, $starts starts"
    printf '%-8s %-26s %-26s %-18s %s\n' model "first answer, ms" "listening, ms" "memory after 1, MB" "after 20, MB"
    for model in "${served[@]}"; do
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

# ---- d: memory ------------------------------------------------------------------------------------------------------
# Of what bake made, where it did: every strategy is there then.
memory() {
    local folders=() model
    heading "memory: an engine opened, used, closed, twice"
    for model in "${models[@]}"; do
        is_baked "$model" && folders+=("$model=$(folder_of "$model-baked")") || folders+=("$model=$(folder_of "$model")")
    done
    must "$build/bench/bench_memory" --json "$out/memory.json" "${folders[@]}"
}

# ---- e: HTTP --------------------------------------------------------------------------------------------------------
# What one model folder is asked for: 8-bit weights of the large one are forced, since auto leaves those of random weights out.
http_run() { # model, switches of tests/tools/load.c...
    local model=$1 folder
    shift
    folder=$(folder_of "${model%-int8}")
    case $model in
    *-int8) must "$build/tools/load" --service "$build/voxlock-cloud" --model "$folder" --cosine 0.98 "$@" -- --strategy quantized ;;
    *) must "$build/tools/load" --service "$build/voxlock-cloud" --model "$folder" "$@" ;;
    esac
}

# The usual Python service as a program that takes the place of voxlock-cloud: $peer.
make_peer_service() {
    peer=$out/peer-service
    if [ -z "$python" ] || ! "$python" -c 'import fastapi, uvicorn' 2>/dev/null; then
        echo "FastAPI, f32 and bf16: not installed (tests/bench/install_peers.sh)"
        return 1
    fi
    printf '#!/bin/sh\n%s -W ignore models/peer_fastapi.py "$@"\n' "$(pinned 1) $python" >"$peer"
    chmod +x "$peer"
}

run_peer() { # f32 or bf16, how many processes, switches of the load generator...
    local more=() own=(--peers "$out/peers-20.8M" --workers "$2")
    [ "$1" = f32 ] || { more=(--cosine 0.999) own+=(--bf16); }
    must "$build/tools/load" --service "$peer" --model "$(folder_of 20.8M)" --unique "${more[@]}" "${@:3}" -- "${own[@]}"
}

http() {
    local model body clients precision parts=() file asked=("${served[@]}")
    ! is_baked 20.8M || asked+=(20.8M-baked-int8)
    # More than 64 clients at once: the default queue would answer the others 429, which is not what is measured here.
    export VOXLOCK_QUEUE=256
    heading "HTTP: 3 s int16 clips, keep-alive, loopback; load generator and service share the cores"
    for model in "${asked[@]}"; do
        echo "model $model"
        for body in json raw; do
            for clients in 1 2 10 100; do
                file=$out/http-$model-$body-$clients.json
                parts+=("$file")
                http_run "$model" --body "$body" --clients "$clients" --seconds "$http_s" --unique --json "$file"
            done
        done
        file=$out/http-$model-repeated.json
        parts+=("$file")
        http_run "$model" --body raw --clients 10 --seconds "$http_s" --json "$file"
    done
    if make_peer_service; then
        for precision in f32 bf16; do
            # One process, which is its best setting for many clients.
            echo "FastAPI and TorchScript, model 20.8M, $precision"
            for clients in 1 2 10 100; do
                file=$out/http-peer-$precision-$clients.json
                parts+=("$file")
                run_peer "$precision" 1 --clients "$clients" --seconds "$http_s" --json "$file"
            done
        done
        rm -f "$peer"
    fi
    heading "HTTP: 100 clients for $long_s s, then SIGTERM under load"
    for model in "${asked[@]}"; do
        echo "model $model"
        file=$out/http-$model-terminate.json
        parts+=("$file")
        http_run "$model" --clients 100 --seconds "$long_s" --unique --terminate --json "$file"
    done
    unset VOXLOCK_QUEUE
    join "$out/http.json" "${parts[@]}"
}

# ---- f: the service under load --------------------------------------------------------------------------------------
# One run of the load generator, its numbers in a file of its own: `of NAME KEY` reads them.
run_load() { # name, model, switches of tests/tools/load.c...
    local name=$1 model=$2
    shift 2
    parts+=("$out/load-$name.json")
    rm -f "$out/load-$name.json"
    must "$build/tools/load" --service "$service" --model "$(folder_of "$model")" --json "$out/load-$name.json" "$@"
}
of() { sed -n "s/.*\"$2\":\([-0-9.e]*\).*/\1/p" "$out/load-$1.json" 2>/dev/null; }
calculate() { awk "BEGIN {printf \"%.1f\", $1}" 2>/dev/null; }

# What was reached beside what is wanted. A missed bar is said and fails nothing: the machine may be slow or busy.
bar() { # what, value, >= or <, bound
    local verdict=missed
    [ -n "$2" ] || { bars+=("$(printf '%-50s %10s   %-2s %8s' "$1" - "$3" "$4")"); return; }
    awk "BEGIN {exit !($2 $3 $4)}" && verdict=met
    bars+=("$(printf '%-50s %10.1f   %-2s %8s   %s' "$1" "$2" "$3" "$4" "$verdict")")
}

# The best is taken before and after: what else the machine does changes meanwhile.
overload() { # model
    local best
    run_load "best-$1" "$1" --body raw --clients 10 --seconds "$load_s" --unique
    best=$(of "best-$1" per_second)
    run_load "overload-$1" "$1" --body raw --clients 200 --seconds $((2 * load_s)) --unique --impatient \
        --per-second "$(calculate "10 * ${best:-1}")"
    run_load "best-again-$1" "$1" --body raw --clients 10 --seconds "$load_s" --unique
    best=$(calculate "(${best:-0} + $(of "best-again-$1" per_second)) / 2")
    bar "$1, 10 x overload: % of the best goodput" "$(calculate "100 * $(of "overload-$1" per_second) / $best")" '>=' 90
    bar "$1, 10 x overload: 99 % refused within, ms" "$(of "overload-$1" refused_p99_ms)" '<' 10
}

# The same network behind FastAPI, in one or two processes: two are one process a core.
peers() {
    local workers precision file
    if make_peer_service; then
        for workers in 1 2; do
            for precision in f32 bf16; do
                echo "FastAPI, workers: $workers, $precision"
                file=$out/load-peer-$precision-$workers.json
                parts+=("$file")
                rm -f "$file"
                run_peer "$precision" "$workers" --clients 10 --seconds "$load_s" --json "$file"
            done
        done
        rm -f "$peer"
    fi
    echo "voxlock-cloud, f32"
    run_load beside-peers 20.8M --clients 10 --seconds "$load_s" --unique
    is_baked 20.8M || return
    echo "voxlock-cloud, baked folder: auto"
    run_load beside-peers-baked 20.8M-baked --clients 10 --seconds "$load_s" --unique
    echo "voxlock-cloud, baked folder: int8"
    run_load beside-peers-int8 20.8M-baked --clients 10 --seconds "$load_s" --unique --cosine 0.98 -- --strategy quantized
}

load() {
    local parts=() bars=() service=$build/voxlock-cloud
    heading "load: from the cache, 10 clients, model starter"
    run_load cached-raw starter --body raw --clients 10 --seconds "$load_s"
    run_load cached-json starter --clients 10 --seconds "$load_s"
    bar "cached raw, answers/s" "$(of cached-raw per_second)" '>=' 5000
    bar "cached raw, 99 % within, ms" "$(of cached-raw p99_ms)" '<' 5
    bar "cached json, answers/s" "$(of cached-json per_second)" '>=' 1500
    bar "cached json, 99 % within, ms" "$(of cached-json p99_ms)" '<' 5
    heading "load: uncached beside the engine alone on the same cores, model 20.8M"
    run_load uncached 20.8M --body raw --clients "$cores" --seconds $((2 * load_s)) --unique --engine "$cores"
    bar "20.8M, uncached: % of the engine alone" \
        "$(calculate "100 * $(of uncached per_second) / $(of uncached engine_per_second)")" '>=' 95
    heading "load: nine of ten requests from the cache, model starter"
    run_load mixed starter --clients 10 --seconds "$load_s" --mix 90
    heading "load: best goodput, then ten times as many requests, Retry-After ignored, then the best again"
    local model
    for model in "${models[@]}"; do
        echo "model $model"
        overload "$model"
    done
    heading "load: 10 clients among 1,000 silent and 200 slow connections; timeouts 4 s (idle) and 2 s (body), model starter"
    VOXLOCK_IDLE_TIMEOUT_S=4 VOXLOCK_BODY_TIMEOUT_MS=2000 run_load crowd starter --body raw --clients 10 \
        --seconds $((2 * load_s)) --mix 50 --idle 1000 --slow 200
    heading "load: SIGTERM and SIGKILL while 10 clients wait, model starter"
    run_load terminate starter --clients 10 --seconds 2 --unique --terminate
    run_load kill starter --clients 10 --seconds 2 --unique --kill
    heading "load: FastAPI and TorchScript beside voxlock-cloud, model 20.8M"
    peers
    heading "load: what was wanted"
    printf '%s\n' "${bars[@]}"
    join "$out/load.json" "${parts[@]}"
}

# ---- g: ten minutes -------------------------------------------------------------------------------------------------
soak() {
    local parts=() bars=() service=$build/voxlock-cloud
    heading "soak: 10 clients for $soak_s s, half of the requests from the cache, model starter"
    run_load soak starter --clients 10 --seconds "$soak_s" --mix 50
    bar "resident memory over the second half, MB/hour" "$(calculate "3600 * $(of soak rss_slope_mb_per_s)")" '<' 5
    bar "wrong or missing answers" "$(calculate "$(of soak wrong) + $(of soak failed)")" '<' 1
    printf '%s\n' "${bars[@]}"
    join "$out/soak.json" "${parts[@]}"
}

# ---- h: the edge ----------------------------------------------------------------------------------------------------
verdict() {
    heading "verdict: utterance to recorded verdict on the device, beside its embedding and its physics alone"
    local few=()
    [ "$quick" = no ] || few=(--runs 5)
    must "$build/bench/bench_verdict" "${few[@]}" starter=models/starter "20.8M=$(folder_of 20.8M)"
}

machine
prepare
for section in "${sections[@]}"; do
    case $section in
    engine) engine ;;
    kernels) kernels ;;
    start) start ;;
    memory) memory ;;
    http) http ;;
    load) load ;;
    soak) soak ;;
    verdict) verdict ;;
    esac
done
exit $status

#!/usr/bin/env bash
# test_offline.sh - neither program needs a network or asks for one: both do their work in a namespace without any, and
# under strace neither connects to anything.
# Usage: test_offline.sh BUILD_FOLDER
# Linux only. Release build only: whether a socket is opened does not depend on how a program was compiled.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
clip=tests/data/audio/reader1_a.flac golden=tests/data/golden/model manifest=.optimization_manifest.json

if [[ $build != *release ]] || [ "$(uname -s)" != Linux ]; then
    printf '1..1\nok 1 - # SKIP needs the release build, on Linux\n'
    exit 0
fi
work=$(mktemp -d) || exit 1
pid='' program='' # of what runs, strace where it is watched, and of the service itself
finish() {
    [ -z "$pid" ] || kill "$program" "$pid" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
. tests/support/tap.sh

skip() { # text, reason
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

# A namespace of its own has only a loopback, and that is down.
alone=()
if unshare -n true 2>/dev/null; then
    alone=(unshare -n)
elif unshare -rn true 2>/dev/null; then
    alone=(unshare -rn)
fi
# The line of execve, the first, begins with the program's process id.
watched=()
if strace -f -o "$work/probe" true 2>/dev/null; then
    watched=(strace -f -qq -e "trace=execve,connect,sendto,sendmsg,sendmmsg" -o "$work/calls")
fi

# ---- models: one for each strategy that this build has ------------------------------------------------------------------

models=("native models/starter")
no_jit=
if [ ! -e "$build/vx_network_torch.so" ]; then
    no_jit="this build has no vx_network_torch.so"
elif [ ! -e build/forged/jit_good.pt ]; then
    no_jit="no Python with PyTorch made build/forged/jit_good.pt"
else
    mkdir "$work/jit"
    cp $golden/model.safetensors "$work/jit/"
    cp build/forged/jit_good.pt "$work/jit/ecapa_jit_traced.pt"
    jq --slurpfile vector build/forged/self_test.json --arg sha "$(sha256sum <build/forged/jit_good.pt | cut -d ' ' -f 1)" \
        --argjson bytes "$(stat -c %s build/forged/jit_good.pt)" \
        '.self_test = {signal: "voxlock-1", embedding: $vector[0]} | .artefacts.jit = {file: "ecapa_jit_traced.pt",
         bytes: $bytes, sha256: $sha, cosine_min: 1, inference_ms: 1}' $golden/$manifest >"$work/jit/$manifest"
    models+=("jit $work/jit")
fi

# ---- what is done, with "$@" in front of the program -----------------------------------------------------------------

embeds() { # strategy, folder, prefix...
    local strategy=$1 folder=$2
    shift 2
    "$@" "$build/voxlock" embed --json --strategy "$strategy" --model "$folder" $clip >"$work/there" &&
        "$build/voxlock" embed --json --strategy "$strategy" --model "$folder" $clip >"$work/here" &&
        cmp "$work/here" "$work/there"
}

tells() { # strategy, folder, prefix...
    local strategy=$1 folder=$2
    shift 2
    "$@" "$build/voxlock" status --json --model "$folder" >"$work/status" &&
        jq -e --arg strategy "$strategy" '.engine | .opened and .strategy == $strategy and (.degraded | not)' "$work/status"
}

wait_for() { # text in the service's log
    for _ in $(seq 400); do
        grep -q "$1" "$work/log" && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/log"
    return 1
}

serves() { # strategy, folder, prefix...: READY, and a clean end
    local strategy=$1 folder=$2 status
    shift 2
    "$@" "$build/voxlock-cloud" --port 0 --bind 127.0.0.1 --log-format text --model "$folder" 2>"$work/log" &
    pid=$! program=$!
    wait_for "model ready.*strategy=$strategy" || return 1
    if [ "$1" = strace ]; then
        local port
        read -r program _ <"$work/calls"
        port=$(sed -n 's/.*listening.*port=\([0-9]*\).*/\1/p' "$work/log")
        curl -sS -f -o "$work/answer" -H 'Content-Type: audio/flac' --data-binary @$clip \
            "http://127.0.0.1:$port/api/ml/speaker_embedding" || return 1
    fi
    kill -TERM "$program"
    wait "$pid"
    status=$?
    pid=
    [ $status -eq 0 ] && grep -q stopped "$work/log"
}

# Whoever connects, or sends without a connection, names an address; answers to those who came do not.
addresses() { grep 'sa_family=' "$work/calls" | grep -v 'sa_family=AF_UNIX'; }

connects_nowhere() { # what to do, strategy, folder
    "$1" "$2" "$3" "${watched[@]}" && grep -q execve "$work/calls" && ! addresses
}

strace_sees_a_connection() { # so the proof can fail
    "${watched[@]}" curl -s --max-time 2 http://127.0.0.1:1/
    addresses
}

no_way_out() {
    # shellcheck disable=SC2016
    "${alone[@]}" bash -c '[ "$(tail -n +2 /proc/net/route | wc -l)" -eq 0 ] && ! (exec 3<>/dev/tcp/127.0.0.1/1) 2>&1 |
        tee /dev/stderr | grep -q refused'
}

refuses_to_go_online() { # program, arguments...: exit status 2 and one sentence
    local status
    ECAPA_STRICT_OFFLINE=false "$@" >"$work/out" 2>"$work/err"
    status=$?
    cat "$work/out" "$work/err"
    [ $status -eq 2 ] && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q ECAPA_STRICT_OFFLINE "$work/err"
}

# ---- tests -------------------------------------------------------------------------------------------------------------

if [ ${#alone[@]} -eq 0 ]; then
    skip "work without a network" "network namespaces are not permitted here"
else
    check "the namespace has no way out" no_way_out
    for model in "${models[@]}"; do
        read -r strategy folder <<<"$model"
        check "$strategy: embed works without a network" embeds "$strategy" "$folder" "${alone[@]}"
        check "$strategy: status works without a network" tells "$strategy" "$folder" "${alone[@]}"
        check "$strategy: the service becomes ready without a network" serves "$strategy" "$folder" "${alone[@]}"
    done
fi
if [ ${#watched[@]} -eq 0 ]; then
    skip "no connection is tried" "strace is not installed, or not permitted here"
else
    check "strace sees a connection" strace_sees_a_connection
    for model in "${models[@]}"; do
        read -r strategy folder <<<"$model"
        check "$strategy: embed tries no connection" connects_nowhere embeds "$strategy" "$folder"
        check "$strategy: status tries no connection" connects_nowhere tells "$strategy" "$folder"
        check "$strategy: the service tries no connection" connects_nowhere serves "$strategy" "$folder"
    done
fi
[ -z "$no_jit" ] || skip "the same with jit" "$no_jit"
check "voxlock refuses to go online" refuses_to_go_online "$build/voxlock" embed $clip
check "voxlock-cloud refuses to go online" refuses_to_go_online "$build/voxlock-cloud" --port 0
echo "1..$n"

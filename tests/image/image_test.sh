#!/usr/bin/env bash
# image_test.sh - builds the container image, looks at what is in it, starts it and uses it.
# Usage: image_test.sh slim|full BUILD_FOLDER
#   BUILD_FOLDER holds the programs of the same sources, built outside: what the container answers is compared with them.
# One TAP line a check; sizes and contents are printed as comments. Everything it makes lies in build/image. Exit status
# 1 if a check failed.
# shellcheck disable=SC2154
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
target=${1:?usage: image_test.sh slim|full BUILD_FOLDER} build=${2:?}
tag=localhost/voxlock-cloud:$target
clips=tests/data/audio
work=$(mktemp -d) || exit 1
. tests/support/tap.sh
. tests/image/container.sh
finish() {
    clean_up
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

obstacle=$(image_obstacle)
if [ -n "$obstacle" ]; then
    echo "ok 1 - the image $target # SKIP $obstacle"
    echo 1..1
    exit 0
fi

# ---- what is in it ---------------------------------------------------------------------------------------------------

# Everything but times, in an order of its own; of what baking writes also without the times that it measured, and
# without the precision that was chosen by them.
listing() { # root
    local manifest=opt/ecapa_cache/.optimization_manifest.json
    (cd "$1" && find . -mindepth 1 \( -path ./proc -o -path ./sys -o -path ./dev \) -prune -o -printf '%y %m %U:%G %p %l\n' |
        sort -k4 && find . -type f ! -path ./$manifest -print0 | sort -z | xargs -0 sha256sum &&
        jq 'del(.artefacts[] | .load_ms, .inference_ms, .precision, .cosine_min)' $manifest)
}

build_and_mount() { # tag, target
    build_image "$2" "$1" && mount_image "$1"
}

builds_again_alike() { # the same commit, from nothing
    listing "$root" >"$work/listing" && build_and_mount "$tag-again" "$target" && listing "$ret_root" >"$work/again" &&
        diff "$work/listing" "$work/again" && buildah rmi -f "$tag-again"
}

holds_what_is_listed() { # a library's folder is named after the machine
    (cd "$root" && find . \( -type f -o -type l \) -printf '%P\n') | sed "s/$(gcc -print-multiarch)/TRIPLET/; s/ld-linux.*/LOADER/" |
        sort >"$work/files"
    diff tests/image/$target.files "$work/files"
}

configured() {
    image_config "$tag" .config >"$work/config" && jq -e --arg version "$(cat VERSION)" '
        .User == "10001:10001" and .Entrypoint == ["/usr/local/bin/voxlock-cloud"] and .Cmd == null and
        .StopSignal == "SIGTERM" and .ExposedPorts == {"8010/tcp": {}} and
        (.Env | index("PORT=8010") and index("ECAPA_CACHE_DIR=/opt/ecapa_cache")) and
        (.Labels | .["org.opencontainers.image.version"] == $version and
            (.["org.opencontainers.image.revision"] | test("^([0-9a-f]{40}(-modified)?|unknown)$")) and
            .["org.opencontainers.image.licenses"] == "Apache-2.0")' "$work/config" || { cat "$work/config"; false; }
}

no_tools() { # by name, and by what a file is: only our program may be run
    local found
    found=$(cd "$root" && find . -type f ! -path './usr/share/*' ! -path './var/*' -printf '%f %p\n' |
        grep -E '^([a-z]*sh|python.*|perl.*|busybox.*|apt.*|dpkg.*|.*gcc[^_].*|cc1.*|.*[.](a|h|py|pyc)) ')
    found+=$(cd "$root" && find . -type f -perm /111 ! -name '*.so' ! -name '*.so.*' ! -path ./usr/local/bin/voxlock-cloud)
    [ -z "$found" ] || { echo "$found"; false; }
}

owned_by_root() { # the service's user could change nothing but /tmp; no file raises rights
    local found
    found=$(find "$root" -mindepth 1 \( ! -user 0 -o ! -group 0 -o -perm /6000 -o -perm /022 \) ! -path "$root/tmp" ! -type l)
    [ -z "$found" ] && [ "$(stat -c %a "$root/tmp")" = 1777 ] || { echo "$found"; false; }
}

packages_are_recorded() { # for scanners, with their licences
    local record n=0
    for record in "$root"/var/lib/dpkg/status.d/*; do
        grep -q '^Package: ' "$record" && grep -q '^Version: ' "$record" &&
            [ -s "$root/usr/share/doc/$(basename "$record")/copyright" ] || { echo "$record"; return 1; }
        n=$((n + 1))
    done
    [ "$n" -gt 10 ]
}

megabytes() { # paths below the root: their files' bytes
    (cd "$root" && du -cb --apparent-size "$@" 2>/dev/null | awk 'END {printf "%.1f", $1 / 1e6}')
}

print_contents() {
    echo "# $tag: $(megabytes .) MB, of these the model $(megabytes opt), programs and plugins $(megabytes usr/local)," \
        "libraries $(megabytes usr/lib lib64), licences and package records $(megabytes usr/share var)"
    (cd "$root" && find . -type f -size +64k -printf '%s %P\n') | sort -rn |
        awk '{printf "#   %8.2f MB  %s\n", $1 / 1e6, $2}'
    echo "# packages: $(cd "$root/var/lib/dpkg/status.d" && sed -n 's/^Version: //p; s/^Package: //p' -- * | paste -d' ' - - | xargs -d '\n' printf '%s, ')"
}

small_enough() { # without the model, in MB
    awk -v all="$(megabytes .)" -v model="$(megabytes opt)" -v most="$1" 'BEGIN {print all - model, "MB"; exit !(all - model < most)}'
}

# ---- start and use it ------------------------------------------------------------------------------------------------

begin() { # id, jq filter on the runtime's configuration, root
    bundle=$work/$1
    make_bundle "$bundle" "$tag" "${3:-$root}" "$2" && start_container "$1" "$bundle" && pid=$ret_pid runtime=$ret_shell
}

healthy() {
    for _ in $(seq 300); do
        inside "$pid" curl -s -f -o "$work/health" http://127.0.0.1:8010/health && break
        kill -0 "$runtime" 2>/dev/null || { cat "$bundle/log"; return 1; }
        sleep 0.1
    done
    jq -e '.status == "healthy" and .ecapa_ready and .startup_state == "READY"' "$work/health" || { cat "$work/health" "$bundle/log"; false; }
}

post() { # path; JSON on standard input, the answer to $work/answer
    inside "$pid" curl -sS --fail-with-body -o "$work/answer" -H 'Content-Type: application/json' --data-binary @- \
        "http://127.0.0.1:8010/api/ml/$1" || { cat "$work/answer"; false; }
}

encoded() { base64 <"$clips/$1" | tr -d '\n'; }

embeds() {
    printf '{"audio_data": "%s", "format": "wav"}' "$(encoded reader1_a.wav)" | post speaker_embedding &&
        jq -e '(.embedding | length) == 192 and .success and (.cached | not)' "$work/answer" || return 1
    cp "$work/answer" "$work/embedding"
}

agrees_with_the_build() { # least cosine to the vector of the same sources outside any container
    local outside
    outside=$("$build/voxlock" embed --model models/starter --strategy native --json $clips/reader1_a.wav) || return 1
    jq -e --argjson outside "$outside" --argjson least "$1" \
        '[.embedding, $outside.embedding] | transpose | map(.[0] * .[1]) | add | ., . > $least' "$work/embedding"
}

verifies() { # clip, reference clip, verdict
    printf '{"audio_data": "%s", "format": "auto", "reference_audio": "%s"}' "$(encoded "$1")" "$(encoded "$2")" |
        post speaker_verify && jq -e ".verified == $3" "$work/answer" || { cat "$work/answer"; false; }
}

without_rights() {
    grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|NSpid)' "/proc/$pid/status" >"$work/status" && cat "$work/status"
    grep -qE '^Uid:(\s+10001){4}$' "$work/status" && grep -qE '^Gid:(\s+10001){4}$' "$work/status" &&
        [ "$(grep -cE '^Cap[A-Za-z]+:\s+0{16}$' "$work/status")" -eq 5 ] && grep -qE '^NoNewPrivs:\s+1$' "$work/status" &&
        grep -qE '^NSpid:.*\s1$' "$work/status"
}

root_is_read_only() { # and /tmp the only place where an ordinary file could be made
    awk '$5 == "/" {print $6}' "/proc/$pid/mountinfo" | grep -qE '^ro(,|$)' || { cat "/proc/$pid/mountinfo"; return 1; }
}

tmp_is_empty() {
    [ -z "$(ls -A "/proc/$pid/root/tmp")" ]
}

sees_only_loopback() {
    [ "$(inside "$pid" sh -c 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "')" = lo ]
}

ends_on_sigterm() {
    stop_container "$1" "$runtime" "$(jq -r .StopSignal "$work/config")" && grep -q '"message":"stopped"' "$bundle/log" ||
        { cat "$bundle/log"; false; }
}

logs_json() {
    jq -es 'length > 2 and all(has("severity") and has("message"))' "$bundle/log"
}

writes_nothing_where_it_could() { # as root, with all of root's rights over files, on a root that takes them
    listing "$root" >"$work/before" &&
        begin "$run-rw" '.root.readonly = false | .process.user = {uid: 0, gid: 0} | .mounts |= map(select(.destination != "/tmp"))' &&
        healthy && embeds && stop_container "$run-rw" "$runtime" SIGTERM || return 1
    # The runtime makes empty folders to mount on.
    listing "$root" | grep -vE '^d 755 0:0 \./(dev|proc|sys) $' >"$work/after"
    diff "$work/before" "$work/after"
}

model_can_be_mounted() { # another model than the baked one
    begin "$run-model" '.mounts += [{destination: "/model", type: "bind", source: "'"$PWD"'/tests/data/golden/model", options: ["bind", "ro"]}]
        | .process.env += ["ECAPA_CACHE_DIR=/model"]' && healthy && inside "$pid" curl -s http://127.0.0.1:8010/status |
        jq -e '.model.name == "golden-ecapa-64"' && stop_container "$run-model" "$runtime" SIGTERM
}

strategy_runs() { # name: asked for, taken, and true
    begin "$run-$1" '.process.env += ["ECAPA_PREFERRED_STRATEGY='"$1"'"]' && healthy && embeds &&
        jq -e --arg name "$1" '.engine.strategy == $name' "$work/embedding" && agrees_with_the_build 0.999 &&
        stop_container "$run-$1" "$runtime" SIGTERM || { cat "$bundle/log"; false; }
}

setting_errors_end_it() { # status 2 and a sentence
    begin "$run-bad" '.process.env += ["PORT=seventy"]' 2>/dev/null
    local status=0
    wait "$ret_shell" || status=$?
    [ "$status" -eq 2 ] && grep -q PORT "$bundle/log" || { cat "$bundle/log"; false; }
}

run=voxlock-test-$$
check "debootstrap makes the base image" make_base
check "the image builds" build_and_mount "$tag" "$target"
root=$ret_root
if [ -z "$root" ]; then
    echo "1..$n"
    exit 1
fi
print_contents
check "a second build of the same commit gives the same files" builds_again_alike
check "its configuration is the documented one" configured
check "it holds what tests/image/$target.files lists, and nothing else" holds_what_is_listed
check "no shell, interpreter, compiler or package manager is in it" no_tools
check "root owns everything, only /tmp is open, no file raises rights" owned_by_root
check "each library's package is recorded, with its licence" packages_are_recorded
[ "$target" != slim ] || check "without the model it is under 60 MB" small_enough 60

check "it starts" begin "$run" .
check "it is healthy" healthy
check "it embeds a recording" embeds
check "the embedding is that of the same sources built outside" agrees_with_the_build 0.999
check "it verifies one reader's two recordings" verifies reader1_a.flac reader1_b.flac true
check "it tells two readers apart" verifies reader1_a.flac reader3_a.flac false
check "it runs as uid 10001, process 1, without any capability" without_rights
check "its root is read-only" root_is_read_only
check "it left nothing in /tmp" tmp_is_empty
check "it needs no network but the one it is asked on" sees_only_loopback
check "SIGTERM ends it with status 0" ends_on_sigterm "$run"
check "its log is JSON" logs_json
check "as root on a writable root it writes nothing either" writes_nothing_where_it_could
check "a mounted model folder takes the place of the baked one" model_can_be_mounted
for strategy in $(jq -r '.artefacts | keys[]' "$root/opt/ecapa_cache/.optimization_manifest.json"); do
    check "strategy $strategy runs, and gives the reference's vector" strategy_runs "$strategy"
done
check "an unusable setting ends it with status 2, saying which" setting_errors_end_it
echo "1..$n"
[ "$failed" -eq 0 ]

#!/usr/bin/env bash
# test_bake.sh - models/bake.py makes folders that `voxlock-cloud bake-check` proves, and neither believes a damaged one.
# Usage: test_bake.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export PYTHONDONTWRITEBYTECODE=1
build=$1
program=$(cd "$build" && pwd)/voxlock-cloud
golden=tests/data/golden/model
manifest=.optimization_manifest.json

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. tests/support/tap.sh

python=$(scripts/with_torch.sh -c 'import sys; print(sys.executable)' 2>&1) || {
    printf '1..1\nok 1 - bake # SKIP %s\n' "$python"
    exit 0
}

bake() { "$python" models/bake.py --program "$program" "$@"; }
field() { jq -er "$1" "$2/$manifest"; } # expression, folder

# ---- what bake makes ----

golden_bakes() {
    bake $golden "$work/baked" && grep -q '^the folder holds$' "$work/said" && grep -q "^baked: $work/baked$" "$work/said"
}
weights_are_unchanged() {
    cmp "$work/baked/model.safetensors" $golden/model.safetensors &&
        [ "$(field .artefacts.native.sha256 "$work/baked")" = "$(field .artefacts.native.sha256 $golden)" ]
}
what_the_source_says_stays() {
    diff <(jq -S '{model, frontend, scores, format}' "$work/baked/$manifest") \
        <(jq -S '{model, frontend, scores, format}' $golden/$manifest)
}
native_is_measured() {
    field '.artefacts.native | .cosine_min >= 0.99999 and .load_ms > 0 and .inference_ms > 0 and .precision == "f32"' "$work/baked"
}
# What this build has a plugin for is measured; what it has none for is there all the same.
others_are_there() {
    local strategy plugin
    for strategy in jit onnx; do
        plugin=$build/vx_network_${strategy/jit/torch}.so
        field ".artefacts.$strategy | .file and .bytes > 0" "$work/baked" || return 1
        if [ -e "$plugin" ]; then
            field ".artefacts.$strategy | .cosine_min >= 0.999 and .inference_ms > 0" "$work/baked" || return 1
        else
            field ".artefacts.$strategy | has(\"inference_ms\") | not" "$work/baked" || return 1
        fi
    done
}
# Half the weights of the convolutions, measured where this machine multiplies in bf16.
half_is_there() {
    local entry
    entry=$(field .artefacts.half "$work/baked") &&
        jq -e --argjson native "$(field .artefacts.native.bytes "$work/baked")" '.bytes > 0 and .bytes < 0.8 * $native' <<<"$entry" || return 1
    if grep -qs avx512_bf16 /proc/cpuinfo; then
        jq -e '.cosine_min >= 0.9995 and .inference_ms > 0 and .precision == "bf16"' <<<"$entry"
    else
        jq -e 'has("inference_ms") | not' <<<"$entry"
    fi
}
self_test_is_added() {
    field '.self_test | .signal == "voxlock-1" and (.embedding | length) == 192' "$work/baked" &&
        ! field .self_test $golden
}
# Recordings that hold the same samples count once: reader1_a is there as WAV and as FLAC.
clips_are_real() {
    [ "$(field .parity.clips "$work/baked")" -eq 22 ] && field '.parity._source | test("LibriSpeech.*CC BY 4.0")' "$work/baked"
}
no_leftovers() { [ "$(find "$work/baked" -mindepth 1 | wc -l)" -eq 7 ]; }
no_build_paths() {
    ! grep -aq debug_pkl "$work/baked/ecapa_jit_traced.pt" && ! grep -aqF "$PWD" "$work"/baked/*
}
same_embedding() {
    diff <("$build/voxlock" embed --json --strategy native --model "$work/baked" tests/data/audio/reader2_a.flac) \
        <("$build/voxlock" embed --json --strategy native --model $golden tests/data/audio/reader2_a.flac)
}
same_bytes_again() { # the manifest differs, since times do
    local file
    bake $golden "$work/again" || return 1
    for file in model.safetensors model_bf16.safetensors model_int8.safetensors ecapa_jit_traced.pt ecapa_model.onnx parity.safetensors; do
        cmp "$work/baked/$file" "$work/again/$file" || return 1
    done
}
checkpoint_bakes() {
    bake tests/data/golden/checkpoint "$work/imported" --strategies jit --max-clips 2 &&
        cmp "$work/imported/model.safetensors" $golden/model.safetensors &&
        cmp "$work/imported/ecapa_jit_traced.pt" "$work/baked/ecapa_jit_traced.pt" &&
        [ ! -e "$work/imported/ecapa_model.onnx" ] && [ "$(field .model.name "$work/imported")" = checkpoint ]
}
rebakes_in_place() { # with fewer strategies: what is not in the new manifest goes
    cp -r "$work/again" "$work/place" && bake "$work/place" "$work/place" --strategies '' --max-clips 1 &&
        [ "$(field '.artefacts | keys | join(" ")' "$work/place")" = native ] && [ "$(field .parity.clips "$work/place")" -eq 1 ] &&
        [ ! -e "$work/place/ecapa_jit_traced.pt" ] && "$program" bake-check "$work/place"
}
starter_bakes() {
    bake models/starter "$work/starter" && field '.artefacts.native.cosine_min >= 0.99999' "$work/starter" &&
        cmp models/starter/LICENSE "$work/starter/LICENSE" &&
        cmp models/starter/cohort.safetensors "$work/starter/cohort.safetensors" &&
        diff <(jq -c .scores "$work/starter/$manifest") <(jq -c .scores models/starter/$manifest) &&
        diff <(jq -c .self_test "$work/starter/$manifest") <(jq -c .self_test models/starter/$manifest)
}
own_clips() {
    mkdir -p "$work/clips/deep" && cp tests/data/audio/reader3_a.flac "$work/clips/deep/" &&
        cp tests/data/audio/README.md "$work/clips/broken.wav" && cp tests/data/audio/README.md "$work/clips/" &&
        bake $golden "$work/own" --strategies '' --clips "$work/clips" &&
        grep -q 'left out: .*/broken.wav: ' "$work/said" && [ "$(field .parity.clips "$work/own")" -eq 1 ] &&
        field '.parity | has("_source") | not' "$work/own"
}

# ---- what bake refuses: one sentence, and OUT stays as it was ----

refuses() { # text, source, options...
    local text=$1 source=$2
    shift 2
    ! bake "$source" "$work/never" "$@" >"$work/heard" 2>&1 || return 1
    cat "$work/heard"
    grep -q "^bake.py: .*$text" "$work/heard" && [ ! -e "$work/never" ]
}
changed() { # sed expression on the manifest: a copy of the golden folder
    rm -rf "$work/changed" && cp -r $golden "$work/changed" && chmod -R u+w "$work/changed" &&
        sed -i.old "$1" "$work/changed/$manifest" && rm "$work/changed/$manifest.old"
}
refuses_other_weights() { changed 's/"sha256": "7/"sha256": "8/' && refuses 'not the weights' "$work/changed"; }
refuses_frontend() { changed 's/"log": "db"/"log": "natural"/' && refuses 'no front end with log: natural' "$work/changed"; }
refuses_no_frontend() { changed 's/"frontend"/"_frontend"/' && refuses "lacks 'frontend'" "$work/changed"; }
refuses_less_frontend() { changed 's/"hop_samples"/"_hop"/' && refuses "front end lacks 'hop_samples'" "$work/changed"; }
refuses_unknown_strategy() { ! bake $golden "$work/never" --strategies jit,quantum && grep -q "'quantum' is none of" "$work/said" && [ ! -e "$work/never" ]; }

# Stands in for voxlock-cloud: $1 says what it does when it is asked to check.
stand_in() { # commands
    printf '#!/usr/bin/env bash\nif [ "$1" = bake-check ]; then\n%s\nfi\nexec "%s" "$@"\n' "$1" "$program" >"$work/stand-in"
    chmod +x "$work/stand-in"
}

failing_check_publishes_nothing() {
    stand_in '[ "$3" = --json ] || exit 1'
    cp -r "$work/again" "$work/kept" || return 1
    ! bake "$golden" "$work/kept" --program "$work/stand-in" --strategies '' --max-clips 1 &&
        grep -q '^bake.py: .* did not pass bake-check$' "$work/said" && diff -r "$work/again" "$work/kept"
}
wrong_export_publishes_nothing() {
    stand_in '"'"$program"'" "$@" | sed "s/\"verdict\":\"ok\"/\"verdict\":\"strays\"/"; exit 0'
    refuses 'does not compute what PyTorch does' $golden --program "$work/stand-in" --strategies '' --max-clips 1
}
interrupted() { # a bake that waits in its first bake-check gets SIGTERM, which it treats like ^C
    local pid status
    rm -f "$work/reached" && mkfifo "$work/reached" && exec 3<>"$work/reached" || return 1
    stand_in "echo >'$work/reached'; exec sleep 60"
    "$python" models/bake.py --program "$work/stand-in" $golden "$work/$1" --strategies jit --max-clips 1 &
    pid=$!
    read -r -t 120 -u 3 || { kill "$pid"; return 1; }
    kill "$pid"
    wait "$pid"
    status=$?
    exec 3>&-
    [ $status -eq 1 ]
}
interrupt_leaves_nothing() { interrupted fresh && grep -q '^bake.py: interrupted$' "$work/said" && [ ! -e "$work/fresh" ]; }
interrupt_keeps_the_old() { cp -r "$work/again" "$work/stopped" && interrupted stopped && diff -r "$work/again" "$work/stopped"; }

# ---- what bake-check proves ----

checks() { # folder, options...: the JSON goes to $work/json
    local folder=$1
    shift
    "$program" bake-check "$folder" --json "$@" >"$work/json"
}
json_is_complete() {
    checks "$work/baked" && jq -e '
        .holds and .model == "golden-ecapa-64" and (.digest | test("^sha256:[0-9a-f]{64}$")) and .clips == 22 and .seconds > 60
        and (.artefacts | length) == 5 and (.auto.strategy | type) == "string" and (.auto.reason | test("^auto: "))
        and (.artefacts[0] | .strategy == "native" and .verdict == "ok" and .reason == "" and .precision == "f32"
            and .device == "cpu" and (.library | length) > 0 and (.isa | length) > 0 and .cosine_min >= 0.99999
            and .cosine_median >= .cosine_min and .load_ms > 0 and .inference_ms > 0 and (.memory_mb | type) == "number"
            and .stated.precision == "f32" and .stated.cosine_min >= 0.99999 and .stated.inference_ms > 0)' "$work/json"
}
one_strategy_alone() {
    checks "$work/baked" --strategy native && jq -e '(.artefacts | length) == 1 and .auto == null' "$work/json"
}
absent_alone_does_not_hold() { # nothing was run
    if [ -e "$build/vx_network_onnx.so" ]; then
        checks "$work/baked" --strategy onnx
    else
        ! checks "$work/baked" --strategy onnx && jq -e '.holds == false and .artefacts[0].verdict == "unavailable"
            and (.artefacts[0].reason | test("vx_network_onnx"))' "$work/json"
    fi
}
settings_are_obeyed() { # native has no int8
    ! checks "$work/baked" --strategy native --precision int8 && jq -e '.artefacts[0].verdict == "unavailable"' "$work/json"
}
usage() { # exit status, text, arguments...
    local status=$1 text=$2
    shift 2
    "$program" bake-check "$@" >"$work/heard" 2>&1
    [ $? -eq "$status" ] && grep -q "$text" "$work/heard"
}

# A copy of the baked folder to spoil; the check of it must fail.
spoilt() { rm -rf "$work/spoilt" && cp -r "$work/baked" "$work/spoilt"; }
lacking_is_told() {
    spoilt && jq 'del(.artefacts.quantized)' "$work/baked/$manifest" >"$work/spoilt/$manifest" &&
        usage 1 "no artefact for strategy 'quantized'" "$work/spoilt" --strategy quantized
}
flip() { # file, byte
    printf '\x%02x' $((0x$(od -An -tx1 -j "$2" -N 1 "$1" | tr -d ' ') ^ 0x10)) | xargs -0 printf | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
flipped_bit_is_found() { # strategy, file: whether or not this build can run it
    spoilt && flip "$work/spoilt/$2" 100000 && ! checks "$work/spoilt" && jq -e --arg strategy "$1" '.holds == false and
        (.artefacts[] | select(.strategy == $strategy) | .verdict == "failed" and (.reason | test("SHA-256 is .* where the manifest states")))' "$work/json"
}
missing_file_is_found() {
    spoilt && rm "$work/spoilt/ecapa_model.onnx" && ! checks "$work/spoilt" &&
        jq -e '.artefacts[] | select(.strategy == "onnx") | .verdict == "failed" and (.reason | test("ecapa_model.onnx"))' "$work/json"
}
changed_digest_is_found() { # strategy
    spoilt && jq --arg strategy "$1" '.artefacts[$strategy].sha256 |= (if .[0:1] == "0" then "1" else "0" end) + .[1:]' \
        "$work/baked/$manifest" >"$work/spoilt/$manifest" && ! checks "$work/spoilt"
}
# A strategy that this program has never heard of: its file is proven all the same.
unknown_strategy_is_proven() {
    local verdict='.artefacts[] | select(.strategy == "future") | .verdict'
    spoilt && cp "$work/baked/ecapa_model.onnx" "$work/spoilt/future.bin" &&
        jq '.artefacts.future = (.artefacts.onnx | {file: "future.bin", bytes, sha256})' "$work/baked/$manifest" >"$work/spoilt/$manifest" &&
        checks "$work/spoilt" && [ "$(jq -r "$verdict" "$work/json")" = unavailable ] &&
        flip "$work/spoilt/future.bin" 100000 && ! checks "$work/spoilt" && [ "$(jq -r "$verdict" "$work/json")" = failed ]
}
flipped_clip_is_found() {
    spoilt && flip "$work/spoilt/parity.safetensors" 100000 && usage 1 'parity.safetensors: SHA-256 is' "$work/spoilt"
}
flipped_cohort_is_found() {
    rm -rf "$work/spoilt" && cp -r "$work/starter" "$work/spoilt" && flip "$work/spoilt/cohort.safetensors" 1000 &&
        usage 1 'cohort.safetensors: SHA-256 is' "$work/spoilt"
}
# Spoils the clips' file so that its digest is right again. Python: what happens to the tensors' bytes.
forged_clips() { # statement on `tensors`, name -> bytearray
    spoilt && python3 - "$work/spoilt" "$1" <<'EOF'
import hashlib, json, pathlib, struct, sys
folder = pathlib.Path(sys.argv[1])
path, stated = folder / "parity.safetensors", folder / ".optimization_manifest.json"
data = path.read_bytes()
start = 8 + struct.unpack_from("<Q", data)[0]
header = json.loads(data[8:start])
tensors = {k: bytearray(data[start + v["data_offsets"][0] : start + v["data_offsets"][1]]) for k, v in header.items()}
exec(sys.argv[2])
path.write_bytes(data[:start] + b"".join(tensors[k] for k in sorted(tensors)))
manifest = json.loads(stated.read_text())
manifest["parity"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
stated.write_text(json.dumps(manifest))
EOF
}
clips_of_another_model() {
    forged_clips 'tensors["model"][0] ^= 1' && usage 1 'parity.safetensors: its embeddings are those of another model' "$work/spoilt"
}
# The last clip's embedding with its first and second half exchanged: every vector is plausible, one is wrong.
exchange='e = tensors["embeddings"]; e[-768:] = e[-384:] + e[-768:-384]'
wrong_embedding_is_found() {
    forged_clips "$exchange" && ! checks "$work/spoilt" && jq -e '.holds == false and (.artefacts[0] | .verdict == "failed"
        and .cosine_min < 0.9 and .cosine_median > 0.99999 and (.reason | test("clip 22 of 22 has cosine .* and auto, which takes it")))' "$work/json" &&
        ! "$program" bake-check "$work/spoilt" >"$work/heard" && grep -q '^the folder does NOT hold$' "$work/heard"
}
# What auto leaves out may stray without the folder being wrong.
straying_is_no_failure() { # strategy
    forged_clips "$exchange" && jq --arg strategy "$1" 'del(.artefacts[$strategy].cosine_min)' "$work/spoilt/$manifest" >"$work/new" &&
        cp "$work/new" "$work/spoilt/$manifest" && checks "$work/spoilt" --strategy "$1" && jq -e '.artefacts[0].verdict == "strays"' "$work/json"
}

check "the golden model bakes" golden_bakes
check "its weights are the same bytes" weights_are_unchanged
check "what the source's manifest says of the model stays" what_the_source_says_stays
check "native was measured" native_is_measured
check "TorchScript and ONNX are there, and measured where this build can run them" others_are_there
check "weights in bf16 are there, and measured where this machine multiplies them" half_is_there
check "a self-test was added" self_test_is_added
check "the clips are the repository's recordings, each once, with their licence" clips_are_real
check "nothing else lies in the folder" no_leftovers
check "no file names a folder of this machine" no_build_paths
check "voxlock computes the same embedding with the baked folder" same_embedding
check "bake-check --json tells everything" json_is_complete
check "bake-check of one strategy alone" one_strategy_alone
check "bake-check of what cannot be run here does not hold" absent_alone_does_not_hold
check "bake-check obeys the settings" settings_are_obeyed
check "bake-check without a folder: usage" usage 2 'usage: voxlock-cloud bake-check'
check "bake-check of an unknown strategy: usage" usage 2 quantum "$work/baked" --strategy quantum
check "bake-check of a strategy that the manifest lacks" lacking_is_told
check "bake-check of no model folder" usage 1 manifest "$work"
check "bake-check of a folder that was never baked" usage 1 'models/bake.py' models/starter
while read -r strategy file; do
    check "a flipped bit is found: $file" flipped_bit_is_found "$strategy" "$file"
    check "another digest in the manifest is found: $strategy" changed_digest_is_found "$strategy"
done <<'EOF'
native model.safetensors
half model_bf16.safetensors
quantized model_int8.safetensors
jit ecapa_jit_traced.pt
onnx ecapa_model.onnx
EOF
check "a missing file is found" missing_file_is_found
check "the file of an unknown strategy is proven" unknown_strategy_is_proven
check "a flipped bit is found: parity.safetensors" flipped_clip_is_found
check "clips of another model are refused" clips_of_another_model
check "one wrong embedding among the clips is found" wrong_embedding_is_found
for strategy in jit onnx; do
    if [ -e "$build/vx_network_${strategy/jit/torch}.so" ]; then
        check "an unmeasured artefact that strays is no failure: $strategy" straying_is_no_failure $strategy
    fi
done

# The rest is about Python, which every build mode runs alike.
if [ "$(basename "$build")" != asan ]; then
    check "a second bake gives the same bytes" same_bytes_again
    check "a SpeechBrain checkpoint bakes" checkpoint_bakes
    check "a folder is baked again in place, with fewer strategies" rebakes_in_place
    check "the starter bakes, with its licence and its own self-test" starter_bakes
    check "a flipped bit is found: cohort.safetensors" flipped_cohort_is_found
    check "other recordings than the repository's; unusable ones are named" own_clips
    check "refused: no model" refuses 'neither .optimization_manifest.json nor embedding_model.ckpt' "$work"
    check "refused: weights that are not the manifest's" refuses_other_weights
    check "refused: a front end that PyTorch does not have here" refuses_frontend
    check "refused: a manifest without a front end" refuses_no_frontend
check "refused: a front end without its hop" refuses_less_frontend
check "refused: an unknown strategy" refuses_unknown_strategy
    check "refused: no recordings" refuses 'no usable recording' $golden --clips scripts
    check "refused: no program" refuses 'not there; build it' $golden --program "$work/nothing"
    check "a folder that does not pass bake-check is not published" failing_check_publishes_nothing
    check "an export that strays is not published" wrong_export_publishes_nothing
    check "an interrupted bake leaves no folder" interrupt_leaves_nothing
    check "an interrupted bake leaves the old folder as it was" interrupt_keeps_the_old
fi
echo "1..$n"

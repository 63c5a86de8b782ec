#!/usr/bin/env bash
# test_bake_model.sh - scripts/bake_model.sh makes the model folder of the slim image from whatever MODEL names.
# Usage: test_bake_model.sh BUILD_FOLDER
# shellcheck disable=SC2154
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${1:?usage: test_bake_model.sh BUILD_FOLDER}
export PYTHONDONTWRITEBYTECODE=1
golden=tests/data/golden/model manifest=.optimization_manifest.json
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. tests/support/tap.sh

bake() { # MODEL
    SOURCE_DATE_EPOCH=1700000000 scripts/bake_model.sh --native "$1" "$work/out"
}

name_in_models() {
    bake starter && cmp models/starter/model.safetensors "$work/out/model.safetensors" &&
        cmp models/starter/cohort.safetensors "$work/out/cohort.safetensors" &&
        cmp models/starter/LICENSE "$work/out/LICENSE" &&
        diff <(jq -S . models/starter/$manifest) <(jq -S . "$work/out/$manifest")
}

same_time_and_rights() {
    [ "$(find "$work/out" -printf '%T@ %m\n' | sort -u)" = "$(printf '1700000000.0000000000 %s\n' 644 755)" ] ||
        { ls -la "$work/out"; false; }
}

folder_elsewhere() {
    bake $golden && cmp $golden/model.safetensors "$work/out/model.safetensors"
}

checkpoint() {
    bake tests/data/golden/checkpoint && cmp $golden/model.safetensors "$work/out/model.safetensors" &&
        jq -e '.model.name == "checkpoint"' "$work/out/$manifest"
}

# As models/bake.py leaves a folder.
make_baked() { # jq filter on the manifest
    rm -rf "$work/baked" && cp -r $golden "$work/baked" && chmod -R u+w "$work/baked" && echo network >"$work/baked/net.pt" &&
        echo clips >"$work/baked/parity.safetensors" && cp "$work/baked/model.safetensors" "$work/baked/model_int8.safetensors" &&
        cp "$work/baked/model.safetensors" "$work/baked/model_bf16.safetensors" &&
        jq '.artefacts.quantized = .artefacts.native + {file: "model_int8.safetensors"} |
            .artefacts.half = .artefacts.native + {file: "model_bf16.safetensors"} |
            .artefacts.jit = .artefacts.native + {file: "net.pt"} | .artefacts.onnx = .artefacts.jit |
            .parity = {file: "parity.safetensors"} | '"$1" $golden/$manifest >"$work/baked/$manifest"
}

other_forms_stay_out() {
    make_baked . && bake "$work/baked" &&
        jq -e '(.artefacts | keys) == ["half", "native", "quantized"] and (has("parity") | not)' "$work/out/$manifest" &&
        [ "$(ls -A "$work/out")" = "$(printf '%s\n' $manifest model.safetensors model_bf16.safetensors model_int8.safetensors)" ]
}

programs_read_it() {
    bake $golden && "$build/voxlock" embed --model "$work/out" tests/data/audio/reader1_a.wav
}

refused() { # MODEL, text of the error
    ! bake "$1" 2>"$work/error" && cat "$work/error" && grep -qF "$2" "$work/error"
}

check "a name in models/" name_in_models
check "every file has the same time, and everybody may read it" same_time_and_rights
check "a folder elsewhere" folder_elsewhere
check "a SpeechBrain checkpoint" checkpoint
check "of a baked folder only what the native engine runs" other_forms_stay_out
check "voxlock reads what comes out" programs_read_it
check "refused: no such folder" refused no-such-model "no such folder"
check "refused: a folder without a model" refused docs "neither $manifest nor embedding_model.ckpt"
make_baked '.artefacts.native.file = "../../LICENSE"'
check "refused: a file outside the folder" refused "$work/baked" "not a plain file name"
make_baked '.scores.cohort.file = "../cohort.safetensors"'
check "refused: a cohort outside the folder" refused "$work/baked" "not a plain file name"
make_baked '.artefacts.native.file = "gone.safetensors"'
check "refused: a file that is not there" refused "$work/baked" "gone.safetensors"
echo "1..$n"

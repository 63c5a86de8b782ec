#!/usr/bin/env bash
# test_import.sh - models/import_speechbrain.py on a real checkpoint, on unusual ones, and on hostile ones.
# Usage: test_import.sh BUILD_FOLDER (which it does not need: the importer is Python)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export PYTHONDONTWRITEBYTECODE=1

golden=tests/data/golden/model
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. tests/support/tap.sh

import() { # checkpoint folder, model folder, options...
    python3 models/import_speechbrain.py "$@"
}

import_as_golden() { # checkpoint folder, model folder
    import "$1" "$2" --name golden-ecapa-64 --licence "same as voxlock" --accuracy "none: the weights are random" \
        --source "seeded random weights in SpeechBrain's layout, made for tests"
}

golden_import() {
    import_as_golden tests/data/golden/checkpoint "$work/golden" && diff -r "$work/golden" $golden
}

reports_digests() {
    local file digest
    for file in model.safetensors .optimization_manifest.json; do
        digest=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' \
            "$golden/$file")
        grep -qF "$file  $(wc -c <"$golden/$file" | tr -d ' ') bytes  sha256 $digest" "$work/first" || return 1
    done
}

options_are_written() {
    import tests/data/golden/checkpoint "$work/options" --name other --threshold 0.31 --calibration 14.25,-5.5 &&
        jq -e '.model.name == "other" and .scores.threshold == 0.31 and
            .scores.calibration == {"slope": 14.25, "offset": -5.5}' "$work/options/.optimization_manifest.json"
}

defaults_are_written() {
    import tests/data/golden/checkpoint "$work/defaults" &&
        jq -e '.model.name == "defaults" and .scores == {"threshold": 0.25}' \
            "$work/defaults/.optimization_manifest.json"
}

refuses_option() { # option and value
    ! import tests/data/golden/checkpoint "$work/never" "$@" && [ ! -e "$work/never" ]
}

same_weights() { # case: another way to write the golden weights
    python3 models/forge_checkpoint.py "$1" $golden "$work/$1" && import "$work/$1" "$work/$1.out" &&
        cmp "$work/$1.out/model.safetensors" $golden/model.safetensors
}

converts() { # case: fewer bits, so only the form can be checked
    python3 models/forge_checkpoint.py "$1" $golden "$work/$1" && import "$work/$1" "$work/$1.out" &&
        [ "$(wc -c <"$work/$1.out/model.safetensors")" -eq "$(wc -c <$golden/model.safetensors)" ]
}

refused() { # checkpoint folder, text that the one error must hold; nothing written, nothing executed
    local said
    ! said=$(import "$1" "$work/refused.out" 2>&1 >/dev/null) || return 1
    echo "$said"
    [[ $said == "import_speechbrain.py: "*"$2"* ]] && [ ! -e "$work/refused.out" ] && [ ! -e "$1/executed" ]
}

forged() { # case, text
    python3 models/forge_checkpoint.py "$1" $golden "$work/$1" && refused "$work/$1" "$2"
}

truncated() { # bytes to keep, text
    mkdir -p "$work/cut" && head -c "$1" tests/data/golden/checkpoint/embedding_model.ckpt \
        >"$work/cut/embedding_model.ckpt" && refused "$work/cut" "$2"
}

damaged_values() {
    mkdir -p "$work/flip" && cp tests/data/golden/checkpoint/embedding_model.ckpt "$work/flip/" &&
        chmod u+w "$work/flip/embedding_model.ckpt" &&
        printf '\x55\xaa\x55' | dd of="$work/flip/embedding_model.ckpt" bs=1 seek=60000 conv=notrunc status=none &&
        refused "$work/flip" "is damaged"
}

failure_keeps_the_old_folder() {
    cp -r $golden "$work/kept" || return 1
    python3 models/forge_checkpoint.py missing $golden "$work/missing2"
    ! import "$work/missing2" "$work/kept" && diff -r $golden "$work/kept"
}

hyperparams() { # sed expression on a file like that of SpeechBrain's public model
    mkdir -p "$work/yaml" && cp tests/data/golden/checkpoint/embedding_model.ckpt "$work/yaml/" &&
        sed "$1" >"$work/yaml/hyperparams.yaml" <<'EOF'
# Feature parameters
n_mels: 80
sample_rate: 16000  # Hz
out_n_neurons: 7205
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>

mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False

embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: [64, 64, 64, 64, 192]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: 128
    lin_neurons: 192

mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False

modules:
    compute_features: !ref <compute_features>
EOF
}

states() { # sed expression: accepted, and the front end is the standard one
    hyperparams "$1" && import "$work/yaml" "$work/yaml.out" &&
        jq -e --slurpfile golden $golden/.optimization_manifest.json '.frontend == $golden[0].frontend' \
            "$work/yaml.out/.optimization_manifest.json"
}

misstates() { # sed expression, text
    hyperparams "$1" && refused "$work/yaml" "hyperparams.yaml: $2"
}

check "the golden checkpoint gives the committed model folder" golden_import
cp "$work/said" "$work/first"
check "sizes and digests are printed" reports_digests
check "running again gives the same bytes, and leaves nothing beside them" golden_import
check "options reach the manifest" options_are_written
check "defaults reach the manifest" defaults_are_written
check "--help explains" grep -q embedding_model.ckpt <(import --help)
check "a threshold outside -1 to 1 is refused" refuses_option --threshold 1.5
check "a calibration that is not two numbers is refused" refuses_option --calibration 3
check "a falling calibration is refused" refuses_option --calibration=-3,1
check "a name with control characters is refused" refuses_option --name $'a\e[2J'

for case in plain module_prefix double shared_storage strided batches_tracked; do
    check "the same weights written another way: $case" same_weights $case
done
check "half precision is converted" converts half
check "bfloat16 is converted" converts bfloat16

while IFS='|' read -r case text; do
    check "refused: $case" forged "$case" "$text"
done <<'EOF'
os_system|refused: the pickle asks for 'posix.system'
os_system_protocol_4|refused: the pickle asks for 'posix.system'
eval|refused: the pickle asks for '__builtin__.eval'
getattr|refused: the pickle asks for '__builtin__.getattr'
memo_bomb|is missing
cut_pickle|the pickle is damaged
compressed|compressed
legacy|weights_only=True
list|not a state dict
not_a_tensor|'blocks.0.conv.conv.bias' is not a tensor
mixed_prefix|'blocks.0.conv.conv.bias' does not
missing|tensor 'blocks.0.conv.conv.bias' is missing
missing_first|tensor 'blocks.0.conv.conv.weight' is missing
misshapen|tensor 'blocks.0.conv.conv.bias' has shape [32, 2] instead of [64]
unexpected|tensor 'blocks.4.extra' does not belong
beyond_storage|tensor 'blocks.0.conv.conv.bias' reaches beyond
negative_stride|impossible offset, shape or strides
huge_shape|impossible offset, shape or strides
nan|tensor 'blocks.0.conv.conv.bias' holds NaN
negative_variance|tensor 'mfa.norm.norm.running_var' holds a negative variance
integers|tensor 'blocks.0.conv.conv.bias' is of type LongStorage
EOF

check "refused: a zip file cut in the middle" truncated 700000 "cut off"
check "refused: a zip file cut at its end" truncated 1362100 "cut off"
check "refused: an empty file" truncated 0 "not a torch checkpoint"
check "refused: values that do not match their checksum" damaged_values
check "refused: no checkpoint in the folder" refused "$work" "No such file"
check "a refused checkpoint leaves the old model folder as it was" failure_keeps_the_old_folder

check "hyperparams.yaml of the public model's form is understood" states ''
check "hyperparams.yaml may state SpeechBrain's defaults" states \
    's/^    n_mels: .*/&\n    n_fft: 400\n    win_length: 25\n    hop_length: 10.0\n    f_max: null\n    deltas: False/'
while IFS='|' read -r expression text; do
    check "refused: hyperparams.yaml with $expression" misstates "$expression" "$text"
done <<'EOF'
s/16000/8000/|the file states sample_rate: 8000
s/std_norm: False/std_norm: True/|mean_var_norm states std_norm: True
/std_norm/d|mean_var_norm states std_norm: True
s/sentence/global/|mean_var_norm states norm_type: global
s/^    n_mels: .*/&\n    deltas: True/|compute_features states deltas: True
s/^    n_mels: .*/&\n    n_fft: 512/|compute_features states n_fft: 512
s/^    n_mels: .*/&\n    surprise: 1/|compute_features states surprise: 1
s/\[1, 2, 3, 4, 1\]/[1, 1, 1, 1, 1]/|embedding_model states dilations
s/\[64, 64, 64, 64, 192\]/[64, 64, 64, 64, 128]/|embedding_model states channels
s/lin_neurons: 192/lin_neurons: 256/|embedding_model states lin_neurons: 256
EOF

echo "1..$n"

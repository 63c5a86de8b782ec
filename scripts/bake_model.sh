#!/usr/bin/env bash
# bake_model.sh - makes the model folder of the container image: run by the Dockerfile, in a build stage.
# Usage: bake_model.sh [--native] MODEL OUT
#   MODEL     a folder in models/, or any folder below the repository root: a model folder, or a SpeechBrain checkpoint
#   OUT       the folder to make; everybody may read it, and its files have the time SOURCE_DATE_EPOCH (0 if unset)
#   --native  what the native engine runs and nothing else, as measured wherever the folder was baked. Without it
#             models/bake.py makes and measures every form that the image has a library for, which needs PyTorch.
set -euo pipefail

native=no
[ "$1" != --native ] || { native=yes; shift; }
model=$1 out=$2
manifest=.optimization_manifest.json

folder=models/$model
[ -d "$folder" ] || folder=$model
if [ ! -d "$folder" ]; then
    echo "bake_model.sh: MODEL=$model: no such folder in the build context, nor in its models/" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Forms of the network for libraries that the image does not have would only degrade the start, and the clips that prove
# them are of no use there.
take_native() {
    if [ -e "$folder/embedding_model.ckpt" ]; then
        python3 models/import_speechbrain.py "$folder" "$work/model" --name "$(basename "$model")"
        folder=$work/model
    fi
    if [ ! -e "$folder/$manifest" ]; then
        echo "bake_model.sh: $folder: neither $manifest nor embedding_model.ckpt" >&2
        exit 1
    fi
    jq '.artefacts |= with_entries(select(.key | IN("native", "half", "quantized"))) | del(.parity)' "$folder/$manifest" \
        >"$work/$manifest"
    # The names are the manifest's, which the programs hold to plain ones; here nothing has checked them yet.
    jq -r '.artefacts[].file, (.scores.cohort.file // empty)' "$work/$manifest" | while read -r file; do
        case $file in
        */* | .*) echo "bake_model.sh: $folder: '$file' is not a plain file name" >&2; exit 1 ;;
        esac
        install -m 644 "$folder/$file" "$out/"
    done
    install -m 644 "$work/$manifest" "$out/"
    # The terms that the weights came with.
    for file in LICENSE README.md; do
        [ ! -e "$folder/$file" ] || install -m 644 "$folder/$file" "$out/"
    done
}

rm -rf "$out"
mkdir -p "$out"
if [ $native = yes ]; then
    take_native
else
    # Without ONNX Runtime, which Debian has no package of.
    python3 models/bake.py "$folder" "$out" --strategies half,quantized,jit
fi
find "$out" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +

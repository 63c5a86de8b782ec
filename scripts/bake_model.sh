#!/usr/bin/env bash
# bake_model.sh - makes the model folder of the container image: run by the Dockerfile, in its build stage.
# Usage: bake_model.sh MODEL OUT
#   MODEL  a folder in models/, or any folder below the repository root: a model folder, or a SpeechBrain checkpoint
#          (embedding_model.ckpt), which is imported first
#   OUT    the folder to make; everything in it readable by everybody, with the time SOURCE_DATE_EPOCH (0 if unset)
set -euo pipefail

model=$1 out=$2
folder=models/$model
[ -d "$folder" ] || folder=$model
[ -d "$folder" ] || { echo "bake_model.sh: MODEL=$model: no such folder in the build context, in models/ neither" >&2; exit 1; }

if [ -e "$folder/embedding_model.ckpt" ]; then
    imported=$(mktemp -d)/model
    python3 models/import_speechbrain.py "$folder" "$imported" --name "$(basename "$model")"
    folder=$imported
fi
[ -e "$folder/.optimization_manifest.json" ] ||
    { echo "bake_model.sh: $folder: neither .optimization_manifest.json nor embedding_model.ckpt" >&2; exit 1; }

rm -rf "$out"
mkdir -p "$out"
# What the programs read, and the terms that the weights came with.
for file in .optimization_manifest.json model.safetensors LICENSE README.md; do
    [ ! -e "$folder/$file" ] || install -m 644 "$folder/$file" "$out/"
done
find "$out" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +

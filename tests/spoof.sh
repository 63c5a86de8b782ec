#!/usr/bin/env bash
# spoof.sh - PAVA against the spoof laboratory: makes it from recorded speech, then the report by kind and layer with its
# plots, then the whole program on profiles of the attacked speakers.
# Usage: tests/spoof.sh SPEECH_FOLDER NOISE_FOLDER [OUT_FOLDER] (make spoof DATA=... NOISE=... calls it)
#        SPEECH_FOLDER holds manifest.tsv (split, source, speaker, path, seconds) and what it names; NOISE_FOLDER holds
#        KIND/*.flac. OUT_FOLDER, build/spoof where none is given, takes about 2 GB.
# Speakers of the split "dev" were used for nothing else; held-out kinds neither (docs/pava.md).
set -eu
cd "$(dirname "$0")/.."
if [ $# -lt 2 ] || [ ! -f "$1/manifest.tsv" ] || [ ! -d "$2" ]; then
    echo "Usage: make spoof DATA=folder-with-manifest.tsv NOISE=folder (docs/pava.md)" >&2
    exit 2
fi
speech=$1 noise=$2 out=${3:-build/spoof} bin=${VX_BUILD:-build/release}
mkdir -p "$out"
if [ ! -f "$out/dev/manifest.tsv" ]; then
    "$bin/bench/spoof_lab" "$speech" "$noise" "$out/dev" --split dev --per-speaker 10 --seed 1 --jobs "$(nproc)"
    # Recordings joined from one set of short clips hold each other's sound: a fingerprint is right to find it, and they
    # are no past utterances of anybody.
    mv "$out/dev/manifest.tsv" "$out/dev/all.tsv"
    awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "source") s = i }
        NR == 1 || $s !~ /^(arabic_sc|dspspeech20)$/' "$out/dev/all.tsv" >"$out/dev/manifest.tsv"
fi
"$bin/voxlock" spoof-report "$out/dev" --plots "$out" | tee "$out/report.txt"
echo
"$bin/bench/bench_decisions" "$out/dev" 4 | tee "$out/decisions.txt"
echo
"$bin/bench/bench_pava"

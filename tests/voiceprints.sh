#!/usr/bin/env bash
# voiceprints.sh - error rates of voiceprints on a folder of recordings, by the device's own code: score_edge counts.
# Usage: tests/voiceprints.sh DATA_FOLDER [--model FOLDER] [--seed N] [--json OUT]
#   DATA_FOLDER  holds trials_dev.tsv (see accuracy.sh): voiceprints of one recording. With a manifest.tsv and Python also
#                voiceprints of 1, 3, 5 and 10 (models/voiceprint_trials.py)
#   --model      model folder (default: models/starter)
# Writes build/bench/voiceprints.json, or OUT: of 1 to 10 recordings where they could be tried, else of one.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

usage() { sed -n '3s/^# //p' "$root/tests/voiceprints.sh" >&2; exit 2; }
data='' model=models/starter seed=1 json=build/bench/voiceprints.json
while [ $# -gt 0 ]; do
    case $1 in
    --model | --seed | --json) [ $# -ge 2 ] || usage; declare "${1#--}=$2"; shift 2 ;;
    -*) usage ;;
    *) [ -z "$data" ] || usage; data=$1; shift ;;
    esac
done
[ -n "$data" ] || usage
[ -r "$data/trials_dev.tsv" ] || { echo "voiceprints.sh: $data/trials_dev.tsv: cannot be read" >&2; exit 1; }

mode=${MODE:-release} build=${BUILD:-build/${MODE:-release}}
make --no-print-directory -s -j2 MODE="$mode" B="$build" "$build/tools/utterances" "$build/tools/score_edge"
tools=$(cd "$build/tools" && pwd) model=$(cd "$model" && pwd)
mkdir -p build/bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$data/trials_dev.tsv" "$work/one.tsv"
if [ -r "$data/manifest.tsv" ] && command -v python3 >/dev/null; then
    python3 models/voiceprint_trials.py "$data" --seed "$seed" >"$work/several.tsv"
else
    echo "voiceprints of one recording only: $data/manifest.tsv or python3 is not there"
fi

# One process for as many files as a command line holds, so that the model is opened once.
(cd "$data" && tail -q -n +2 "$work"/*.tsv | cut -f 3,4 | tr '\t,' '\n\n' | sort -u | tr '\n' '\0' |
    xargs -0 "$tools/utterances" "$model") >"$work/embeddings"
for trials in "$work"/*.tsv; do
    echo
    echo "model $(basename "$model"), $(wc -l <"$work/embeddings" | tr -d ' ') recordings, $(($(wc -l <"$trials") - 1)) trials of voiceprints"
    "$tools/score_edge" "$trials" "$model" --json "$json" --seed "$seed" <"$work/embeddings"
done

#!/usr/bin/env bash
# accuracy.sh - error rates of a model on a folder of recordings: the real program embeds, score_trials counts.
# Usage: tests/accuracy.sh DATA_FOLDER [--model FOLDER] [--strategy NAME] [--precision NAME] [--expect REPORT.json] [--seed N] [--json OUT]
#   DATA_FOLDER   holds trials_dev.tsv: heading line, then same (1 or 0), source, enroll, test; paths relative to it,
#                 one folder per speaker
#   --model       model folder (default: models/starter)
#   --strategy, --precision  how to compute, as voxlock embed takes them
#   --expect      fail if an EER is over 0.5 points from the report's "trials_dev" (default: the model's report.json)
# Writes build/bench/accuracy.json, or OUT. Exit status 0 only if every recording was embedded and every rate is as expected.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

usage() { sed -n '3s/^# //p' "$root/tests/accuracy.sh" >&2; exit 2; }
data='' model=models/starter strategy=auto precision=auto expect='' seed=1 json=build/bench/accuracy.json
while [ $# -gt 0 ]; do
    case $1 in
    --model | --strategy | --precision | --expect | --seed | --json) [ $# -ge 2 ] || usage; declare "${1#--}=$2"; shift 2 ;;
    -*) usage ;;
    *) [ -z "$data" ] || usage; data=$1; shift ;;
    esac
done
[ -n "$data" ] || usage
trials=$data/trials_dev.tsv
[ -r "$trials" ] || { echo "accuracy.sh: $trials: cannot be read" >&2; exit 1; }
[ -n "$expect" ] || [ ! -e "$model/report.json" ] || expect=$model/report.json

mode=${MODE:-release} build=${BUILD:-build/${MODE:-release}}
make --no-print-directory -s -j2 MODE="$mode" B="$build" programs plugins "$build/tools/score_trials"
program=$(cd "$build" && pwd)/voxlock model=$(cd "$model" && pwd)
mkdir -p build/bench
embeddings=$(mktemp)
trap 'rm -f "$embeddings"' EXIT

# One process for as many files as a command line holds, so that the model is opened once.
(cd "$data" && tail -n +2 trials_dev.tsv | cut -f 3,4 | tr '\t' '\n' | sort -u | tr '\n' '\0' |
    xargs -0 "$program" embed --json --model "$model" --strategy "$strategy" --precision "$precision" --threads 1 --) >"$embeddings"
echo "model $(basename "$model"), strategy $strategy, precision $precision, $(wc -l <"$embeddings" | tr -d ' ') recordings, $(($(wc -l <"$trials") - 1)) trials"
"$build/tools/score_trials" "$trials" --json "$json" --seed "$seed" \
    ${expect:+--expect "$expect"} <"$embeddings"

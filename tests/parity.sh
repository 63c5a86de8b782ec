#!/usr/bin/env bash
# parity.sh - every strategy against PyTorch on recordings of your own: cosines, and error rates where there are trials.
# Usage: tests/parity.sh DATA_FOLDER [--model FOLDER] [--clips N]
#   DATA_FOLDER  recordings, in any folders below; with trials_dev.tsv (see accuracy.sh) error rates are counted too
#   --model      model folder (default: models/starter)
#   --clips      how many recordings to compare, evenly spread over the folder (default: 300)
# Bakes the model with those clips into build/bench/parity, which takes PyTorch, and writes build/bench/parity.json. A
# strategy that this build cannot run is named. Exit status 0 only if every other is within bake's bound.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '3s/^# //p' tests/parity.sh >&2; exit 2; }
data='' model=models/starter clips=300
while [ $# -gt 0 ]; do
    case $1 in
    --model | --clips) [ $# -ge 2 ] || usage; declare "${1#--}=$2"; shift 2 ;;
    -*) usage ;;
    *) [ -z "$data" ] || usage; data=$1; shift ;;
    esac
done
[ -n "$data" ] || usage

mode=${MODE:-release} build=${BUILD:-build/${MODE:-release}} out=build/bench baked=build/bench/parity
make --no-print-directory -s -j2 MODE="$mode" B="$build" programs plugins "$build/tools/score_trials"
mkdir -p "$out"
rm -rf "$baked"
scripts/with_torch.sh models/bake.py "$model" "$baked" --program "$build/voxlock-cloud" --clips "$data" --max-clips "$clips" >/dev/null

# strategy and precision of each row
ways=("native f32" "native bf16" "half bf16" "quantized int8" "jit f32" "jit bf16" "onnx f32")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0 rows=()
for way in "${ways[@]}"; do
    read -r strategy precision <<<"$way"
    row=$work/$strategy-$precision
    "$build/voxlock-cloud" bake-check "$baked" --json --strategy "$strategy" --precision "$precision" >"$row.check" || true
    jq --arg precision "$precision" '.clips as $clips | .artefacts[0] | {strategy, precision: $precision, verdict, reason, library, clips: $clips,
        cosine_min, cosine_median, inference_ms}' "$row.check" >"$row.json"
    rows+=("$row.json")
    case $(jq -r .verdict "$row.json") in
    ok) ;;
    unavailable) continue ;;
    *) status=1; continue ;;
    esac
    [ -e "$data/trials_dev.tsv" ] || continue
    BUILD=$build tests/accuracy.sh "$data" --model "$baked" --strategy "$strategy" --precision "$precision" \
        --json "$work/accuracy" >"$work/table" || { cat "$work/table" >&2; status=1; }
    jq --slurpfile accuracy "$work/accuracy" '.sources = $accuracy[0].sources' "$row.json" >"$row.new"
    mv "$row.new" "$row.json"
done
jq -s . "${rows[@]}" >"$out/parity.json"

jq -r '
    def fixed($n): (. * pow(10; $n) | round) as $v | "\($v / pow(10; $n) | floor).\("00000\($v % pow(10; $n))"[-$n:])";
    def rate($scale; $n; $of): "\($of[0] * $scale | fixed($n)) (\($of[1][0] * $scale | fixed($n)) .. \($of[1][1] * $scale | fixed($n)))";
    "| strategy | library | clips | cosine to PyTorch f32, min | median |", "|---|---|---|---|---|",
    (.[] | if .cosine_min != null
           then "| \(.strategy) \(.precision) | \(.library) | \(.clips) | \(.cosine_min | fixed(6)) | \(.cosine_median | fixed(6)) |"
           else "| \(.strategy) \(.precision) | \(.verdict): \(.reason) | | | |" end),
    (map(select(.sources)) | select(length > 0)
     | "", "| source | target / non-target trials | strategy | EER, % (95 %) | minDCF 0.01 (95 %) |", "|---|---|---|---|---|",
       ((.[0].sources | keys_unsorted[]) as $source | .[] | .sources[$source] as $s
        | "| \($source) | \($s.target) / \($s.nontarget) | \(.strategy) \(.precision) | \(rate(100; 2; [$s.eer, $s.eer_95])) | \(rate(1; 3; [$s.mindcf_p01, $s.mindcf_p01_95])) |"))
    ' "$out/parity.json"
exit $status

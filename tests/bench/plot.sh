#!/usr/bin/env bash
# plot.sh - what tests/bench/run.sh measured, as pictures: latency against length, throughput against clients, the start.
# Usage: tests/bench/plot.sh [--size 20.8M|starter] FOLDER
#        Reads build/bench/{machine,engine,http,start}.json, writes FOLDER/{latency,throughput,start}.png.
# Needs jq and gnuplot. Every engine is in the picture that the measuring run had beside the others.
set -euo pipefail
cd "$(dirname "$0")/../.."
size=20.8M
[ "${1:-}" != --size ] || { size=$2; shift 2; }
[ $# -eq 1 ] || { sed -n '3s/^# //p' "$0" >&2; exit 2; }
folder=$1 bench=build/bench work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in jq gnuplot; do
    command -v "$program" >/dev/null || { echo "plot.sh: $program is not installed" >&2; exit 1; }
done
for part in machine engine http start; do
    [ -s "$bench/$part.json" ] || { echo "plot.sh: $bench/$part.json is missing: tests/bench/run.sh $part" >&2; exit 1; }
done
mkdir -p "$folder"
machine=$(jq -r '"\(.cpu), \(.cores) cores"' "$bench/machine.json")

# ---- tables: one column an engine ----------------------------------------------------------------------------------------
# In the order in which they ran, ours first.
engines=$(jq -r --arg size "$size" '.[][] | select(.model == $size and .threads == 1) | .contender' "$bench/engine.json" |
    awk '!seen[$0]++')
jq -r --arg size "$size" '.[][] | select(.model == $size and .threads == 1)
    | [.contender, .seconds, (.network_ms.median + (.features_ms.median // 0))] | @tsv' "$bench/engine.json" >"$work/engine.tsv"
# Our service by what it was given (weights alone, or a baked folder, or that and a strategy), and by body; the peer by its
# numbers.
jq -r --arg size "$size" '.[] | select(.repeated_percent == 0 and .terminate == null and (.model | endswith($size)))
    | [if .service | endswith("peer-service") then "FastAPI, " + if .settings | last == "--bf16" then "bf16" else "f32" end + ", json"
       else if .model | test("peers-") then "baked" else "weights alone" end + (.settings | if length > 0 then ": " + last else "" end) + ", " + .body end,
       .clients, .per_second, .p99_ms] | @tsv' "$bench/http.json" >"$work/http.tsv"
services=$(cut -f1 "$work/http.tsv" | awk '!seen[$0]++')
jq -r --arg size "$size" '.[] | arrays | .[] | select(.program and (.model | startswith($size)))
    | select((.program | startswith("voxlock")) or (.model | endswith("baked") | not))
    | [(.program + if .model | endswith("baked") then ", baked" else "" end), .median_ms, .p10_ms, .p90_ms] | @tsv' \
    "$bench/start.json" | sort -t$'\t' -k2,2gr | awk -F'\t' '!seen[$1]++' >"$work/start.tsv"
jq -r --arg size "$size" 'def median: sort | .[length / 2 | floor];
    [.[] | arrays | .[] | select(.first_answer_ms and (.model | endswith($size)))] | group_by(.model)[]
    | [("voxlock-cloud" + if .[0].model | test("peers-") then ", baked" else "" end),
       (map(.listening_ms) | median), (map(.first_answer_ms) | median)] | @tsv' "$bench/start.json" >"$work/service.tsv"

# ---- pictures ------------------------------------------------------------------------------------------------------------
style='set terminal pngcairo size 1100,640 font "DejaVu Sans,11" background "white"
set border 3 lc rgb "#555555"; set tics nomirror out; set grid lc rgb "#e4e4e4" lt 1; set key outside right top
set datafile separator "\t"; set style increment user
set linetype 1 lc rgb "#0b6e4f" lw 2 pt 7; set linetype 2 lc rgb "#08a045" lw 2 pt 5; set linetype 3 lc rgb "#6bbf59" lw 2 pt 9
set linetype 4 lc rgb "#1f5fa8" lw 2 pt 7; set linetype 5 lc rgb "#4f9bd9" lw 2 pt 5; set linetype 6 lc rgb "#a6cbe8" lw 2 pt 9
set linetype 7 lc rgb "#b5541c" lw 2 pt 7; set linetype 8 lc rgb "#e08e45" lw 2 pt 5; set linetype 9 lc rgb "#8a4f9e" lw 2 pt 9
set linetype 10 lc rgb "#c08bd0" lw 2 pt 7; set linetype 11 lc rgb "#777777" lw 2 pt 5; set linetype 12 lc rgb "#222222" lw 2 pt 9
set linetype 13 lc rgb "#c2185b" lw 2 pt 7; set linetype cycle 13'
# A curve for each name of a list, of the rows that begin with it.
curves() { # file, names, columns x and y
    local name separator='' n=0
    while IFS= read -r name; do
        n=$((n + 1))
        awk -F'\t' -v name="$name" '$1 == name' "$1" >"$1.$n"
        printf '%s"%s" using %d:%d with linespoints title "%s"' "$separator" "$1.$n" "$3" "$4" "$name"
        separator=', '
    done <<<"$2"
}
gnuplot <<END
$style
set output "$folder/latency.png"
set title "Samples to embedding, ECAPA-TDNN $size, one thread\n{/*0.8 $machine}"
set logscale xy; set xtics (1, 3, 10, 30); set xrange [0.9:33]; set autoscale y
set xlabel "speech, s"; set ylabel "median, ms"
plot $(curves "$work/engine.tsv" "$engines" 2 3)
END
gnuplot <<END
$style
set output "$folder/throughput.png"
set multiplot layout 2,1 title "HTTP, ECAPA-TDNN $size, 3 s clips, none from the cache\n{/*0.8 $machine}"
set logscale x; set xtics (1, 2, 10, 100); set xrange [0.9:120]; set lmargin 10
set ylabel "answers a second"; set yrange [0:*]
plot $(curves "$work/http.tsv" "$services" 2 3)
set xlabel "clients at once"; set ylabel "99 % within, ms"; set logscale y; set yrange [*:*]
plot $(curves "$work/http.tsv" "$services" 2 4)
unset multiplot
END
rows=$(($(wc -l <"$work/start.tsv") + $(wc -l <"$work/service.tsv")))
gnuplot <<END
$style
set output "$folder/start.png"
set title "From the start of a program to its first embedding of 3 s, ECAPA-TDNN $size\n{/*0.8 $machine}"
set logscale x; set xlabel "ms"; set xrange [3:*]; set yrange [-0.6:$rows]; set key inside right top
set style fill solid; set boxwidth 0.5; set grid noytics
set ytics ($(awk -F'\t' '{ printf "%s\"%s\" %d", (NR > 1 ? ", " : ""), $1, NR - 1 }' "$work/start.tsv" "$work/service.tsv"))
n = $(wc -l <"$work/start.tsv")
plot "$work/start.tsv" using 2:0:(3):2:(\$0 - 0.25):(\$0 + 0.25) with boxxyerror lc rgb "#1f5fa8" title "median", \
     "$work/start.tsv" using 2:0:3:4 with xerrorbars lc rgb "#222222" pt 0 title "10 to 90 %", \
     "$work/service.tsv" using 3:(\$0 + n):(3):3:(\$0 + n - 0.25):(\$0 + n + 0.25) with boxxyerror lc rgb "#0b6e4f" title "first answer over HTTP", \
     "$work/service.tsv" using 2:(\$0 + n):(3):2:(\$0 + n - 0.25):(\$0 + n + 0.25) with boxxyerror lc rgb "#6bbf59" title "listening"
END
echo "$folder/latency.png $folder/throughput.png $folder/start.png"

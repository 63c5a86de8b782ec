#!/usr/bin/env bash
# test_cost.sh - scripts/cost.sh reckons what was reckoned by hand here, and measures a real service.
# Usage: test_cost.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=${1:?usage: test_cost.sh BUILD_FOLDER}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
. tests/support/tap.sh

# Round prices, so that the sums below can be done by hand: 2 vCPU and 4 GiB cost 0.0024 a second with a request and
# 0.00024 without; tier 2 costs twice as much for vCPUs. The month is long, so that requests do not overlap.
prices() { # month in seconds
    printf '# name\ttier 1\ttier 2\tunit\n'
    printf '%s\t%s\t%s\tunit\n' as_of 2001-02-03 2001-02-03 vcpu_second 0.001 0.002 gib_second 0.0001 0.0001 \
        idle_vcpu_second 0.0001 0.0001 idle_gib_second 0.00001 0.00001 million_requests 1 1 free_vcpu_seconds 1000 1000 \
        free_gib_seconds 1000 1000 free_requests 5000 5000 step_s 0.1 0.1 month_s "$1" "$1" keep_s 100 100 \
        boost_1 2 2 boost_2 4 4 older_per_thousand 0.5 0.5
}
prices 1e9 >"$work/long"
prices 1e6 >"$work/short"

cost() { scripts/cost.sh --prices "$work/long" --cpu 2 --memory 4Gi --request-ms 40 --per-second 50 --start-ms 250 "$@"; }

# Name | arguments after those of cost() | a line that must be printed, blanks squeezed.
#   each alone    0.1 s * 0.0024 + 1e-6 for the request = 0.000241
#   busy          0.0024 / 50 + 1e-6 = 0.000049
#   a start       0.3 s * (4 * 0.001 + 0.0004) + 0.1 s * 2 boosted vCPUs * 0.001 = 0.00152; with the request 0.001761
#   100,000       busy for 1e9 * (1 - exp(-1e-5)) = 9,999.95 s: 24.00 and 0.10 for requests; 50,000 starts: 76.00; there for
#                 1e9 * (1 - exp(-0.01)) = 9,950,166 s, less the busy ones, a probe of 0.1 s every 120 s: 19.88.
#                 With one instance kept 999,990,000 s without a request, 833,325 s of them for probes: 24.10 + 1,999.98 +
#                 999,156,675 * 0.00024 = 241,821.68
#   6,931,472     in 1e6 s: 1 - exp(-ln 2) = half of the time, 500,000 s: 1,200 and 6.93 for requests
#   of 5 a second 6,931,472 / 5 = 1,386,294 s: 3,327.11 and 6.93; no instance is ever without a request
#   10,000        in 1e6 s, kept for 100 s: exp(-1) of them find no instance
#   free          1,000 GiB-seconds are 250 s of 4 GiB, 2,500 requests of 0.1 s
table='alone||each alone 0.24100
busy||of a busy instance 0.04900
cold||each with a cold start 1.76100
older||the older service 0.50000
billed||Billed a request alone 100 ms; a start 300 ms with 4 vCPU; a probe every 120 s, 100 ms at most.
free||the first 2500 embeddings a month
date||Prices as of 2001-02-03
a month|--volumes 100000 --cold 50|100000 | 50.0 24.10 76.00 19.88 119.98 1.19980 | 241821.68 2418.21682 | 50.00
no cold starts|--volumes 100000 --cold 0|100000 | 0.0 24.10 0.00 19.88 43.98 0.43980 |
overlap|--prices SHORT --volumes 6931472 --per-second 1000 --cold 0|6931472 | 0.0 1206.93 0.00
work|--prices SHORT --volumes 6931472 --per-second 5 --cold 0|6931472 | 0.0 3334.04 0.00 0.00 3334.04 0.48100 | 3334.04 0.48100 | 3465.74
random arrivals|--prices SHORT --volumes 10000|10000 | 36.8
one step exactly|--request-ms 100|a request alone 100 ms;
a little more|--request-ms 100.1|a request alone 200 ms;
three steps|--start-ms 300|a start 300 ms with
one vCPU|--cpu 1|a start 300 ms with 2 vCPU
half a GiB|--memory 512Mi|each alone 0.20600
tier 2|--tier 2|each alone 0.44100'

by_hand() {
    local name arguments expected
    while IFS='|' read -r name arguments expected; do
        # shellcheck disable=SC2086
        cost ${arguments//SHORT/$work/short} >"$work/table" || { echo "$name: failed"; return 1; }
        tr -s ' ' <"$work/table" | grep -qF -- "$expected" || { echo "$name: no line has: $expected"; cat "$work/table"; return 1; }
    done <<<"$table"
}

misuses='--request-ms 0|above 0
--request-ms fast|above 0
--per-second -1|above 0
--volumes x|above 0
--cpu 3|must be 1, 2, 4, 6 or 8
--memory 4|must be a size
--tier 3|must be 1 or 2
--cold 101|from 0 to 100
--prices nowhere|cannot be read
--prices|its value is missing
--frobnicate 1|unknown option'

refused() {
    local arguments message status
    while IFS='|' read -r arguments message; do
        # shellcheck disable=SC2086
        cost $arguments >"$work/out" 2>"$work/err"
        status=$?
        [ $status -eq 2 ] && [ ! -s "$work/out" ] && grep -q "^cost.sh: .*$message" "$work/err" ||
            { echo "'$arguments' ended with status $status"; cat "$work/err"; return 1; }
    done <<<"$misuses"
}

missing_price() { # each in turn: named, and nothing is printed that looks like a cost
    local name
    for name in $(cut -f1 "$work/long" | grep -vE '^#|^boost_1$'); do
        grep -v "^$name	" "$work/long" >"$work/lacking"
        ! cost --prices "$work/lacking" >"$work/out" 2>"$work/err" && [ ! -s "$work/out" ] && grep -q "lacks $name\$" "$work/err" ||
            { echo "$name was not missed"; return 1; }
    done
}

price_list_is_sound() { # a date, a source, numbers, and no tier 2 below tier 1
    grep -q 'https://cloud.google.com/run/pricing' deploy/prices.tsv &&
        awk -F'\t' '/^#/ {next}
            $1 == "as_of" {dated = $2 ~ /^20[0-9][0-9]-[01][0-9]-[0-3][0-9]$/; next}
            NF != 4 || $2 !~ /^[0-9.]+$/ || $3 !~ /^[0-9.]+$/ || $3 + 0 < $2 + 0 || $4 == "" {print "bad: " $0; bad = 1}
            END {exit bad || !dated}' deploy/prices.tsv
}

measured() { # three times above zero, and the table of the committed prices
    scripts/cost.sh --build "$build" --requests 10 >"$work/table" || return 1
    cat "$work/table"
    grep -qE 'measured here with models/starter on [0-9]+ CPUs: a request alone [0-9.]+ ms, [0-9.]+ requests/s when busy, start [0-9]+ ms' "$work/table" &&
        ! grep -qE ' 0\.0 (ms|requests)|start 0 ms' "$work/table" && [ "$(grep -c '^ *[0-9]* | ' "$work/table")" = 6 ]
}

partly_measured() { # what was given is not measured
    scripts/cost.sh --build "$build" --requests 2 --start-ms 777 --per-second 55 >"$work/table" &&
        grep -q '55.0 requests/s when busy, start 777 ms' "$work/table"
}

no_service() {
    ! scripts/cost.sh --build "$build" --requests 2 --model nowhere >"$work/out" 2>"$work/err" && [ ! -s "$work/out" ] &&
        grep -q '^cost.sh: the service did not answer' "$work/err" &&
        ! scripts/cost.sh --build nowhere >"$work/out" 2>"$work/err" && grep -q "run 'make programs tools'" "$work/err"
}

check "sums done by hand" by_hand
check "arguments that cannot be used are refused" refused
check "a price that is missing is named" missing_price
check "the price list has a date, a source and numbers" price_list_is_sound
check "a real service is measured" measured
check "what is given is not measured" partly_measured
check "a service that does not start is said" no_service
echo "1..$n"

#!/usr/bin/env bash
# cost.sh - what embeddings cost on Cloud Run: measured time per request times the price list.
# Usage: scripts/cost.sh [options]
#   --build FOLDER      programs that are measured (default: build/release)
#   --model FOLDER      (default: models/starter)
#   --requests N        requests to measure with (default: 300)
#   --request-ms MS     time of a request that is alone;   all three given: nothing is measured
#   --per-second R      requests a busy instance answers
#   --start-ms MS       start of an instance to its first answer
#   --cpu N --memory M  vCPUs and memory of an instance, as 2 and 512Mi (default: deploy/service.sh)
#   --tier 1|2          price tier of the region (default: 1)
#   --volumes "N ..."   embeddings a month (default: 1 thousand to 100 millions)
#   --cold PERCENT      requests that find no instance (default: those of random arrivals, see docs/deploy.md)
#   --prices FILE       (default: deploy/prices.tsv)
# Owns:   the measurement and the arithmetic. Does not: know a price (deploy/prices.tsv) or ask anybody for one.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/service.sh
. deploy/service.sh

fail() {
    echo "cost.sh: $*" >&2
    exit 2
}

build=build/release model=models/starter requests=300 request_ms='' per_second='' start_ms='' tier=1 cold=''
prices=deploy/prices.tsv volumes="1000 10000 100000 1000000 10000000 100000000"
while [ $# -gt 0 ]; do
    case $1 in --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
    [ $# -ge 2 ] || fail "'$1' is not an option, or its value is missing: see the head of this file"
    case $1 in
    --build) build=$2 ;;
    --model) model=$2 ;;
    --prices) prices=$2 ;;
    --volumes) volumes=$2 ;;
    --requests) requests=$2 ;;
    --request-ms) request_ms=$2 ;;
    --per-second) per_second=$2 ;;
    --start-ms) start_ms=$2 ;;
    --cpu) cpu=$2 ;;
    --memory) memory=$2 ;;
    --tier) tier=$2 ;;
    --cold) cold=$2 ;;
    *) fail "unknown option '$1': see the head of this file" ;;
    esac
    shift 2
done
numbers() { # each above 0
    local number
    for number in "$@"; do
        [[ $number =~ ^[0-9]+([.][0-9]+)?$ && $number =~ [1-9] ]] || fail "'$number' must be a number above 0"
    done
}
# shellcheck disable=SC2086
numbers "$requests" $request_ms $per_second $start_ms $volumes
[[ $cold =~ ^([0-9]{1,2}([.][0-9]+)?|100|)$ ]] || fail "--cold '$cold' must be from 0 to 100"
[[ $cpu =~ ^[12468]$ ]] || fail "--cpu '$cpu' must be 1, 2, 4, 6 or 8"
[[ $memory =~ ^[1-9][0-9]*[MG]i$ ]] || fail "--memory '$memory' must be a size such as 512Mi or 4Gi"
[[ $tier =~ ^[12]$ ]] || fail "--tier '$tier' must be 1 or 2"
[ -r "$prices" ] || fail "--prices '$prices' cannot be read"

# ---- measured -------------------------------------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

load() { # name, switches of tests/tools/load.c...: its numbers in a file of that name
    local name=$1
    shift
    "$build/tools/load" --service "$build/voxlock-cloud" --model "$model" --unique --json "$work/$name" "$@" \
        -- --threads "$cpu" >"$work/said" || { cat "$work/said" >&2 && fail "the service did not answer as it should"; }
}
of() { grep -oE "\"$2\":[0-9.]+" "$work/$1" | cut -d: -f2; } # name, key

# Of clips of 3 s that differ, as JSON with base64. The client runs on the same cores, and a request that is alone is timed
# there: both make the service look slower than it is. The program's start is the median of five.
measure() {
    local i
    if [ -z "$request_ms" ]; then
        load alone --clients 1 --requests "$requests"
        request_ms=$(awk -v rate="$(of alone per_second)" 'BEGIN {printf "%.3f", 1000 / rate}')
    fi
    if [ -z "$per_second" ]; then
        load busy --clients "$concurrency" --requests "$requests"
        per_second=$(of busy per_second)
    fi
    if [ -z "$start_ms" ]; then
        for i in 1 2 3 4 5; do load "start$i" --requests 1; done
        start_ms=$(for i in 1 2 3 4 5; do of "start$i" first_answer_ms; done | sort -g | sed -n 3p)
    fi
    numbers "$request_ms" "$per_second" "$start_ms"
}

source="given by hand"
if [ -z "$request_ms" ] || [ -z "$per_second" ] || [ -z "$start_ms" ]; then
    [ -x "$build/tools/load" ] || fail "there is no $build/tools/load: run 'make programs tools', or give --request-ms, --per-second and --start-ms"
    source="measured here with $model on $(getconf _NPROCESSORS_ONLN) CPUs"
    measure
fi

# ---- reckoned -------------------------------------------------------------------------------------------------------

# Requests arrive at random, N a month, r = N / month a second. Then
#   - requests that overlap share the instance's time: it is busy for month * (1 - exp(-r * billed time of one)), but never
#     for less than the work takes, N / per_second;
#   - a request finds no instance when none came within keep_s before: exp(-r * keep_s);
#   - an instance is there for month * (1 - exp(-r * keep_s)), or the whole month when one is kept.
# Every probe of an instance without a request is taken at one billing step, which is the most that it can be.
awk -F'\t' -v tier="$tier" -v cpu="$cpu" -v memory="$memory" -v request_ms="$request_ms" -v per_second="$per_second" \
    -v start_ms="$start_ms" -v cold_given="$cold" -v period="$liveness_period_s" -v volumes="$volumes" \
    -v source="$source" -v file="$prices" '
function steps(seconds,   n) { # rounded up; what rounding of binary fractions adds is no step
    n = int(seconds / p["step_s"])
    return p["step_s"] * (seconds > (n + 1e-9) * p["step_s"] ? n + 1 : n)
}
function least(a, b) { return a < b ? a : b }
function most(a, b) { return a > b ? a : b }
function thousand(dollars, n) { return 1000 * dollars / n }
/^#/ || NF < 3 { next }
{ p[$1] = $(1 + tier) }
END {
    n_needed = split("as_of vcpu_second gib_second idle_vcpu_second idle_gib_second million_requests free_vcpu_seconds " \
        "free_gib_seconds free_requests step_s month_s keep_s boost_" cpu " older_per_thousand", needed, " ")
    for (i = 1; i <= n_needed; i++)
        if (p[needed[i]] == "") {
            print "cost.sh: " file " lacks " needed[i] > "/dev/stderr"
            exit 1
        }
    gib = memory ~ /Gi$/ ? memory + 0 : memory / 1024
    active = cpu * p["vcpu_second"] + gib * p["gib_second"]
    idle = cpu * p["idle_vcpu_second"] + gib * p["idle_gib_second"]
    alone_s = steps(request_ms / 1000)
    # The boost lasts for ten seconds after the start: the request that caused it has the same vCPUs.
    boost = p["boost_" cpu]
    start = steps(start_ms / 1000) * (boost * p["vcpu_second"] + gib * p["gib_second"]) + \
        alone_s * (boost - cpu) * p["vcpu_second"]
    request = p["million_requests"] / 1e6

    printf "An instance has %s vCPU and %s GiB and is billed by requests; US dollars, price tier %d.\n", cpu, gib, tier
    printf "Prices   as of %s (%s). They change: check them at https://cloud.google.com/run/pricing.\n", p["as_of"], file
    printf "Times    %s: a request alone %.1f ms, %.1f requests/s when busy, start %.0f ms.\n", source, request_ms, per_second, start_ms
    printf "Billed   a request alone %.0f ms; a start %.0f ms with %d vCPU; a probe every %d s, %.0f ms at most.\n\n",
        1000 * alone_s, 1000 * steps(start_ms / 1000), boost, period, 1000 * p["step_s"]

    printf "For a thousand embeddings\n"
    printf "  each alone              %10.5f\n", 1000 * (alone_s * active + request)
    printf "  of a busy instance      %10.5f\n", 1000 * (active / per_second + request)
    printf "  each with a cold start  %10.5f\n", 1000 * (alone_s * active + request + start)
    printf "  the older service       %10.5f\n\n", p["older_per_thousand"]

    printf "%12s | %-57s | %-21s | %s\n", "embeddings", "no instance is kept", "one instance is kept", "older service"
    printf "%12s | %7s %9s %9s %9s %9s %9s | %10s %10s | %13s\n", "a month", "cold, %", "requests", "starts", "probes", "total",
        "per 1,000", "total", "per 1,000", "total"
    n_volumes = split(volumes, volume, " ")
    for (i = 1; i <= n_volumes; i++) {
        n = volume[i]
        rate = n / p["month_s"]
        busy_s = most(p["month_s"] * (1 - exp(-rate * alone_s)), n / per_second)
        there_s = p["month_s"] * (1 - exp(-rate * p["keep_s"]))
        cold = cold_given == "" ? exp(-rate * p["keep_s"]) : cold_given / 100
        requests = busy_s * active + n * request
        starts = n * cold * start
        probes = most(there_s - busy_s, 0) / period * p["step_s"] * active
        zero = requests + starts + probes

        idle_s = most(p["month_s"] - busy_s, 0)
        probe_s = idle_s / period * p["step_s"]
        one = requests + probe_s * active + (idle_s - probe_s) * idle
        printf "%12d | %7.1f %9.2f %9.2f %9.2f %9.2f %9.5f | %10.2f %10.5f | %13.2f\n", n, 100 * cold, requests, starts, probes,
            zero, thousand(zero, n), one, thousand(one, n), p["older_per_thousand"] * n / 1000
    }
    free = least(least(p["free_vcpu_seconds"] / cpu, p["free_gib_seconds"] / gib) / alone_s, p["free_requests"])
    printf "\nThe free tier is not subtracted: the first %d embeddings a month, each alone, cost nothing.\n", free
}' "$prices"

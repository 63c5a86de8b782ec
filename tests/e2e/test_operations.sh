#!/usr/bin/env bash
# test_operations.sh - docs/operations.md, the dashboard and the alerts speak of what a running service exports, and the
# alerts fire when they should.
# Usage: test_operations.sh BUILD_FOLDER
# promtool (Debian: package prometheus, which brings a whole server) is used where it is; else its checks are skipped.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

program=${1:?usage: test_operations.sh BUILD_FOLDER}/voxlock-cloud
guide=docs/operations.md dashboard=docs/dashboards/voxlock-cloud.json rules=docs/alerts/voxlock-cloud.yml
work=$(mktemp -d) || exit 1
pid=
finish() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
. tests/support/tap.sh

check_promtool() { # the same, skipped without promtool
    if command -v promtool >/dev/null; then
        check "$@"
    else
        n=$((n + 1))
        echo "ok $n - $1 # SKIP promtool is not installed (Debian: apt-get install prometheus)"
    fi
}

# ---- a service that has answered a little ----------------------------------------------------------------------------

start() {
    "$program" --port 0 --model models/starter --log-format text 2>"$work/log" &
    pid=$!
    local port=
    for _ in $(seq 200); do
        port=$(sed -n 's/.*listening.*port=\([0-9]*\).*/\1/p' "$work/log")
        [ -n "$port" ] && break
        sleep 0.05
    done
    [ -n "$port" ] || { cat "$work/log"; return 1; }
    url=http://127.0.0.1:$port
    # A request that comes before the model waits for it.
    curl -sS -f -o "$work/embedding" -H 'Content-Type: audio/flac' --data-binary @tests/data/audio/reader1_a.flac \
        "$url/api/ml/speaker_embedding" &&
        curl -sS -o /dev/null "$url/nothing/here" &&
        curl -sS -f -o "$work/metrics" "$url/metrics"
}

families() { # names of the metrics that the service exports
    sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$work/metrics" | sort -u
}

# ---- names -----------------------------------------------------------------------------------------------------------

used_in() { # file: the metrics that it names, without a histogram's endings
    grep -oE 'voxlock_[a-z_]+' "$1" | sed -E 's/_(bucket|sum|count)$//' | sort -u
}

documented() { # metrics of the guide's table
    grep -oE '^\| `voxlock_[a-z_]+`' $guide | tr -d '|` ' | sort -u
}

none_missing() { # list of names, list of known names
    local missing
    missing=$(comm -23 "$1" "$2")
    [ -s "$1" ] && [ -z "$missing" ] || { echo "missing:"; echo "$missing"; false; }
}

alerts_have_sections() {
    sed -n 's/.*- alert: //p' $rules | sort >"$work/alerts"
    sed -n 's/^### //p' $guide | grep '^Voxlock' | sort >"$work/sections"
    diff "$work/alerts" "$work/sections" || return 1
    while read -r alert; do
        grep -qF "runbook: $guide#$(tr '[:upper:]' '[:lower:]' <<<"$alert")" $rules ||
            { echo "$alert: no runbook"; return 1; }
    done <"$work/alerts"
}

settings_exist() { # every setting that the guide names is one
    "$program" --help | sed -nE 's/^  ([A-Z][A-Z_]+).*/\1/p' | sort -u >"$work/settings"
    grep -oE '`(PORT|VOXLOCK_|ECAPA_)[A-Z_]*`' $guide | tr -d '`' | grep -v '_$' | sort -u >"$work/named"
    none_missing "$work/named" "$work/settings"
}

anchors_of() { # document: its sections, as a link names them
    grep -oE '^#+ .*' "$1" | sed -E 's/^#+ //; s/ /-/g' | tr '[:upper:]' '[:lower:]'
}

links_exist() { # files and sections that the guide links to
    grep -oE '\]\([^)]+\)' $guide | sed -E 's/^\]\(//; s/\)$//' | while read -r link; do
        case $link in
        \#*) anchors_of $guide | grep -qxF "${link#\#}" ;;
        *.md\#*) anchors_of "docs/${link%%#*}" | grep -qxF "${link#*\#}" ;;
        *) [ -e "docs/$link" ] ;;
        esac || { echo "broken link: $link"; exit 1; }
    done
}

# ---- dashboard and rules ---------------------------------------------------------------------------------------------

dashboard_is_sound() {
    jq -e '.uid == "voxlock-cloud" and ([.panels[].id] | length == (unique | length)) and
        ([.panels[] | select(.type != "row") | .title, .description, .targets[].expr] |
            all(type == "string" and length > 0)) and
        ([.panels[] | select(.type != "row") | .gridPos.x + .gridPos.w] | max == 24)' $dashboard
}

queries_parse() { # the dashboard's queries as recording rules, for promtool to read
    jq '{groups: [{name: "dashboard", rules: [.panels[] | select(.type != "row") as $panel | .targets[] |
        {record: "panel:\($panel.id):\(.refId)",
         expr: (.expr | gsub("\\$__rate_interval"; "5m") | gsub("\\$instance"; ".*"))}]}]}' \
        $dashboard >"$work/queries.yml" &&
        promtool check rules "$work/queries.yml"
}

lint_metrics() {
    promtool check metrics <"$work/metrics"
}

check "the dashboard is JSON, each panel with its own id, text and queries" dashboard_is_sound
used_in $dashboard >"$work/in_dashboard" 2>"$work/said"
used_in $rules >"$work/in_rules"
documented >"$work/documented"
check "the guide explains every metric of the dashboard" none_missing "$work/in_dashboard" "$work/documented"
check "the guide explains every metric of the alerts" none_missing "$work/in_rules" "$work/documented"
check "the guide has a section for each alert, and the alert a link to it" alerts_have_sections
check "the guide's links lead somewhere" links_exist
check "the guide's settings exist" settings_exist

check "a service starts and answers" start
families >"$work/exported"
check "the service exports every metric of the dashboard" none_missing "$work/in_dashboard" "$work/exported"
check "the service exports every metric of the alerts" none_missing "$work/in_rules" "$work/exported"
check "the service exports every metric of the guide" none_missing "$work/documented" "$work/exported"
check "the guide explains every metric that the service exports" none_missing "$work/exported" "$work/documented"

check_promtool "promtool reads the alerts" promtool check rules $rules
check_promtool "each alert fires on its trouble, and none without" promtool test rules tests/e2e/alerts_test.yml
check_promtool "promtool reads the dashboard's queries" queries_parse
check_promtool "promtool finds nothing to object to in /metrics" lint_metrics

echo "1..$n"

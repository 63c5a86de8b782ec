#!/usr/bin/env bash
# test_api_guide.sh - docs/api.md shows requests that work and answers that are given: each ```sh block is run against a
# service, and where a ```json block follows, the answer must have its members, each of the same type.
# Usage: test_api_guide.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

program=${1:?usage: test_api_guide.sh BUILD_FOLDER}/voxlock-cloud
guide=docs/api.md
work=$(mktemp -d) || exit 1
pid=
finish() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
. tests/support/tap.sh

start() {
    "$program" --port 0 --model models/starter --log-format text 2>"$work/log" &
    pid=$!
    port=
    for _ in $(seq 200); do
        port=$(sed -n 's/.*listening.*port=\([0-9]*\).*/\1/p' "$work/log")
        [ -n "$port" ] && return
        sleep 0.05
    done
    cat "$work/log"
    return 1
}

# Writes N.sh for each request of the guide, and N.json for the answer that stands right behind it.
split_guide() {
    awk -v to="$work/" '
        /^```sh$/   { file = to (++n) ".sh"; next }
        /^```json$/ { file = behind ? to (n) ".json" : "/dev/null"; next }
        /^```$/     { behind = file ~ /sh$/; if (file) close(file); file = ""; next }
        file        { print >file; next }
        /./         { behind = 0 }' $guide
}

# Every member of a value with its type; the items of a list are one.
shape() {
    jq -r '[paths as $path | [($path | map(if type == "number" then "[]" else . end) | join(".")),
        (getpath($path) | type)] | join(" ")] | unique[]' "$1"
}

run_request() { # number
    sed "s/127\.0\.0\.1:8010/127.0.0.1:$port/" "$work/$1.sh" >"$work/request.sh"
    bash "$work/request.sh" >"$work/answer" && shape "$work/answer" >"$work/given" && [ -s "$work/given" ] || return 1
    [ -e "$work/$1.json" ] || return 0
    # "..." stands for the rest of a list.
    sed 's/, \.\.\.//' "$work/$1.json" >"$work/shown.json"
    shape "$work/shown.json" >"$work/shown" && diff "$work/shown" "$work/given"
}

section_of() { # number: the heading above the request
    awk -v k="$1" '/^## / { title = substr($0, 4) } /^```sh$/ && ++n == k { print title }' $guide
}

codes_are_listed() { # those of the contract in the table of errors, and no others
    sed -n '/^## Errors/,/^## Keys/p' $guide | sed -nE 's/^\| [0-9]+ \| ([^|]*)\|.*/\1/p' | grep -oE '[a-z_0-9]+' |
        sort -u >"$work/listed"
    jq -r '.components.responses[].description' cloud/openapi.json |
        grep -oE '\b(busy|internal|unauthorized|[a-z]+(_[a-z0-9]+)+)\b' | sort -u >"$work/contract"
    printf '%s\n' method_not_allowed unknown_path | sort -u - "$work/contract" >"$work/all"
    diff "$work/listed" "$work/all"
}

links_exist() {
    grep -oE '^#+ .*' $guide | sed -E 's/^#+ //; s/[:,]//g; s/ /-/g' | tr '[:upper:]' '[:lower:]' >"$work/anchors"
    grep -oE '\]\([^)]+\)' $guide | sed -E 's/^\]\(//; s/\)$//' | while read -r link; do
        case $link in
        \#*) grep -qxF "${link#\#}" "$work/anchors" ;;
        *) [ -e "docs/${link%%#*}" ] ;;
        esac || { echo "broken link: $link"; exit 1; }
    done
}

check "a service starts" start
split_guide
i=1
while [ -e "$work/$i.sh" ]; do
    check "request $i of the guide ($(section_of $i))" run_request $i
    i=$((i + 1))
done
check "the guide holds its requests" test $i -gt 8
check "the guide's table lists the codes of the contract" codes_are_listed
check "the guide's links lead somewhere" links_exist

echo "1..$n"

#!/usr/bin/env bash
# test_valgrind.sh BUILD_FOLDER - both programs under valgrind on a short real recording: no invalid access, no use of
# what was never written, no leak. Release build only: the sanitizer builds have their own witnesses.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
clip=tests/data/golden/b.wav
if [[ $build != *release ]] || ! command -v valgrind >/dev/null; then
    printf '1..1\nok 1 - # SKIP needs the release build and valgrind\n'
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check=(valgrind --quiet --leak-check=full --errors-for-leak-kinds="definite,indirect" --error-exitcode=99)
report() { # number, title, status, log
    if [ "$3" -eq 0 ]; then
        echo "ok $1 - $2"
    else
        echo "not ok $1 - $2"
        sed 's/^/# /' "$4"
    fi
}
echo 1..3

"${check[@]}" "$build/voxlock" embed --threads 2 --json "$clip" /dev/null >"$work/out" 2>"$work/log"
# /dev/null is no recording: the failing path is run too, and shows as exit code 3 or 5, never as valgrind's 99.
status=$?
[ $status -ne 99 ] && grep -q '"embedding"' "$work/out"
report 1 "voxlock embed" $? "$work/log"

# Valgrind is some fifty times slower: a deadline to match.
VOXLOCK_DEADLINE_MS=300000 "${check[@]}" "$build/voxlock-cloud" --port 0 --log-format text --threads 1 2>"$work/log" &
pid=$!
for _ in $(seq 600); do
    port=$(sed -n 's/.*listening.*port=\([0-9]*\).*/\1/p' "$work/log")
    [ -n "$port" ] && break
    sleep 0.1
done
answer=$(curl -sS --max-time 120 -H 'Content-Type: audio/wav' --data-binary "@$clip" \
    "http://127.0.0.1:$port/api/ml/speaker_embedding" 2>&1)
curl -sS -o /dev/null -d '{"audio_data": "AAAA"}' "http://127.0.0.1:$port/api/ml/speaker_embedding" 2>>"$work/log"
curl -sS -o /dev/null "http://127.0.0.1:$port/metrics" 2>>"$work/log"
grep -q '"success":true' <<<"$answer"
report 2 "voxlock-cloud answers" $? "$work/log"
kill -TERM "$pid"
wait "$pid"
report 3 "voxlock-cloud ends clean" $? "$work/log"

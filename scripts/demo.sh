#!/usr/bin/env bash
# demo.sh - starts the service on a free port, sends it real recordings the way a client does, and stops it; then enrols a
# voice on this computer and verifies two recordings, in a folder of its own that is removed afterwards.
# Usage: scripts/demo.sh [BUILD_FOLDER]   build/release when not given
set -euo pipefail
cd "$(dirname "$0")/.."
clips=tests/data/audio
build=${1:-build/release}
work=$(mktemp -d)
pid=
finish() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

body() { # clip, further fields: the JSON that a client posts
    printf '{"audio_data": "%s", "format": "auto"%s}' "$(base64 <"$clips/$1" | tr -d '\n')" "${2:-}"
}
post() { curl -sS --fail-with-body -H 'Content-Type: application/json' --data-binary @- "$url/api/ml/$1"; }

echo "1. Start voxlock-cloud with the bundled starter model"
"$build/voxlock-cloud" --port 0 --log-format text 2>"$work/log" &
pid=$!
for _ in $(seq 100); do
    port=$(sed -n 's/.*listening.*port=\([0-9]*\).*/\1/p' "$work/log")
    [ -n "$port" ] && break
    kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.05
done
[ -n "$port" ] || { echo "demo: the service did not start listening:" >&2; cat "$work/log" >&2; exit 1; }
url=http://127.0.0.1:$port
echo "   it listens on $url"
echo

echo "2. POST a recording (LibriSpeech, 3.5 s) as base64: its speaker embedding, shortened"
body reader1_a.flac | post speaker_embedding |
    sed -E 's/("embedding": ?\[([^,]*,){3})[^]]*\]/\1 ... 189 more]/; s/,"/,\n "/g' | sed 's/^/   /'
echo
echo

similarity() { # clip, clip
    body "$1" ", \"reference_audio\": \"$(base64 <"$clips/$2" | tr -d '\n')\"" | post speaker_verify |
        sed -E 's/.*"verified": ?(true|false).*"similarity": ?([-0-9.e]+).*/similarity \2, verified: \1/'
}
echo "3. Are two recordings of one voice?"
echo "   one reader, two recordings:  $(similarity reader1_a.flac reader1_b.flac)"
echo "   two readers:                 $(similarity reader1_a.flac reader3_a.flac)"
echo

echo "4. Stop the service (SIGTERM)"
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
pid=
echo "   it ended with status $status"
echo

profiles=(--data "$work/profiles" --keyring file)
verify() { # clip, exit code that is expected
    local code=0
    "$build/voxlock" verify anna "$clips/$1" "${profiles[@]}" >"$work/said" || code=$?
    sed 's/^/   /' "$work/said"
    [ "$code" -eq "$2" ] || { echo "demo: the verdict was not the expected one (exit code $code, not $2)" >&2; status=1; }
    echo
}
echo "5. Enrol a voice from three recordings"
"$build/voxlock" enroll anna "$clips"/reader1_{a,b,c}.flac "${profiles[@]}" 2>"$work/said" >/dev/null ||
    { cat "$work/said" >&2; exit 1; }
sed 's/^/   /' "$work/said"
echo
echo "6. Verify a fourth recording of the same reader: the voice is accepted and sounds alive. It stays at CHALLENGE: the"
echo "   starter model is not sure enough of four seconds to open by itself"
verify reader1_d.flac 10
echo "7. Verify another reader: a living voice, but not hers"
verify reader3_a.flac 12
echo "8. Verify an enrolled recording again, coded at a low rate: the lock has heard it before, so it is a replay"
verify reader1_a.opus 12
exit "$status"

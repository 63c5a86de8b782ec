#!/usr/bin/env bash
# test_unlock_live.sh - voxlock unlock through a real audio stack: a PulseAudio null sink is the room, two voices of flite the
# people in it, and a session manager of our own on a private bus the desktop. Who speaks, says which digits, and is the screen opened?
# Usage: test_unlock_live.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
skip() { # why: one test, not run
    printf '1..1\nok 1 # SKIP %s\n' "$1"
    exit 0
}
for program in pulseaudio paplay pactl flite dbus-daemon jq; do
    command -v "$program" >/dev/null || skip "$program is not installed"
done
for part in vx_capture_pulse.so vx_phrase_sphinx.so vx_desktop_logind.so tools/logind_mock; do
    [ -e "$build/$part" ] || skip "this build has no $part"
done
case $build in *asan*) skip "what takes time in the room would come too late" ;; esac

work=$(mktemp -d) || exit 1
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    wait
    rm -rf "$work"
}
trap finish EXIT
n=0 failed=0
# shellcheck source=tests/support/tap.sh
. tests/support/tap.sh
[ -d "$build/../../models/starter" ] || export ECAPA_CACHE_DIR=models/starter
for name in $(env | sed -nE 's/^((VOXLOCK|BAYESIAN|VBI)_[A-Z_]+)=.*/\1/p'); do unset "$name"; done

# ---- a room, a desktop, a home -------------------------------------------------------------------------------------------
export HOME=$work/home XDG_RUNTIME_DIR=$work/run PULSE_SERVER=unix:$work/pulse PULSE_COOKIE=$work/cookie
unset XDG_DATA_HOME XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS DISPLAY
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --system=no -L "module-null-sink sink_name=room rate=48000" \
    -L "module-native-protocol-unix socket=$work/pulse auth-anonymous=1" >"$work/pulse.log" 2>&1 &
pids+=($!)
dbus-daemon --session --nofork --print-address=3 3>"$work/bus" >/dev/null 2>&1 &
pids+=($!)
for _ in $(seq 100); do
    pactl info >/dev/null 2>&1 && [ -s "$work/bus" ] && break
    sleep 0.05
done
pactl info >/dev/null 2>&1 || skip "PulseAudio does not start here"
DBUS_SYSTEM_BUS_ADDRESS=$(cat "$work/bus")
export DBUS_SYSTEM_BUS_ADDRESS
mkfifo "$work/tell"
"$build/tools/logind_mock" "$(id -u)" <"$work/tell" >"$work/told" 2>&1 &
pids+=($!)
exec 4>"$work/tell"
desktop() { # what logind_mock is told; its answer
    local lines before
    before=$(wc -l <"$work/told")
    echo "$*" >&4
    for _ in $(seq 100); do
        lines=$(wc -l <"$work/told")
        [ "$lines" -gt "$before" ] && break
        sleep 0.02
    done
    tail -n 1 "$work/told"
}

# ---- people --------------------------------------------------------------------------------------------------------------
owner=rms stranger=slt
say() { # voice, words, file
    flite -voice "$1" -t "$2" -o "$3"
}
say $owner "The weather was fine on the morning when we walked along the river" "$work/o1.wav"
say $owner "Please remember to water the plants while I am away next week" "$work/o2.wav"
say $owner "She sold the old bicycle to a neighbour for twenty pounds" "$work/o3.wav"
say $owner "My voice is my passport, please open the screen for me" "$work/owner.wav"
say $stranger "My voice is my passport, please open the screen for me" "$work/stranger.wav"

words() { # "4 7": four, seven
    local digit names=(zero one two three four five six seven eight nine)
    for digit in $1; do printf '%s, ' "${names[digit]}"; done
}

# One attempt: who speaks first, and who answers with which digits ("right", digits, or "nothing": Ctrl-C). Leaves the answer in $work/out.
unlock() { # recording, voice of the answer, digits
    local line digits
    rm -rf "$work/talk" "$HOME"
    cp -a "$work/enrolled" "$HOME" # no pause after the rejections of the attempt before
    mkfifo "$work/talk"
    [ -n "${unlocked_already:-}" ] || desktop LockedHint 1 >/dev/null
    "$build/voxlock" unlock otto --source pulse --device room.monitor --json >"$work/out" 2>"$work/talk" &
    local pid=$!
    while read -r line; do
        case $line in
        "Speak now."*) (sleep 0.4; paplay --device=room "$work/$1.wav") & ;;
        "Please say: "*)
            [ "$3" != nothing ] || { kill -INT "$pid"; continue; }
            digits=${line#Please say: }
            [ "$3" = right ] || digits=$3
            say "$2" "$(words "$digits")" "$work/answer.wav"
            (sleep 0.3; paplay --device=room "$work/answer.wav") &
            ;;
        esac
    done <"$work/talk"
    wait "$pid"
    code=$?
    cat "$work/out"
    return 0
}
field() { jq -r "$1" "$work/out"; }
requests() {
    desktop requests >/dev/null
    sleep 0.1
    sed -n 's/^requests //p' "$work/told" | tail -n 1
}

"$build/voxlock" enroll otto "$work"/o[123].wav --arm --accept-starter-model >/dev/null 2>"$work/said" || cat "$work/said"
cp -a "$HOME" "$work/enrolled"

owner_opens() {
    unlock owner $owner right
    [ "$code" -eq 0 ] && [ "$(field .verdict)" = AUTHENTICATE ] && [ "$(field .challenge_passed)" = true ] &&
        [ "$(field .unlock.result)" = unlocked ] && [ "$(requests)" -eq 1 ]
}
wrong_digits() {
    unlock owner $owner "1 1 1 1 1"
    [ "$code" -eq 11 ] && [ "$(field .digits_right)" = false ] && [ "$(requests)" -eq 1 ]
}
another_answers() {
    unlock owner $stranger right
    [ "$code" -eq 11 ] && [ "$(field .digits_right)" = true ] && [ "$(field .may_unlock)" = false ] && [ "$(requests)" -eq 1 ]
}
hangs_up() { # digits that one may decline for free could be fished for
    unlock owner $owner nothing
    [ "$code" -ne 0 ] && "$build/voxlock" history --json | jq -e '[.attempts[].verdict] == ["REJECT", "CHALLENGE"]' &&
        [ "$(requests)" -eq 1 ]
}
stranger_speaks() {
    unlock stranger $stranger right
    [ "$code" -eq 11 ] && [ "$(field .challenged)" = false ] && [ "$(requests)" -eq 1 ]
}
on_record() {
    unlock owner $owner right
    [ "$code" -eq 0 ] && "$build/voxlock" history --json | jq -e '[.attempts[].verdict] == ["AUTHENTICATE", "CHALLENGE"]' &&
        "$build/voxlock" audit list && "$build/voxlock" audit list --json | jq -e '[.entries[].kind] == ["enrolled", "armed", "attempt", "attempt", "unlock", "enrolled"]' &&
        "$build/voxlock" audit verify
}
screen_is_open() {
    desktop LockedHint 0 >/dev/null
    unlocked_already=yes unlock owner $owner right
    [ "$code" -eq 0 ] && [ "$(field .unlock.result)" = was_unlocked ] && [ "$(requests)" -eq 2 ]
}
check "the owner speaks, says the digits, and the screen opens" owner_opens
check "the owner's voice with other digits opens nothing" wrong_digits
check "the right digits in another voice open nothing" another_answers
check "hanging up on the digits is a rejection" hangs_up
check "another voice is not even asked" stranger_speaks
check "attempts, the unlock and the new microphone are on record" on_record
check "a screen that is open is left alone" screen_is_open
echo "1..$n"
exit $((failed > 0))

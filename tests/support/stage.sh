# stage.sh - sourced by shell tests: a room with people and a locked desktop in it. A PulseAudio null sink is the room (what
# is played into it is what the microphone hears), voices of flite are the people, and a session manager of our own on a
# private bus is the desktop. Needs $build; a test begins with stage_open, which makes the folder $work.
# shellcheck shell=bash disable=SC2034,SC2154

# Why there can be no stage here; nothing where there can.
stage_lacks() {
    local program part
    for program in pulseaudio paplay pactl flite dbus-daemon jq; do
        command -v "$program" >/dev/null || { echo "$program is not installed"; return; }
    done
    for part in vx_capture_pulse.so vx_phrase_sphinx.so vx_desktop_logind.so tools/logind_mock; do
        [ -e "$build/$part" ] || { echo "this build has no $part"; return; }
    done
    case $build in *asan*) echo "what takes time in the room would come too late" ;; esac
}

stage_skip() { # why: the whole test, not run
    printf '1..1\nok 1 # SKIP %s\n' "$1"
    exit 0
}
# For a test: what stage_build needs, or nothing is run. All of it goes when the test ends.
stage_open() {
    local lacks
    work=$(mktemp -d) || exit 1
    pids=()
    trap stage_end EXIT
    lacks=$(stage_lacks)
    [ -z "$lacks" ] || stage_skip "$lacks"
}

stage_build() { # [pava]: a home, a room, a desktop; fails where PulseAudio does not start. PAVA tells synthesisers, so it is off
    # unless it is asked for: by those whose people are recordings, or are to be told for what they are.
    local name
    for name in $(env | sed -nE 's/^((VOXLOCK|BAYESIAN|VBI|ECAPA)_[A-Z_]+)=.*/\1/p'); do unset "$name"; done
    [ "${1:-}" = pava ] || export VBI_PHYSICS_SPOOFING=false
    [ -d "$build/../../models/starter" ] || export ECAPA_CACHE_DIR=$PWD/models/starter
    export HOME=$work/home XDG_RUNTIME_DIR=$work/run PULSE_SERVER=unix:$work/pulse PULSE_COOKIE=$work/cookie
    unset XDG_DATA_HOME XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS DISPLAY
    mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
    chmod 700 "$XDG_RUNTIME_DIR"
    sound_server pulse
    [ "${1:-}" != pava ] || stage_ears || return 1
    dbus-daemon --session --nofork --print-address=3 3>"$work/bus" >/dev/null 2>&1 &
    pids+=($!)
    wait_until 5 stage_is_up || return 1
    room_at 48000
    DBUS_SYSTEM_BUS_ADDRESS=$(cat "$work/bus")
    export DBUS_SYSTEM_BUS_ADDRESS
    mkfifo "$work/tell"
    "$build/tools/logind_mock" "$(id -u)" <"$work/tell" >"$work/told" 2>&1 &
    pids+=($!)
    exec 4>"$work/tell"
}
sound_server() { # its socket
    pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --system=no \
        -L "module-native-protocol-unix socket=$work/$1 auth-anonymous=1" >"$work/$1.log" 2>&1 &
    pids+=($!)
}
# A computer of its own for those who listen: what their own plays, PAVA does not judge, and all that is said in the room is
# played by the server that the room is in. From here on they have to be given PULSE_SERVER=$ears.
stage_ears() {
    sound_server ears
    ears=unix:$work/ears
    wait_until 5 ears_are_up
}
ears_are_up() { pactl --server="$ears" info >/dev/null 2>&1; }
stage_is_up() { pactl info && [ -s "$work/bus" ]; } >/dev/null 2>&1
stage_end() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    wait
    rm -rf "$work"
}

wait_until() { # seconds, command...: true once it is
    local n=$(($1 * 20))
    shift
    for ((; n > 0; n--)); do
        "$@" && return 0
        sleep 0.05
    done
    return 1
}

# ---- the room: device and sounds -----------------------------------------------------------------------------------------
room_at() { # Hz: the device, anew
    room_gone
    room=$(pactl load-module module-null-sink sink_name=room rate="$1")
    [ -z "${ears:-}" ] || ear=$(pactl --server="$ears" load-module module-tunnel-source server="$PULSE_SERVER" \
        source=room.monitor source_name=room.monitor rate="$1" channels=1)
}
room_gone() {
    [ -z "${ear:-}" ] || pactl --server="$ears" unload-module "$ear"
    [ -z "${room:-}" ] || pactl unload-module "$room"
    room='' ear=''
}
play() { paplay --device=room "$1"; }
microphone_is_open() { [ -n "$(pactl --server="${ears:-$PULSE_SERVER}" list short source-outputs 2>/dev/null)" ]; }
microphone_is_closed() { ! microphone_is_open; }
say() { # voice, words, file
    flite -voice "$1" -t "$2" -o "$3"
}
words() { # "4 7": four, seven
    local digit names=(zero one two three four five six seven eight nine)
    for digit in $1; do printf '%s, ' "${names[digit]}"; done
}

# `voxlock unlock`, and somebody before it. Leaves the outcome in $work/out, and the exit status in $code.
converse() { # who, command...: the recording that is spoken first, and what makes $work/answer.wav of the digits (or fails: Ctrl-C)
    local line pid first=$2
    rm -f "$work/talk"
    mkfifo "$work/talk"
    PULSE_SERVER=${ears:-$PULSE_SERVER} "$build/voxlock" unlock "$1" --source pulse --device room.monitor --json >"$work/out" 2>"$work/talk" &
    pid=$!
    while read -r line; do
        case $line in
        "Speak now."*) (sleep 0.4; play "$first") & ;;
        "Please say: "*) if "${@:3}" "${line#Please say: }"; then (sleep 0.3; play "$work/answer.wav") & else kill -INT "$pid"; fi ;;
        esac
    done <"$work/talk"
    wait "$pid"
    code=$?
    cat "$work/out"
}
field() { jq -r "$1" "$work/out"; }

# ---- the desktop ---------------------------------------------------------------------------------------------------------
desktop() { # what logind_mock is told; its answer
    local before
    before=$(wc -l <"$work/told")
    echo "$*" >&4
    wait_until 2 desktop_has_told "$before"
    tail -n 1 "$work/told"
}
desktop_has_told() { [ "$(wc -l <"$work/told")" -gt "$1" ]; }
lock_screen() { desktop LockedHint 1 >/dev/null; }
unlock_screen() { desktop LockedHint 0 >/dev/null; }
requests() { # unlocks that were asked for so far
    desktop requests >/dev/null
    sleep 0.1
    sed -n 's/^requests //p' "$work/told" | tail -n 1
}

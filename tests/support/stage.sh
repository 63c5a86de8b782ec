# stage.sh - sourced by shell tests: a room with people and a locked desktop in it. A PulseAudio null sink is the room (what
# is played into it is what the microphone hears), voices of flite are the people, and a session manager of our own on a
# private bus is the desktop. Needs $build, a folder in $work, and pids=().
# shellcheck shell=bash disable=SC2154

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

stage_build() { # a home, a room, a desktop; fails where PulseAudio does not start
    local name
    for name in $(env | sed -nE 's/^((VOXLOCK|BAYESIAN|VBI|ECAPA)_[A-Z_]+)=.*/\1/p'); do unset "$name"; done
    export VBI_PHYSICS_SPOOFING=false # the people are synthesisers, and PAVA would say so
    [ -d "$build/../../models/starter" ] || export ECAPA_CACHE_DIR=$PWD/models/starter
    export HOME=$work/home XDG_RUNTIME_DIR=$work/run PULSE_SERVER=unix:$work/pulse PULSE_COOKIE=$work/cookie
    unset XDG_DATA_HOME XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS DISPLAY
    mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
    chmod 700 "$XDG_RUNTIME_DIR"
    pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --system=no \
        -L "module-native-protocol-unix socket=$work/pulse auth-anonymous=1" >"$work/pulse.log" 2>&1 &
    pids+=($!)
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
}
room_gone() {
    [ -z "${room:-}" ] || pactl unload-module "$room"
    room=
}
play() { paplay --device=room "$1"; }
microphone_is_open() { [ -n "$(pactl list short source-outputs 2>/dev/null)" ]; }
microphone_is_closed() { ! microphone_is_open; }
say() { # voice, words, file
    flite -voice "$1" -t "$2" -o "$3"
}
words() { # "4 7": four, seven
    local digit names=(zero one two three four five six seven eight nine)
    for digit in $1; do printf '%s, ' "${names[digit]}"; done
}

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

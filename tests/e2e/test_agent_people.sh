#!/usr/bin/env bash
# test_agent_people.sh - the agent as it is delivered, PAVA and all, in a room of tests/support/stage.sh with recordings of
# people: what they happen to say is the phrase. test_agent_wake.sh, whose people are synthesisers, has to do without PAVA.
# Usage: test_agent_people.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
# shellcheck source=tests/support/tap.sh
. tests/support/tap.sh
# shellcheck source=tests/support/stage.sh
. tests/support/stage.sh
stage_open
stage_build pava || stage_skip "PulseAudio does not start here"
room_at 16000 # that of the recordings
people=tests/data/audio
export VOXLOCK_PHRASES="always accusing people, something is going to" VOXLOCK_SPEAK=off

# The owner is reader 1: of reader 2 there is no recording that is like three others, of the rest there are two each. What opens is
# recording d, with a and b enrolled, and both behind each other, for profiles hold more speech than three recordings of 4 s.
# `voxlock verify` gives it 0.87 then (voice 0.94, PAVA 0.97; 0.85 opens), and each other recording, with the rest enrolled in one
# way or the other, 0.76 to 0.84.
record() { # file, recordings...: as the microphone takes them, one behind the other
    local pid file=$1
    shift
    parec --device=room.monitor --rate=16000 --channels=1 --file-format=wav "$file" &
    pid=$!
    wait_until 5 recorder_runs
    for one in "$@"; do play "$people/reader1_$one.flac"; done
    kill -INT "$pid"
    wait "$pid"
}
recorder_runs() { [ "$(pactl list short source-outputs | wc -l)" -eq 2 ]; } # beside the one for the ears
record "$work/ab.wav" a b
record "$work/ba.wav" b a
"$build/voxlock" enroll ruth "$work/ab.wav" "$work/ba.wav" $people/reader1_a.flac --arm --accept-starter-model >/dev/null 2>"$work/said" || cat "$work/said"
PULSE_SERVER=$ears "$build/voxlock" agent run >"$work/agent.err" 2>&1 &
pids+=($!)
wait_until 5 test -S "$XDG_RUNTIME_DIR/voxlock/agent.sock"

status() { "$build/voxlock" agent status --json | jq -r "$1"; }
is() { [ "$(status "$1")" = "$2" ]; }
history() { "$build/voxlock" history --json; }
has() { history | jq -e "[.attempts[] | select(.ended)] | length == $1" >/dev/null; }
last() { history | jq -e ".attempts[0] | $1" || { history; false; }; }
hear() { # recording, how many attempts there are then
    lock_screen
    wait_until 10 is .agent.wake.state listening && play "$people/$1.flac" && wait_until 5 has "$2"
}
# ---- tests ---------------------------------------------------------------------------------------------------------------
owner_opens() { # by voice and PAVA alone: nobody asks for digits here
    hear reader1_d 1 &&
        last '.verdict == "AUTHENTICATE" and .detail.challenge_passed == false' && [ "$(requests)" -eq 1 ]
}
recording_is_known_again() {
    hear reader1_d 2 && last '.verdict == "ESCALATE" and any(.detail.physics.layers[]; .layer == "replay" and .spoof > 0.9)' &&
        [ "$(requests)" -eq 1 ]
}
stranger_is_kept_out() { # alive, and not the owner: that the two contradict each other is an anomaly of its own
    hear reader4_b 3 && last '.verdict == "ESCALATE" and .detail.decision.anomaly == "disagreement" and .detail.voice.accepted == false' &&
        [ "$(requests)" -eq 1 ]
}
check "the owner's own words open the screen, once" owner_opens
check "the same recording, played once more, is known for what it is" recording_is_known_again
check "another person, who says a phrase too, is kept out" stranger_is_kept_out
# shellcheck disable=SC2154
echo "1..$n"
# shellcheck disable=SC2154
exit $((failed > 0))

#!/usr/bin/env bash
# test_agent_people.sh - the agent as it is delivered, PAVA and all, in a room of tests/support/stage.sh with recordings of
# people: what they happen to say is the phrase. test_agent_wake.sh, whose people are synthesisers, has to do without PAVA.
# Usage: test_agent_people.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
skip() { # why: one test, not run
    printf '1..1\nok 1 # SKIP %s\n' "$1"
    exit 0
}
work=$(mktemp -d) || exit 1
pids=()
# shellcheck source=tests/support/tap.sh
. tests/support/tap.sh
# shellcheck source=tests/support/stage.sh
. tests/support/stage.sh
trap stage_end EXIT
lacks=$(stage_lacks)
[ -z "$lacks" ] || skip "$lacks"
stage_build || skip "PulseAudio does not start here"
unset VBI_PHYSICS_SPOOFING
people=tests/data/audio
export VOXLOCK_PHRASES="always accusing people, something is going to" VOXLOCK_SPEAK=off
"$build/voxlock" enroll ruth $people/reader1_[abc].flac --arm --accept-starter-model >/dev/null 2>"$work/said" || cat "$work/said"
"$build/voxlock" agent run >"$work/agent.err" 2>&1 &
pids+=($!)
wait_until 5 test -S "$XDG_RUNTIME_DIR/voxlock/agent.sock"

status() { "$build/voxlock" agent status --json | jq -r "$1"; }
is() { [ "$(status "$1")" = "$2" ]; }
history() { "$build/voxlock" history --json; }
has() { [ "$(history | jq '.attempts | length')" -eq "$1" ]; }
last() { history | jq -e ".attempts[0] | $1" || { history; false; }; }
hear() { # recording, how many attempts there are then
    lock_screen
    wait_until 10 is .agent.wake.state listening && play "$people/$1.flac" && wait_until 5 has "$2"
}
opened_if() { # that verdict, and only then
    last '.verdict == "AUTHENTICATE"' >/dev/null && [ "$(requests)" -eq $(($1 + 1)) ] ||
        last '.verdict != "AUTHENTICATE"' >/dev/null && [ "$(requests)" -eq "$1" ]
}

# ---- tests ---------------------------------------------------------------------------------------------------------------
owner_is_known() { # whether digits are asked for besides is PAVA's to say
    hear reader1_d 1 && last '.verdict == "AUTHENTICATE" or .verdict == "CHALLENGE"' && opened_if 0
    opened=$(requests)
}
recording_is_known_again() {
    hear reader1_d 2 && last '.verdict == "ESCALATE"' && opened_if "$opened"
}
stranger_is_rejected() {
    hear reader4_b 3 && last '.verdict == "REJECT"' && opened_if "$opened"
}
check "the owner's own words are heard, and the voice is known" owner_is_known
check "the same recording, played once more, is known for what it is" recording_is_known_again
check "another person, who says a phrase too, is rejected" stranger_is_rejected
# shellcheck disable=SC2154
echo "1..$n"
# shellcheck disable=SC2154
exit $((failed > 0))

#!/usr/bin/env bash
# test_agent_wake.sh - the agent by itself, in a room of tests/support/stage.sh: the screen is locked, somebody says a phrase,
# is asked for digits by voice, and the screen opens, or not. The agent's own voice goes into the room too.
# Usage: test_agent_wake.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
# shellcheck source=tests/support/tap.sh
. tests/support/tap.sh
# shellcheck source=tests/support/stage.sh
. tests/support/stage.sh
stage_open
espeak=$(command -v espeak-ng) || stage_skip "espeak-ng is not installed"
command -v curl >/dev/null || stage_skip "curl is not installed"
port=$((20000 + $$ % 20000))
stage_build || stage_skip "PulseAudio does not start here"

# ---- people, and the agent's voice ---------------------------------------------------------------------------------------
owner=rms stranger=slt
phrase="unlock my screen"
say $owner "The weather was fine on the morning when we walked along the river" "$work/o1.wav"
say $owner "Please remember to water the plants while I am away next week" "$work/o2.wav"
say $owner "Good morning computer, unlock my screen, I would like to work" "$work/o3.wav"
say $owner "Please, $phrase" "$work/owner.wav"
say $stranger "Please, $phrase" "$work/stranger.wav"
say $owner "The weather is going to be fine tomorrow" "$work/weather.wav"
say $owner "Please, lock my screen" "$work/lock.wav"

# What speaks: the real one, in our room, and what it was told in $work/spoken, then "ended".
mkdir "$work/bin"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/spd-say"
cat >"$work/bin/espeak-ng" <<END
#!/bin/bash
echo "\${@: -1}" >>"$work/spoken"
"$espeak" -v en-us -w "$work/own.wav" -- "\${@: -1}" && paplay --device=room "$work/own.wav"
echo ended >>"$work/spoken"
END
chmod +x "$work/bin/"*

agent=
start_agent() { # settings...
    : >"$work/spoken"
    env PATH="$work/bin:$PATH" "$@" "$build/voxlock" agent run >"$work/agent.err" 2>&1 &
    agent=$!
    pids+=("$agent")
    wait_until 5 test -S "$XDG_RUNTIME_DIR/voxlock/agent.sock"
}
stop_agent() { # and what it had to say
    kill "$agent"
    wait "$agent"
}
new_agent() { # with a profile as it was after enrolment: no pause after the rejections of the test before
    [ -z "$agent" ] || stop_agent
    unlock_screen
    rm -rf "$HOME"
    cp -a "$work/enrolled" "$HOME"
    start_agent "$@"
}
status() { "$build/voxlock" agent status --json | jq -r "$1"; }
is() { [ "$(status "$1")" = "$2" ]; }
verdicts() { "$build/voxlock" history --json | jq -c '[.attempts[].verdict]'; }
have_verdicts() { [ "$(verdicts)" = "$1" ]; }
spoken() { [ -s "$work/spoken" ] && [ "$(tail -n 1 "$work/spoken")" = ended ]; }
screen_is() { "$build/voxlock" agent status --json | jq -e ".agent.locked == $1" >/dev/null; }
answer() { # who says which digits ("right"), after the agent asked
    local digit digits='' names=(zero one two three four five six seven eight nine)
    wait_until 20 spoken || return 1
    if [ "$2" = right ]; then
        for word in $(grep '^Please say' "$work/spoken" | tail -n 1 | sed 's/Please say: //; s/[,.]//g'); do
            for digit in "${!names[@]}"; do [ "${names[digit]}" != "$word" ] || digits+="$digit "; done
        done
    else
        digits=$2
    fi
    : >"$work/spoken"
    say "$1" "$(words "$digits")" "$work/answer.wav"
    sleep 0.4
    play "$work/answer.wav"
}

"$build/voxlock" enroll otto "$work"/o[123].wav --arm --accept-starter-model >/dev/null 2>"$work/said" || cat "$work/said"
cp -a "$HOME" "$work/enrolled"

# ---- tests ---------------------------------------------------------------------------------------------------------------
closed_while_open() {
    new_agent
    sleep 2
    microphone_is_closed && is .agent.wake.state waiting && is .agent.state idle
}
opens_with_the_lock() {
    lock_screen
    wait_until 5 microphone_is_open && wait_until 2 is .agent.wake.state listening && unlock_screen &&
        wait_until 2 microphone_is_closed && desktop Active 0 && lock_screen && sleep 2 && microphone_is_closed &&
        [ "$(desktop Active 1)" = ok ] && wait_until 5 microphone_is_open
}
owner_opens() {
    wait_until 5 is .agent.wake.state listening && play "$work/owner.wav"
    answer $owner right && wait_until 5 screen_is false && have_verdicts '["AUTHENTICATE","CHALLENGE"]' &&
        wait_until 2 microphone_is_closed && [ "$(requests)" -eq 1 ]
}
other_words() { # and the agent's own question, in the test before, was no command either
    new_agent && lock_screen && wait_until 5 is .agent.wake.state listening && play "$work/weather.wav" && sleep 1.5 &&
        play "$work/lock.wav" && sleep 1.5 && have_verdicts '[]' && is .agent.wake.state listening
}
stranger_is_rejected() {
    play "$work/stranger.wav" && wait_until 5 have_verdicts '["REJECT"]' && [ ! -s "$work/spoken" ] && [ "$(requests)" -eq 1 ]
}
another_answers() {
    new_agent && lock_screen && wait_until 5 is .agent.wake.state listening && play "$work/owner.wav" &&
        answer $stranger right && wait_until 10 have_verdicts '["REJECT","CHALLENGE"]' && wait_until 10 spoken &&
        grep -q "does not sound like you" "$work/spoken" && [ "$(requests)" -eq 1 ] && screen_is true
}
pauses_in_silence() { # after three rejections the microphone is closed, and nothing is said
    : >"$work/spoken"
    wait_until 10 is .agent.wake.state listening
    for _ in 1 2 3; do
        play "$work/stranger.wav"
        sleep 1.5
    done
    wait_until 5 have_verdicts '["WAIT","REJECT","REJECT","REJECT","CHALLENGE"]' && wait_until 2 microphone_is_closed &&
        is .agent.wake.why "too many attempts were rejected" && [ ! -s "$work/spoken" ]
}
asked_goes_first() { # a program that asks gets the microphone at once, and the agent takes it back
    new_agent VOXLOCK_AGENT_PORT="$port" && lock_screen && wait_until 5 is .agent.wake.state listening || return 1
    curl -sS -X POST -H "Authorization: Bearer $(cat "$HOME/.local/share/voxlock/api-token")" \
        -H "Content-Type: application/json" -d '{"timeout_ms": 3000}' "http://127.0.0.1:$port/api/voice/unlock" >"$work/asked" &
    local pid=$!
    wait_until 2 is .agent.wake.state waiting && is .agent.state listening
    wait "$pid"
    jq -e '.said == ["Speak now."] and .verdict == "NO_AUDIO"' "$work/asked" && wait_until 5 is .agent.wake.state listening
}
command_goes_first() {
    wait_until 5 is .agent.wake.state listening
    "$build/voxlock" unlock otto --source pulse --device room.monitor --dry-run >/dev/null 2>"$work/talk" &
    local pid=$!
    wait_until 3 is .agent.wake.why "a command of yours listens" || return 1
    kill -INT "$pid"
    wait "$pid"
    wait_until 5 is .agent.wake.state listening
}
device_comes_back() {
    room_gone
    wait_until 10 is .agent.wake.state failed && microphone_is_closed || return 1
    sleep 3
    room_at 16000
    wait_until 12 is .agent.wake.state listening && wait_until 2 microphone_is_open &&
        play "$work/stranger.wav" && wait_until 5 have_verdicts '["REJECT"]'
}
needs_an_armed_profile() {
    new_agent && "$build/voxlock" profiles disarm otto >/dev/null && lock_screen && sleep 2 && microphone_is_closed &&
        status .agent.wake.why | grep -q "no profile is armed"
}
digits_that_cannot_be_said() { # are no challenge, and no rejection
    mv "$work/bin/espeak-ng" "$work/voice"
    ln -s /bin/false "$work/bin/espeak-ng"
    new_agent && lock_screen && wait_until 5 is .agent.wake.state listening && play "$work/owner.wav" &&
        wait_until 5 have_verdicts '["CHALLENGE"]' && wait_until 2 is .agent.wake.state listening && screen_is true
    local status=$?
    mv "$work/voice" "$work/bin/espeak-ng"
    return $status
}
can_be_switched_off() {
    new_agent VOXLOCK_WAKE=false && lock_screen && sleep 2 && microphone_is_closed && is .agent.wake.state off &&
        is .agent.wake.why "VOXLOCK_WAKE is false"
}
own_phrases() {
    new_agent VOXLOCK_PHRASES="Hello computer, open sesame" && lock_screen && wait_until 5 is .agent.wake.state listening &&
        play "$work/owner.wav" && sleep 1.5 && have_verdicts '[]' && say $stranger "open sesame" "$work/sesame.wav" &&
        play "$work/sesame.wav" && wait_until 5 have_verdicts '["REJECT"]'
}
says_which_phrase_is_wrong() {
    stop_agent
    agent=
    ! VOXLOCK_PHRASES="unlock, , my" "$build/voxlock" agent run 2>"$work/err" && grep -q VOXLOCK_PHRASES "$work/err" &&
        start_agent VOXLOCK_PHRASES="unlock my xylqzz" && lock_screen && wait_until 5 is .agent.wake.state failed &&
        status .agent.wake.why | grep -q xylqzz && microphone_is_closed
}
check "while the screen is open the microphone is closed" closed_while_open
check "it opens with the lock, closes with the unlock, and stays closed where the lock is unknown" opens_with_the_lock
check "the owner says the phrase, is asked by voice, says the digits, and the screen opens" owner_opens
check "other words, and a phrase of which the beginning is missing, are not heard" other_words
check "another voice is rejected without a word" stranger_is_rejected
check "the right digits in another voice open nothing, and that is said" another_answers
check "after rejections the microphone is closed for the pause, in silence" pauses_in_silence
check "who asks over the socket goes first" asked_goes_first
check "a command of the user's goes first" command_goes_first
check "a device that is gone is waited for, and heard when it comes back with another rate" device_comes_back
check "without an armed profile the microphone stays closed" needs_an_armed_profile
check "digits that cannot be said are not asked for" digits_that_cannot_be_said
check "VOXLOCK_WAKE=false leaves it closed" can_be_switched_off
check "phrases are the user's own" own_phrases
check "a phrase that cannot be is named" says_which_phrase_is_wrong
echo "1..$n"
# shellcheck disable=SC2154
exit $((failed > 0))

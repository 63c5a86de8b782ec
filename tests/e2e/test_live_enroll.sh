#!/usr/bin/env bash
# test_live_enroll.sh - enroll, verify and doctor through a real audio stack: a PulseAudio null sink is the room, voices of
# flite the people in it, who read what they are asked to.
# Usage: test_live_enroll.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
# shellcheck source=tests/support/tap.sh
. tests/support/tap.sh
# shellcheck source=tests/support/stage.sh
. tests/support/stage.sh
stage_open
stage_build || stage_skip "PulseAudio does not start here"
microphone=(--source pulse --device room.monitor)

# Runs voxlock, and for each prompt somebody: $1 is the name of a function that is given number and text of the prompt, and
# leaves a recording in $work/said.wav, or fails to say nothing. Output in $work/out, talk in $work/talk.log, code in $code.
converse() { # function, arguments of voxlock...
    local who=$1 line pid n=0
    shift
    rm -f "$work/talk"
    mkfifo "$work/talk"
    "$build/voxlock" "$@" >"$work/out" 2>"$work/talk" &
    pid=$!
    : >"$work/talk.log"
    while IFS= read -r line; do
        echo "$line" >>"$work/talk.log"
        case $line in
        *"Please say: "* | "Speak now.")
            n=$((n + 1))
            voxlock_pid=$pid
            rm -f "$work/said.wav"
            "$who" "$n" "${line#*Please say: }" && (sleep 0.3; play "$work/said.wav") &
            ;;
        esac
    done <"$work/talk"
    wait "$pid"
    code=$?
    cat "$work/talk.log" "$work/out"
}
said_in_log() { grep -qF -- "$1" "$work/talk.log"; }
count_in_log() { grep -cF -- "$1" "$work/talk.log"; }

# ---- the people ------------------------------------------------------------------------------------------------------
speaks() { flite -voice "$1" -t "$2" -o "$work/said.wav"; }
owner() { speaks rms "$2"; }
mumbler() { # the first time the second sentence is said too softly: 35 dB down
    speaks rms "$2" || return 1
    [ "$1" -ne 2 ] || paplay --device=room --volume=17000 "$work/said.wav" || return 1
    [ "$1" -ne 2 ]
}
interrupter() { # says one sentence, and has enough
    [ "$1" -eq 1 ] || { kill -INT "$voxlock_pid"; return 1; }
    owner "$@"
}
prankster() { # somebody else says the third sentence, the first time
    if [ "$1" -eq 3 ]; then speaks slt "$2"; else speaks rms "$2"; fi
}
passphrase="The weather was fine on the morning when we walked along the river"
owner_now() { speaks rms "$passphrase"; }
stranger_now() { speaks slt "$passphrase"; }
nobody() { return 1; }

# ---- enrolment -------------------------------------------------------------------------------------------------------
n_profiles() { "$build/voxlock" profiles --json | jq '.profiles | length'; }
stop_early() { # Ctrl-C: nothing half-enrolled
    converse interrupter enroll otto "${microphone[@]}"
    [ "$code" -eq 1 ] && said_in_log "nothing was enrolled" && [ ! -s "$work/out" ] && [ "$(n_profiles)" -eq 0 ]
}
too_few() {
    converse nobody enroll otto "${microphone[@]}" --utterances 2
    [ "$code" -eq 2 ] && said_in_log "--utterances takes 3 to 10 for a new profile" && ! said_in_log "Please say"
}
asked_again() { # what is not good enough is said, and asked for again
    converse mumbler enroll otto "${microphone[@]}" --utterances 3 --json --arm --accept-starter-model
    [ "$code" -eq 0 ] && said_in_log "the voice is too quiet" && [ "$(count_in_log "[2/3] Please say")" -eq 2 ] &&
        jq -e '.profile.recordings_kept == 3 and .profile.armed and all(.recordings[]; .taken and (.microphone != ""))' "$work/out"
}
voice_again() { # a sentence in another voice is not taken for the owner's
    converse prankster enroll odd "${microphone[@]}" --utterances 4 --replace
    if [ "$code" -eq 0 ]; then [ "$(count_in_log "[3/4] Please say")" -eq 2 ]; else said_in_log "voice"; fi
}
from_a_stream() { # the same from standard input, without a microphone: silence between, then the end
    local i
    for i in 1 2 3; do
        speaks kal16 "$i: please remember to water the plants while I am away next week, and the garden as well" || return 1
        mv "$work/said.wav" "$work/part$i.wav"
    done
    sox_free_join "$work/part1.wav" "$work/part2.wav" "$work/part3.wav" |
        "$build/voxlock" enroll streamed --file - --utterances 3 --json >"$work/out" 2>"$work/talk.log"
    code=$?
    cat "$work/talk.log" "$work/out"
    [ "$code" -eq 0 ] && jq -e '.profile.recordings_kept == 3 and all(.recordings[]; .microphone == "")' "$work/out"
}
sox_free_join() { # WAV files of one format to raw samples, 1.5 s of silence behind each
    local file
    head -c 32000 /dev/zero
    for file in "$@"; do
        tail -c +45 "$file"
        head -c 48000 /dev/zero
    done
}
stream_too_short() {
    head -c 64000 /dev/zero | "$build/voxlock" enroll streamed --file - >"$work/out" 2>"$work/talk.log"
    code=$?
    cat "$work/talk.log"
    [ "$code" -eq 3 ] && { said_in_log "the recording ends after 0" || said_in_log "zeros"; }
}

# ---- verification ----------------------------------------------------------------------------------------------------
verify() { # who
    converse "$1" verify otto "${microphone[@]}" --json
}
owner_is_accepted() {
    verify owner_now
    # What PAVA says of a synthesiser is not asked here: not REJECT.
    [[ $code == 0 || $code == 10 || $code == 12 ]] && jq -e '.voice.accepted' "$work/out" && [ "$(requests)" -eq 0 ]
}
stranger_is_not() {
    verify stranger_now
    [[ $code == 11 || $code == 12 ]] && jq -e '.voice.accepted == false' "$work/out"
}
silence_is_no_match() { # a null sink gives zeros: no microphone, and no match of 0 %
    verify nobody
    [ "$code" -eq 13 ] && jq -e '.verdict == "NO_AUDIO" and .voice == null' "$work/out"
}
verify_stops() {
    stopper() { kill -INT "$voxlock_pid"; return 1; }
    local before after
    before=$("$build/voxlock" history --json | jq '.attempts | length')
    verify stopper
    after=$("$build/voxlock" history --json | jq '.attempts | length')
    [ "$code" -eq 1 ] && said_in_log "nothing was judged" && [ "$before" = "$after" ]
}
like_a_file() { # text for people, the same table
    converse owner_now verify otto "${microphone[@]}"
    grep -q "the voice is accepted" "$work/out" && ! said_in_log "#"
}
not_both() {
    converse nobody verify otto tests/data/audio/reader1_a.flac --source pulse
    [ "$code" -eq 2 ]
}

# A synthesiser that says prompts into the same room, in another voice: none of it is taken for the owner's.
aloud() {
    mkdir -p "$work/bin"
    cat >"$work/bin/spd-say" <<SAY
#!/bin/sh
for text; do :; done
flite -voice slt -t "\$text: the weather was fine, and we walked along the river" -o "$work/prompt.wav"
paplay --device=room "$work/prompt.wav"
touch "$work/prompted"
SAY
    chmod +x "$work/bin/spd-say"
    PATH=$work/bin:$PATH VOXLOCK_SPEAK=on converse answers_a_voice verify otto "${microphone[@]}" --json
    [ -e "$work/prompted" ] && jq -e '.voice.accepted' "$work/out"
}
answers_a_voice() { wait_until 20 test -e "$work/prompted" && sleep 0.5 && owner_now; }

# ---- doctor ----------------------------------------------------------------------------------------------------------
finding() { jq -r --arg name "$1" '.checks[] | select(.name == $name) | .result + ": " + .sentence' "$work/out"; }
examine() {
    "$build/voxlock" doctor --json "${microphone[@]}" >"$work/out"
    code=$?
    jq -c '.checks[]' "$work/out"
}
doctor_hears_zeros() {
    examine
    [ "$code" -eq 1 ] && finding microphone | grep -q "failed: .*zeros"
}
doctor_hears_a_room() {
    (head -c 400000 /dev/urandom | paplay --raw --format=u8 --rate=48000 --channels=2 --volume=11600 --device=room) &
    local player=$!
    sleep 0.3
    examine
    wait "$player"
    finding microphone | grep -q "ok: .*48000 Hz" && finding desktop | grep -q "ok: systemd-logind unlocks when it is asked"
}
doctor_knows_the_rest() {
    finding phrase | grep -q "ok: digits are understood" && finding keyring | grep -qE "^(ok|warning)" &&
        finding agent | grep -q "skipped: no agent is installed" && finding clock | grep -q "^ok"
}
doctor_asks_the_agent() {
    "$build/voxlock" agent run >"$work/agent.log" 2>&1 &
    pids+=($!)
    wait_until 5 test -S "$XDG_RUNTIME_DIR/voxlock/agent.sock" || return 1
    examine
    finding agent | grep -q "ok: version $(cat VERSION) answers"
}

check "Ctrl-C in an enrolment leaves nothing" stop_early
check "a new profile wants three utterances, and says so before anybody speaks" too_few
check "a sentence that is too quiet is asked for again, and three good ones are a profile" asked_again
check "a sentence in another voice is not taken" voice_again
check "an enrolment from a stream" from_a_stream
check "a stream that ends too soon" stream_too_short
check "the owner is accepted by microphone, and nothing is unlocked" owner_is_accepted
check "another voice is not" stranger_is_not
check "silence is no match of zero" silence_is_no_match
check "Ctrl-C ends a verification, and is no attempt" verify_stops
check "people get the table that a file gets, and no meter where there is no terminal" like_a_file
check "a prompt is said aloud, and is not taken for an answer" aloud
check "a file and a microphone do not go together" not_both
check "doctor finds a microphone that gives zeros" doctor_hears_zeros
check "doctor finds a microphone, and a desktop that can be unlocked" doctor_hears_a_room
check "doctor knows recogniser, keyring, agent and clock" doctor_knows_the_rest
check "doctor asks the agent that runs" doctor_asks_the_agent
echo "1..$n"
exit $((failed > 0))

#!/usr/bin/env bash
# agent_day.sh - the agent by itself for a hundred utterances and more, in a room of tests/support/stage.sh: the owner, others,
# and people who talk of something else; then with noise, with microphones of other rates, with one that is pulled out, with two
# people in a row; then the whole conversation with digits; at rest; and, with PAVA on, with recordings of people.
# Usage: agent_day.sh [--data FOLDER] [--rest SECONDS] [--only PART,...] BUILD_FOLDER
#        FOLDER has noise/ and speech/dev/SOURCE/SPEAKER/ with recordings, for noise, for talk that holds no phrase, and for
#        the part with people; without one the noise is pink, and nobody else talks.
#        PARTS: quiet physics cold noise rates pulled two digits talk rest people
# Owns:   tables on stdout. Does not: judge; tests/e2e/test_agent_wake.sh does.
#
# Voices are flite's (rms is the owner), at several speeds, but in the last part. Digits are asked for in one part only, since reading them out takes
# 4 s: elsewhere CHALLENGE is the end of it. PAVA, which tells synthesisers, is off but for two parts. An agent that has rejected
# two people is started anew with the store as it was after enrolment, or it would pause. Times are the agent's own, from its log.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
data='' rest_s=300 only=quiet,physics,cold,noise,rates,pulled,two,digits,talk,rest,people
while [ $# -gt 1 ]; do
    case $1 in
    --data) data=$2; shift 2 ;;
    --rest) rest_s=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    *) break ;;
    esac
done
[ $# -eq 1 ] || { sed -n '5,8s/^# //p' "$0" >&2; exit 2; }
build=$1
work=$(mktemp -d) || exit 1
pids=()
# shellcheck source=tests/support/stage.sh
. tests/support/stage.sh
trap stage_end EXIT
lacks=$(stage_lacks)
[ -z "$lacks" ] || { echo "agent_day: $lacks" >&2; exit 1; }
command -v sox >/dev/null || { echo "agent_day: sox is not installed" >&2; exit 1; }
stage_build || { echo "agent_day: PulseAudio does not start here" >&2; exit 1; }

# ---- people --------------------------------------------------------------------------------------------------------------
owner=rms others=(slt awb kal16)
phrases=("unlock my screen" "Please, unlock my screen" "Hey, unlock my screen please" "I am back, unlock my screen"
    "Computer, unlock my screen" "Good morning, unlock my screen" "unlock my screen now" "Could you unlock my screen")
talk=("The weather is going to be fine tomorrow" "Where did you put the keys of the car" "Lock my screen"
    "I have read the book that you gave me" "There is a screen in the kitchen" "Unlock the garden door")
said() { # voice, words, number: a recording, at a speed of its own; its path
    local file speed
    file="$work/$1.$(tr -c 'a-zA-Z' _ <<<"$2").$(($3 % 5)).wav"
    speed=$(awk "BEGIN { print 0.9 + 0.05 * ($3 % 5) }")
    [ -e "$file" ] || flite -voice "$1" --setf duration_stretch="$speed" -t "$2" -o "$file"
    echo "$file"
}
for i in 1 2 3 4; do
    flite -voice $owner -t "$(sed -n "${i}p" <<'END'
The weather was fine on the morning when we walked along the river
Please remember to water the plants while I am away next week
Good morning computer, unlock my screen, I would like to work
She sold the old bicycle to a neighbour for twenty pounds
END
)" -o "$work/o$i.wav"
done
"$build/voxlock" enroll otto "$work"/o[1234].wav --arm --accept-starter-model >/dev/null 2>"$work/said" || cat "$work/said"
cp -a "$HOME" "$work/enrolled"

agent=
profile=$work/enrolled
n_rejected=0
usual=() # more settings of an agent that is started anew
start_agent() { # settings...
    if [ -n "$agent" ]; then
        kill "$agent"
        wait "$agent"
    fi
    rm -rf "$HOME"
    cp -a "$profile" "$HOME"
    lines=0 n_rejected=0
    env "$@" "$build/voxlock" agent run 2>"$work/agent.err" &
    agent=$!
    pids+=("$agent")
    wait_until 5 test -S "$XDG_RUNTIME_DIR/voxlock/agent.sock"
}
log="$HOME/.local/share/voxlock/agent.log"
wake_is() { "$build/voxlock" agent status --json | jq -e ".agent.wake.state == \"$1\"" >/dev/null; }
has_decided() { [ "$(grep -c ' attempt ' "$log")" -gt "$lines" ]; }

hear() { # recording, seconds of patience: the verdict, and adds its times to $work/times; "none": not heard
    local line
    [ "$n_rejected" -lt 2 ] || start_agent VOXLOCK_SPEAK=off "${usual[@]}"
    lock_screen
    wait_until 12 wake_is listening || { verdict=closed; return; }
    lines=$(grep -c ' attempt ' "$log")
    play "$1"
    verdict=none
    wait_until "${2:-3}" has_decided || return
    line=$(grep ' attempt ' "$log" | tail -n 1)
    verdict=$(sed -E 's/.*verdict=([A-Z_]+).*/\1/' <<<"$line")
    sed -E 's/.*speech_to_verdict_ms=([0-9]+) end_to_verdict_ms=([0-9]+).*/\1 \2/' <<<"$line" >>"$work/times"
    case $verdict in REJECT | ESCALATE) n_rejected=$((n_rejected + 1)) ;; esac
}
declare -A count
begin() { count=() && : >"$work/times"; }
tally() { count[$verdict]=$((${count[$verdict]:-0} + 1)); }
spread() { # column: median and 90th percentile
    cut -d' ' -f"$1" "$work/times" | sort -n | awk '{ v[NR] = $1 } END { if (NR) printf "%d / %d", v[int((NR + 1) / 2)], v[int(NR * 0.9 + 0.999)] }'
}
report() { # title
    printf '| %-46s | %d | %d | %d | %d | %d | %s | %s |\n' "$1" $((${count[AUTHENTICATE]:-0})) $((${count[CHALLENGE]:-0})) \
        $((${count[REJECT]:-0} + ${count[WAIT]:-0} + ${count[NO_AUDIO]:-0})) $((${count[ESCALATE]:-0})) \
        $((${count[none]:-0} + ${count[closed]:-0})) "$(spread 1)" "$(spread 2)"
}
head_of() {
    printf '\n%s\n\n| %s | accepted | challenged | rejected | escalated | not heard | last word to verdict, ms: median / p90 | known end to verdict |\n|---|---|---|---|---|---|---|---|\n' "$1" "$2"
}
noisy() { # recording, dB, number: with noise around and in it, at that ratio to its speech; its path
    local out=$work/noisy.wav noise=$work/noise.wav speech rms_noise gain files=()
    sox -q "$1" -r 16000 -c 1 "$work/speech.wav" pad 0.6 1.2
    [ -z "$data" ] || mapfile -t files < <(find "$data/noise" -name '*.flac' -o -name '*.wav' -o -name '*.ogg' | sort)
    if [ ${#files[@]} -gt 0 ]; then
        sox -q "${files[$(($3 * 37 % ${#files[@]}))]}" -r 16000 -c 1 "$noise" repeat 3 trim 0 "$(soxi -D "$work/speech.wav")"
    else
        sox -q -n -r 16000 -c 1 "$noise" synth "$(soxi -D "$work/speech.wav")" pinknoise
    fi
    speech=$(sox "$1" -n stat 2>&1 | awk '/RMS.*amplitude/ { print $3 }')
    rms_noise=$(sox "$noise" -n stat 2>&1 | awk '/RMS.*amplitude/ { print $3 }')
    gain=$(awk "BEGIN { print $speech / ($rms_noise + 1e-9) / exp($2 * log(10) / 20) }")
    sox -q -m -v 1 "$work/speech.wav" -v "$gain" "$noise" "$out" 2>/dev/null
    echo "$out"
}
part() { [[ ,$only, == *,$1,* ]]; }

owners() { # how many, filter: the owner's phrases
    local i file
    begin
    for ((i = 0; i < $1; i++)); do
        file=$(said $owner "${phrases[i % ${#phrases[@]}]}" "$i")
        hear "$("${@:2}" "$file" "$i")"
        tally
    done
}
strangers() {
    local i file
    begin
    for ((i = 0; i < $1; i++)); do
        file=$(said "${others[i % 3]}" "${phrases[i % ${#phrases[@]}]}" "$i")
        hear "$("${@:2}" "$file" "$i")"
        tally
    done
}
plain() { echo "$1"; }
at_15() { noisy "$1" 15 "$2"; }
at_5() { noisy "$1" 5 "$2"; }

# ---- the day -------------------------------------------------------------------------------------------------------------
echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs; load when it began: $(cut -d' ' -f1 /proc/loadavg)"
start_agent VOXLOCK_SPEAK=off
head_of "Phrases and talk" "who and what"
if part quiet; then
    owners 40 plain; report "owner says a phrase, 40"
    strangers 40 plain; report "three others say a phrase, 40"
    begin
    for i in $(seq 0 19); do
        hear "$(said "$([ $((i % 2)) -eq 0 ] && echo $owner || echo "${others[i % 3]}")" "${talk[i % ${#talk[@]}]}" "$i")" 2
        tally
    done
    report "they talk of something else, 20"
fi
if part physics; then
    usual=(VBI_PHYSICS_SPOOFING=true)
    start_agent VOXLOCK_SPEAK=off "${usual[@]}"
    owners 24 plain
    report "owner's synthesiser, PAVA on, 24"
    usual=()
    start_agent VOXLOCK_SPEAK=off
fi
if part cold; then
    start_agent VOXLOCK_SPEAK=off VOXLOCK_IDLE_UNLOAD_S=1
    begin
    for i in $(seq 0 11); do
        sleep 7 # it looks every 5 s whether nobody needs the model
        hear "$(said $owner "${phrases[i % ${#phrases[@]}]}" "$i")"
        tally
    done
    report "owner, the model not loaded, 12"
    start_agent VOXLOCK_SPEAK=off
fi
if part noise; then
    owners 24 at_15; report "owner, noise at 15 dB, 24"
    strangers 12 at_15; report "others, noise at 15 dB, 12"
    owners 24 at_5; report "owner, noise at 5 dB, 24"
    strangers 12 at_5; report "others, noise at 5 dB, 12"
fi
if part rates; then
    for rate in 44100 16000 8000 48000; do
        room_at $rate
        sleep 1
        owners 8 plain; report "owner, the microphone now at $rate Hz, 8"
    done
fi
if part pulled; then
    begin
    for i in $(seq 0 5); do
        lock_screen
        wait_until 12 wake_is listening
        room_gone
        sleep $((i % 3 * 3 + 1))
        room_at 48000
        sleep 1
        wait_until 12 wake_is listening
        hear "$(said $owner "${phrases[i]}" "$i")"
        tally
    done
    report "owner, after it was pulled out for 1 to 7 s, 6"
fi
if part two; then
    for first in other owner; do
        begin
        for i in $(seq 0 9); do
            a=$(said "$([ $first = other ] && echo slt || echo $owner)" "${talk[i % 2]}" "$i")
            b=$(said "$([ $first = other ] && echo $owner || echo slt)" "${phrases[i % 4]}" "$i")
            sox -q "$a" -r 16000 "$work/a.wav" && sox -q "$b" -r 16000 "$work/b.wav"
            gap=$([ $((i % 2)) -eq 0 ] && echo 0.2 || echo 1.0)
            sox -q "$work/a.wav" "$work/ab.wav" pad 0 "$gap" && sox -q "$work/ab.wav" "$work/b.wav" "$work/two.wav"
            hear "$work/two.wav"
            tally
        done
        report "$([ $first = other ] && echo "another talks, then the owner's phrase, 10" || echo "owner talks, then another's phrase, 10")"
    done
fi

if part digits; then
    # Who speaks for the agent writes down what it says, and speaks into the room.
    mkdir "$work/bin"
    printf '#!/bin/sh\nexit 1\n' >"$work/bin/spd-say"
    printf '#!/bin/bash\necho "${@: -1}" >>"%s/spoken"\n"%s" -v en-us -w "%s/own.wav" -- "${@: -1}" && paplay --device=room "%s/own.wav"\necho ended >>"%s/spoken"\n' \
        "$work" "$(command -v espeak-ng)" "$work" "$work" "$work" >"$work/bin/espeak-ng"
    chmod +x "$work/bin"/*
    asked() { [ -s "$work/spoken" ] && [ "$(tail -n 1 "$work/spoken")" = ended ]; }
    declare -A digit_of=([zero]=0 [one]=1 [two]=2 [three]=3 [four]=4 [five]=5 [six]=6 [seven]=7 [eight]=8 [nine]=9)
    opened=0 tries=0
    for i in $(seq 0 11); do
        start_agent PATH="$work/bin:$PATH"
        lock_screen
        wait_until 12 wake_is listening
        before=$(requests)
        : >"$work/spoken"
        play "$(said $owner "${phrases[i % ${#phrases[@]}]}" "$i")"
        for _ in 1 2; do
            wait_until 12 asked || break
            digits=
            for word in $(grep '^Please say' "$work/spoken" | tail -n 1 | sed 's/Please say: //; s/[,.]//g'); do
                digits+="${digit_of[$word]} "
            done
            : >"$work/spoken"
            tries=$((tries + 1))
            play "$(said $owner "$(words "$digits")" "$i")"
            wait_until 4 asked && grep -q '^Please say' "$work/spoken" || break
        done
        sleep 0.5
        opened=$((opened + $(requests) - before))
    done
    printf '\nThe whole conversation, by voice: the screen opened %d times of 12, %d answers given.\n' "$opened" "$tries"
    start_agent VOXLOCK_SPEAK=off
fi

# ---- at rest -------------------------------------------------------------------------------------------------------------
ticks() { awk '{ print $14 + $15 }' "/proc/$agent/stat"; }
measure() { # title, seconds
    local before after
    before=$(ticks)
    sleep "$2"
    after=$(ticks)
    printf '| %s | %s %% | %s MB |\n' "$1" "$(awk "BEGIN { printf \"%.2f\", ($after - $before) / $2 * 100 / $(getconf CLK_TCK) }")" \
        "$(awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$agent/status")"
}
table_of_rest() {
    printf '\n%s\n\n| %s | CPU | RSS |\n|---|---|---|\n' "$1" "$2"
}
if part talk && [ -n "$data" ]; then
    table_of_rest "People who talk beside a locked screen" "what"
    start_agent VOXLOCK_SPEAK=off VOXLOCK_IDLE_UNLOAD_S=2
    lock_screen
    wait_until 12 wake_is listening
    find "$data/speech/dev" -name '*.flac' | sort | awk 'NR % 11 == 1' | head -n 40 >"$work/list"
    while read -r file; do play "$file"; sleep 0.8; done <"$work/list" &
    talking=$!
    measure "recordings of people, one after the other" 120
    wait $talking
    printf '\n%d recordings, taken for a phrase: %d\n' "$(wc -l <"$work/list")" "$(grep -c ' attempt ' "$log")"
fi
if part rest; then
    table_of_rest "At rest, the model unloaded, $rest_s s each" "state"
    start_agent VOXLOCK_SPEAK=off VOXLOCK_IDLE_UNLOAD_S=2
    unlock_screen
    sleep 10
    measure "screen open: the microphone is closed" "$rest_s"
    sox -q -n -r 16000 -c 1 "$work/hiss.wav" synth "$((rest_s + 20))" pinknoise vol 0.003
    play "$work/hiss.wav" &
    lock_screen
    wait_until 12 wake_is listening
    sleep 3
    measure "screen locked: it listens to a quiet room" "$rest_s"
fi

# ---- people --------------------------------------------------------------------------------------------------------------
# What people were recorded with holds no phrase, so the agent is asked to listen, over HTTP. Nobody answers its digits: who asked
# hangs up then, and that is a rejection. The time is that of the record, from the known end of the utterance to the verdict.
record_of() { # attempt, once it has ended: verdict, ms, probability, voice, PAVA
    "$build/voxlock" history --json --last 3 | jq -re --argjson id "$1" '.attempts[] | select(.id == $id and .ended) |
        [.verdict, .detail.elapsed_ms, .probability, .detail.voice.probability,
         (.detail.decision.evidence // [] | .[] | select(.source == "physics") | .confidence // .status)] | map(. // "-" | tostring) | join(" ")'
}
has_ended() { record=$(record_of "$1"); }
nothing() { :; }
ask() { # recording, what is done before it is played
    local asker player id
    [ "$n_rejected" -lt 2 ] || start_agent VOXLOCK_SPEAK=off "${usual[@]}"
    lock_screen
    id=$(($("$build/voxlock" history --json --last 1 | jq '.attempts[0].id // 0') + 1)) verdict=closed record=
    curl -s --retry 3 --retry-connrefused -m 40 -X POST -H "Authorization: Bearer $(cat "$HOME/.local/share/voxlock/api-token")" \
        "http://127.0.0.1:$port/api/voice/unlock" >/dev/null &
    asker=$!
    if wait_until 5 microphone_is_open; then
        sleep 0.4
        "${2:-nothing}"
        paplay --device=room "$1" & # by itself: of a function the shell would be ended, and what plays go on
        player=$!
        verdict=none
        wait_until 25 has_ended "$id" && verdict=${record%% *} && cut -d' ' -f2 <<<"$record" >>"$work/times"
        kill "$player" 2>/dev/null
        wait "$player"
    fi
    [ "$verdict" = AUTHENTICATE ] || kill "$asker" 2>/dev/null
    wait "$asker"
    wait_until 5 microphone_is_closed
    case $verdict in CHALLENGE | REJECT | ESCALATE) n_rejected=$((n_rejected + 1)) ;; esac
    printf '%s\t%s\t%s\t%s\t%s\n' "$title" "$(cat "$work/of/$name/source")" "$name" "$verdict" "${record#* }" >>"$work/heard"
    tally
}
# The first two of each source whose first five recordings make a profile. $work/of/NAME has it, where the rest of the recordings
# are, and those of the next speaker of the same source.
enrol_people() {
    local folder next name source files others
    declare -A taken=()
    mkdir "$work/of"
    while read -r folder next; do
        source=$(dirname "$folder") name=$(basename "$folder")
        [ $((${taken[$source]:-0})) -lt 2 ] || continue
        mapfile -t files < <(find "$folder" -name '*.flac' | sort)
        mapfile -t others < <(find "$next" -name '*.flac' | sort)
        rm -rf "$HOME"
        mkdir -p "$HOME" "$work/of/$name"
        "$build/voxlock" enroll "$name" "${files[@]:0:5}" --arm --accept-starter-model >/dev/null 2>&1 || { rm -r "$work/of/$name"; continue; }
        taken[$source]=$((${taken[$source]:-0} + 1))
        cp -a "$HOME" "$work/of/$name/home"
        basename "$source" >"$work/of/$name/source"
        printf '%s\n' "${files[@]:5}" >"$work/of/$name/own"
        printf '%s\n' "${others[@]}" >"$work/of/$name/others"
        people+=("$name")
    done < <(find "$data/speech/dev" -mindepth 2 -maxdepth 2 -type d | sort | awk -F/ '
        { source = $(NF - 1); first[source] = first[source] ? first[source] : $0 }
        source == before { print last, $0 }
        source != before && last { print last, first[before] }
        { last = $0; before = source }
        END { print last, first[before] }')
}
clip() { # own or others, number: a recording for this speaker
    sed -n "$2p" "$work/of/$name/$1"
}
in_a_row() { # two recordings: 2.5 s of the first, 0.2 s of silence, the second; its path
    sox -q "$1" -r 16000 -c 1 "$work/a.wav" trim 0 2.5 pad 0 0.2 && sox -q "$2" -r 16000 -c 1 "$work/b.wav" &&
        sox -q "$work/a.wav" "$work/b.wav" "$work/two.wav"
    echo "$work/two.wav"
}
each() { # title, command...: for each speaker, with agent and profile as after enrolment
    local n_before title=$1 n=0 one
    n_before=$(requests)
    begin
    for name in "${people[@]}"; do
        profile=$work/of/$name/home
        start_agent VOXLOCK_SPEAK=off "${usual[@]}"
        "${@:2}"
    done
    for one in "${count[@]}"; do n=$((n + one)); done
    printf '| %-48s | %d | %d | %d | %d | %d | %d | %d | %s |\n' "$title" "$n" $((${count[AUTHENTICATE]:-0})) $((${count[CHALLENGE]:-0})) \
        $((${count[REJECT]:-0})) $((${count[ESCALATE]:-0})) $((n - ${count[AUTHENTICATE]:-0} - ${count[CHALLENGE]:-0} - ${count[REJECT]:-0} - ${count[ESCALATE]:-0})) \
        $(($(requests) - n_before)) "$(spread 1)"
}
speak() { # own or others, the first, how many, filter
    local i
    for ((i = $2; i < $2 + $3; i++)); do ask "$("$4" "$(clip "$1" "$i")" "$i")"; done
}
at_rate() { # own or others, number: the microphone of another rate for each speaker
    rate=$((rate == 44100 ? 16000 : rate == 16000 ? 8000 : 44100))
    room_at $rate
    speak "$1" "$2" 1 plain
}
pull() {
    room_gone
    sleep 1
    room_at 48000
    wait_until 5 microphone_is_open
    sleep 0.4
}
pulled() { ask "$(clip "$1" "$2")" pull; }
one_by_one() { ask "$(in_a_row "$(clip "$1" 2)" "$(clip "$2" 3)")"; }
heard_again() { # what came of the first time counts in no column
    speak own 4 1 plain
    count[$verdict]=$((${count[$verdict]} - 1))
    [ "$verdict" != AUTHENTICATE ] || n_before=$((n_before + 1))
    speak own 4 1 plain
}
table_by_source() { # of those that were played as they are; columns of $work/heard: title, source, profile, verdict
    printf '\n| recordings of | spoken by | utterances | accepted | challenged | rejected | escalated | no audio or not heard |\n|---|---|---|---|---|---|---|---|\n'
    awk -F'\t' '$1 == "owner" || $1 == "others" { who = $2 " | " $1; n[who]++; v[who, $4]++ }
        END { for (who in n) {
            known = v[who, "AUTHENTICATE"] + v[who, "CHALLENGE"] + v[who, "REJECT"] + v[who, "ESCALATE"]
            printf "| %s | %d | %d | %d | %d | %d | %d |\n", who, n[who], v[who, "AUTHENTICATE"], v[who, "CHALLENGE"], v[who, "REJECT"],
                v[who, "ESCALATE"], n[who] - known } }' "$work/heard" | sort
}
if part people && [ -n "$data" ]; then
    stage_ears
    room_at 48000
    port=$((20000 + $$ % 20000)) rate=8000 people=()
    usual=(VBI_PHYSICS_SPOOFING=true VOXLOCK_WAKE=false "VOXLOCK_AGENT_PORT=$port" "PULSE_SERVER=$ears")
    enrol_people
    printf '\nRecordings of people, PAVA on; profiles of %s\n\n' "${people[*]}"
    echo "| who and what | utterances | accepted | challenged | rejected | escalated | no audio or not heard | asked to unlock | known end to verdict, ms: median / p90 |"
    echo "|---|---|---|---|---|---|---|---|---|"
    each "owner" speak own 1 2 plain
    each "others" speak others 1 2 plain
    each "owner, noise at 15 dB" speak own 1 1 at_15
    each "others, noise at 15 dB" speak others 1 1 at_15
    each "owner, microphone at 44100, 16000 or 8000 Hz" at_rate own 2
    each "others, microphone at 44100, 16000 or 8000 Hz" at_rate others 2
    room_at 48000
    each "owner, microphone pulled out for 1 s meanwhile" pulled own 3
    each "another talks, then the owner" one_by_one others own
    each "owner talks, then another" one_by_one own others
    each "owner's recording, heard a second time" heard_again
    table_by_source
    awk -F'\t' '$1 !~ /^owner/ && $4 == "AUTHENTICATE" {
        print "\n" $1 ": accepted by the profile of " $3 " (ms, probability, voice, PAVA: " $5 ")" }' "$work/heard"
fi

#!/usr/bin/env bash
# test_unlock_loud.sh - voxlock unlock as it is delivered, PAVA and all, against a machine that speaks in the owner's voice and
# can say any digits: a voice of flite is the owner, and so is every attack a perfect clone. PAVA tells it at any level that it
# can judge, and above 1 % of clipped samples it does not judge: an answer that is too loud for PAVA must prove nothing.
# In a room of tests/support/stage.sh. Usage: test_unlock_loud.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
# shellcheck source=tests/support/tap.sh
. tests/support/tap.sh
# shellcheck source=tests/support/stage.sh
. tests/support/stage.sh
stage_open
stage_build pava || stage_skip "PulseAudio does not start here"
room_at 16000 # as flite speaks: another rate would round off what is clipped

owner=rms stranger=slt
say $owner "The weather was fine on the morning when we walked along the river" "$work/o1.wav"
say $owner "Please remember to water the plants while I am away next week" "$work/o2.wav"
say $owner "She sold the old bicycle to a neighbour for twenty pounds" "$work/o3.wav"
say $owner "My voice is my passport, please open the screen for me" "$work/phrase.wav"
"$build/voxlock" enroll otto "$work"/o[123].wav --arm --accept-starter-model >/dev/null 2>"$work/said" || cat "$work/said"
cp -a "$HOME" "$work/enrolled"

volume_for() { # recording, share: the volume at which so many of its samples clip, as paplay takes it (65536 times the cube root)
    tail -c +45 "$1" | od -An -v -t d2 -w2 | tr -d ' -' | sort -n | awk -v share="$2" '
        { v[NR] = $1 }
        END { print share == 0 ? 65536 : int(65536 * (32768 / v[int(NR * (1 - share))]) ^ (1 / 3)) }'
}
# The first words clip as well: PAVA would know the machine by them, and there would be no digits to answer.
play() { paplay --device=room --volume="$(volume_for "$1" "$([ "$1" = "$work/phrase.wav" ] && echo 0.03 || echo "$share")")" "$1"; }
answer() { say "$voice" "$(words "$1")" "$work/answer.wav"; }
fresh() { # no pause after the rejections of the attempt before
    rm -rf "$HOME"
    cp -a "$work/enrolled" "$HOME"
}
attempt() { # share of the answer that clips, its voice
    share=$1 voice=$2
    lock_screen
    converse otto "$work/phrase.wav" answer
    field '"clipped: \(.quality.clipped_share)"'
}
verdicts() { "$build/voxlock" history --json | jq -c '[.attempts[].verdict]'; }
profile() { "$build/voxlock" profiles show otto --json; }

# ---- tests ---------------------------------------------------------------------------------------------------------------
# What share of the answer is found clipped, that of its silence left out, is asked of each: or the test would be of something else.
opens_nothing() { # share played, least and most that is found
    local _
    for _ in 1 2 3; do # a row of digits that is misheard says nothing: another
        fresh
        profile >"$work/before"
        attempt "$1" $owner
        [ "$(field .digits_right)" != true ] || break
    done
    [ "$code" -ne 0 ] && [ "$(field ".quality.clipped_share >= $2 and .quality.clipped_share <= $3")" = true ] &&
        [ "$(field ".challenged and .digits_right")" = true ] && [ "$(field ".challenge_passed or .may_unlock")" = false ] &&
        [ "$(requests)" -eq 0 ] && profile | diff "$work/before" -
}
too_loud_to_hear() { # with more than 5 % nothing can be compared: no pass, so a rejection, and the third has a pause behind it
    local _
    fresh
    for _ in 1 2 3; do
        attempt 0.07 $stranger
        [ "$code" -ne 0 ] && verdicts | jq -e '.[0] == "REJECT"' || { verdicts; return 1; }
    done
    verdicts | jq -e 'any(. == "NO_AUDIO")' || return 1 # not misheard each time
    attempt 0.07 $stranger
    [ "$(field .verdict)" = WAIT ] && [ "$(requests)" -eq 0 ]
}
check "a machine's answer, not too loud, opens nothing" opens_nothing 0 0 0
check "nor with the odd peak clipped" opens_nothing 0.004 0.001 0.01
check "nor at the least that PAVA does not judge" opens_nothing 0.012 0.01 0.02
check "nor in the middle" opens_nothing 0.025 0.02 0.04
check "nor at the most that a voice is compared at" opens_nothing 0.046 0.04 0.05
check "an answer too loud to be compared is a rejection, and counts towards the pause" too_loud_to_hear
# shellcheck disable=SC2154
echo "1..$n"
# shellcheck disable=SC2154
exit $((failed > 0))

#!/usr/bin/env bash
# test_unlock_live.sh - voxlock unlock through a real audio stack: a PulseAudio null sink is the room, two voices of flite the
# people in it, and a session manager of our own on a private bus the desktop. Who speaks, says which digits, and is the screen opened?
# Usage: test_unlock_live.sh BUILD_FOLDER
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1
# shellcheck source=tests/support/tap.sh
. tests/support/tap.sh
# shellcheck source=tests/support/stage.sh
. tests/support/stage.sh
stage_open
stage_build || stage_skip "PulseAudio does not start here"

owner=rms stranger=slt
say $owner "The weather was fine on the morning when we walked along the river" "$work/o1.wav"
say $owner "Please remember to water the plants while I am away next week" "$work/o2.wav"
say $owner "She sold the old bicycle to a neighbour for twenty pounds" "$work/o3.wav"
say $owner "My voice is my passport, please open the screen for me" "$work/owner.wav"
say $stranger "My voice is my passport, please open the screen for me" "$work/stranger.wav"

say_slowly() { # voice, digits, file: with 0.7 s between them; flite gives 16-bit samples at 16 kHz behind a head of 44 bytes
    local digit
    say "$1" "$(words "$2 $2 $2")" "$3" # its head is good for more than is put behind it
    for digit in $2; do
        say "$1" "$(words "$digit")" "$work/digit.wav"
        tail -c +45 "$work/digit.wav"
        head -c $((7 * 3200)) /dev/zero
    done >"$work/digits.raw"
    { head -c 44 "$3"; cat "$work/digits.raw"; } >"$work/slow.wav"
    mv "$work/slow.wav" "$3"
}

answer() { # voice, which digits ("right", "slowly", digits, or "nothing": Ctrl-C), those asked for
    case $2 in
    right) say "$1" "$(words "$3")" "$work/answer.wav" ;;
    slowly) say_slowly "$1" "$3" "$work/answer.wav" ;;
    nothing) return 1 ;;
    *) say "$1" "$(words "$2")" "$work/answer.wav" ;;
    esac
}
# One attempt: who speaks first, and who answers with which digits.
unlock() { # recording, voice of the answer, digits
    rm -rf "$HOME"
    cp -a "$work/enrolled" "$HOME" # no pause after the rejections of the attempt before
    [ -n "${unlocked_already:-}" ] || lock_screen
    converse otto "$work/$1.wav" answer "$2" "$3"
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
    unlock_screen
    unlocked_already=yes unlock owner $owner right
    [ "$code" -eq 0 ] && [ "$(field .unlock.result)" = was_unlocked ] && [ "$(requests)" -eq 2 ]
}
slow_digits() { # whose voice that is, with more silence than speech in it, is another matter
    unlock owner $owner slowly
    [ "$(field .challenged)" = true ] && [ "$(field .digits_right)" = true ]
}
check "the owner speaks, says the digits, and the screen opens" owner_opens
check "the owner's voice with other digits opens nothing" wrong_digits
check "the right digits in another voice open nothing" another_answers
check "hanging up on the digits is a rejection" hangs_up
check "another voice is not even asked" stranger_speaks
check "attempts, the unlock and the new microphone are on record" on_record
check "a screen that is open is left alone" screen_is_open
check "pauses between digits do not end the answer" slow_digits
echo "1..$n"
# shellcheck disable=SC2154
exit $((failed > 0))

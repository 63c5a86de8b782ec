/* challenge.h - random digits to be said: what a recording cannot know beforehand.
 * Owns:   the digits asked for, attempts, expiry, that none is used twice, and the comparison with what was heard.
 *         Does not: recognise speech (phrase.h), judge the voice: the same recording must pass that too.
 */
#ifndef VX_EDGE_CHALLENGE_CHALLENGE_H
#define VX_EDGE_CHALLENGE_CHALLENGE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/clock.h"
#include "shared/base/err.h"

enum { VX_CHALLENGE_DIGITS = 5, VX_CHALLENGE_TRIES = 2, VX_CHALLENGE_TEXT = 128 };

typedef struct vx_challenge vx_challenge;

/* Digits from the system's random numbers, no digit twice in a row (a recogniser, and a person, loses count).
 * expires_ns  [in] from now, by the clock; 20 s by default where 0
 * Errors      INTERNAL (no randomness), NOMEM */
VX_MUST_CHECK vx_err vx_challenge_create(uint64_t expires_ns, vx_clock clock, vx_challenge **ret_challenge);
/* Wipes and frees; NULL is fine. */
void vx_challenge_destroy(vx_challenge *challenge);
/* "4 7 1 9 0" to show, "four seven one nine zero" to say. */
void vx_challenge_text(const vx_challenge *challenge, char ret_digits[VX_CHALLENGE_TEXT],
                       char ret_words[VX_CHALLENGE_TEXT]);

typedef enum {
    VX_CHALLENGE_PASSED,
    VX_CHALLENGE_WRONG,   /* other digits, or none; one try less */
    VX_CHALLENGE_EXPIRED, /* too late, used already, or no try left: ask for new ones */
} vx_challenge_result;
/* Whether these digits answer it. Right after the right answer, or after the last try, it is spent: the same answer again
 * is EXPIRED. heard [in] digits '0' to '9' as recognised, "" for none; compared in constant time. Threads: any. */
vx_challenge_result vx_challenge_answer(vx_challenge *challenge, const char *heard);

#endif

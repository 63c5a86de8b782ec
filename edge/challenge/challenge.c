/* challenge.c - random digits, and whether they were answered: once, in time, in few tries.
 * The digits are secret until they are shown: an attacker who knew them early could prepare a recording.
 */
#include "edge/challenge/challenge.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

#define DEFAULT_NS (20 * UINT64_C(1000000000))
/* A byte is taken for a digit with 250 or 252 of its 256 values. That 64 of them do not give five digits has a chance
 * below 10^-90 with random bytes; with a generator that is stuck it is the way out. */
enum { RANDOM_BYTES = 64 };

struct vx_challenge {
    char digits[VX_CHALLENGE_DIGITS + 1];
    vx_clock clock;
    uint64_t due_ns;
    pthread_mutex_t lock; /* guards tries */
    int tries;            /* left; 0: spent */
};

/* Each of the 10 * 9^4 rows of digits without neighbours alike is as likely as any other: bytes past the last multiple of
 * 10 (or 9) are passed over, since a remainder of them would favour low digits. */
static vx_err draw(char ret_digits[VX_CHALLENGE_DIGITS + 1])
{
    unsigned char bytes[RANDOM_BYTES];
    if (RAND_priv_bytes(bytes, sizeof bytes) != 1)
        return VX_ERR_INTERNAL;
    int n = 0, last = 10;
    for (size_t i = 0; i < sizeof bytes && n < VX_CHALLENGE_DIGITS; i++) {
        const int choices = n == 0 ? 10 : 9;
        if (bytes[i] >= 256 / choices * choices)
            continue;
        int digit = bytes[i] % choices;
        digit += digit >= last; /* the last one is left out of the nine */
        ret_digits[n++] = (char)('0' + digit);
        last = digit;
    }
    ret_digits[n] = '\0';
    vx_wipe(bytes, sizeof bytes);
    return n == VX_CHALLENGE_DIGITS ? VX_OK : VX_ERR_INTERNAL;
}

vx_err vx_challenge_create(uint64_t expires_ns, vx_clock clock, vx_challenge **ret_challenge)
{
    vx_challenge *challenge = calloc(1, sizeof *challenge);
    if (!challenge)
        return VX_ERR_NOMEM;
    vx_err err = draw(challenge->digits);
    if (err == VX_OK && pthread_mutex_init(&challenge->lock, NULL) != 0)
        err = VX_ERR_NOMEM;
    if (err != VX_OK) {
        vx_wipe(challenge, sizeof *challenge);
        free(challenge);
        return err;
    }
    const uint64_t now = clock.now_ns(clock.ctx), wait = expires_ns > 0 ? expires_ns : DEFAULT_NS;
    challenge->clock = clock;
    challenge->due_ns = wait < UINT64_MAX - now ? now + wait : UINT64_MAX;
    challenge->tries = VX_CHALLENGE_TRIES;
    *ret_challenge = challenge;
    return VX_OK;
}

void vx_challenge_destroy(vx_challenge *challenge)
{
    if (!challenge)
        return;
    (void)pthread_mutex_destroy(&challenge->lock);
    vx_wipe(challenge, sizeof *challenge);
    free(challenge);
}

void vx_challenge_text(const vx_challenge *challenge, char ret_digits[VX_CHALLENGE_TEXT],
                       char ret_words[VX_CHALLENGE_TEXT])
{
    static const char *const names[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
    size_t n_digits = 0, n_words = 0;
    for (size_t i = 0; i < VX_CHALLENGE_DIGITS; i++) {
        const char *space = i > 0 ? " " : "", digit = challenge->digits[i];
        n_digits += (size_t)snprintf(ret_digits + n_digits, VX_CHALLENGE_TEXT - n_digits, "%s%c", space, digit);
        n_words +=
            (size_t)snprintf(ret_words + n_words, VX_CHALLENGE_TEXT - n_words, "%s%s", space, names[digit - '0']);
    }
}

/* As many digits, and the same ones. Exactly: docs/challenge.md counts what forgiving one would give a guesser. */
static bool is_answer(const vx_challenge *challenge, const char *heard)
{
    char padded[VX_CHALLENGE_DIGITS + 1] = {0};
    const size_t n = strnlen(heard, VX_CHALLENGE_DIGITS + 1);
    memcpy(padded, heard, n < sizeof padded ? n : VX_CHALLENGE_DIGITS);
    const bool same = vx_equal_ct(padded, challenge->digits, sizeof padded);
    vx_wipe(padded, sizeof padded);
    return same && n == VX_CHALLENGE_DIGITS;
}

vx_challenge_result vx_challenge_answer(vx_challenge *challenge, const char *heard)
{
    vx_challenge_result result = VX_CHALLENGE_EXPIRED;
    (void)pthread_mutex_lock(&challenge->lock);
    if (challenge->clock.now_ns(challenge->clock.ctx) >= challenge->due_ns)
        challenge->tries = 0; /* for good, should the clock be turned back */
    if (challenge->tries > 0) {
        const bool right = is_answer(challenge, heard);
        challenge->tries = right ? 0 : challenge->tries - 1;
        result = right ? VX_CHALLENGE_PASSED : VX_CHALLENGE_WRONG;
    }
    (void)pthread_mutex_unlock(&challenge->lock);
    return result;
}

/* phrase.h - a few words in a recording: the command phrase, or digits.
 * Owns:   PocketSphinx with Debian's en-us model, loaded on demand (vx_phrase_sphinx.so): without it the phrase is
 *         unavailable evidence and a challenge cannot be passed. Does not: judge whose voice it is.
 */
#ifndef VX_EDGE_CHALLENGE_PHRASE_H
#define VX_EDGE_CHALLENGE_PHRASE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

typedef struct vx_phrase vx_phrase;

#define VX_PHRASE_DEFAULT "unlock my screen"
enum {
    VX_PHRASES_MAX = 8,
    VX_PHRASE_CAP = 65,         /* a phrase, 1 to 64 bytes, zero-terminated */
    VX_PHRASE_MAX_SECONDS = 30, /* of a recording */
    VX_DIGITS_CAP = 32,
    VX_DIGITS_MAX = 16, /* that can be asked for */
};

/* model_folder [in] of the acoustic model ("en-us") and dictionary ("cmudict-en-us.dict"); NULL: where Debian, Homebrew
 *              or an installation from source put it
 * Errors       UNSUPPORTED (no plugin), NOT_FOUND (no model), MODEL_CORRUPT (no digits in the dictionary), NOMEM, ENGINE
 *              (what the library said) */
VX_MUST_CHECK vx_err vx_phrase_open(const char *model_folder, vx_phrase **ret_phrase, vx_errinfo *info);
/* NULL is fine. */
void vx_phrase_close(vx_phrase *phrase);

/* Whether one of the phrases is spoken in a recording (keyword spotting). Where a phrase begins with "un", its opposite is
 * told from it: "lock my screen" is not "unlock my screen".
 * phrases   [in]  n_phrases of them, at most VX_PHRASES_MAX: lower-case words of the dictionary ("unlock my screen")
 * samples   [in]  n, 16 kHz mono, full scale 1.0; n = 0 checks the phrases only
 * ret_found [out] index of the surest, or -1
 * ret_score [out] the recogniser's confidence in the surest, found or not, 0 to 1; 0.5 and above is found
 * Threads   one at a time
 * Errors    OPTION_VALUE (info says which word the dictionary does not know, or that the phrase is too short to be told
 *           from other speech), RANGE (NaN or Inf, too long, no or too many phrases), NOMEM, ENGINE */
VX_MUST_CHECK vx_err vx_phrase_spot(vx_phrase *phrase, const char *const *phrases, size_t n_phrases,
                                    const float *samples, size_t n, int *ret_found, double *ret_score,
                                    vx_errinfo *info);

/* The digits spoken in a recording, by a grammar of digits alone ("zero", not "oh"). Whatever is said is heard as digits,
 * or not at all: this tells digits from each other, not from other words.
 * n_digits   [in]  as many as were asked for, at most VX_DIGITS_MAX: a recogniser that knows how many there are errs less,
 *                  and no guess is helped by it (docs/challenge.md); 0: any number
 * samples    [in]  n, as above: the utterance with about 0.2 s of the room on either side; with long pauses around it more
 *                  digits are wrong
 * ret_digits [out] '0' to '9', "" where nothing fits; for 0 cut at VX_DIGITS_CAP - 1
 * Threads    one at a time
 * Errors     RANGE (as above, n_digits), NOMEM, ENGINE */
VX_MUST_CHECK vx_err vx_phrase_digits(vx_phrase *phrase, size_t n_digits, const float *samples, size_t n,
                                      char ret_digits[VX_DIGITS_CAP], vx_errinfo *info);

#endif

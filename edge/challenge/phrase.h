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

enum { VX_PHRASES_MAX = 8, VX_DIGITS_CAP = 32 };

/* model_folder [in] of the acoustic model and dictionary; NULL: where Debian installs it
 * Errors  UNSUPPORTED (no plugin), NOT_FOUND (no model), NOMEM, ENGINE (what the library said) */
VX_MUST_CHECK vx_err vx_phrase_open(const char *model_folder, vx_phrase **ret_phrase, vx_errinfo *info);
void vx_phrase_close(vx_phrase *phrase);

/* Whether one of the phrases is spoken in a recording (keyword spotting).
 * phrases [in] n of them, lower-case words of the dictionary: "unlock my screen"
 * ret_found [out] index, or -1; ret_score [out] the recogniser's confidence, 0 to 1
 * Errors  OPTION_VALUE (a word the dictionary does not know; info names it), RANGE, NOMEM. Threads: one at a time */
VX_MUST_CHECK vx_err vx_phrase_spot(vx_phrase *phrase, const char *const *phrases, size_t n_phrases,
                                    const float *samples, size_t n, int *ret_found, double *ret_score,
                                    vx_errinfo *info);
/* The digits spoken in a recording, by a grammar of digits alone ("oh" is 0). ret_digits [out] '0' to '9', "" for none. */
VX_MUST_CHECK vx_err vx_phrase_digits(vx_phrase *phrase, const float *samples, size_t n, char ret_digits[VX_DIGITS_CAP],
                                      vx_errinfo *info);

#endif

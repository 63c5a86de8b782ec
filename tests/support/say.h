/* say.h - words said by a speech synthesiser of the system (flite, espeak-ng): recordings of which is known what they hold.
 * Owns:   starting it, reading what it wrote. Does not: sound like a person; docs/challenge.md says what that means.
 */
#ifndef VX_TESTS_SAY_H
#define VX_TESTS_SAY_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/audio/audio.h"

/* "flite:slt", "espeak-ng:en-us+f2". The voices of flite were made from recordings of people, those of espeak-ng from
 * formulas. */
extern const char *const say_voices[];
extern const size_t say_n_voices, say_n_flite; /* those of flite come first */

/* False where the synthesiser is not installed, or does not know the voice. Quiet before and behind is kept as it is.
 * ret_audio [out] freed by vx_audio_done */
bool say(const char *voice, const char *text, vx_audio *ret_audio);

#endif

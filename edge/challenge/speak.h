/* speak.h - a sentence said aloud by the system's speech synthesiser.
 * Owns:   which program that is, its arguments, its time, its end. Does not: choose words, listen.
 */
#ifndef VX_EDGE_CHALLENGE_SPEAK_H
#define VX_EDGE_CHALLENGE_SPEAK_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

enum { VX_SPEAK_CAP = 256, VX_SPEAK_ARGS = 6 };

/* A program that says its last argument and ends when that is said. */
typedef struct {
    const char *args[VX_SPEAK_ARGS]; /* its name, looked up in PATH, and what goes before the text; NULL at the end */
} vx_speak_program;

/* Asked every 20 ms while it speaks, and once before. False: stop. */
typedef bool vx_speak_fn(void *arg);

/* Says it, and returns when it was said. The first program that is installed and works does it: "say" on macOS, elsewhere
 * "spd-say", which speaks as the user has set up, else "espeak-ng".
 * meanwhile [in] may be NULL
 * Threads  any
 * Errors   NOT_FOUND (no program speaks), CLOSED (meanwhile said stop), DEADLINE (it did not end in 15 s and was killed),
 *          RANGE (nothing in the text can be said), NOMEM */
VX_MUST_CHECK vx_err vx_speak(const char *text, vx_speak_fn *meanwhile, void *arg, vx_errinfo *info);
/* The same by programs of one's own, n of them, with a time of one's own. */
VX_MUST_CHECK vx_err vx_speak_by(const vx_speak_program *programs, size_t n, const char *text, int most_ms,
                                 vx_speak_fn *meanwhile, void *arg, vx_errinfo *info);

/* What of a text is said: letters, digits and . , : ; ' ! ? - of ASCII, everything else a blank; from the first letter or
 * digit on, so that no program takes it for an option; cut at VX_SPEAK_CAP. */
void vx_speak_clean(const char *text, char ret_text[VX_SPEAK_CAP]);

#endif

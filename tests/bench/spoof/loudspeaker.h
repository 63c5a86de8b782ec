/* loudspeaker.h - a recording played aloud: what small loudspeakers do to it that a mouth does not.
 * Owns:   models of loudspeakers with their amplifiers. Does not: add rooms.
 */
#ifndef VX_TESTS_BENCH_SPOOF_LOUDSPEAKER_H
#define VX_TESTS_BENCH_SPOOF_LOUDSPEAKER_H

#include "tests/bench/spoof/lab.h"

typedef enum {
    LAB_PHONE,
    LAB_LAPTOP,
    LAB_BLUETOOTH,
    LAB_TV,
    LAB_N_COMMON, /* those before it are what training kinds play with */
    LAB_STUDIO = LAB_N_COMMON,
    LAB_HEADSET, /* one of its earphones pressed to the microphone */
    LAB_IDEAL,   /* flat from 20 Hz, no distortion: what no loudspeaker is */
    LAB_N_LOUDSPEAKERS
} lab_loudspeaker;

/* Plays; each time another specimen of its kind, at another volume. Notes loudspeaker=phone and what was drawn. */
void lab_play(lab_loudspeaker which, uint64_t *seed, lab_clip *clip);
const char *lab_loudspeaker_name(lab_loudspeaker which);

#endif

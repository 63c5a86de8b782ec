/* formants.h - resonances of the vocal tract over time, from linear prediction.
 * Owns:   prediction in the band that was transmitted, the path of F1 to F4 through the poles, checks of bandwidth.
 *         Does not: infer a length (tract.h), or predict (lpc.h).
 */
#ifndef VX_EDGE_PAVA_FORMANTS_H
#define VX_EDGE_PAVA_FORMANTS_H

#include <stddef.h>

#include "edge/pava/pitch.h"
#include "edge/pava/spectrogram.h"

enum { VX_FORMANTS = 4 };

typedef struct {
    size_t n_frames;
    float (*hz)[VX_FORMANTS];        /* [n_frames] 0: not found in this frame */
    float (*bandwidth)[VX_FORMANTS]; /* Hz; 0 where hz is */
    size_t n_tracked;                /* voiced frames that have F1 to F3 at least */
    int n_sought;  /* 4; 3 where nothing above a telephone's band came through: F4 is 0 in all frames */
    double margin; /* how sure the names are: cost, nats a voiced frame, that poles have under the next
                                        best length of tract beyond that under the best; 0 to 3, 3: there is no other */
} vx_formants;

/* spectrogram, pitch [in] of the same samples. Without voice no frame has formants, which is no error.
 * Errors: NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_formants_track(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_formants *ret);
/* Wipes and frees; all-zero is fine. */
void vx_formants_done(vx_formants *formants);

#endif

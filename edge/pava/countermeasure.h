/* countermeasure.h - a small trained network that knows traces of machines in speech.
 * Owns:   its features (countermeasure_features.c), its weights, its arithmetic. Does not: decide; its heads are
 *         measures of the layers, calibrated like every other.
 */
#ifndef VX_EDGE_PAVA_COUNTERMEASURE_H
#define VX_EDGE_PAVA_COUNTERMEASURE_H

#include <stddef.h>

#include "edge/pava/spectrogram.h"

typedef enum {
    VX_TRACE_SYNTHETIC, /* text to speech and vocoders: layer 2 */
    VX_TRACE_PLAYBACK,  /* a loudspeaker in a room: layer 3 */
    VX_TRACE_CONVERTED, /* pitch, formants, time scale of another: layer 4 */
    VX_TRACE_ANY,       /* any of them, and joints between pieces: layer 6 */
    VX_N_TRACES
} vx_trace;

/* Log-odds of each trace, as the network gives them: against living voices, where both are as likely. It looks at 6 s, where
 * most speech is.
 * samples [in] n, finite; spectrogram [in] of the same samples
 * Errors  RANGE (less than 0.5 s of speech), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_countermeasure_run(const float *samples, size_t n, const vx_spectrogram *spectrogram,
                                           double ret_logits[VX_N_TRACES]);

#endif

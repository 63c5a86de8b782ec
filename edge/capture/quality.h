/* quality.h - is a recording good enough to compare voices with, and where in it is the voice?
 * Owns:   the measures, the bounds and the sentences that tell somebody to speak again.
 * Does not: capture, or judge whose voice it is.
 */
#ifndef VX_EDGE_CAPTURE_QUALITY_H
#define VX_EDGE_CAPTURE_QUALITY_H

#include "edge/types.h"
#include "shared/base/err.h"

/* Finds the voice in a whole recording and measures it.
 * samples       [in]  n, 16 kHz mono, full scale 1.0, finite
 * ret_utterance [out] from before the first to behind the last word, both with a little padding; the whole recording
 *                     when no speech was found
 * ret_quality   [out] clipped_share is that of these samples; a decoder knows it better and may overwrite it
 * Errors        NOMEM, RANGE (longer than 60 s) */
VX_MUST_CHECK vx_err vx_quality_measure(const float *samples, size_t n, vx_span *ret_utterance,
                                        vx_quality *ret_quality);

/* What it is to be good enough for: a template is used for years, a comparison once. */
typedef enum { VX_FOR_ENROLMENT, VX_FOR_COMPARISON } vx_quality_use;

/* VX_OK, or the first bound that it misses, with a sentence that says what to do: AUDIO_NO_SPEECH, AUDIO_SHORT (of
 * speech), AUDIO_QUIET, AUDIO_CLIPPED, AUDIO_NOISY. */
VX_MUST_CHECK vx_err vx_quality_judge(const vx_quality *quality, vx_quality_use use, vx_errinfo *info);

#endif

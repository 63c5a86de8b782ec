/* stream_resample.h - a stream of any rate as 16 kHz, soon after it was heard.
 * Owns:   the state of one stream. Does not: mix channels, buffer.
 *
 * shared/audio/resample.h is the one for whole recordings: its filter reaches 7.86 kHz, and answers up to 450 ms late.
 * This one reaches 7.6 kHz and is at most 60 ms late from 16 kHz up, 110 ms from 8 kHz: a verdict waits for it.
 */
#ifndef VX_EDGE_CAPTURE_STREAM_RESAMPLE_H
#define VX_EDGE_CAPTURE_STREAM_RESAMPLE_H

#include <stddef.h>

#include "shared/base/err.h"

typedef struct vx_stream_resampler vx_stream_resampler;

/* From rate_in Hz; what is at 16 kHz already passes unchanged. Errors: AUDIO_RATE (outside 8,000 to 192,000), NOMEM. */
VX_MUST_CHECK vx_err vx_stream_resampler_create(int rate_in, vx_stream_resampler **ret_resampler);
/* NULL is fine. */
void vx_stream_resampler_destroy(vx_stream_resampler *resampler);
/* Takes of n samples what it can, and gives at most cap; n = 0 ends the stream: repeated until nothing more comes.
 * in [in] finite
 * ret_took, ret_n [out] samples taken and given
 * Errors INTERNAL. One thread at a time. */
VX_MUST_CHECK vx_err vx_stream_resampler_process(vx_stream_resampler *resampler, const float *in, size_t n,
                                                 float *ret_out, size_t cap, size_t *ret_took, size_t *ret_n);

#endif

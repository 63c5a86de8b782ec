/* resample.h - streaming sample-rate conversion to 16 kHz mono, on soxr (high quality, linear phase). */
#ifndef VX_AUDIO_RESAMPLE_H
#define VX_AUDIO_RESAMPLE_H

#include <stddef.h>

#include "shared/base/err.h"

typedef struct vx_resampler vx_resampler;

/* From rate_in Hz (8,000 to 192,000) to 16 kHz. Errors: AUDIO_RATE, NOMEM. */
VX_MUST_CHECK vx_err vx_resampler_create(int rate_in, vx_resampler **ret_resampler);
void vx_resampler_destroy(vx_resampler *resampler);

/* Feeds n samples; n = 0 ends the input and flushes the filter's tail.
 * ret_out [out] at most cap samples; cap must be at least vx_resampler_cap(resampler, n)
 * ret_n   [out] samples written
 * Errors  INTERNAL. One thread at a time. */
VX_MUST_CHECK vx_err vx_resampler_process(vx_resampler *resampler, const float *in, size_t n, float *ret_out,
                                          size_t cap, size_t *ret_n);
/* Room that the answer to n input samples may need, the delayed ones included. */
size_t vx_resampler_cap(const vx_resampler *resampler, size_t n);

#endif

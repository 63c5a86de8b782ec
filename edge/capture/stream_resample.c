/* stream_resample.c - soxr, with its blocks kept short. */
#include "edge/capture/stream_resample.h"

#include <soxr.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"

struct vx_stream_resampler {
    soxr_t soxr; /* NULL at 16 kHz */
};

vx_err vx_stream_resampler_create(int rate_in, vx_stream_resampler **ret_resampler)
{
    if (rate_in < VX_AUDIO_RATE_MIN || rate_in > VX_AUDIO_RATE_MAX)
        return VX_ERR_AUDIO_RATE;
    vx_stream_resampler *r = calloc(1, sizeof *r);
    if (r == NULL)
        return VX_ERR_NOMEM;
    if (rate_in != VX_AUDIO_RATE) {
        /* 20 bits keep images and aliases below -120 dB. Two things make soxr late: the length of the filter, and the
         * blocks it is computed in. Worst wait at 48 kHz: pass band 0.95 in short blocks 32 ms, in long ones 75 ms;
         * 0.983 (as in shared/audio/resample.c) 140 and 311 ms; 0.913 (soxr's own choice) in short ones 15 ms, for
         * 300 Hz of voice less. */
        soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
        quality.passband_end = 0.95;
        quality.stopband_begin = 1;
        soxr_runtime_spec_t blocks = soxr_runtime_spec(1);
        blocks.log2_min_dft_size = blocks.log2_large_dft_size = 8;
        soxr_error_t failure;
        r->soxr = soxr_create(rate_in, VX_AUDIO_RATE, 1, &failure, NULL, &quality, &blocks);
        if (r->soxr == NULL) {
            free(r);
            return VX_ERR_NOMEM;
        }
    }
    *ret_resampler = r;
    return VX_OK;
}

void vx_stream_resampler_destroy(vx_stream_resampler *resampler)
{
    if (resampler == NULL)
        return;
    if (resampler->soxr != NULL)
        soxr_delete(resampler->soxr);
    free(resampler);
}

vx_err vx_stream_resampler_process(vx_stream_resampler *resampler, const float *in, size_t n, float *ret_out,
                                   size_t cap, size_t *ret_took, size_t *ret_n)
{
    if (resampler->soxr == NULL) {
        const size_t count = n < cap ? n : cap;
        if (count > 0)
            memcpy(ret_out, in, count * sizeof *in);
        *ret_took = *ret_n = count;
        return VX_OK;
    }
    size_t took = 0, gave = 0;
    if (soxr_process(resampler->soxr, n > 0 ? in : NULL, n, &took, ret_out, cap, &gave))
        return VX_ERR_INTERNAL;
    *ret_took = took;
    *ret_n = gave;
    return VX_OK;
}

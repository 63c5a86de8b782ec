/* resample.c - any rate to 16 kHz through soxr, in pieces of any size.
 * Owns:   the state of one stream and the promise how much comes out. Does not: mix channels or judge samples.
 */
#include "shared/audio/resample.h"

#include <soxr.h>
#include <stdint.h>
#include <stdlib.h>

#include "shared/audio/audio.h"

struct vx_resampler {
    soxr_t soxr;
    int rate_in;
    uint64_t n_in, n_out; /* samples so far */
    int ended;
};

vx_err vx_resampler_create(int rate_in, vx_resampler **ret_resampler)
{
    if (rate_in < VX_AUDIO_RATE_MIN || rate_in > VX_AUDIO_RATE_MAX)
        return VX_ERR_AUDIO_RATE;
    vx_resampler *r = calloc(1, sizeof *r);
    if (!r)
        return VX_ERR_NOMEM;
    r->rate_in = rate_in;
    /* 20-bit linear phase: images and aliases stay below -120 dB. Steep: the pass band reaches 7.86 kHz instead of 7.3,
     * which an embedding hears (a 44.1 kHz copy of a 16 kHz recording: cosine 0.986 instead of 0.970) and which costs
     * 0.25 ms for 3.5 s. Very high quality would cost twice the time and changes no digit of that. */
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ | SOXR_STEEP_FILTER, 0);
    soxr_error_t failure;
    r->soxr = soxr_create(rate_in, VX_AUDIO_RATE, 1, &failure, NULL, &quality, NULL);
    if (!r->soxr) {
        free(r);
        return VX_ERR_NOMEM;
    }
    *ret_resampler = r;
    return VX_OK;
}

void vx_resampler_destroy(vx_resampler *resampler)
{
    if (!resampler)
        return;
    soxr_delete(resampler->soxr);
    free(resampler);
}

size_t vx_resampler_cap(const vx_resampler *resampler, size_t n)
{
    /* What n_in + n samples last, rounded, less what is out already: the delayed samples are in it, and in all the
     * output never lasts longer than the input. One more while input goes on, as soxr takes none without room. */
    uint64_t rate = (uint64_t)resampler->rate_in;
    uint64_t due = ((resampler->n_in + n) * VX_AUDIO_RATE + rate / 2) / rate + (n > 0);
    return due > resampler->n_out ? (size_t)(due - resampler->n_out) : 0;
}

vx_err vx_resampler_process(vx_resampler *resampler, const float *in, size_t n, float *ret_out, size_t cap,
                            size_t *ret_n)
{
    size_t due = vx_resampler_cap(resampler, n), fed = 0, out = 0;
    if (cap < due || (resampler->ended && n > 0))
        return VX_ERR_INTERNAL;
    resampler->ended |= n == 0;
    for (;;) {
        size_t took = 0, gave = 0;
        if (soxr_process(resampler->soxr, n ? in + fed : NULL, n - fed, &took, ret_out + out, due - out, &gave))
            return VX_ERR_INTERNAL;
        fed += took;
        out += gave;
        if (took == 0 && gave == 0)
            break;
    }
    if (fed < n)
        return VX_ERR_INTERNAL;
    resampler->n_in += n;
    resampler->n_out += out;
    *ret_n = out;
    return VX_OK;
}

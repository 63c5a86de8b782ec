/* self_test.c - the test signal and the verdict. */
#include "shared/engine/self_test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* x / 2^n rounded down, as Python's >> does it; C leaves the shift of a negative number to the compiler. */
static int32_t shifted(int32_t x, int n)
{
    return x >= 0 ? x >> n : ~(~x >> n);
}

/* Integers only, so that every language makes the same samples; models/self_test.py is the other copy. */
void vx_self_test_signal(float ret_samples[VX_SELF_TEST_SAMPLES])
{
    uint32_t noise = 1;
    int32_t phase = 0;
    for (int32_t n = 0; n < VX_SELF_TEST_SAMPLES; n++) {
        noise = noise * 1664525u + 1013904223u;
        phase = (phase + 532) & 0xffff;
        int32_t saw = shifted((phase - 32768) * (1000 + n % 4000), 14);
        int32_t hiss = shifted((int32_t)(noise >> 20) - 2048, 2);
        ret_samples[n] = (float)(saw + hiss) / 32768.0f;
    }
}

static double cosine_needed(const vx_engine_info *about)
{
    return strcmp(about->precision, vx_precision_name(VX_PRECISION_INT8)) == 0 ? VX_SELF_TEST_COSINE_INT8
                                                                               : VX_SELF_TEST_COSINE;
}

static vx_err compare(vx_engine *engine, const vx_engine_info *about, const vx_embedding *got, const float *samples,
                      double *ret_cosine, vx_errinfo *info)
{
    const vx_manifest *manifest = about->manifest;
    vx_embedding other;
    double cosine;
    if (manifest->self_test_dim == 0) {
        vx_err err = vx_engine_embed(engine, samples, VX_SELF_TEST_SAMPLES / 2, &other, NULL, info);
        if (err == VX_OK)
            err = vx_embedding_cosine(got, &other, &cosine);
        if (err == VX_OK && cosine > 0.999999)
            err = vx_errinfo_set(info, VX_ERR_ENGINE, "the self-test gave one embedding for two different signals");
        if (err == VX_OK)
            *ret_cosine = -2;
        return err;
    }
    vx_err err = vx_embedding_from_raw(&manifest->digest, manifest->self_test, manifest->self_test_dim, &other);
    if (err == VX_OK)
        err = vx_embedding_cosine(got, &other, &cosine);
    if (err != VX_OK)
        return vx_errinfo_set(info, err, "the manifest's self-test embedding cannot be compared");
    if (!(cosine >= cosine_needed(about)))
        return vx_errinfo_set(
            info, VX_ERR_ENGINE,
            "the self-test embedding has cosine %.5f to the manifest's, at least %.3f is needed: this "
            "machine or build computes wrong vectors",
            cosine, cosine_needed(about));
    *ret_cosine = cosine;
    return VX_OK;
}

vx_err vx_engine_self_test(vx_engine *engine, double *ret_cosine, vx_errinfo *info)
{
    float *samples = malloc(VX_SELF_TEST_SAMPLES * sizeof *samples);
    if (!samples)
        return VX_ERR_NOMEM;
    vx_engine_info about;
    vx_engine_get_info(engine, &about);
    vx_embedding got;
    vx_errinfo cause = {0};
    vx_self_test_signal(samples);
    vx_err err = vx_engine_embed(engine, samples, VX_SELF_TEST_SAMPLES, &got, NULL, &cause);
    if (err == VX_OK)
        err = compare(engine, &about, &got, samples, ret_cosine, info);
    else
        vx_errinfo_set(info, err, "the first inference failed: %s", vx_errinfo_text(&cause, err));
    free(samples);
    return err;
}

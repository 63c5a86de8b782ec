/* likeness.c - a speaker's voiceprints from the store, and comparison with them. */
#include "edge/likeness.h"

#include <stdlib.h>

#include "edge/capture/quality.h"
#include "edge/store/profiles.h"
#include "shared/base/bytes.h"

vx_err vx_voiceprints_reserve(size_t cap, vx_voiceprints *ret)
{
    vx_voiceprints made = {calloc(cap + 1, sizeof *made.embeddings), calloc(cap + 1, sizeof *made.speech_s), 0, cap};
    if (!made.embeddings || !made.speech_s) {
        vx_voiceprints_done(&made);
        return VX_ERR_NOMEM;
    }
    *ret = made;
    return VX_OK;
}

void vx_voiceprints_done(vx_voiceprints *voiceprints)
{
    if (voiceprints->embeddings)
        vx_wipe(voiceprints->embeddings, voiceprints->cap * sizeof *voiceprints->embeddings);
    free(voiceprints->embeddings);
    free(voiceprints->speech_s);
    *voiceprints = (vx_voiceprints){0};
}

void vx_voiceprints_add(vx_voiceprints *voiceprints, const vx_embedding *embedding, double speech_s)
{
    voiceprints->embeddings[voiceprints->n] = *embedding;
    voiceprints->speech_s[voiceprints->n++] = speech_s;
}

vx_err vx_voiceprints_load(const vx_runtime *runtime, int64_t speaker, vx_voiceprints *ret, vx_errinfo *info)
{
    vx_exemplar *exemplars = NULL;
    size_t n = 0;
    vx_err err = vx_store_exemplars(runtime->store, speaker, &runtime->manifest.digest, &exemplars, &n, info);
    if (err != VX_OK)
        return err;
    err = vx_voiceprints_reserve(n, ret);
    for (size_t i = 0; i < n && err == VX_OK; i++)
        vx_voiceprints_add(ret, &exemplars[i].embedding, exemplars[i].speech_s);
    vx_wipe(exemplars, n * sizeof *exemplars);
    free(exemplars);
    return err;
}

vx_err vx_voice_embed(vx_runtime *runtime, const vx_audio *recording, vx_embedding *ret_embedding,
                      vx_quality *ret_quality, vx_errinfo *info)
{
    vx_span voice;
    vx_quality quality;
    vx_err err = vx_runtime_has_model(runtime, info);
    if (err == VX_OK)
        err = vx_quality_measure(recording->samples, recording->n, &voice, &quality);
    if (err != VX_OK)
        return err;
    quality.clipped_share = recording->clipped_share;
    err = vx_quality_judge(&quality, VX_FOR_COMPARISON, info);
    if (err == VX_OK)
        err = vx_runtime_embed_patiently(runtime, recording->samples + voice.begin, voice.end - voice.begin,
                                         ret_embedding, info);
    if (err == VX_OK)
        *ret_quality = quality;
    return err;
}

vx_err vx_voiceprints_compare(const vx_runtime *runtime, const vx_voiceprints *voiceprints,
                              const vx_embedding *utterance, const vx_quality *quality, vx_score *ret_score,
                              vx_errinfo *info)
{
    vx_score score;
    const vx_template enrolled = {voiceprints->embeddings, voiceprints->speech_s, voiceprints->n};
    const vx_score_conditions conditions = {quality->speech_s, quality->snr_db};
    if (runtime->own_calibration_err != VX_OK)
        return vx_errinfo_set(
            info, runtime->own_calibration_err,
            "the calibration in the store cannot be read: run voxlock calibrate again, or with --forget");
    vx_err err = vx_score_compare(&runtime->manifest, &runtime->cohort, vx_runtime_calibration(runtime), &enrolled,
                                  utterance, &conditions, &score);
    if (err == VX_OK && !score.calibrated)
        err = vx_errinfo_set(
            info, VX_ERR_UNCALIBRATED,
            "the model %.63s has no calibration: run voxlock calibrate with recordings of several people",
            runtime->manifest.name);
    if (err == VX_OK)
        *ret_score = score;
    return err;
}

double vx_voiceprints_threshold(const vx_runtime *runtime)
{
    const vx_calibration *own = vx_runtime_calibration(runtime);
    return own ? own->threshold : runtime->manifest.score_calibration.threshold;
}

/* pava.c - the layers, one after the other over one scene, and what the recording teaches. */
#include "edge/pava/pava.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "edge/pava/layer.h"
#include "edge/pava/likelihood.h"
#include "shared/audio/audio.h"
#include "shared/base/clock.h"

static const vx_layer *const layers[VX_N_LAYERS] = {
    [VX_LAYER_REPLAY] = &vx_layer_replay,     [VX_LAYER_SYNTHETIC] = &vx_layer_synthetic,
    [VX_LAYER_PLAYBACK] = &vx_layer_playback, [VX_LAYER_CONVERSION] = &vx_layer_conversion,
    [VX_LAYER_LIVENESS] = &vx_layer_liveness, [VX_LAYER_DEEPFAKE] = &vx_layer_deepfake,
    [VX_LAYER_PHYSICS] = &vx_layer_physics,
};

const char *vx_pava_layer_name(vx_pava_layer layer)
{
    return layers[layer]->name;
}

const char *const *vx_pava_measure_names(vx_pava_layer layer)
{
    return layers[layer]->measures;
}

double vx_pava_layer_reliability(vx_pava_layer layer)
{
    return vx_pava_fitted.layers[layer].reliability;
}

bool vx_pava_layer_has_say(vx_pava_layer layer)
{
    return vx_layer_counts(&vx_pava_fitted, layer);
}

static void run_layer(const vx_scene *scene, vx_pava_layer i, vx_layer_finding *ret)
{
    const vx_layer_weights *weights = &vx_pava_fitted.layers[i];
    vx_layer_finding f = {.status = VX_EVIDENCE_INCONCLUSIVE, .spoof = 0.5, .reliability = weights->reliability};
    for (int m = 0; m < VX_PAVA_MEASURES; m++)
        f.measures[m] = NAN;
    /* Measures that came too late might have accused: without them a layer must not acquit. A repetition that was found in
     * time does accuse. */
    const bool late = i == VX_LAYER_REPLAY ? scene->has_search.err == VX_ERR_DEADLINE : scene->late;
    if (late && i != VX_LAYER_REPLAY)
        (void)snprintf(f.reason, sizeof f.reason, "it took too long");
    else if (layers[i]->measure(scene, f.measures, f.reason))
        f.status = VX_EVIDENCE_VALID;
    if (late && f.status != VX_EVIDENCE_VALID)
        f.status = VX_EVIDENCE_UNAVAILABLE;
    if (f.status == VX_EVIDENCE_VALID) {
        f.llr = vx_layer_llr(weights, f.measures);
        f.spoof = 1 / (1 + exp(-f.llr));
    }
    *ret = f;
}

/* What the recording tells of its speaker and its room, and its fingerprint for the next time. */
static void take_lessons(vx_scene *scene, vx_pava_report *report)
{
    report->has_fingerprint = scene->has_fingerprint.err == VX_OK;
    report->fingerprint = scene->fingerprint;
    scene->fingerprint = (vx_fingerprint){0};
    report->has_tract = scene->has_tract.err == VX_OK;
    report->tract_cm = report->has_tract ? scene->tract.length_cm : 0;
    report->has_room = scene->has_reverb.err == VX_OK;
    report->rt60_s = report->has_room ? scene->reverb.rt60_s : 0;
    report->has_pitch = scene->has_pitch;
    report->pitch_ln_hz = scene->pitch_ln_hz;
}

void vx_pava_judge(const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                   vx_pava_report *ret_report, vx_evidence *ret_evidence)
{
    const uint64_t start_ns = vx_now_ns();
    vx_scene scene;
    vx_errinfo info = {0};
    memset(ret_report, 0, sizeof *ret_report);
    vx_err err = vx_scene_analyse(samples, n, known, deadline_ns, &scene, &info);
    for (int i = 0; i < VX_N_LAYERS; i++) {
        if (err == VX_OK)
            run_layer(&scene, (vx_pava_layer)i, &ret_report->layers[i]);
        else
            ret_report->layers[i] = (vx_layer_finding){.status = VX_EVIDENCE_INCONCLUSIVE, .spoof = 0.5};
    }
    ret_report->analysed = err == VX_OK;
    if (err == VX_OK)
        take_lessons(&scene, ret_report);
    vx_scene_done(&scene);
    ret_report->elapsed_ms = vx_ms_since(start_ns);
    if (err == VX_OK) {
        ret_report->measured = vx_pava_risk(&vx_pava_fitted, ret_report->layers);
        ret_report->risk = vx_pava_conclude(&vx_pava_fitted, ret_report->layers, known->own_speaker, ret_evidence);
        ret_evidence->elapsed_ms = ret_report->elapsed_ms;
        return;
    }
    *ret_evidence = (vx_evidence){.status = err == VX_ERR_RANGE ? VX_EVIDENCE_INCONCLUSIVE : VX_EVIDENCE_UNAVAILABLE,
                                  .elapsed_ms = ret_report->elapsed_ms};
    (void)snprintf(ret_evidence->reason, sizeof ret_evidence->reason, "%.*s", (int)sizeof ret_evidence->reason - 1,
                   vx_errinfo_text(&info, err));
}

void vx_pava_report_done(vx_pava_report *report)
{
    vx_fingerprint_done(&report->fingerprint);
    memset(report, 0, sizeof *report);
}

vx_err vx_pava_fingerprint(const float *samples, size_t n, vx_fingerprint *ret, vx_errinfo *info)
{
    vx_spectrogram spectrogram = {0};
    if (!samples || n < VX_PAVA_WINDOW || !vx_audio_is_finite(samples, n))
        return vx_errinfo_set(info, VX_ERR_RANGE, "the recording is empty or holds numbers that are no sound");
    vx_err err = vx_spectrogram_compute(samples, n, &spectrogram);
    if (err == VX_OK)
        err = vx_fingerprint_take(&spectrogram, ret, info);
    vx_spectrogram_done(&spectrogram);
    return err;
}

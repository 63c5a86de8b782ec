/* lessons.c - fingerprints and baselines between PAVA and the store. */
#include "edge/lessons.h"

#include <stdlib.h>
#include <string.h>

#include "edge/learned.h"
#include "edge/store/profiles.h"
#include "edge/store/utterances.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

typedef struct {
    vx_buf list; /* of vx_fingerprint */
} collection;

static vx_err collect(void *arg, int64_t taken_ms, const uint8_t *bytes, size_t n)
{
    collection *c = arg;
    vx_fingerprint print;
    (void)taken_ms;
    vx_err err = vx_fingerprint_unpack(bytes, n, &print);
    if (err != VX_OK)
        return err;
    err = vx_buf_append(&c->list, &print, sizeof print);
    if (err != VX_OK)
        vx_fingerprint_done(&print);
    return err;
}

vx_err vx_lessons_load(vx_store *store, int64_t speaker, vx_lessons *ret_lessons, vx_errinfo *info)
{
    vx_lessons lessons = {0};
    collection c = {{0}};
    vx_err err = vx_learned_baseline(store, speaker, &lessons.baseline, info);
    if (err == VX_OK)
        err = vx_store_utterances(store, speaker, collect, &c, info);
    lessons.heard = (void *)c.list.data;
    lessons.n_heard = c.list.len / sizeof *lessons.heard;
    if (err == VX_OK)
        *ret_lessons = lessons;
    else
        vx_lessons_done(&lessons);
    return err;
}

void vx_lessons_done(vx_lessons *lessons)
{
    for (size_t i = 0; i < lessons->n_heard; i++)
        vx_fingerprint_done(&lessons->heard[i]);
    free(lessons->heard);
    vx_wipe(lessons, sizeof *lessons);
}

vx_pava_known vx_lessons_known(const vx_lessons *lessons)
{
    return (vx_pava_known){.baseline = lessons->baseline, .heard = lessons->heard, .n_heard = lessons->n_heard};
}

/* ---- learning ----------------------------------------------------------------------------------------------------- */

static vx_err remember(vx_store *store, int64_t speaker, const vx_fingerprint *print, int64_t when_ms, vx_errinfo *info)
{
    const size_t n = vx_fingerprint_size(print);
    uint8_t *bytes = malloc(n + 1);
    if (!bytes)
        return VX_ERR_NOMEM;
    vx_fingerprint_pack(print, bytes);
    const vx_err err = vx_store_remember(store, speaker, when_ms, bytes, n, info);
    vx_wipe(bytes, n);
    free(bytes);
    return err;
}

vx_err vx_lessons_take(vx_store *store, int64_t speaker, const vx_pava_report *report, int64_t when_ms, bool strong,
                       vx_errinfo *info)
{
    vx_pava_baseline baseline;
    vx_err err = VX_OK;
    if (report->has_fingerprint)
        err = remember(store, speaker, &report->fingerprint, when_ms, info);
    if (err != VX_OK || !strong)
        return err;
    err = vx_learned_baseline(store, speaker, &baseline, info);
    if (err != VX_OK)
        return err;
    vx_pava_baseline_learn(&baseline, report);
    return vx_learned_save_baseline(store, speaker, &baseline, info);
}

vx_err vx_lessons_enrol(vx_store *store, int64_t speaker, const float *samples, size_t n, int64_t when_ms,
                        vx_errinfo *info)
{
    static const vx_pava_known nothing;
    vx_pava_report report;
    vx_evidence evidence;
    vx_pava_judge(samples, n, &nothing, 0, &report, &evidence);
    const vx_err err = evidence.status == VX_EVIDENCE_UNAVAILABLE
                           ? VX_ERR_NOMEM
                           : vx_lessons_take(store, speaker, &report, when_ms, true, info);
    vx_pava_report_done(&report);
    return err;
}

static bool is_empty(const vx_lessons *lessons)
{
    const vx_pava_baseline *b = &lessons->baseline;
    return lessons->n_heard == 0 && b->n_tract == 0 && b->n_pitch == 0 && b->n_rooms == 0;
}

static vx_err learn_sample(vx_store *store, int64_t speaker, const vx_sample *sample, vx_errinfo *info)
{
    static const vx_pava_known nothing;
    float *pcm = NULL;
    size_t n = 0;
    vx_pava_report report;
    vx_evidence evidence;
    vx_err err = vx_store_sample_audio(store, sample->id, &pcm, &n, info);
    if (err != VX_OK)
        return err;
    vx_pava_judge(pcm, n, &nothing, 0, &report, &evidence);
    vx_wipe(pcm, n * sizeof *pcm);
    free(pcm);
    report.has_room = false;
    err = evidence.status == VX_EVIDENCE_UNAVAILABLE
              ? VX_ERR_NOMEM
              : vx_lessons_take(store, speaker, &report, sample->taken_ms, true, info);
    vx_pava_report_done(&report);
    return err;
}

vx_err vx_lessons_from_profile(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_lessons before;
    vx_sample *samples = NULL;
    size_t n = 0;
    vx_err err = vx_lessons_load(store, speaker, &before, info);
    if (err != VX_OK)
        return err;
    const bool known = !is_empty(&before);
    vx_lessons_done(&before);
    if (known)
        return VX_OK;
    err = vx_store_samples(store, speaker, NULL, &samples, &n, info);
    for (size_t i = 0; i < n && err == VX_OK; i++)
        if (samples[i].has_audio)
            err = learn_sample(store, speaker, &samples[i], info);
    free(samples);
    return err;
}

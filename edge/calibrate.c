/* calibrate.c - trials, fit and error rates. */
#include "edge/calibrate.h"

#include <math.h>
#include <stdlib.h>

#include "edge/likeness.h"
#include "edge/store/profiles.h"
#include "shared/base/bytes.h"

/* Recordings are dealt into so many parts; a part is judged by a fit to the others. */
enum { PARTS = 5 };

typedef struct {
    double features[VX_SCORE_FEATURES];
    bool same;
    int part; /* of the recording that was tried */
} trial;

typedef struct {
    trial *list; /* owned */
    size_t n, cap;
} trials;

/* One profile's voiceprints, and the recordings they come from. */
typedef struct {
    vx_voiceprints prints;
    vx_quality *measures; /* [prints.n], owned */
} profile;

vx_error_rate vx_error_rate_of(int errors, int trials_)
{
    vx_error_rate r = {.errors = errors, .trials = trials_};
    if (trials_ <= 0)
        return r;
    const double n = trials_, p = errors / n, z = 1.959964, z2 = z * z;
    const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
    const double half = z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    r.rate = p;
    r.low = errors == 0 ? 0 : fmax(0, middle - half);
    r.high = errors == trials_ ? 1 : fmin(1, middle + half);
    return r;
}

/* ---- trials --------------------------------------------------------------------------------------------------------- */

static vx_err try_one(const vx_runtime *runtime, const vx_voiceprints *voice, const vx_embedding *utterance,
                      const vx_quality *quality, bool same, int part, trials *t)
{
    vx_score score;
    const vx_template enrolled = {voice->embeddings, voice->speech_s, voice->n};
    const vx_score_conditions conditions = {quality->speech_s, quality->snr_db};
    if (t->n == t->cap) {
        const size_t cap = t->cap ? 2 * t->cap : 256;
        trial *list = realloc(t->list, cap * sizeof *list);
        if (!list)
            return VX_ERR_NOMEM;
        t->list = list;
        t->cap = cap;
    }
    /* Whether the model has a calibration does not matter here: features are what it would weigh. */
    vx_err err =
        vx_score_compare(&runtime->manifest, &runtime->cohort, NULL, &enrolled, utterance, &conditions, &score);
    if (err != VX_OK)
        return err;
    trial *added = &t->list[t->n++];
    vx_score_features(&score, voice->speech_s[score.best], &conditions, added->features);
    added->same = same;
    added->part = part;
    return VX_OK;
}

/* Each recording of a profile against its others. */
static vx_err try_same(const vx_runtime *runtime, const profile *p, trials *t)
{
    vx_voiceprints rest = {0};
    vx_err err = vx_voiceprints_reserve(p->prints.n, &rest);
    for (size_t i = 0; i < p->prints.n && p->prints.n > 1 && err == VX_OK; i++) {
        rest.n = 0;
        for (size_t k = 0; k < p->prints.n; k++)
            if (k != i)
                vx_voiceprints_add(&rest, &p->prints.embeddings[k], p->prints.speech_s[k]);
        err = try_one(runtime, &rest, &p->prints.embeddings[i], &p->measures[i], true, (int)(i % PARTS), t);
    }
    vx_voiceprints_done(&rest);
    return err;
}

static vx_err try_all(const vx_runtime *runtime, const profile *profiles, size_t n, const vx_embedding *strangers,
                      const vx_quality *measures, size_t n_strangers, trials *t)
{
    vx_err err = VX_OK;
    for (size_t a = 0; a < n && err == VX_OK; a++) {
        const vx_voiceprints *voice = &profiles[a].prints;
        if (voice->n == 0)
            continue;
        err = try_same(runtime, &profiles[a], t);
        for (size_t b = 0; b < n && err == VX_OK; b++)
            for (size_t i = 0; b != a && i < profiles[b].prints.n && err == VX_OK; i++)
                err = try_one(runtime, voice, &profiles[b].prints.embeddings[i], &profiles[b].measures[i], false,
                              (int)(i % PARTS), t);
        for (size_t i = 0; i < n_strangers && err == VX_OK; i++)
            err = try_one(runtime, voice, &strangers[i], &measures[i], false, (int)(i % PARTS), t);
    }
    return err;
}

/* ---- profiles ------------------------------------------------------------------------------------------------------- */

/* A profile of another model has none of this one: it stays empty. */
static vx_err load_profile(const vx_runtime *runtime, int64_t speaker, profile *ret, vx_errinfo *info)
{
    vx_exemplar *exemplars = NULL;
    vx_sample *samples = NULL;
    size_t n = 0, n_samples = 0;
    vx_err err = vx_store_exemplars(runtime->store, speaker, &runtime->manifest.digest, &exemplars, &n, NULL);
    if (err == VX_ERR_NOT_FOUND)
        return VX_OK;
    if (err == VX_OK)
        err = vx_store_samples(runtime->store, speaker, NULL, &samples, &n_samples, info);
    if (err == VX_OK)
        err = vx_voiceprints_reserve(n, &ret->prints);
    if (err == VX_OK && !(ret->measures = calloc(n + 1, sizeof *ret->measures)))
        err = VX_ERR_NOMEM;
    for (size_t i = 0; i < n && err == VX_OK; i++) {
        vx_voiceprints_add(&ret->prints, &exemplars[i].embedding, exemplars[i].speech_s);
        for (size_t k = 0; k < n_samples; k++)
            if (samples[k].id == exemplars[i].sample)
                ret->measures[i] = samples[k].quality;
    }
    if (exemplars)
        vx_wipe(exemplars, n * sizeof *exemplars);
    free(exemplars);
    free(samples);
    return err;
}

static vx_err load_profiles(const vx_runtime *runtime, profile **ret, size_t *ret_n, vx_errinfo *info)
{
    vx_speaker *speakers = NULL;
    size_t n = 0;
    vx_err err = vx_store_speakers(runtime->store, &speakers, &n, info);
    profile *list = err == VX_OK ? calloc(n + 1, sizeof *list) : NULL;
    if (err == VX_OK && !list)
        err = VX_ERR_NOMEM;
    *ret = list;
    *ret_n = list ? n : 0;
    for (size_t i = 0; i < n && err == VX_OK; i++)
        err = load_profile(runtime, speakers[i].id, &list[i], info);
    free(speakers);
    return err;
}

static void free_profiles(profile *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vx_voiceprints_done(&list[i].prints);
        free(list[i].measures);
    }
    free(list);
}

/* ---- the fit -------------------------------------------------------------------------------------------------------- */

/* Fits to all trials but those of one part (PARTS: to all). */
static vx_err fit(const trials *t, int but, const vx_calibration *start, vx_calibration *ret, vx_errinfo *info)
{
    size_t n = 0;
    double(*features)[VX_SCORE_FEATURES] = calloc(t->n, sizeof *features);
    bool *same = calloc(t->n, sizeof *same);
    for (size_t i = 0; i < t->n && features && same; i++) {
        if (t->list[i].part == but)
            continue;
        for (int f = 0; f < VX_SCORE_FEATURES; f++)
            features[n][f] = t->list[i].features[f];
        same[n++] = t->list[i].same;
    }
    vx_err err = features && same ? vx_calibration_fit(*features, same, n, start, ret, info) : VX_ERR_NOMEM;
    free(features);
    free(same);
    return err;
}

/* Mean cost in bits of the likelihood ratios, both kinds of trial weighing the same (Bruemmer and du Preez, 2006). */
typedef struct {
    double same, other;
} cost;

static void add_cost(cost *c, double llr, bool same)
{
    const double x = same ? -llr : llr;
    const double bits = (x > 30 ? x : log1p(exp(x))) / log(2);
    *(same ? &c->same : &c->other) += bits;
}

static void judge(const trials *t, const vx_calibration *by, int part, int errors[2], cost *c)
{
    for (size_t i = 0; i < t->n; i++) {
        if (part != PARTS && t->list[i].part != part)
            continue;
        const double llr = vx_calibration_llr(by, t->list[i].features);
        const bool accepted = vx_calibration_probability(llr) >= by->threshold;
        errors[t->list[i].same] += accepted != t->list[i].same;
        add_cost(c, llr, t->list[i].same);
    }
}

/* Rates and cost by fits that have not seen what they judge. */
static vx_err cross_validate(const trials *t, const vx_calibration *start, int errors[2], cost *c, vx_errinfo *info)
{
    vx_err err = VX_OK;
    for (int part = 0; part < PARTS && err == VX_OK; part++) {
        vx_calibration by = *start;
        err = fit(t, part, start, &by, info);
        /* The rest may lack one kind of trial when there are few: then the part is judged by what was in force. */
        if (err == VX_ERR_ARG)
            err = VX_OK;
        if (err == VX_OK)
            judge(t, &by, part, errors, c);
    }
    return err;
}

static vx_err conclude(const trials *t, const vx_calibration *start, vx_calibrated *ret, vx_errinfo *info)
{
    int errors[2] = {0}, before_errors[2] = {0};
    cost before = {0}, after = {0};
    vx_err err = VX_OK;
    for (size_t i = 0; i < t->n; i++)
        *(t->list[i].same ? &ret->n_same : &ret->n_other) += 1;
    ret->fitted = ret->n_same > 0 && ret->n_other > 0;
    ret->calibration = *start;
    judge(t, start, PARTS, before_errors, &before);
    if (ret->fitted) {
        err = fit(t, PARTS, start, &ret->calibration, info);
        if (err == VX_OK)
            err = cross_validate(t, start, errors, &after, info);
    }
    const int *counted = ret->fitted ? errors : before_errors;
    ret->false_rejects = vx_error_rate_of(counted[true], ret->n_same);
    ret->false_accepts = vx_error_rate_of(counted[false], ret->n_other);
    ret->cllr_before = ret->fitted ? 0.5 * (before.same / ret->n_same + before.other / ret->n_other) : NAN;
    ret->cllr_after = ret->fitted ? 0.5 * (after.same / ret->n_same + after.other / ret->n_other) : NAN;
    return err;
}

vx_err vx_calibrate(const vx_runtime *runtime, const vx_embedding *strangers, const vx_quality *measures, size_t n,
                    vx_calibrated *ret, vx_errinfo *info)
{
    profile *profiles = NULL;
    size_t n_profiles = 0;
    trials t = {0};
    vx_calibrated made = {0};
    vx_calibration none = {.threshold = 0.5};
    vx_err err = vx_runtime_has_model(runtime, info);
    if (err == VX_OK)
        err = load_profiles(runtime, &profiles, &n_profiles, info);
    if (err == VX_OK)
        err = try_all(runtime, profiles, n_profiles, strangers, measures, n, &t);
    if (err == VX_OK)
        err = conclude(&t, runtime->manifest.score_calibrated ? &runtime->manifest.score_calibration : &none, &made,
                       info);
    if (err == VX_OK && made.n_same == 0)
        err = vx_errinfo_set(info, VX_ERR_NOT_ENROLLED,
                             "no profile has two recordings of the model in use: voxlock enroll NAME, or voxlock "
                             "migrate");
    free_profiles(profiles, n_profiles);
    free(t.list);
    if (err == VX_OK)
        *ret = made;
    return err;
}

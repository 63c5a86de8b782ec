/* attempt.c - from a recording to a recorded verdict. vx_attempt_run, at the end, reads top to bottom as the path.
 *
 * The four sources run at once on the runtime's pool, each with its own time. One that is late is unavailable and goes on
 * by itself: what it works on (`gathering`) is counted, and wiped by whoever leaves last. What it finds then is lost; the
 * fingerprint is not, for the attempt takes it itself where no report has it in time (lessons.h).
 */
#include "edge/attempt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "edge/capture/quality.h"
#include "edge/decide/backoff.h"
#include "edge/decide/prior.h"
#include "edge/learned.h"
#include "edge/lessons.h"
#include "edge/likeness.h"
#include "edge/store/attempts.h"
#include "edge/store/profiles.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/cond.h"
#include "shared/base/json.h"

enum { MAX_REJECTIONS = 512 /* the row is counted from its beginning */, HOUR_MS = 3600 * 1000 };

typedef struct {
    pthread_mutex_t lock; /* guards users, evidence, done */
    pthread_cond_t changed;
    int users; /* the attempt, and every source under way */
    bool done[VX_N_SOURCES];
    vx_evidence evidence[VX_N_SOURCES];

    /* Written by the source of the voice before it is done, read by the attempt after. */
    bool compared;
    vx_score score;
    vx_route_report route;
    /* The same of the source of physics. */
    bool examined;
    vx_pava_report pava; /* owned */

    /* Set before the sources start, and constant from then on. */
    vx_runtime *runtime;
    float *samples; /* [n], owned */
    size_t n;
    vx_span utterance;
    vx_quality quality;
    int64_t speaker;
    vx_voiceprints voiceprints; /* owned */
    char microphone[VX_MICROPHONE_CAP];
    bool own_speaker;
    double pressure; /* of memory; negative when unknown */
    vx_moment moment;
    uint64_t deadline_ns[VX_N_SOURCES];
} gathering;

/* One source of a gathering, as the pool is given it. */
typedef struct {
    gathering *g;
    vx_source source;
} errand;

/* ---- what a gathering owns ------------------------------------------------------------------------------------------ */

static gathering *gathering_create(void)
{
    gathering *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    if (pthread_mutex_init(&g->lock, NULL) != 0) {
        free(g);
        return NULL;
    }
    if (!vx_cond_init(&g->changed)) {
        (void)pthread_mutex_destroy(&g->lock);
        free(g);
        return NULL;
    }
    g->users = 1;
    return g;
}

static void gathering_leave(gathering *g)
{
    (void)pthread_mutex_lock(&g->lock);
    const bool last = --g->users == 0;
    (void)pthread_mutex_unlock(&g->lock);
    if (!last)
        return;
    if (g->samples)
        vx_wipe(g->samples, g->n * sizeof *g->samples);
    free(g->samples);
    vx_voiceprints_done(&g->voiceprints);
    vx_pava_report_done(&g->pava);
    (void)pthread_cond_destroy(&g->changed);
    (void)pthread_mutex_destroy(&g->lock);
    vx_wipe(g, sizeof *g);
    free(g);
}

/* ---- the sources ---------------------------------------------------------------------------------------------------- */

static void unavailable(vx_evidence *evidence, vx_err err, const vx_errinfo *info)
{
    evidence->status = VX_EVIDENCE_UNAVAILABLE;
    (void)snprintf(evidence->reason, sizeof evidence->reason, "%.*s", (int)sizeof evidence->reason - 1,
                   vx_errinfo_text(info, err));
}

/* Whose voice is it? */
static void voice(gathering *g, vx_evidence *evidence)
{
    vx_errinfo info = {0};
    vx_embedding utterance = {0};
    vx_score score = {0};
    vx_err err = vx_runtime_embed(g->runtime, g->pressure, g->samples + g->utterance.begin,
                                  g->utterance.end - g->utterance.begin, g->deadline_ns[VX_SOURCE_ML], &utterance,
                                  &g->route, &info);
    if (err == VX_OK)
        err = vx_voiceprints_compare(g->runtime, &g->voiceprints, &utterance, &g->quality, &score, &info);
    vx_embedding_wipe(&utterance);
    if (err != VX_OK) {
        unavailable(evidence, err, &info);
        return;
    }
    g->score = score;
    g->compared = true;
    evidence->status = VX_EVIDENCE_VALID;
    evidence->confidence = score.probability;
    (void)snprintf(evidence->reason, sizeof evidence->reason, "similarity %.3f to recording %zu of %zu, on the %s",
                   score.cosine, score.best + 1, g->voiceprints.n, vx_route_name(g->route.by));
}

/* Is it a living voice in this room? The whole recording, whose silence tells of the room. */
static void physics(gathering *g, vx_evidence *evidence)
{
    vx_lessons lessons;
    vx_errinfo info = {0};
    vx_runtime *r = g->runtime;
    vx_runtime_take_lessons(r, &lessons);
    vx_err err = vx_lessons_load(r->store, g->speaker, &lessons, &info);
    if (err != VX_OK) {
        unavailable(evidence, err, &info);
        return;
    }
    vx_pava_known known = vx_lessons_known(&lessons);
    known.tract_threshold_cm = r->tract_threshold_cm;
    known.double_reverb_threshold = r->double_reverb_threshold;
    known.own_speaker = g->own_speaker;
    r->physics(r->physics_arg, g->samples, g->n, &known, g->deadline_ns[VX_SOURCE_PHYSICS], &g->pava, evidence);
    g->examined = g->pava.analysed;
    vx_runtime_keep_lessons(r, &lessons);
}

static void behaviour(gathering *g, vx_evidence *evidence)
{
    vx_habits habits;
    vx_errinfo info = {0};
    vx_err err = vx_learned_habits(g->runtime->store, g->speaker, &habits, &info);
    if (err == VX_OK)
        vx_behaviour_judge(&habits, &g->moment, evidence);
    else
        unavailable(evidence, err, &info);
}

static void context(gathering *g, vx_evidence *evidence)
{
    vx_places places;
    vx_surroundings now;
    vx_errinfo info = {0};
    vx_err err = vx_learned_places(g->runtime->store, g->speaker, &places, &info);
    if (err != VX_OK) {
        unavailable(evidence, err, &info);
        return;
    }
    vx_surroundings_read(&places, g->microphone, &now);
    vx_context_judge(&places, &now, evidence);
}

static void run_source(void *arg, int worker)
{
    static void (*const sources[VX_N_SOURCES])(gathering * g, vx_evidence * evidence) = {voice, physics, behaviour,
                                                                                         context};
    (void)worker;
    errand *e = arg;
    gathering *g = e->g;
    vx_evidence evidence = {0};
    const uint64_t start_ns = vx_now_ns();
    sources[e->source](g, &evidence);
    evidence.elapsed_ms = vx_ms_since(start_ns);

    (void)pthread_mutex_lock(&g->runtime->lock);
    vx_timeout_learn(&g->runtime->timeouts[e->source], evidence.status != VX_EVIDENCE_UNAVAILABLE, evidence.elapsed_ms);
    (void)pthread_mutex_unlock(&g->runtime->lock);
    (void)pthread_mutex_lock(&g->lock);
    g->evidence[e->source] = evidence;
    g->done[e->source] = true;
    (void)pthread_cond_broadcast(&g->changed);
    (void)pthread_mutex_unlock(&g->lock);
    gathering_leave(g);
    free(e);
}

/* ---- gathering ------------------------------------------------------------------------------------------------------ */

/* A source that cannot be started is done at once, and unavailable. */
static void start_source(gathering *g, vx_source source)
{
    vx_runtime *r = g->runtime;
    (void)pthread_mutex_lock(&r->lock);
    const double timeout_ms = vx_timeout_ms(&r->timeouts[source], fmax(g->pressure, 0), false);
    (void)pthread_mutex_unlock(&r->lock);
    g->deadline_ns[source] = vx_now_ns() + (uint64_t)(timeout_ms * 1e6);

    vx_err err = VX_ERR_NOMEM;
    errand *e = malloc(sizeof *e);
    (void)pthread_mutex_lock(&g->lock);
    g->users++;
    (void)pthread_mutex_unlock(&g->lock);
    if (e) {
        *e = (errand){g, source};
        err = vx_pool_submit(r->pool, run_source, e);
    }
    if (err == VX_OK)
        return;
    free(e);
    (void)pthread_mutex_lock(&g->lock);
    g->users--;
    unavailable(&g->evidence[source], err, NULL);
    g->done[source] = true;
    (void)pthread_mutex_unlock(&g->lock);
}

/* Voice and physics so sure that habits and places, which only enter with small weights, need not be waited for; not
 * after a rejection, when an odd hour may be what gives an attack away.
 * taken [in] what came of those two in their time */
static bool sure_already(const gathering *g, const vx_evidence taken[VX_N_SOURCES])
{
    if (g->moment.failures > 0)
        return false;
    for (int s = VX_SOURCE_ML; s <= VX_SOURCE_PHYSICS; s++)
        if (taken[s].status != VX_EVIDENCE_VALID || !(taken[s].confidence >= g->runtime->early_exit))
            return false;
    return true;
}

/* Waits for each source until it is done or its time is over. What is late stays UNAVAILABLE. */
static void await_sources(gathering *g, vx_evidence ret_evidence[VX_N_SOURCES])
{
    (void)pthread_mutex_lock(&g->lock);
    for (int s = 0; s < VX_N_SOURCES; s++) {
        while (!g->done[s] && !(s > VX_SOURCE_PHYSICS && sure_already(g, ret_evidence)))
            if (!vx_cond_wait_until(&g->changed, &g->lock, g->deadline_ns[s]))
                break;
        if (g->done[s]) {
            ret_evidence[s] = g->evidence[s];
            continue;
        }
        ret_evidence[s] = (vx_evidence){.status = VX_EVIDENCE_UNAVAILABLE};
        (void)snprintf(ret_evidence[s].reason, sizeof ret_evidence[s].reason, "%s",
                       s > VX_SOURCE_PHYSICS && sure_already(g, ret_evidence)
                           ? "not waited for: voice and physics are sure"
                           : "it took too long");
    }
    (void)pthread_mutex_unlock(&g->lock);
}

/* All sources at once; ret_evidence is what came back in time. */
static void gather(gathering *g, vx_evidence ret_evidence[VX_N_SOURCES])
{
    for (int s = 0; s < VX_N_SOURCES; s++) {
        if (s != VX_SOURCE_PHYSICS || g->runtime->physics_on) {
            start_source(g, (vx_source)s);
            continue;
        }
        g->evidence[s] = (vx_evidence){.status = VX_EVIDENCE_INCONCLUSIVE, .reason = "switched off by the settings"};
        g->done[s] = true;
    }
    await_sources(g, ret_evidence);
}

/* ---- before and after ----------------------------------------------------------------------------------------------- */

/* A state in which nothing was decided, and why. Returns VX_ERR_CLOSED: the attempt is over, and not failed. */
static vx_err stop(vx_attempt_outcome *out, vx_verdict verdict, const char *sentence)
{
    out->verdict = verdict;
    (void)snprintf(out->sentence, sizeof out->sentence, "%s", sentence);
    return VX_ERR_CLOSED;
}

/* Failures that are the store's end the attempt as errors; others as a state. */
static bool is_of_store(vx_err err)
{
    switch (err) {
    case VX_ERR_STORE_CORRUPT:
    case VX_ERR_STORE_KEY:
    case VX_ERR_STORE_VERSION:
    case VX_ERR_STORE_LOCKED:
    case VX_ERR_AUDIT_BROKEN:
    case VX_ERR_IO:
    case VX_ERR_PERMISSION:
    case VX_ERR_NOMEM:
    case VX_ERR_INTERNAL: return true;
    default: return false;
    }
}

static vx_err check_backoff(vx_runtime *r, vx_attempt_outcome *out, int64_t now_ms, int *ret_failures, vx_errinfo *info)
{
    int64_t rejected_ms[MAX_REJECTIONS];
    size_t n = 0;
    vx_err err = vx_attempt_rejections(r->store, out->speaker, out->id, rejected_ms, MAX_REJECTIONS, &n, info);
    if (err != VX_OK)
        return err;
    *ret_failures = 0;
    for (size_t i = 0; i < n; i++)
        *ret_failures += rejected_ms[i] > now_ms - HOUR_MS;
    out->wait_ms = vx_backoff_wait_ms(rejected_ms, n, now_ms);
    if (out->wait_ms == 0)
        return VX_OK;
    char sentence[VX_SENTENCE_CAP];
    (void)snprintf(sentence, sizeof sentence,
                   "too many attempts were rejected: wait %lld seconds, or type your password",
                   (long long)((out->wait_ms + 999) / 1000));
    return stop(out, VX_WAIT, sentence);
}

/* The profile, and its voiceprints of the model that runs here. */
static vx_err find_profile(vx_runtime *r, const char *name, gathering *g, vx_speaker *ret_speaker,
                           vx_attempt_outcome *out, vx_errinfo *info)
{
    vx_errinfo said = {0};
    vx_err err = vx_store_speaker(r->store, name, ret_speaker, &said);
    if (err != VX_OK && !is_of_store(err))
        return stop(out, VX_NOT_ENROLLED, vx_errinfo_text(&said, err));
    if (err == VX_OK && r->model_err != VX_OK)
        return stop(out, VX_NOT_READY, vx_errinfo_text(&r->model_info, r->model_err));
    if (err == VX_OK) {
        g->speaker = ret_speaker->id;
        err = vx_voiceprints_load(r, g->speaker, &g->voiceprints, &said);
        if (err != VX_OK && !is_of_store(err))
            return stop(out, VX_NOT_READY, vx_errinfo_text(&said, err));
    }
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "%s", vx_errinfo_text(&said, err));
}

/* Where the voice is, and whether it can be used. */
static vx_err find_voice(const vx_attempt_request *request, gathering *g, vx_attempt_outcome *out)
{
    vx_errinfo said = {0};
    if (!request->samples)
        return stop(out, VX_NO_AUDIO, request->unheard);
    vx_err err = vx_quality_measure(request->samples, request->n, &g->utterance, &g->quality);
    if (err == VX_OK) {
        if (request->clipped_share >= 0)
            g->quality.clipped_share = request->clipped_share;
        out->quality = g->quality;
        err = vx_quality_judge(&g->quality, VX_FOR_COMPARISON, &said);
    }
    return err == VX_OK || err == VX_ERR_NOMEM ? err : stop(out, VX_NO_AUDIO, vx_errinfo_text(&said, err));
}

static vx_err keep_recording(const vx_attempt_request *request, gathering *g)
{
    g->samples = malloc(request->n * sizeof *g->samples);
    if (!g->samples)
        return VX_ERR_NOMEM;
    memcpy(g->samples, request->samples, request->n * sizeof *g->samples);
    g->n = request->n;
    g->own_speaker = request->own_speaker;
    (void)snprintf(g->microphone, sizeof g->microphone, "%s", request->microphone ? request->microphone : "");
    return VX_OK;
}

static void set_moment(vx_moment *moment, int64_t now_ms, int failures)
{
    const time_t seconds = (time_t)(now_ms / 1000);
    struct tm local = {0};
    (void)localtime_r(&seconds, &local);
    moment->when_ms = now_ms;
    moment->failures = failures;
    (void)vx_wall_time_of(&local, &moment->local);
}

/* Sure on all that was measured, or proved by digits that no recording could know. */
static bool is_strong(const vx_runtime *r, const vx_attempt_outcome *out)
{
    const vx_evidence *e = out->evidence;
    const bool measured = !out->decision.degraded && e[VX_SOURCE_ML].status == VX_EVIDENCE_VALID &&
                          e[VX_SOURCE_PHYSICS].status == VX_EVIDENCE_VALID;
    return out->verdict == VX_AUTHENTICATE && (out->challenge_passed || (measured && out->decision.p >= r->strong));
}

bool vx_attempt_is_alive(const vx_attempt_outcome *out)
{
    const vx_evidence *physics = &out->evidence[VX_SOURCE_PHYSICS];
    return physics->status == VX_EVIDENCE_VALID && physics->confidence >= 0.5;
}

bool vx_attempt_is_proved(const vx_runtime *runtime, const vx_attempt_outcome *out)
{
    return !runtime->physics_on || vx_attempt_is_alive(out);
}

/* Whose utterance it was, also of an attempt that ended before that was looked up. */
static vx_err find_claimed(vx_runtime *r, const gathering *g, const vx_attempt_outcome *out, int64_t *ret_speaker)
{
    vx_speaker speaker = {.id = g->speaker};
    const vx_err err = speaker.id == 0 ? vx_store_speaker(r->store, out->speaker, &speaker, NULL) : VX_OK;
    if (err == VX_OK)
        *ret_speaker = speaker.id;
    return err;
}

/* Whatever came of the attempt: a recording that could not be judged today may be replayed tomorrow. */
static vx_err remember(vx_runtime *r, const vx_attempt_request *request, const gathering *g,
                       const vx_attempt_outcome *out, int64_t now_ms)
{
    const vx_lesson lesson = {.samples = request->samples,
                              .n = request->samples ? request->n : 0,
                              .report = out->examined ? &g->pava : NULL,
                              .when_ms = now_ms,
                              .accepted = out->verdict == VX_AUTHENTICATE,
                              .strong = is_strong(r, out) && vx_attempt_is_alive(out)};
    int64_t speaker = 0;
    vx_err err = find_claimed(r, g, out, &speaker);
    if (err == VX_ERR_NOT_ENROLLED)
        return VX_OK;
    return err == VX_OK ? vx_lessons_take(r->store, speaker, &lesson, NULL) : err;
}

/* What a strong acceptance teaches of its owner; in a transaction, or an attempt that overlaps would be forgotten. */
static vx_err learn_ways(const gathering *g, const vx_attempt_outcome *out)
{
    vx_habits habits;
    vx_places places;
    vx_surroundings now;
    double prior = 0;
    vx_store *store = g->runtime->store;
    vx_err err = vx_learned_habits(store, g->speaker, &habits, NULL);
    if (err == VX_OK) {
        vx_habits_learn(&habits, &g->moment);
        err = vx_learned_save_habits(store, g->speaker, &habits, NULL);
    }
    if (err == VX_OK)
        err = vx_learned_places(store, g->speaker, &places, NULL);
    if (err == VX_OK) {
        vx_surroundings_read(&places, g->microphone, &now);
        vx_places_learn(&places, &now);
        err = vx_learned_save_places(store, g->speaker, &places, NULL);
    }
    /* Digits that PAVA was not sure of let in, and prove no owner. */
    if (err != VX_OK || !out->challenge_passed || !vx_attempt_is_proved(g->runtime, out))
        return err;
    err = vx_learned_prior(store, g->speaker, g->runtime->decide.prior, &prior, NULL);
    return err == VX_OK ? vx_learned_save_prior(store, g->speaker, vx_prior_after(prior, true), NULL) : err;
}

/* The utterance is remembered. Habits and places are learned from a strong acceptance alone: nobody may teach the lock his
 * own hours. The prior moves only by what was proved otherwise: its own verdicts would feed it. */
static vx_err learn(vx_runtime *r, const vx_attempt_request *request, const gathering *g, const vx_attempt_outcome *out,
                    int64_t now_ms)
{
    vx_err err = remember(r, request, g, out, now_ms);
    if (err != VX_OK || !is_strong(r, out))
        return err;
    err = vx_store_begin(r->store, NULL);
    return err == VX_OK ? vx_store_end(r->store, learn_ways(g, out), NULL) : err;
}

/* What the voice alone says, beside the verdict: to the owner "it is you" and "it may unlock" are two things. A voice that
 * came too late is no voice: it entered no verdict, so it must not answer a challenge either. */
static void note_voice(gathering *g, vx_attempt_outcome *out)
{
    if (out->evidence[VX_SOURCE_ML].status != VX_EVIDENCE_VALID)
        return;
    (void)pthread_mutex_lock(&g->lock);
    out->voice_compared = g->compared;
    out->score = g->score;
    out->route = g->route;
    (void)pthread_mutex_unlock(&g->lock);
    out->voice_accepted = out->voice_compared && out->score.probability >= vx_voiceprints_threshold(g->runtime);
}

/* What PAVA found, if it came in time; one that is late may still be writing. The fingerprint stays where it is. */
static void note_physics(gathering *g, vx_attempt_outcome *out)
{
    (void)pthread_mutex_lock(&g->lock);
    out->examined = out->evidence[VX_SOURCE_PHYSICS].status != VX_EVIDENCE_UNAVAILABLE && g->examined;
    if (out->examined) {
        out->pava = g->pava;
        out->pava.has_fingerprint = false;
        out->pava.fingerprint = (vx_fingerprint){0};
    }
    (void)pthread_mutex_unlock(&g->lock);
}

/* Of the layers that have a say all were there in time, and one at least has judged: not that of replays, which has a word on
 * any sound that is new. */
static bool has_judged(const vx_pava_report *pava)
{
    bool judged = false;
    for (int i = 0; i < VX_N_LAYERS; i++) {
        if (!vx_pava_layer_has_say((vx_pava_layer)i))
            continue;
        if (pava->layers[i].status == VX_EVIDENCE_UNAVAILABLE)
            return false;
        judged = judged || (i != VX_LAYER_REPLAY && pava->layers[i].status == VX_EVIDENCE_VALID);
    }
    return judged;
}

/* Digits prove that it is no recording. A machine that speaks on demand can say them as well: where physics speaks against
 * a living voice so clearly that no verdict would open by itself (decide.c), they prove nothing. Nor where physics is
 * inconclusive, unless it did measure, and what it measured is no likelier a machine's: else a machine would get by digits
 * what it loses by its sound, if it kept that from being judged by being too loud, too short or too long. */
static bool is_cleared(const vx_runtime *r, const vx_attempt_outcome *out)
{
    static const double LEAST = 0.35, EVEN = 0.5;
    const vx_evidence *physics = &out->evidence[VX_SOURCE_PHYSICS];
    if (!r->physics_on)
        return true; /* the owner wants it so, and was told what that costs (docs/security.md) */
    if (physics->status == VX_EVIDENCE_VALID)
        return physics->confidence >= LEAST;
    return out->examined && out->pava.analysed && has_judged(&out->pava) && out->pava.measured <= EVEN;
}

/* Opens what is lacking nothing but proof that somebody speaks here and now. */
static void take_answer(const vx_runtime *r, vx_attempt_outcome *out)
{
    const vx_evidence *physics = &out->evidence[VX_SOURCE_PHYSICS];
    if (out->verdict != VX_CHALLENGE || !out->voice_accepted)
        return;
    out->challenge_passed = is_cleared(r, out);
    if (out->challenge_passed) {
        out->verdict = VX_AUTHENTICATE;
        (void)snprintf(out->sentence, sizeof out->sentence, "It is your voice, and it said the digits.");
    } else if (physics->status == VX_EVIDENCE_VALID) {
        (void)snprintf(out->sentence, sizeof out->sentence,
                       "The digits were right, but they do not sound spoken here and now: type your password.");
    } else {
        (void)snprintf(
            out->sentence, sizeof out->sentence,
            "The digits were right, but nothing shows that they were spoken here and now (%.120s): try again, "
            "or type your password.",
            physics->reason);
    }
}

/* Everything between the two records. VX_OK: decided; VX_ERR_CLOSED: `out` is a state of its own. */
static vx_err judge(vx_runtime *r, const vx_attempt_request *request, gathering *g, int64_t now_ms,
                    vx_attempt_outcome *out, vx_errinfo *info)
{
    vx_speaker speaker = {0};
    int failures = 0;
    g->runtime = r;
    vx_err err = check_backoff(r, out, now_ms, &failures, info);
    if (err == VX_OK)
        err = find_profile(r, request->speaker, g, &speaker, out, info);
    if (err == VX_OK)
        err = find_voice(request, g, out);
    if (err == VX_OK)
        err = keep_recording(request, g);
    vx_decide_options decide = r->decide;
    if (err == VX_OK)
        err = vx_learned_prior(r->store, speaker.id, decide.prior, &decide.prior, info);
    if (err != VX_OK)
        return err;

    set_moment(&g->moment, now_ms, failures);
    g->pressure = vx_runtime_pressure();
    gather(g, out->evidence);
    note_voice(g, out);
    note_physics(g, out);
    vx_decide(out->evidence, &decide, &out->decision);
    out->verdict = out->decision.verdict;
    (void)snprintf(out->sentence, sizeof out->sentence, "%s", out->decision.sentence);
    if (request->answered)
        take_answer(r, out);
    out->starter = r->manifest.starter;
    out->may_unlock = out->verdict == VX_AUTHENTICATE && speaker.armed && (!out->starter || speaker.starter_accepted);
    return VX_OK;
}

static vx_err record(vx_runtime *r, const vx_attempt_outcome *out, vx_errinfo *info)
{
    vx_buf text = {0};
    json_t *root = vx_attempt_json(out);
    vx_attempt_record ended = {.ended_ms = vx_wall_ms(), .verdict = out->verdict};
    vx_err err = root ? vx_json_write(root, &text) : VX_ERR_NOMEM;
    if (err == VX_OK && text.len >= sizeof ended.detail)
        err = VX_ERR_INTERNAL;
    if (err == VX_OK) {
        memcpy(ended.detail, text.data, text.len);
        (void)snprintf(ended.speaker, sizeof ended.speaker, "%s", out->speaker);
        ended.has_probability = vx_verdict_is_decision(out->verdict);
        ended.probability = ended.has_probability ? out->decision.p : 0;
        err = vx_attempt_end(r->store, out->id, &ended, info);
    }
    json_decref(root);
    vx_buf_done(&text);
    return err;
}

vx_err vx_attempt_run(vx_runtime *runtime, const vx_attempt_request *request, vx_attempt_outcome *ret_outcome,
                      vx_errinfo *info)
{
    const uint64_t start_ns = vx_now_ns();
    const int64_t now_ms = vx_wall_ms();
    vx_attempt_outcome out = {.verdict = VX_NO_EVIDENCE};
    gathering *g = gathering_create();
    if (!g)
        return VX_ERR_NOMEM;
    /* What is no name is not written down as one. */
    if (vx_speaker_check_name(request->speaker, NULL) == VX_OK)
        (void)snprintf(out.speaker, sizeof out.speaker, "%s", request->speaker);
    vx_err err = vx_attempt_begin(runtime->store, request->command, out.speaker, now_ms, &out.id, info);
    if (err == VX_OK)
        err = judge(runtime, request, g, now_ms, &out, info);
    if (err == VX_OK || err == VX_ERR_CLOSED) {
        out.elapsed_ms = vx_ms_since(start_ns);
        err = record(runtime, &out, info);
    }
    /* Only what is on record teaches; a lesson that cannot be written is said, and changes no verdict. */
    if (err == VX_OK && request->live)
        out.learn_err = learn(runtime, request, g, &out, now_ms);
    gathering_leave(g);
    if (err == VX_OK)
        *ret_outcome = out;
    return err;
}

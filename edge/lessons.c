/* lessons.c - fingerprints and baselines between PAVA and the store. */
#include "edge/lessons.h"

#include <stdlib.h>
#include <string.h>

#include "edge/learned.h"
#include "edge/store/profiles.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

/* Which utterance of the speaker's. */
typedef struct {
    vx_utterance_kind kind;
    int64_t n;
} place;

/* ---- what is known ------------------------------------------------------------------------------------------------ */

static size_t count_heard(const vx_lessons *lessons)
{
    return lessons->heard.len / sizeof(vx_fingerprint);
}

/* As bytes: what a vx_buf holds is aligned, its type does not say so. */
static vx_fingerprint *heard_of(const vx_lessons *lessons)
{
    return (void *)lessons->heard.data;
}

static vx_err add_heard(vx_lessons *lessons, const place *at, vx_fingerprint *taken)
{
    vx_err err = vx_buf_reserve(&lessons->heard_at, sizeof *at);
    if (err == VX_OK)
        err = vx_buf_append(&lessons->heard, taken, sizeof *taken);
    if (err == VX_OK)
        err = vx_buf_append(&lessons->heard_at, at, sizeof *at);
    return err;
}

/* One of another version is counted, and no reason to know nothing. */
static vx_err collect(void *arg, const vx_utterance *u)
{
    vx_lessons *lessons = arg;
    const place at = {u->kind, u->n};
    vx_fingerprint print;
    vx_err err = vx_fingerprint_unpack(u->bytes, u->len, &print);
    if (err == VX_ERR_STORE_VERSION)
        return vx_buf_append(&lessons->unread_at, &at, sizeof at);
    if (err != VX_OK)
        return err;
    err = add_heard(lessons, &at, &print);
    if (err != VX_OK)
        vx_fingerprint_done(&print);
    return err;
}

static bool is_kept(const vx_heard_mark *mark, const place *at)
{
    return at->n >= mark->ends[at->kind].first;
}

/* Those that the store has dropped since. */
static void drop_old(vx_lessons *lessons)
{
    vx_fingerprint *heard = heard_of(lessons);
    place *at = (void *)lessons->heard_at.data, *unread = (void *)lessons->unread_at.data;
    const size_t n = count_heard(lessons), n_unread = lessons->unread_at.len / sizeof *unread;
    size_t kept = 0, kept_unread = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_kept(&lessons->mark, &at[i])) {
            vx_fingerprint_done(&heard[i]);
            continue;
        }
        heard[kept] = heard[i];
        at[kept++] = at[i];
    }
    for (size_t i = 0; i < n_unread; i++)
        if (is_kept(&lessons->mark, &unread[i]))
            unread[kept_unread++] = unread[i];
    lessons->heard.len = kept * sizeof *heard;
    lessons->heard_at.len = kept * sizeof *at;
    lessons->unread_at.len = kept_unread * sizeof *unread;
}

static vx_err read_rest(vx_store *store, int64_t speaker, vx_lessons *lessons, vx_errinfo *info)
{
    vx_err err = vx_learned_baseline(store, speaker, &lessons->baseline, info);
    if (err == VX_OK)
        err = vx_store_utterances_since(store, speaker, &lessons->mark, collect, lessons, info);
    if (err != VX_OK) {
        vx_lessons_done(lessons);
        return err;
    }
    lessons->speaker = speaker;
    drop_old(lessons);
    return VX_OK;
}

vx_err vx_lessons_load(vx_store *store, int64_t speaker, vx_lessons *lessons, vx_errinfo *info)
{
    vx_errinfo cause = {0};
    vx_err err = VX_ERR_STORE_CORRUPT;
    if (lessons->speaker == speaker)
        err = read_rest(store, speaker, lessons, &cause);
    if (err != VX_ERR_STORE_CORRUPT)
        return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "%s", vx_errinfo_text(&cause, err));
    vx_lessons_done(lessons);
    return read_rest(store, speaker, lessons, info);
}

void vx_lessons_done(vx_lessons *lessons)
{
    for (size_t i = 0; i < count_heard(lessons); i++)
        vx_fingerprint_done(&heard_of(lessons)[i]);
    vx_buf_done(&lessons->heard);
    vx_buf_done(&lessons->heard_at);
    vx_buf_done(&lessons->unread_at);
    vx_wipe(lessons, sizeof *lessons);
}

vx_pava_known vx_lessons_known(const vx_lessons *lessons)
{
    const place *at = (const void *)lessons->heard_at.data;
    vx_pava_known known = {.baseline = lessons->baseline, .heard = heard_of(lessons), .n_heard = count_heard(lessons)};
    for (size_t i = 0; i < known.n_heard; i++)
        known.n_other += at[i].kind != VX_UTTERANCE_OWN;
    return known;
}

size_t vx_lessons_unread(const vx_lessons *lessons)
{
    return lessons->unread_at.len / sizeof(place);
}

/* ---- learning ----------------------------------------------------------------------------------------------------- */

/* As bytes for the store; none where the recording has no fingerprint. */
static vx_err pack_fingerprint(const vx_lesson *lesson, vx_buf *ret_bytes)
{
    const vx_pava_report *report = lesson->report;
    vx_fingerprint taken = {0};
    const bool has = report && report->has_fingerprint;
    vx_err err = has ? VX_OK : vx_pava_fingerprint(lesson->samples, lesson->n, &taken, NULL);
    if (err == VX_ERR_NOT_FOUND || err == VX_ERR_RANGE)
        return VX_OK;
    const vx_fingerprint *print = has ? &report->fingerprint : &taken;
    if (err == VX_OK)
        err = vx_buf_reserve(ret_bytes, vx_fingerprint_size(print));
    if (err == VX_OK) {
        vx_fingerprint_pack(print, ret_bytes->data);
        ret_bytes->len = vx_fingerprint_size(print);
    }
    vx_fingerprint_done(&taken);
    return err;
}

static vx_err learn_throat(vx_store *store, int64_t speaker, const vx_pava_report *report, vx_errinfo *info)
{
    vx_pava_baseline baseline;
    vx_err err = vx_learned_baseline(store, speaker, &baseline, info);
    if (err != VX_OK)
        return err;
    vx_pava_baseline_learn(&baseline, report);
    return vx_learned_save_baseline(store, speaker, &baseline, info);
}

/* report [in] what is surely the owner's; NULL: nothing */
static vx_err write_lesson(vx_store *store, int64_t speaker, vx_utterance_kind kind, const vx_buf *print,
                           int64_t when_ms, const vx_pava_report *report, vx_errinfo *info)
{
    vx_err err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    if (print->len > 0)
        err = vx_store_remember(store, speaker, kind, when_ms, print->data, print->len, info);
    if (err == VX_OK && report)
        err = learn_throat(store, speaker, report, info);
    return vx_store_end(store, err, info);
}

vx_err vx_lessons_take(vx_store *store, int64_t speaker, const vx_lesson *lesson, vx_errinfo *info)
{
    vx_buf print = {0};
    const vx_utterance_kind kind = lesson->accepted ? VX_UTTERANCE_OWN : VX_UTTERANCE_OTHER;
    vx_err err = pack_fingerprint(lesson, &print);
    if (err == VX_OK)
        err = write_lesson(store, speaker, kind, &print, lesson->when_ms, lesson->strong ? lesson->report : NULL, info);
    vx_buf_wipe_done(&print);
    return err;
}

/* ---- enrolments --------------------------------------------------------------------------------------------------- */

vx_err vx_lessons_judge(const float *samples, size_t n, int64_t when_ms, vx_taught *ret_taught)
{
    static const vx_pava_known nothing;
    vx_evidence evidence;
    vx_taught taught = {.when_ms = when_ms};
    vx_pava_judge(samples, n, &nothing, 0, &taught.report, &evidence);
    const vx_lesson lesson = {.samples = samples, .n = n, .report = &taught.report};
    const vx_err err =
        evidence.status == VX_EVIDENCE_UNAVAILABLE ? VX_ERR_NOMEM : pack_fingerprint(&lesson, &taught.print);
    if (err == VX_OK)
        *ret_taught = taught;
    else
        vx_taught_done(&taught);
    return err;
}

vx_err vx_lessons_write(vx_store *store, int64_t speaker, const vx_taught *taught, vx_errinfo *info)
{
    return write_lesson(store, speaker, VX_UTTERANCE_OWN, &taught->print, taught->when_ms, &taught->report, info);
}

void vx_taught_done(vx_taught *taught)
{
    vx_pava_report_done(&taught->report);
    vx_buf_wipe_done(&taught->print);
    vx_wipe(taught, sizeof *taught);
}

/* ---- older profiles ----------------------------------------------------------------------------------------------- */

/* Is anything of the speaker's own known? What others said to the lock is nothing that the profile has learned. */
static vx_err find_own(vx_store *store, int64_t speaker, bool *ret_known, vx_errinfo *info)
{
    vx_lessons lessons = {0};
    vx_err err = vx_lessons_load(store, speaker, &lessons, info);
    const vx_pava_baseline *b = &lessons.baseline;
    if (err == VX_OK)
        *ret_known = lessons.mark.ends[VX_UTTERANCE_OWN].last > 0 || b->n_tract > 0 || b->n_pitch > 0 || b->n_rooms > 0;
    vx_lessons_done(&lessons);
    return err;
}

/* One of the recordings kept, whose room was cut away. */
static vx_err judge_sample(vx_store *store, const vx_sample *sample, vx_taught *ret_taught, vx_errinfo *info)
{
    float *pcm = NULL;
    size_t n = 0;
    vx_err err = vx_store_sample_audio(store, sample->id, &pcm, &n, info);
    if (err != VX_OK)
        return err;
    err = vx_lessons_judge(pcm, n, sample->taken_ms, ret_taught);
    if (err == VX_OK)
        ret_taught->report.has_room = false;
    vx_wipe(pcm, n * sizeof *pcm);
    free(pcm);
    return err;
}

/* ret_taught [out] [n], also on failure: all-zero where there is nothing */
static vx_err judge_samples(vx_store *store, const vx_sample *samples, size_t n, vx_taught *ret_taught,
                            vx_errinfo *info)
{
    vx_err err = VX_OK;
    for (size_t i = 0; i < n && err == VX_OK; i++)
        if (samples[i].has_audio)
            err = judge_sample(store, &samples[i], &ret_taught[i], info);
    return err;
}

/* All or none: half of it would count as known. Somebody may have learned while it was judged. */
static vx_err write_all(vx_store *store, int64_t speaker, const vx_sample *samples, const vx_taught *taught, size_t n,
                        vx_errinfo *info)
{
    bool known = false;
    vx_err err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = find_own(store, speaker, &known, info);
    for (size_t i = 0; i < n && err == VX_OK && !known; i++)
        if (samples[i].has_audio)
            err = vx_lessons_write(store, speaker, &taught[i], info);
    return vx_store_end(store, err, info);
}

vx_err vx_lessons_from_profile(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_sample *samples = NULL;
    size_t n = 0;
    bool known = false;
    vx_err err = find_own(store, speaker, &known, info);
    if (err == VX_OK && !known)
        err = vx_store_samples(store, speaker, NULL, &samples, &n, info);
    if (err != VX_OK || n == 0)
        return err;
    vx_taught *taught = calloc(n, sizeof *taught);
    err = taught ? judge_samples(store, samples, n, taught, info) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = write_all(store, speaker, samples, taught, n, info);
    for (size_t i = 0; taught && i < n; i++)
        vx_taught_done(&taught[i]);
    free(taught);
    free(samples);
    return err;
}

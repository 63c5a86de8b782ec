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
    return (vx_pava_known){.baseline = lessons->baseline, .heard = heard_of(lessons), .n_heard = count_heard(lessons)};
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

vx_err vx_lessons_take(vx_store *store, int64_t speaker, const vx_lesson *lesson, vx_errinfo *info)
{
    vx_buf print = {0};
    const vx_utterance_kind kind = lesson->accepted ? VX_UTTERANCE_OWN : VX_UTTERANCE_OTHER;
    vx_err err = pack_fingerprint(lesson, &print);
    if (err == VX_OK)
        err = vx_store_begin(store, info);
    if (err == VX_OK) {
        if (print.len > 0)
            err = vx_store_remember(store, speaker, kind, lesson->when_ms, print.data, print.len, info);
        if (err == VX_OK && lesson->strong && lesson->report)
            err = learn_throat(store, speaker, lesson->report, info);
        err = vx_store_end(store, err, info);
    }
    vx_buf_wipe_done(&print);
    return err;
}

/* Judged against nothing, and surely the owner's.
 * with_room [in] the recording holds its room */
static vx_err learn_recording(vx_store *store, int64_t speaker, const float *samples, size_t n, int64_t when_ms,
                              bool with_room, vx_errinfo *info)
{
    static const vx_pava_known nothing;
    vx_pava_report report;
    vx_evidence evidence;
    vx_pava_judge(samples, n, &nothing, 0, &report, &evidence);
    report.has_room = report.has_room && with_room;
    const vx_lesson lesson = {samples, n, &report, when_ms, .accepted = true, .strong = true};
    const vx_err err =
        evidence.status == VX_EVIDENCE_UNAVAILABLE ? VX_ERR_NOMEM : vx_lessons_take(store, speaker, &lesson, info);
    vx_pava_report_done(&report);
    return err;
}

vx_err vx_lessons_enrol(vx_store *store, int64_t speaker, const float *samples, size_t n, int64_t when_ms,
                        vx_errinfo *info)
{
    return learn_recording(store, speaker, samples, n, when_ms, true, info);
}

static bool is_empty(const vx_lessons *lessons)
{
    const vx_pava_baseline *b = &lessons->baseline;
    return lessons->heard.len == 0 && lessons->unread_at.len == 0 && b->n_tract == 0 && b->n_pitch == 0 &&
           b->n_rooms == 0;
}

static vx_err learn_sample(vx_store *store, int64_t speaker, const vx_sample *sample, vx_errinfo *info)
{
    float *pcm = NULL;
    size_t n = 0;
    vx_err err = vx_store_sample_audio(store, sample->id, &pcm, &n, info);
    if (err != VX_OK)
        return err;
    err = learn_recording(store, speaker, pcm, n, sample->taken_ms, false, info);
    vx_wipe(pcm, n * sizeof *pcm);
    free(pcm);
    return err;
}

static vx_err learn_samples(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_lessons before = {0};
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

/* One transaction for all, though others wait for a tenth of a second: half of it would count as known. */
vx_err vx_lessons_from_profile(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, learn_samples(store, speaker, info), info) : err;
}

/* profiles.c - enrolment: recordings that become a speaker's, and which of them stay.
 * Owns:   the one transaction that makes a speaker, and retention. Does not: judge recordings or voices; the caller did.
 */
#include "edge/store/profiles.h"

#include <math.h>
#include <string.h>

#include "edge/store/audit.h"
#include "edge/store/profiles_private.h"
#include "shared/base/clock.h"

/* What the decoder lets through, at 16 kHz. NEW_MAX: of one enrolment, so that counts stay ints. */
enum { SAMPLES_MAX = 60 * 16000, NEW_MAX = 1000 };

static bool quality_is_finite(const vx_quality *q)
{
    return isfinite(q->seconds) && isfinite(q->speech_s) && isfinite(q->speech_share) && isfinite(q->speech_dbfs) &&
           isfinite(q->noise_dbfs) && isfinite(q->snr_db) && isfinite(q->clipped_share) && isfinite(q->score);
}

static vx_err check_sample(const vx_new_sample *s, size_t i, vx_errinfo *info)
{
    const char *fault = NULL;
    if (!s->samples && !s->embedding)
        fault = "holds neither audio nor an embedding";
    else if (s->samples && (s->n == 0 || s->n > SAMPLES_MAX))
        fault = "is not 1 sample to 60 seconds long";
    else if (!s->microphone || strlen(s->microphone) >= VX_MICROPHONE_CAP)
        fault = "names no microphone, or one too long to keep";
    else if (!quality_is_finite(&s->quality))
        fault = "has measures that are not numbers";
    return fault ? vx_errinfo_set(info, VX_ERR_RANGE, "recording %zu %s", i + 1, fault) : VX_OK;
}

static vx_err check_all(const char *name, const vx_new_sample *samples, size_t n, vx_errinfo *info)
{
    vx_err err = vx_speaker_check_name(name, info);
    if (err == VX_OK && (n == 0 || n > NEW_MAX))
        err = vx_errinfo_set(info, VX_ERR_RANGE, "an enrolment takes 1 to %d recordings, not %zu", NEW_MAX, n);
    for (size_t i = 0; err == VX_OK && i < n; i++)
        err = check_sample(&samples[i], i, info);
    return err;
}

/* What is replaced takes everything with it that it was trusted with: another voice must not inherit an armed profile. */
static vx_err empty_speaker(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_err err = vx_store_run(store, info, "DELETE FROM samples WHERE speaker = ?1", "i", speaker);
    if (err == VX_OK)
        err = vx_store_run(store, info, "UPDATE speakers SET armed = 0, starter_accepted = 0 WHERE id = ?1", "i",
                           speaker);
    return err == VX_OK ? vx_learned_drop(store, speaker, info) : err;
}

/* The row of the speaker, made when there is none, and free of what the new recordings replace. */
static vx_err prepare_speaker(vx_store *store, const char *name, bool replace, int64_t *ret_id, vx_errinfo *info)
{
    vx_speaker speaker = {.id = 0};
    bool found = false;
    vx_err err = vx_speaker_look(store, name, &found, &speaker, info);
    if (err != VX_OK)
        return err;
    if (speaker.legacy && !replace)
        return vx_errinfo_set(info, VX_ERR_LEGACY_PROFILE,
                              "'%s' holds embeddings of another model and no audio: enrol anew with --replace", name);
    if (found)
        err = vx_store_run(store, info, "UPDATE speakers SET updated_ms = ?2 WHERE id = ?1", "ii", speaker.id,
                           vx_wall_ms());
    else
        err = vx_store_run(store, info, "INSERT INTO speakers (name, created_ms, updated_ms) VALUES (?1, ?2, ?2)", "ti",
                           name, vx_wall_ms());
    *ret_id = found ? speaker.id : sqlite3_last_insert_rowid(store->db);
    if (err == VX_OK && found && replace)
        err = empty_speaker(store, speaker.id, info);
    return err;
}

static vx_err seal_audio(vx_store *store, int64_t speaker, int64_t sample, const vx_new_sample *s, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf pcm = {0}, sealed = {0};
    vx_err err = vx_pcm_pack(s->samples, s->n, &pcm);
    if (err == VX_ERR_RANGE)
        err = vx_errinfo_set(info, err, "a recording holds samples that are not numbers");
    if (err == VX_OK)
        err = vx_vault_seal(store->vault, vx_place_audio(place, speaker, sample), pcm.data, pcm.len, &sealed);
    if (err == VX_OK)
        err = vx_store_run(store, info, "UPDATE samples SET audio = ?2 WHERE id = ?1", "ib", sample,
                           (const void *)sealed.data, sealed.len);
    vx_buf_wipe_done(&pcm);
    vx_buf_done(&sealed);
    return err;
}

/* Audio follows in a second statement: the place it is sealed for holds the row's id. */
static vx_err add_sample(vx_store *store, int64_t speaker, const vx_new_sample *s, vx_errinfo *info)
{
    const vx_quality *q = &s->quality;
    vx_err err =
        vx_store_run(store, info,
                     "INSERT INTO samples (speaker, taken_ms, microphone, seconds, speech_s, speech_share, speech_dbfs,"
                     " noise_dbfs, snr_db, clipped_share, score)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                     "iitdddddddd", speaker, s->taken_ms, s->microphone, q->seconds, q->speech_s, q->speech_share,
                     q->speech_dbfs, q->noise_dbfs, q->snr_db, q->clipped_share, q->score);
    const int64_t sample = sqlite3_last_insert_rowid(store->db);
    if (err == VX_OK && s->samples)
        err = seal_audio(store, speaker, sample, s, info);
    if (err == VX_OK && s->embedding)
        err = vx_voiceprint_write(store, speaker, sample, s->embedding, info);
    return err;
}

/* The best of each microphone first, then the best of the rest; of equals the newest. With more microphones than
 * recordings may be kept, the worst microphones go. */
static vx_err retain(vx_store *store, int64_t speaker, int *ret_dropped, vx_errinfo *info)
{
    vx_err err = vx_store_run(store, info,
                              "DELETE FROM samples WHERE id IN (SELECT id FROM ("
                              " SELECT id, score, row_number() OVER"
                              "  (PARTITION BY microphone ORDER BY score DESC, id DESC) = 1 AS best_of_microphone"
                              " FROM samples WHERE speaker = ?1)"
                              " ORDER BY best_of_microphone DESC, score DESC, id DESC LIMIT -1 OFFSET ?2)",
                              "ii", speaker, (int64_t)VX_STORE_SAMPLES);
    if (err == VX_OK)
        *ret_dropped = sqlite3_changes(store->db);
    return err;
}

static vx_err enrol(vx_store *store, const char *name, const vx_new_sample *samples, size_t n, bool replace,
                    vx_enrolled *ret, vx_errinfo *info)
{
    vx_speaker speaker = {.id = 0};
    char detail[128];
    vx_err err = prepare_speaker(store, name, replace, &ret->speaker, info);
    for (size_t i = 0; err == VX_OK && i < n; i++)
        err = add_sample(store, ret->speaker, &samples[i], info);
    if (err == VX_OK)
        err = retain(store, ret->speaker, &ret->n_dropped, info);
    if (err == VX_OK)
        err = vx_profile_bind(store, ret->speaker, info);
    if (err == VX_OK)
        err = vx_speaker_find(store, name, &speaker, info);
    if (err != VX_OK)
        return err;
    ret->n_kept = speaker.n_samples;
    (void)snprintf(detail, sizeof detail, "{\"recordings\":%zu,\"kept\":%d,\"dropped\":%d,\"replaced\":%s}", n,
                   ret->n_kept, ret->n_dropped, replace ? "true" : "false");
    return vx_audit_add(store, "enrolled", name, detail, info);
}

vx_err vx_store_enrol(vx_store *store, const char *name, const vx_new_sample *samples, size_t n, bool replace,
                      vx_enrolled *ret_enrolled, vx_errinfo *info)
{
    vx_enrolled enrolled = {0};
    vx_err err = check_all(name, samples, n, info);
    if (err == VX_OK)
        err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = vx_store_end(store, enrol(store, name, samples, n, replace, &enrolled, info), info);
    if (err == VX_OK)
        *ret_enrolled = enrolled;
    return err;
}

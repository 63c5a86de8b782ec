/* speakers.c - who is enrolled: looked up, listed, renamed, armed and removed.
 * Owns:   the rows of speakers. Does not: touch recordings (samples.c), voiceprints (voiceprints.c) or make a speaker
 *         (profiles.c), who never is without a recording.
 */
#include <stdlib.h>
#include <string.h>

#include "edge/store/audit.h"
#include "edge/store/profiles_private.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"
#include "shared/base/utf8.h"

/* Rowids rise with every write, so the highest is what was written last, whatever the clock did. */
#define SELECT_SPEAKERS                                                                                                \
    "SELECT id, name, created_ms, updated_ms, armed, starter_accepted,"                                                \
    " (SELECT count(*) FROM samples NOT INDEXED WHERE speaker = p.id),"                                                \
    " (SELECT count(DISTINCT microphone) FROM samples NOT INDEXED WHERE speaker = p.id),"                              \
    " (SELECT count(audio) FROM samples NOT INDEXED WHERE speaker = p.id),"                                            \
    " (SELECT e.model FROM embeddings e NOT INDEXED JOIN samples s NOT INDEXED ON s.id = e.sample"                     \
    "  WHERE s.speaker = p.id ORDER BY e.rowid DESC LIMIT 1)"                                                          \
    " FROM speakers p NOT INDEXED"

vx_err vx_speaker_check_name(const char *name, vx_errinfo *info)
{
    const size_t len = strlen(name);
    uint32_t code;

    if (len == 0)
        return vx_errinfo_set(info, VX_ERR_RANGE, "a speaker needs a name");
    if (len >= VX_NAME_CAP)
        return vx_errinfo_set(info, VX_ERR_RANGE, "a speaker's name has at most %d bytes, not %zu", VX_NAME_CAP - 1,
                              len);
    for (size_t at = 0; at < len;) {
        const size_t step = vx_utf8_next((const uint8_t *)name + at, len - at, &code);
        if (step == 0)
            return vx_errinfo_set(info, VX_ERR_RANGE, "a speaker's name is UTF-8, and byte %zu of this one is not",
                                  at + 1);
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            return vx_errinfo_set(info, VX_ERR_RANGE, "a speaker's name holds no control characters");
        at += step;
    }
    return VX_OK;
}

void vx_row_text(sqlite3_stmt *row, int column, char *ret_text, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    (void)snprintf(ret_text, cap, "%s", text ? (const char *)text : "");
}

static void read_speaker(sqlite3_stmt *row, vx_speaker *ret)
{
    vx_speaker s = {
        .id = sqlite3_column_int64(row, 0),
        .created_ms = sqlite3_column_int64(row, 2),
        .updated_ms = sqlite3_column_int64(row, 3),
        .armed = sqlite3_column_int(row, 4) != 0,
        .starter_accepted = sqlite3_column_int(row, 5) != 0,
        .n_samples = sqlite3_column_int(row, 6),
        .n_microphones = sqlite3_column_int(row, 7),
    };
    vx_row_text(row, 1, s.name, sizeof s.name);
    s.legacy = s.n_samples > 0 && sqlite3_column_int(row, 8) == 0;
    if (sqlite3_column_bytes(row, 9) == sizeof s.model.bytes)
        memcpy(s.model.bytes, sqlite3_column_blob(row, 9), sizeof s.model.bytes);
    *ret = s;
}

/* Who there is, for whoever mistyped a name; more than fit a sentence are not listed. */
static vx_err not_enrolled(vx_store *store, const char *name, vx_errinfo *info)
{
    char list[120] = "";
    size_t len = 0;
    sqlite3_stmt *rows = NULL;
    bool row;

    if (vx_store_prepare(store, &rows, NULL, "SELECT name FROM speakers NOT INDEXED ORDER BY name", "") != VX_OK)
        return vx_errinfo_set(info, VX_ERR_NOT_ENROLLED, "nobody is enrolled as '%s'", name);
    while (vx_store_step(store, rows, &row, NULL) == VX_OK && row) {
        const int n = snprintf(list + len, sizeof list - len, "%s%s", len > 0 ? ", " : "",
                               (const char *)sqlite3_column_text(rows, 0));
        if (n < 0 || (size_t)n >= sizeof list - len) {
            (void)snprintf(list, sizeof list, "see voxlock profiles");
            break;
        }
        len += (size_t)n;
    }
    sqlite3_finalize(rows);
    if (!*list)
        return vx_errinfo_set(info, VX_ERR_NOT_ENROLLED, "nobody is enrolled yet: voxlock enroll NAME");
    return vx_errinfo_set(info, VX_ERR_NOT_ENROLLED, "nobody is enrolled as '%s' (enrolled: %s)", name, list);
}

/* Of a row that is not proven yet. */
static vx_err read_by_name(vx_store *store, const char *name, bool *ret_found, vx_speaker *ret_speaker,
                           vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    vx_err err = vx_store_prepare(store, &rows, info, SELECT_SPEAKERS " WHERE name = ?1", "t", name);
    if (err == VX_OK)
        err = vx_store_step(store, rows, ret_found, info);
    if (err == VX_OK && *ret_found)
        read_speaker(rows, ret_speaker);
    sqlite3_finalize(rows);
    return err;
}

vx_err vx_speaker_look(vx_store *store, const char *name, bool *ret_found, vx_speaker *ret_speaker, vx_errinfo *info)
{
    vx_speaker speaker = {.id = 0};
    bool found = false;
    vx_err err = read_by_name(store, name, &found, &speaker, info);
    if (err == VX_OK)
        err = found ? vx_profile_prove(store, speaker.id, info) : vx_profiles_prove(store, info);
    if (err != VX_OK)
        return err;
    *ret_found = found;
    if (found)
        *ret_speaker = speaker;
    return VX_OK;
}

vx_err vx_speaker_find(vx_store *store, const char *name, vx_speaker *ret_speaker, vx_errinfo *info)
{
    bool found = false;
    vx_err err = vx_speaker_look(store, name, &found, ret_speaker, info);
    return err == VX_OK && !found ? not_enrolled(store, name, info) : err;
}

vx_err vx_store_speaker(vx_store *store, const char *name, vx_speaker *ret_speaker, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = vx_speaker_find(store, name, ret_speaker, info);
    vx_store_release(store, hold);
    return err;
}

vx_err vx_store_speakers(vx_store *store, vx_speaker **ret_speakers, size_t *ret_n, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL, *rows = NULL;
    vx_buf list = {0};
    vx_speaker speaker = {.id = 0};
    bool row = true;

    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = vx_profiles_prove(store, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, SELECT_SPEAKERS " ORDER BY name", "");
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        read_speaker(rows, &speaker);
        err = vx_buf_append(&list, &speaker, sizeof speaker);
    }
    sqlite3_finalize(rows);
    vx_store_release(store, hold);
    if (err != VX_OK) {
        vx_buf_done(&list);
        return err;
    }
    *ret_n = list.len / sizeof speaker;
    *ret_speakers = (void *)list.data;
    return VX_OK;
}

/* A profile that was damaged can be removed, and be enrolled anew: which profiles there are is proven, and not what is in
 * this one. */
static vx_err find_to_remove(vx_store *store, const char *name, vx_speaker *ret_speaker, vx_errinfo *info)
{
    bool found = false;
    vx_err err = vx_roster_prove(store, info);
    if (err == VX_OK)
        err = read_by_name(store, name, &found, ret_speaker, info);
    return err == VX_OK && !found ? not_enrolled(store, name, info) : err;
}

/* "prior/3", "habits/3": what was learned of speaker 3. "calibration/<digest>" belongs to nobody. */
vx_err vx_learned_drop(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    return vx_store_run(store, info, "DELETE FROM vals NOT INDEXED WHERE " VX_VALUE_OWNER("name") " = CAST(?1 AS TEXT)",
                        "i", speaker);
}

static vx_err forget(vx_store *store, const char *name, vx_errinfo *info)
{
    vx_speaker speaker = {.id = 0};
    char detail[64];
    vx_err err = find_to_remove(store, name, &speaker, info);
    if (err != VX_OK)
        return err;
    (void)snprintf(detail, sizeof detail, "{\"recordings\":%d}", speaker.n_samples);
    err = vx_store_run(store, info, "DELETE FROM speakers WHERE id = ?1", "i", speaker.id);
    if (err == VX_OK)
        err = vx_learned_drop(store, speaker.id, info);
    if (err == VX_OK)
        err = vx_roster_bind(store, info);
    return err == VX_OK ? vx_audit_add(store, "removed", name, detail, info) : err;
}

vx_err vx_store_remove(vx_store *store, const char *name, vx_errinfo *info)
{
    vx_err err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = vx_store_end(store, forget(store, name, info), info);
    /* secure_delete has overwritten the pages in the log only; this brings it to the file, and cuts the log off. A reader
     * may be in the way: the next checkpoint then does it. */
    if (err == VX_OK) {
        vx_store_lock(store);
        (void)sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        vx_store_unlock(store);
    }
    return err;
}

static vx_err audit_rename(vx_store *store, const char *name, const char *new_name, vx_errinfo *info)
{
    vx_buf detail = {0};
    json_t *object = json_pack("{s:s}", "to", new_name);
    vx_err err = object ? vx_json_write(object, &detail) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_buf_append(&detail, "", 1);
    if (err == VX_OK)
        err = vx_audit_add(store, "renamed", name, (const char *)detail.data, info);
    json_decref(object);
    vx_buf_done(&detail);
    return err;
}

static vx_err rename_all(vx_store *store, const char *name, const char *new_name, vx_errinfo *info)
{
    vx_speaker speaker = {.id = 0}, other = {.id = 0};
    bool taken = false;
    vx_err err = vx_speaker_find(store, name, &speaker, info);
    if (err == VX_OK)
        err = vx_speaker_look(store, new_name, &taken, &other, info);
    if (err != VX_OK)
        return err;
    if (taken)
        return vx_errinfo_set(info, VX_ERR_EXISTS, "somebody is enrolled as '%s' already", new_name);
    err = vx_store_run(store, info, "UPDATE speakers SET name = ?2, updated_ms = ?3 WHERE id = ?1", "iti", speaker.id,
                       new_name, vx_wall_ms());
    if (err == VX_OK)
        err = vx_profile_bind(store, speaker.id, info);
    /* History goes with the person: so do the rejections that make the next attempt wait, and who is enrolled under the
     * old name next starts without them. */
    if (err == VX_OK)
        err = vx_attempts_rename(store, name, new_name, info);
    return err == VX_OK ? audit_rename(store, name, new_name, info) : err;
}

vx_err vx_store_rename(vx_store *store, const char *name, const char *new_name, vx_errinfo *info)
{
    vx_err err = vx_speaker_check_name(new_name, info);
    if (err == VX_OK)
        err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    return vx_store_end(store, rename_all(store, name, new_name, info), info);
}

static vx_err arm(vx_store *store, const char *name, bool armed, bool starter_accepted, vx_errinfo *info)
{
    vx_speaker speaker = {.id = 0};
    vx_err err = vx_speaker_find(store, name, &speaker, info);
    if (err == VX_OK)
        err = vx_store_run(store, info,
                           "UPDATE speakers SET armed = ?2, starter_accepted = ?3, updated_ms = ?4 WHERE id = ?1",
                           "iiii", speaker.id, (int64_t)armed, (int64_t)starter_accepted, vx_wall_ms());
    if (err == VX_OK)
        err = vx_profile_bind(store, speaker.id, info);
    if (err != VX_OK)
        return err;
    return vx_audit_add(store, armed ? "armed" : "disarmed", name,
                        starter_accepted ? "{\"starter_accepted\":true}" : "{\"starter_accepted\":false}", info);
}

vx_err vx_store_arm(vx_store *store, const char *name, bool armed, bool starter_accepted, vx_errinfo *info)
{
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, arm(store, name, armed, starter_accepted, info), info) : err;
}

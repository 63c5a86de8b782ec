/* voiceprints.c - embeddings of the recordings kept, one for each model they were computed with.
 * Owns:   how a vector lies at rest (sealed little-endian float32) and that only vectors of one model meet.
 *         Does not: compute or compare them.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "edge/store/audit.h"
#include "edge/store/profiles_private.h"
#include "shared/base/clock.h"

/* Vectors were scaled in float: length 1 to 512 roundings of 2^-24. */
static const double UNIT_SLACK = 1e-4;
enum { FLOAT_BYTES = 4, SHORT_DIGEST = 12 };

/* Enough of a digest to tell two models apart in a sentence. */
static const char *short_digest(const uint8_t *model, char ret_text[VX_SHA256_HEX])
{
    vx_hex(model, VX_SHA256_BYTES, ret_text);
    ret_text[SHORT_DIGEST] = '\0';
    return ret_text;
}

static vx_err pack(const vx_embedding *embedding, vx_buf *ret_bytes, vx_errinfo *info)
{
    double sum = 0;
    if (embedding->dim < 1 || embedding->dim > VX_EMBEDDING_MAX_DIM)
        return vx_errinfo_set(info, VX_ERR_RANGE, "an embedding has 1 to %d numbers, not %d", VX_EMBEDDING_MAX_DIM,
                              embedding->dim);
    for (int i = 0; i < embedding->dim; i++)
        sum += (double)embedding->values[i] * embedding->values[i];
    if (!(fabs(sum - 1) <= UNIT_SLACK)) /* NaN too */
        return vx_errinfo_set(info, VX_ERR_RANGE, "an embedding is not of length 1");

    vx_err err = vx_buf_reserve(ret_bytes, (size_t)embedding->dim * FLOAT_BYTES);
    for (int i = 0; err == VX_OK && i < embedding->dim; i++) {
        uint32_t bits;
        memcpy(&bits, &embedding->values[i], sizeof bits);
        const uint8_t le[FLOAT_BYTES] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                                         (uint8_t)(bits >> 24)};
        err = vx_buf_append(ret_bytes, le, sizeof le);
    }
    return err;
}

static vx_err unpack(const vx_buf *bytes, const uint8_t *model, int64_t sample, vx_embedding *ret, vx_errinfo *info)
{
    const size_t dim = bytes->len / FLOAT_BYTES;
    if (dim == 0 || dim > VX_EMBEDDING_MAX_DIM || bytes->len % FLOAT_BYTES != 0)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the voiceprint of recording %lld has %zu bytes",
                              (long long)sample, bytes->len);
    memset(ret, 0, sizeof *ret);
    memcpy(ret->model.bytes, model, sizeof ret->model.bytes);
    ret->dim = (int)dim;
    for (size_t i = 0; i < dim; i++) {
        const uint32_t bits = vx_le32(bytes->data + i * FLOAT_BYTES);
        memcpy(&ret->values[i], &bits, sizeof bits);
    }
    return VX_OK;
}

vx_err vx_voiceprint_write(vx_store *store, int64_t speaker, int64_t sample, const vx_embedding *embedding,
                           vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf plain = {0}, sealed = {0};
    const uint8_t *model = embedding->model.bytes;
    vx_place_vector(place, speaker, sample, model);
    vx_err err = pack(embedding, &plain, info);
    if (err == VX_OK)
        err = vx_vault_seal(store->vault, place, plain.data, plain.len, &sealed);
    /* REPLACE, not an update: the row moves to the end, which tells what was written last. */
    if (err == VX_OK)
        err = vx_store_run(store, info,
                           "INSERT OR REPLACE INTO embeddings (sample, model, vector, made_ms)"
                           " VALUES (?1, ?2, ?3, ?4)",
                           "ibbi", sample, (const void *)model, (size_t)VX_SHA256_BYTES, (const void *)sealed.data,
                           sealed.len, vx_wall_ms());
    vx_buf_wipe_done(&plain);
    vx_buf_done(&sealed);
    return err;
}

/* Columns: sample, model, vector. */
static vx_err open_vector(vx_store *store, int64_t speaker, sqlite3_stmt *row, vx_embedding *ret, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf plain = {0};
    const int64_t sample = sqlite3_column_int64(row, 0);
    const uint8_t *model = sqlite3_column_blob(row, 1);
    if (!model || sqlite3_column_bytes(row, 1) != VX_SHA256_BYTES)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the voiceprint of recording %lld names no model",
                              (long long)sample);
    const void *sealed = sqlite3_column_blob(row, 2);
    vx_err err = vx_vault_open(store->vault, vx_place_vector(place, speaker, sample, model), sealed,
                               (size_t)sqlite3_column_bytes(row, 2), &plain, info);
    if (err == VX_OK)
        err = unpack(&plain, model, sample, ret, info);
    vx_buf_wipe_done(&plain);
    return err;
}

static vx_err none_of_model(vx_store *store, int64_t speaker, const vx_model_digest *model, vx_errinfo *info)
{
    char others[3 * (SHORT_DIGEST + 2) + 4] = "", hex[VX_SHA256_HEX];
    size_t len = 0;
    sqlite3_stmt *rows = NULL;
    bool row;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT DISTINCT e.model FROM embeddings e NOT INDEXED"
                                  " JOIN samples s NOT INDEXED ON s.id = e.sample"
                                  " WHERE s.speaker = ?1 ORDER BY e.rowid DESC LIMIT 3",
                                  "i", speaker);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        const uint8_t *other = sqlite3_column_blob(rows, 0);
        if (other && sqlite3_column_bytes(rows, 0) == VX_SHA256_BYTES)
            len += (size_t)snprintf(others + len, sizeof others - len, "%s%s", len > 0 ? ", " : "",
                                    short_digest(other, hex));
    }
    sqlite3_finalize(rows);
    if (err != VX_OK)
        return err;
    short_digest(model->bytes, hex);
    if (len == 0)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND,
                              "there is no voiceprint yet, of model %s or another: run voxlock migrate", hex);
    return vx_errinfo_set(info, VX_ERR_NOT_FOUND,
                          "the voiceprints are of model %s, not of %s: voxlock migrate computes them anew", others,
                          hex);
}

static vx_err read_exemplar(vx_store *store, int64_t speaker, sqlite3_stmt *row, vx_exemplar *ret, vx_errinfo *info)
{
    memset(ret, 0, sizeof *ret);
    vx_err err = open_vector(store, speaker, row, &ret->embedding, info);
    ret->sample = sqlite3_column_int64(row, 0);
    ret->speech_s = sqlite3_column_double(row, 3);
    ret->quality = sqlite3_column_double(row, 4);
    vx_row_text(row, 5, ret->microphone, sizeof ret->microphone);
    return err;
}

vx_err vx_store_exemplars(vx_store *store, int64_t speaker, const vx_model_digest *model, vx_exemplar **ret,
                          size_t *ret_n, vx_errinfo *info)
{
    static const char sql[] = "SELECT e.sample, e.model, e.vector, s.speech_s, s.score, s.microphone"
                              " FROM embeddings e NOT INDEXED JOIN samples s NOT INDEXED ON s.id = e.sample"
                              " WHERE s.speaker = ?1 AND e.model = ?2 ORDER BY s.score DESC, s.id DESC";
    sqlite3_stmt *hold = NULL, *rows = NULL;
    vx_buf list = {0};
    vx_exemplar exemplar = {0};
    bool row = true;

    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, sql, "ib", speaker, (const void *)model->bytes, sizeof model->bytes);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        err = read_exemplar(store, speaker, rows, &exemplar, info);
        if (err == VX_OK)
            err = vx_buf_append(&list, &exemplar, sizeof exemplar);
    }
    sqlite3_finalize(rows);
    if (err == VX_OK && list.len == 0)
        err = none_of_model(store, speaker, model, info);
    vx_store_release(store, hold);
    vx_wipe(&exemplar, sizeof exemplar);
    if (err != VX_OK) {
        vx_buf_wipe_done(&list);
        return err;
    }
    *ret_n = list.len / sizeof exemplar;
    *ret = (void *)list.data;
    return VX_OK;
}

/* Name of a speaker for the audit log, which is kept by name; the profile is proven. */
static vx_err name_of(vx_store *store, int64_t speaker, char ret_name[VX_NAME_CAP], vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, "SELECT name FROM speakers WHERE id = ?1", "i", speaker);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK)
        vx_row_text(rows, 0, ret_name, VX_NAME_CAP);
    sqlite3_finalize(rows);
    return err;
}

/* The end of a change to a profile's voiceprints. */
static vx_err touch(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_err err =
        vx_store_run(store, info, "UPDATE speakers SET updated_ms = ?2 WHERE id = ?1", "ii", speaker, vx_wall_ms());
    return err == VX_OK ? vx_profile_bind(store, speaker, info) : err;
}

static vx_err audit_migrated(vx_store *store, const char *name, const vx_model_digest *model, size_t n, bool padded,
                             vx_errinfo *info)
{
    char text[VX_DIGEST_TEXT], detail[256];
    vx_model_digest_text(model, text);
    (void)snprintf(detail, sizeof detail, "{\"model\":\"%s\",\"voiceprints\":%zu,\"padded\":%s}", text, n,
                   padded ? "true" : "false");
    return vx_audit_add(store, "migrated", name, detail, info);
}

static vx_err put_one(vx_store *store, int64_t speaker, int64_t sample, const vx_embedding *embedding, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &rows, info, "SELECT 1 FROM samples WHERE id = ?1 AND speaker = ?2", "ii",
                                  sample, speaker);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    sqlite3_finalize(rows);
    if (err == VX_OK && !row)
        err = vx_errinfo_set(info, VX_ERR_NOT_FOUND, "recording %lld is not kept of this speaker", (long long)sample);
    return err == VX_OK ? vx_voiceprint_write(store, speaker, sample, embedding, info) : err;
}

static vx_err put_all(vx_store *store, int64_t speaker, const int64_t *samples, const vx_embedding *embeddings,
                      size_t n, vx_errinfo *info)
{
    char name[VX_NAME_CAP];
    vx_err err = name_of(store, speaker, name, info);
    for (size_t i = 0; err == VX_OK && i < n; i++)
        err = put_one(store, speaker, samples[i], &embeddings[i], info);
    if (err == VX_OK)
        err = touch(store, speaker, info);
    return err == VX_OK ? audit_migrated(store, name, &embeddings[0].model, n, false, info) : err;
}

vx_err vx_store_put_embeddings(vx_store *store, int64_t speaker, const int64_t *samples, const vx_embedding *embeddings,
                               size_t n, vx_errinfo *info)
{
    if (n == 0)
        return vx_errinfo_set(info, VX_ERR_RANGE, "there are no voiceprints to write");
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, put_all(store, speaker, samples, embeddings, n, info), info) : err;
}

static vx_err forget(vx_store *store, const vx_model_digest *keep, vx_errinfo *info)
{
    char text[VX_DIGEST_TEXT], detail[160];
    vx_err err = vx_profiles_prove(store, info);
    if (err != VX_OK)
        return err;
    err = vx_store_run(store, info,
                       "DELETE FROM embeddings WHERE model <> ?1"
                       " AND sample IN (SELECT id FROM samples WHERE audio IS NOT NULL)",
                       "b", (const void *)keep->bytes, sizeof keep->bytes);
    const int n = sqlite3_changes(store->db);
    if (err == VX_OK && n > 0)
        err = vx_profiles_bind(store, info);
    if (err != VX_OK || n == 0)
        return err;
    vx_model_digest_text(keep, text);
    (void)snprintf(detail, sizeof detail, "{\"kept\":\"%s\",\"voiceprints\":%d}", text, n);
    return vx_audit_add(store, "forgotten", "", detail, info);
}

vx_err vx_store_forget_models(vx_store *store, const vx_model_digest *keep, vx_errinfo *info)
{
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, forget(store, keep, info), info) : err;
}

/* values [in,out] the old vector, then cut off or padded with zeros to dim, of length 1. */
static vx_err pad_one(vx_embedding *embedding, const vx_model_digest *model, int dim, vx_errinfo *info)
{
    float raw[VX_EMBEDDING_MAX_DIM] = {0};
    memcpy(raw, embedding->values, (size_t)(dim < embedding->dim ? dim : embedding->dim) * sizeof *raw);
    vx_err err = vx_embedding_from_raw(model, raw, dim, embedding);
    vx_wipe(raw, sizeof raw);
    return err == VX_OK ? err : vx_errinfo_set(info, err, "nothing is left of the old voiceprint at %d numbers", dim);
}

/* The voiceprint written last of each sample that has none of the new model. Read before anything is written: a walk does
 * not see its own rows. */
static vx_err old_vectors(vx_store *store, int64_t speaker, const vx_model_digest *model, vx_buf *ret_list,
                          vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    vx_exemplar old = {0};
    bool row = true;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT e.sample, e.model, e.vector FROM embeddings e NOT INDEXED WHERE e.rowid IN"
                                  " (SELECT max(f.rowid) FROM embeddings f NOT INDEXED"
                                  "  JOIN samples s NOT INDEXED ON s.id = f.sample"
                                  "  WHERE s.speaker = ?1 GROUP BY f.sample)"
                                  " AND e.sample NOT IN (SELECT sample FROM embeddings NOT INDEXED WHERE model = ?2)"
                                  " ORDER BY e.sample",
                                  "ib", speaker, (const void *)model->bytes, sizeof model->bytes);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        old.sample = sqlite3_column_int64(rows, 0);
        err = open_vector(store, speaker, rows, &old.embedding, info);
        if (err == VX_OK)
            err = vx_buf_append(ret_list, &old, sizeof old);
    }
    sqlite3_finalize(rows);
    vx_wipe(&old, sizeof old);
    return err;
}

static vx_err pad_all(vx_store *store, const char *name, const vx_model_digest *model, int dim, vx_errinfo *info)
{
    vx_speaker speaker = {.id = 0};
    vx_buf list = {0};
    vx_err err = vx_speaker_find(store, name, &speaker, info);
    if (err != VX_OK)
        return err;
    if (!speaker.legacy)
        return vx_errinfo_set(info, VX_ERR_LEGACY_PROFILE,
                              "'%s' is no legacy profile: voxlock migrate computes its voiceprints from audio", name);
    err = old_vectors(store, speaker.id, model, &list, info);
    vx_exemplar *old = (void *)list.data;
    const size_t n = list.len / sizeof *old;
    for (size_t i = 0; err == VX_OK && i < n; i++) {
        err = pad_one(&old[i].embedding, model, dim, info);
        if (err == VX_OK)
            err = vx_voiceprint_write(store, speaker.id, old[i].sample, &old[i].embedding, info);
    }
    vx_buf_wipe_done(&list);
    if (err == VX_OK && n > 0)
        err = touch(store, speaker.id, info);
    return err == VX_OK && n > 0 ? audit_migrated(store, name, model, n, true, info) : err;
}

vx_err vx_store_pad_legacy(vx_store *store, const char *name, const vx_model_digest *model, int dim, vx_errinfo *info)
{
    if (dim < 1 || dim > VX_EMBEDDING_MAX_DIM)
        return vx_errinfo_set(info, VX_ERR_RANGE, "an embedding has 1 to %d numbers, not %d", VX_EMBEDDING_MAX_DIM,
                              dim);
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, pad_all(store, name, model, dim, info), info) : err;
}

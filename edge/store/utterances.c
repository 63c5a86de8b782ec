/* utterances.c - sealed fingerprints, chained to each other and to their profile.
 * Owns:   the tables utterances and heard. Does not: know what a fingerprint is.
 *
 * Each row is sealed for a place that names the tag of the row before; `heard` has the tag of the last one and the tag of
 * the last one that was dropped, and is covered by the MAC of the profile (binding.c). So opening the rows one by one, which
 * reading does anyway, proves each of them, their order, and that none is missing; to add one, and to drop the oldest, only
 * the ends are touched. A MAC over all of them would read four thousand rows at every attempt; a sum of their MACs could be
 * taken apart by who has older copies of the file.
 */
#include "edge/store/utterances.h"

#include <string.h>

#include "edge/store/binding.h"

enum { TAG = 16 /* at the end of what is sealed */ };

/* The utterances of a speaker that there are have the numbers first to last. */
typedef struct {
    int64_t first, last;
    uint8_t before[TAG], tag[TAG]; /* of the row before the first, and of the last; zeros: there never was one */
} heard;

static const heard NOTHING = {.first = 1, .last = 0};

static vx_err changed(const vx_store *store, int64_t speaker, vx_errinfo *info)
{
    return vx_errinfo_set_at(
        info, VX_ERR_STORE_CORRUPT, store->path, -1, 0,
        "what was heard of speaker %lld is not as voxlock left it: an utterance was changed, added "
        "or removed",
        (long long)speaker);
}

static bool read_tag(sqlite3_stmt *row, int column, uint8_t ret_tag[TAG])
{
    const void *tag = sqlite3_column_blob(row, column);
    if (!tag || sqlite3_column_bytes(row, column) != TAG)
        return false;
    memcpy(ret_tag, tag, TAG);
    return true;
}

/* Proven with the profile. */
static vx_err read_heard(vx_store *store, int64_t speaker, heard *ret, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    heard h = NOTHING;
    vx_err err = vx_store_prepare(
        store, &rows, info, "SELECT first, last, before, tag FROM heard NOT INDEXED WHERE speaker = ?1", "i", speaker);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && row) {
        h.first = sqlite3_column_int64(rows, 0);
        h.last = sqlite3_column_int64(rows, 1);
        if (!read_tag(rows, 2, h.before) || !read_tag(rows, 3, h.tag))
            err = changed(store, speaker, info);
    }
    sqlite3_finalize(rows);
    if (err == VX_OK)
        *ret = h;
    return err;
}

static vx_err write_heard(vx_store *store, int64_t speaker, const heard *h, vx_errinfo *info)
{
    return vx_store_run(store, info,
                        "INSERT INTO heard (speaker, first, last, before, tag) VALUES (?1, ?2, ?3, ?4, ?5)"
                        " ON CONFLICT (speaker) DO UPDATE SET first = excluded.first, last = excluded.last,"
                        " before = excluded.before, tag = excluded.tag",
                        "iiibb", speaker, h->first, h->last, (const void *)h->before, sizeof h->before,
                        (const void *)h->tag, sizeof h->tag);
}

/* ---- remembering -------------------------------------------------------------------------------------------------- */

static vx_err add_row(vx_store *store, int64_t speaker, int64_t taken_ms, const void *bytes, size_t n, heard *h,
                      vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf sealed = {0};
    vx_place_utterance(place, speaker, h->last + 1, taken_ms, h->tag);
    vx_err err = vx_vault_seal(store->vault, place, bytes, n, &sealed);
    if (err == VX_OK)
        err = vx_store_run(store, info,
                           "INSERT INTO utterances (speaker, n, taken_ms, fingerprint) VALUES (?1, ?2, ?3, ?4)", "iiib",
                           speaker, h->last + 1, taken_ms, (const void *)sealed.data, sealed.len);
    if (err == VX_OK) {
        h->last++;
        memcpy(h->tag, sealed.data + sealed.len - TAG, TAG);
    }
    vx_buf_done(&sealed);
    return err;
}

static vx_err drop_first(vx_store *store, int64_t speaker, heard *h, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT substr(fingerprint, -16) FROM utterances WHERE speaker = ?1 AND n = ?2", "ii",
                                  speaker, h->first);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && (!row || !read_tag(rows, 0, h->before)))
        err = changed(store, speaker, info);
    sqlite3_finalize(rows);
    if (err == VX_OK)
        err =
            vx_store_run(store, info, "DELETE FROM utterances WHERE speaker = ?1 AND n = ?2", "ii", speaker, h->first);
    h->first++;
    return err;
}

static vx_err remember(vx_store *store, int64_t speaker, int64_t taken_ms, const void *bytes, size_t n, int64_t most,
                       vx_errinfo *info)
{
    heard h = NOTHING;
    vx_err err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = read_heard(store, speaker, &h, info);
    if (err == VX_OK)
        err = add_row(store, speaker, taken_ms, bytes, n, &h, info);
    while (err == VX_OK && h.last - h.first >= most)
        err = drop_first(store, speaker, &h, info);
    if (err == VX_OK)
        err = write_heard(store, speaker, &h, info);
    return err == VX_OK ? vx_profile_bind(store, speaker, info) : err;
}

vx_err vx_store_remember_most(vx_store *store, int64_t speaker, int64_t taken_ms, const void *bytes, size_t n,
                              int64_t most, vx_errinfo *info)
{
    if (n == 0 || n > VX_UTTERANCE_MAX)
        return vx_errinfo_set(info, VX_ERR_RANGE, "an utterance has 1 to %d bytes", VX_UTTERANCE_MAX);
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, remember(store, speaker, taken_ms, bytes, n, most, info), info) : err;
}

vx_err vx_store_remember(vx_store *store, int64_t speaker, int64_t taken_ms, const void *bytes, size_t n,
                         vx_errinfo *info)
{
    return vx_store_remember_most(store, speaker, taken_ms, bytes, n, VX_STORE_UTTERANCES, info);
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* Opens one row behind `before`, which then is that row's tag. A place that does not fit and bytes that do not open are the
 * same to who reads. */
static vx_err open_row(vx_store *store, int64_t speaker, sqlite3_stmt *row, uint8_t before[TAG], vx_buf *ret_plain,
                       vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    const uint8_t *sealed = sqlite3_column_blob(row, 2);
    const int len = sqlite3_column_bytes(row, 2);
    if (!sealed && len > 0)
        return VX_ERR_NOMEM; /* SQLite could not make it */
    vx_place_utterance(place, speaker, sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), before);
    vx_err err =
        len < TAG ? VX_ERR_STORE_CORRUPT : vx_vault_open(store->vault, place, sealed, (size_t)len, ret_plain, NULL);
    if (err == VX_OK)
        memcpy(before, sealed + len - TAG, TAG);
    return err == VX_ERR_STORE_CORRUPT ? changed(store, speaker, info) : err;
}

/* Behind the proof of the profile. No index has to be kept out of this: what the chain proves it proves wherever the rows
 * were read. fn may be NULL. */
static vx_err walk(vx_store *store, int64_t speaker, vx_utterance_fn *fn, void *arg, vx_errinfo *info)
{
    heard h = NOTHING;
    sqlite3_stmt *rows = NULL;
    vx_buf plain = {0};
    bool row = true;
    vx_err err = read_heard(store, speaker, &h, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info,
                               "SELECT n, taken_ms, fingerprint FROM utterances WHERE speaker = ?1 ORDER BY n", "i",
                               speaker);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        plain.len = 0;
        err = open_row(store, speaker, rows, h.before, &plain, info);
        if (err == VX_OK && fn)
            err = fn(arg, sqlite3_column_int64(rows, 1), plain.data, plain.len);
    }
    if (err == VX_OK && !vx_equal_ct(h.before, h.tag, TAG)) /* one is missing, at the end or all */
        err = changed(store, speaker, info);
    sqlite3_finalize(rows);
    vx_buf_wipe_done(&plain);
    return err;
}

vx_err vx_store_utterances(vx_store *store, int64_t speaker, vx_utterance_fn *fn, void *arg, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = walk(store, speaker, fn, arg, info);
    vx_store_release(store, hold);
    return err;
}

vx_err vx_utterances_prove(vx_store *store, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = true;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT id FROM speakers NOT INDEXED UNION SELECT speaker FROM utterances", "");
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row)
        err = walk(store, sqlite3_column_int64(rows, 0), NULL, NULL, info);
    sqlite3_finalize(rows);
    return err;
}

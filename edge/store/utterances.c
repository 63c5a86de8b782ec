/* utterances.c - sealed fingerprints, chained to each other and to their profile.
 * Owns:   the tables utterances and heard. Does not: know what a fingerprint is.
 *
 * A chain for each kind of a speaker's. Each row is sealed for a place that names the tag of the row before; `heard` has the
 * tag of the last one and the tag of the last one that was dropped, and is covered by the MAC of the profile (binding.c). So
 * opening the rows one by one, which reading does anyway, proves each of them, their order, and that none is missing; to add
 * one, and to drop the oldest, only the ends are touched. A MAC over all of them would read thousands of rows at every
 * attempt; a sum of their MACs could be taken apart by who has older copies of the file. And who knows a tag that was the
 * last one once needs to read only what came behind it: if that ends with the last tag, all is as it was.
 */
#include "edge/store/utterances.h"

#include <string.h>

#include "edge/store/binding.h"

enum { TAG = VX_UTTERANCE_TAG /* at the end of what is sealed */ };

/* As the places of their seals name them, for good. */
static const char *const kind_names[VX_N_UTTERANCE_KINDS] = {"utterance", "other"};
static const int64_t quotas[VX_N_UTTERANCE_KINDS] = {VX_STORE_UTTERANCES_OWN, VX_STORE_UTTERANCES_OTHER};

/* One chain. */
typedef struct {
    int64_t speaker;
    vx_utterance_kind kind;
} chain;

/* The utterances of a chain that there are have the numbers first to last. */
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
static vx_err read_heard(vx_store *store, chain c, heard *ret, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    heard h = NOTHING;
    vx_err err = vx_store_prepare(
        store, &rows, info, "SELECT first, last, before, tag FROM heard NOT INDEXED WHERE speaker = ?1 AND kind = ?2",
        "ii", c.speaker, (int64_t)c.kind);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && row) {
        h.first = sqlite3_column_int64(rows, 0);
        h.last = sqlite3_column_int64(rows, 1);
        if (!read_tag(rows, 2, h.before) || !read_tag(rows, 3, h.tag))
            err = changed(store, c.speaker, info);
    }
    sqlite3_finalize(rows);
    if (err == VX_OK)
        *ret = h;
    return err;
}

static vx_err write_heard(vx_store *store, chain c, const heard *h, vx_errinfo *info)
{
    return vx_store_run(store, info,
                        "INSERT INTO heard (speaker, kind, first, last, before, tag) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                        " ON CONFLICT (speaker, kind) DO UPDATE SET first = excluded.first, last = excluded.last,"
                        " before = excluded.before, tag = excluded.tag",
                        "iiiibb", c.speaker, (int64_t)c.kind, h->first, h->last, (const void *)h->before,
                        sizeof h->before, (const void *)h->tag, sizeof h->tag);
}

/* ---- remembering -------------------------------------------------------------------------------------------------- */

static vx_err add_row(vx_store *store, chain c, int64_t taken_ms, const void *bytes, size_t n, heard *h,
                      vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf sealed = {0};
    vx_place_utterance(place, c.speaker, kind_names[c.kind], h->last + 1, taken_ms, h->tag);
    vx_err err = vx_vault_seal(store->vault, place, bytes, n, &sealed);
    if (err == VX_OK)
        err = vx_store_run(store, info,
                           "INSERT INTO utterances (speaker, kind, n, taken_ms, fingerprint)"
                           " VALUES (?1, ?2, ?3, ?4, ?5)",
                           "iiiib", c.speaker, (int64_t)c.kind, h->last + 1, taken_ms, (const void *)sealed.data,
                           sealed.len);
    if (err == VX_OK) {
        h->last++;
        memcpy(h->tag, sealed.data + sealed.len - TAG, TAG);
    }
    vx_buf_done(&sealed);
    return err;
}

static vx_err drop_first(vx_store *store, chain c, heard *h, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err =
        vx_store_prepare(store, &rows, info,
                         "SELECT substr(fingerprint, -16) FROM utterances WHERE speaker = ?1 AND kind = ?2 AND n = ?3",
                         "iii", c.speaker, (int64_t)c.kind, h->first);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && (!row || !read_tag(rows, 0, h->before)))
        err = changed(store, c.speaker, info);
    sqlite3_finalize(rows);
    if (err == VX_OK)
        err = vx_store_run(store, info, "DELETE FROM utterances WHERE speaker = ?1 AND kind = ?2 AND n = ?3", "iii",
                           c.speaker, (int64_t)c.kind, h->first);
    h->first++;
    return err;
}

static vx_err remember(vx_store *store, chain c, int64_t taken_ms, const void *bytes, size_t n, int64_t most,
                       vx_errinfo *info)
{
    heard h = NOTHING;
    vx_err err = vx_profile_prove(store, c.speaker, info);
    if (err == VX_OK)
        err = read_heard(store, c, &h, info);
    if (err == VX_OK)
        err = add_row(store, c, taken_ms, bytes, n, &h, info);
    while (err == VX_OK && h.last - h.first >= most)
        err = drop_first(store, c, &h, info);
    if (err == VX_OK)
        err = write_heard(store, c, &h, info);
    return err == VX_OK ? vx_profile_bind(store, c.speaker, info) : err;
}

vx_err vx_store_remember_most(vx_store *store, int64_t speaker, vx_utterance_kind kind, int64_t taken_ms,
                              const void *bytes, size_t n, int64_t most, vx_errinfo *info)
{
    const chain c = {speaker, kind};
    if (n == 0 || n > VX_UTTERANCE_MAX)
        return vx_errinfo_set(info, VX_ERR_RANGE, "an utterance has 1 to %d bytes", VX_UTTERANCE_MAX);
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, remember(store, c, taken_ms, bytes, n, most, info), info) : err;
}

vx_err vx_store_remember(vx_store *store, int64_t speaker, vx_utterance_kind kind, int64_t taken_ms, const void *bytes,
                         size_t n, vx_errinfo *info)
{
    return vx_store_remember_most(store, speaker, kind, taken_ms, bytes, n, quotas[kind], info);
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* Opens one row behind `before`, which then is that row's tag. A place that does not fit and bytes that do not open are the
 * same to who reads. */
static vx_err open_row(vx_store *store, chain c, sqlite3_stmt *row, uint8_t before[TAG], vx_buf *ret_plain,
                       vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    const uint8_t *sealed = sqlite3_column_blob(row, 2);
    const int len = sqlite3_column_bytes(row, 2);
    if (!sealed && len > 0)
        return VX_ERR_NOMEM; /* SQLite could not make it */
    vx_place_utterance(place, c.speaker, kind_names[c.kind], sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
                       before);
    vx_err err =
        len < TAG ? VX_ERR_STORE_CORRUPT : vx_vault_open(store->vault, place, sealed, (size_t)len, ret_plain, NULL);
    if (err == VX_OK)
        memcpy(before, sealed + len - TAG, TAG);
    return err == VX_ERR_STORE_CORRUPT ? changed(store, c.speaker, info) : err;
}

/* The rows with higher numbers than `after`, behind `before`, which then is the tag of the last. fn may be NULL. */
static vx_err see_rows(vx_store *store, chain c, int64_t after, uint8_t before[TAG], vx_utterance_fn *fn, void *arg,
                       vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    vx_buf plain = {0};
    bool row = true;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT n, taken_ms, fingerprint FROM utterances"
                                  " WHERE speaker = ?1 AND kind = ?2 AND n > ?3 ORDER BY n",
                                  "iii", c.speaker, (int64_t)c.kind, after);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        plain.len = 0;
        err = open_row(store, c, rows, before, &plain, info);
        if (err == VX_OK && fn) {
            const vx_utterance u = {c.kind, sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1), plain.data,
                                    plain.len};
            err = fn(arg, &u);
        }
    }
    sqlite3_finalize(rows);
    vx_buf_wipe_done(&plain);
    return err;
}

/* Behind the proof of the profile. No index has to be kept out of this: what the chain proves it proves wherever the rows
 * were read.
 * end [in,out] up to where it was read before; all-zero: not at all */
static vx_err walk(vx_store *store, chain c, vx_heard_end *end, vx_utterance_fn *fn, void *arg, vx_errinfo *info)
{
    heard h = NOTHING;
    int64_t after = INT64_MIN;
    vx_err err = read_heard(store, c, &h, info);
    if (err != VX_OK)
        return err;
    uint8_t tag[TAG];
    memcpy(tag, h.before, TAG);
    if (end->last > 0 && end->last >= h.first - 1) {
        after = end->last;
        memcpy(tag, end->tag, TAG);
    }
    err = see_rows(store, c, after, tag, fn, arg, info);
    if (err == VX_OK && !vx_equal_ct(tag, h.tag, TAG)) /* one is missing, at the end or all */
        err = changed(store, c.speaker, info);
    if (err != VX_OK)
        return err;
    *end = (vx_heard_end){.first = h.first, .last = h.last};
    memcpy(end->tag, h.tag, TAG);
    return VX_OK;
}

static vx_err walk_kinds(vx_store *store, int64_t speaker, vx_heard_mark *mark, vx_utterance_fn *fn, void *arg,
                         vx_errinfo *info)
{
    vx_err err = VX_OK;
    for (int kind = 0; err == VX_OK && kind < VX_N_UTTERANCE_KINDS; kind++)
        err = walk(store, (chain){speaker, (vx_utterance_kind)kind}, &mark->ends[kind], fn, arg, info);
    return err;
}

vx_err vx_store_utterances_since(vx_store *store, int64_t speaker, vx_heard_mark *mark, vx_utterance_fn *fn, void *arg,
                                 vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL;
    vx_heard_mark now = *mark;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = walk_kinds(store, speaker, &now, fn, arg, info);
    vx_store_release(store, hold);
    if (err == VX_OK)
        *mark = now;
    return err;
}

vx_err vx_store_utterances(vx_store *store, int64_t speaker, vx_utterance_fn *fn, void *arg, vx_errinfo *info)
{
    vx_heard_mark none = {0};
    return vx_store_utterances_since(store, speaker, &none, fn, arg, info);
}

vx_err vx_utterances_prove(vx_store *store, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = true;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT id FROM speakers NOT INDEXED UNION SELECT speaker FROM utterances", "");
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        vx_heard_mark none = {0};
        err = walk_kinds(store, sqlite3_column_int64(rows, 0), &none, NULL, NULL, info);
    }
    sqlite3_finalize(rows);
    return err;
}

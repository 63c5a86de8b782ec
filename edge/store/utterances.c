/* utterances.c - rows of sealed fingerprints, and the digest that ties them to their profile.
 *
 * The digest of a speaker's utterances is the exclusive or of a MAC of each row: one row more or less is one MAC more or
 * less, where a MAC over all of them would read thousands at each attempt to write one (D. Clarke et al., Incremental
 * multiset hash functions, 2003). Rows have numbers of their own, so none is there twice; and the digest itself is covered
 * by the MAC of the profile, so who can take rows apart by old copies of it can still not write another.
 */
#include "edge/store/utterances.h"

#include <string.h>

#include "edge/store/binding.h"

#define LABEL_UTTERANCE "voxlock utterance 1"
#define SELECT_ROWS     "SELECT id, speaker, taken_ms, substr(fingerprint, -16), fingerprint FROM utterances NOT INDEXED"

enum { BOUND_COLUMNS = 4 /* of SELECT_ROWS */, AT_FINGERPRINT = 4 };

/* What is said of a speaker's utterances; all-zero of one who has none. */
typedef struct {
    int64_t n;
    uint8_t digest[VX_MAC];
} heard;

/* Puts a row into the sum, or takes it out: the same. */
static vx_err toggle(vx_store *store, sqlite3_stmt *row, heard *sum)
{
    uint8_t mac[VX_MAC];
    vx_err err = vx_row_mac(store, LABEL_UTTERANCE, row, BOUND_COLUMNS, mac);
    for (int i = 0; err == VX_OK && i < VX_MAC; i++)
        sum->digest[i] ^= mac[i];
    return err;
}

static vx_err read_heard(vx_store *store, int64_t speaker, heard *ret, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    heard h = {0};
    vx_err err = vx_store_prepare(store, &rows, info, "SELECT n, digest FROM heard WHERE speaker = ?1", "i", speaker);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && row) {
        const void *digest = sqlite3_column_blob(rows, 1);
        h.n = sqlite3_column_int64(rows, 0);
        if (digest && sqlite3_column_bytes(rows, 1) == VX_MAC)
            memcpy(h.digest, digest, VX_MAC);
    }
    sqlite3_finalize(rows);
    if (err == VX_OK)
        *ret = h;
    return err;
}

static vx_err write_heard(vx_store *store, int64_t speaker, const heard *h, vx_errinfo *info)
{
    return vx_store_run(store, info,
                        "INSERT INTO heard (speaker, n, digest) VALUES (?1, ?2, ?3)"
                        " ON CONFLICT (speaker) DO UPDATE SET n = excluded.n, digest = excluded.digest",
                        "iib", speaker, h->n, (const void *)h->digest, sizeof h->digest);
}

/* Holds the rows against what is said of them, which was proven with the profile. */
static vx_err prove_rows(vx_store *store, int64_t speaker, heard *ret_heard, vx_errinfo *info)
{
    heard said = {0}, sum = {0};
    sqlite3_stmt *rows = NULL;
    bool row = true;
    vx_err err = read_heard(store, speaker, &said, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, SELECT_ROWS " WHERE speaker = ?1", "i", speaker);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        err = toggle(store, rows, &sum);
        sum.n++;
    }
    sqlite3_finalize(rows);
    if (err == VX_OK && (sum.n != said.n || !vx_equal_ct(sum.digest, said.digest, VX_MAC)))
        err = vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0,
                                "what was heard of speaker %lld is not as voxlock left it: an utterance was changed, "
                                "added or removed",
                                (long long)speaker);
    if (err == VX_OK)
        *ret_heard = said;
    return err;
}

vx_err vx_all_heard_prove(vx_store *store, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = true;
    heard h;
    vx_err err = vx_store_prepare(
        store, &rows, info, "SELECT id FROM speakers NOT INDEXED UNION SELECT speaker FROM utterances NOT INDEXED", "");
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row)
        err = prove_rows(store, sqlite3_column_int64(rows, 0), &h, info);
    sqlite3_finalize(rows);
    return err;
}

/* ---- remembering -------------------------------------------------------------------------------------------------- */

/* The row is made first: the place of its seal holds its number. */
static vx_err add_row(vx_store *store, int64_t speaker, int64_t taken_ms, const void *bytes, size_t n, heard *sum,
                      vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf sealed = {0};
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err =
        vx_store_run(store, info, "INSERT INTO utterances (speaker, taken_ms, fingerprint) VALUES (?1, ?2, x'')", "ii",
                     speaker, taken_ms);
    if (err != VX_OK)
        return err;
    const int64_t id = sqlite3_last_insert_rowid(store->db);
    err = vx_vault_seal(store->vault, vx_place_utterance(place, speaker, id), bytes, n, &sealed);
    if (err == VX_OK)
        err = vx_store_run(store, info, "UPDATE utterances SET fingerprint = ?2 WHERE id = ?1", "ib", id, sealed.data,
                           sealed.len);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, SELECT_ROWS " WHERE id = ?1", "i", id);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK)
        err = row ? toggle(store, rows, sum) : VX_ERR_INTERNAL;
    sum->n++;
    sqlite3_finalize(rows);
    vx_buf_done(&sealed);
    return err;
}

static vx_err drop_oldest(vx_store *store, int64_t speaker, heard *sum, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    int64_t id = 0;
    vx_err err =
        vx_store_prepare(store, &rows, info, SELECT_ROWS " WHERE speaker = ?1 ORDER BY id LIMIT 1", "i", speaker);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && row) {
        id = sqlite3_column_int64(rows, 0);
        err = toggle(store, rows, sum);
    }
    sqlite3_finalize(rows);
    sum->n--;
    return err == VX_OK ? vx_store_run(store, info, "DELETE FROM utterances WHERE id = ?1", "i", id) : err;
}

static vx_err remember(vx_store *store, int64_t speaker, int64_t taken_ms, const void *bytes, size_t n, int64_t most,
                       vx_errinfo *info)
{
    heard h = {0};
    vx_err err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = prove_rows(store, speaker, &h, info);
    if (err == VX_OK)
        err = add_row(store, speaker, taken_ms, bytes, n, &h, info);
    while (err == VX_OK && h.n > most)
        err = drop_oldest(store, speaker, &h, info);
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

static vx_err tell(vx_store *store, sqlite3_stmt *row, vx_utterance_fn *fn, void *arg, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf plain = {0};
    vx_place_utterance(place, sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 0));
    const void *sealed = sqlite3_column_blob(row, AT_FINGERPRINT);
    vx_err err =
        vx_vault_open(store->vault, place, sealed, (size_t)sqlite3_column_bytes(row, AT_FINGERPRINT), &plain, info);
    if (err == VX_OK)
        err = fn(arg, sqlite3_column_int64(row, 2), plain.data, plain.len);
    vx_buf_wipe_done(&plain);
    return err;
}

vx_err vx_store_utterances(vx_store *store, int64_t speaker, vx_utterance_fn *fn, void *arg, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL, *rows = NULL;
    bool row = true;
    heard h;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = prove_rows(store, speaker, &h, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, SELECT_ROWS " WHERE speaker = ?1 ORDER BY id", "i", speaker);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row)
        err = tell(store, rows, fn, arg, info);
    sqlite3_finalize(rows);
    vx_store_release(store, hold);
    return err;
}

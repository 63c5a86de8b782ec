/* binding.c - MACs over plain rows: of a profile with all that hangs on it, and of the list of profiles.
 * Owns:   which columns are bound, and how rows become bytes. Does not: read rows for anybody, write but MACs.
 *
 * Bytes of a MAC: label with its zero, then of each statement its rows, then 'E'. A row is 'R' and its values; a value is
 * one letter for its type and then 8 bytes, or a length of 8 bytes and as many bytes. So no two lists of rows give the same
 * bytes, and none gives those of an audit entry, which begin with a MAC or with zeros.
 *
 * Statements read tables and not indexes (NOT INDEXED): an index is a second copy of columns, which nothing binds. The
 * other files read profiles by the same rule.
 */
#include "edge/store/binding.h"

#include <string.h>

#include "edge/store/profiles_private.h"

/* What a MAC covers. Each form has labels of its own: a file that is said to be of an older form, of which MACs covered
 * less, proves nothing by MACs of this one. */
typedef struct {
    const char *label;
    const char *rows[6]; /* statements; NULL at the end */
    /* The last is of a table that the first form had not: without a row it adds no bytes, so that one list serves both of the
     * first two forms. */
    bool last_is_later;
} bound;

/* Of a voiceprint its seal's tag, which no two seals share; an older vector of the same place shows by it. Of audio, which
 * is written once for each number, that it is there: its tag lies behind megabytes. Voiceprints by the order of writing,
 * which says which model is the last; not by rowid, which a VACUUM may change. */
#define ROWS_SPEAKER "SELECT id, name, created_ms, updated_ms, armed, starter_accepted FROM speakers WHERE id = ?1"
#define ROWS_SAMPLES                                                                                                   \
    "SELECT id, taken_ms, microphone, seconds, speech_s, speech_share, speech_dbfs, noise_dbfs, snr_db, "              \
    "clipped_share,"                                                                                                   \
    " score, audio IS NOT NULL FROM samples NOT INDEXED WHERE speaker = ?1 ORDER BY id"
#define ROWS_VECTORS                                                                                                   \
    "SELECT e.sample, e.model, e.made_ms, substr(e.vector, -16) FROM embeddings e NOT INDEXED"                         \
    " JOIN samples s NOT INDEXED ON s.id = e.sample WHERE s.speaker = ?1 ORDER BY e.rowid"

/* Values, like voiceprints, by their seals' tags. */
static const bound profile = {
    .label = "voxlock profile 2",
    .rows = {ROWS_SPEAKER, ROWS_SAMPLES, ROWS_VECTORS,
             "SELECT kind, first, last, before, tag FROM heard NOT INDEXED WHERE speaker = ?1 ORDER BY kind",
             "SELECT name, substr(value, -16) FROM vals NOT INDEXED WHERE " VX_VALUE_OWNER(
                 "name") " = CAST(?1 AS TEXT) ORDER BY name"},
};

/* Which profiles there are; the numbers that were given last, for one that is given twice would bring back what was sealed
 * for its first owner; and the values that are nobody's. */
#define ROWS_PROFILES "SELECT id, mac FROM speakers NOT INDEXED ORDER BY id"
#define ROWS_NUMBERS  "SELECT name, seq FROM sqlite_sequence WHERE name IN ('speakers', 'samples') ORDER BY name"
static const bound roster = {
    .label = "voxlock roster 2",
    .rows = {ROWS_PROFILES, ROWS_NUMBERS,
             "SELECT name, substr(value, -16) FROM vals NOT INDEXED WHERE " VX_VALUE_OWNER(
                 "name") " NOT IN (SELECT CAST(id AS TEXT) FROM speakers NOT INDEXED) ORDER BY name"},
};

/* Of forms 1 and 2, in the tables of this one: every chain is the owner's then. */
static const bound old_profile = {
    .label = "voxlock profile 1",
    .rows = {ROWS_SPEAKER, ROWS_SAMPLES, ROWS_VECTORS,
             "SELECT first, last, before, tag FROM heard NOT INDEXED WHERE speaker = ?1"},
    .last_is_later = true,
};
static const bound old_roster = {.label = "voxlock roster 1", .rows = {ROWS_PROFILES, ROWS_NUMBERS}};

/* ---- bytes -------------------------------------------------------------------------------------------------------- */

static vx_err put_number(vx_buf *bytes, uint8_t type, uint64_t value)
{
    uint8_t out[9] = {type};
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(value >> 8 * i);
    return vx_buf_append(bytes, out, sizeof out);
}

static vx_err put_bytes(vx_buf *bytes, uint8_t type, const void *data, int len)
{
    if (!data && len > 0)
        return VX_ERR_NOMEM; /* SQLite could not make it */
    vx_err err = put_number(bytes, type, (uint64_t)len);
    return err == VX_OK ? vx_buf_append(bytes, data, (size_t)len) : err;
}

static vx_err put_value(vx_buf *bytes, sqlite3_stmt *row, int column)
{
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER: return put_number(bytes, 'i', (uint64_t)sqlite3_column_int64(row, column));
    case SQLITE_FLOAT: {
        const double value = sqlite3_column_double(row, column);
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        return put_number(bytes, 'd', bits);
    }
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(row, column);
        return text ? put_bytes(bytes, 't', text, sqlite3_column_bytes(row, column)) : VX_ERR_NOMEM;
    }
    case SQLITE_BLOB: {
        const void *blob = sqlite3_column_blob(row, column);
        return put_bytes(bytes, 'b', blob, sqlite3_column_bytes(row, column));
    }
    default: return put_number(bytes, 'n', 0);
    }
}

static vx_err put_row(vx_buf *bytes, sqlite3_stmt *row, int n)
{
    vx_err err = vx_buf_append(bytes, "R", 1);
    for (int i = 0; err == VX_OK && i < n; i++)
        err = put_value(bytes, row, i);
    return err;
}

static vx_err put_rows(vx_store *store, vx_buf *bytes, const char *sql, bool is_later, int64_t id, vx_errinfo *info)
{
    const size_t before = bytes->len;
    sqlite3_stmt *rows = NULL;
    bool row = true;
    vx_err err = vx_store_prepare(store, &rows, info, sql, strstr(sql, "?1") ? "i" : "", id);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row)
        err = put_row(bytes, rows, sqlite3_column_count(rows));
    sqlite3_finalize(rows);
    if (err != VX_OK || (is_later && bytes->len == before))
        return err;
    return vx_buf_append(bytes, "E", 1);
}

static vx_err mac_of(vx_store *store, const bound *what, int64_t id, uint8_t ret_mac[VX_MAC], vx_errinfo *info)
{
    vx_buf bytes = {0};
    vx_err err = vx_buf_append(&bytes, what->label, strlen(what->label) + 1);
    for (int i = 0; err == VX_OK && what->rows[i]; i++)
        err = put_rows(store, &bytes, what->rows[i], what->last_is_later && !what->rows[i + 1], id, info);
    if (err == VX_OK)
        err = vx_vault_mac(store->vault, bytes.data, bytes.len, ret_mac);
    vx_buf_done(&bytes);
    return err;
}

vx_err vx_row_mac(vx_store *store, const char *label, sqlite3_stmt *row, int n, uint8_t ret_mac[VX_MAC])
{
    vx_buf bytes = {0};
    vx_err err = vx_buf_append(&bytes, label, strlen(label) + 1);
    if (err == VX_OK)
        err = put_row(&bytes, row, n);
    if (err == VX_OK)
        err = vx_buf_append(&bytes, "E", 1);
    if (err == VX_OK)
        err = vx_vault_mac(store->vault, bytes.data, bytes.len, ret_mac);
    vx_buf_done(&bytes);
    return err;
}

bool vx_row_has_mac(sqlite3_stmt *row, int column, const uint8_t mac[VX_MAC])
{
    const void *stated = sqlite3_column_blob(row, column);
    return stated && sqlite3_column_bytes(row, column) == VX_MAC && vx_equal_ct(stated, mac, VX_MAC);
}

vx_err vx_roster_mac(vx_store *store, uint8_t ret_mac[VX_MAC], vx_errinfo *info)
{
    return mac_of(store, &roster, 0, ret_mac, info);
}

/* ---- proofs ------------------------------------------------------------------------------------------------------- */

/* A name that somebody wrote may hold anything; only what enrolment would take is shown. */
static vx_err changed(vx_store *store, int64_t id, sqlite3_stmt *row, vx_errinfo *info)
{
    char name[VX_NAME_CAP + 1];
    vx_row_text(row, 1, name, sizeof name);
    return vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0,
                             "profile %lld ('%s') is not as voxlock left it: its row, a recording, a voiceprint or "
                             "something learned of it was changed, added, removed or put back",
                             (long long)id, vx_speaker_check_name(name, NULL) == VX_OK ? name : "?");
}

static vx_err prove_as(vx_store *store, const bound *what, int64_t id, vx_errinfo *info)
{
    uint8_t mac[VX_MAC];
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = mac_of(store, what, id, mac, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, "SELECT mac, name FROM speakers WHERE id = ?1", "i", id);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && !row)
        err = vx_errinfo_set(info, VX_ERR_NOT_ENROLLED, "there is no speaker %lld", (long long)id);
    else if (err == VX_OK && !vx_row_has_mac(rows, 0, mac))
        err = changed(store, id, rows, info);
    sqlite3_finalize(rows);
    return err;
}

static vx_err prove_one(vx_store *store, int64_t id, vx_errinfo *info)
{
    return prove_as(store, &profile, id, info);
}

static vx_err prove_roster_as(vx_store *store, const bound *what, vx_errinfo *info)
{
    vx_head head = {.n_entries = 0};
    uint8_t mac[VX_MAC];
    vx_err err = vx_head_prove(store, &head, info);
    if (err == VX_OK)
        err = mac_of(store, what, 0, mac, info);
    if (err == VX_OK && !vx_equal_ct(mac, head.roster, VX_MAC))
        err = vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0,
                                "a profile was added, removed or put back to an older state, or a calibration was, and "
                                "not by voxlock");
    return err;
}

vx_err vx_roster_prove(vx_store *store, vx_errinfo *info)
{
    return prove_roster_as(store, &roster, info);
}

vx_err vx_profile_prove(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_err err = vx_roster_prove(store, info);
    return err == VX_OK ? prove_one(store, speaker, info) : err;
}

/* Their numbers, as int64_t. */
static vx_err list_speakers(vx_store *store, vx_buf *ret_ids, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = true;
    vx_err err = vx_store_prepare(store, &rows, info, "SELECT id FROM speakers NOT INDEXED ORDER BY id", "");
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        const int64_t id = sqlite3_column_int64(rows, 0);
        err = vx_buf_append(ret_ids, &id, sizeof id);
    }
    sqlite3_finalize(rows);
    return err;
}

typedef vx_err speaker_fn(vx_store *store, int64_t id, vx_errinfo *info);

static vx_err for_each(vx_store *store, const vx_buf *ids, speaker_fn *do_one, vx_errinfo *info)
{
    vx_err err = VX_OK;
    for (size_t at = 0; err == VX_OK && at < ids->len; at += sizeof(int64_t)) {
        int64_t id;
        memcpy(&id, ids->data + at, sizeof id);
        err = do_one(store, id, info);
    }
    return err;
}

/* Numbers first, so that what is done to a row does not meet the walk. */
static vx_err for_all(vx_store *store, speaker_fn *do_one, vx_errinfo *info)
{
    vx_buf ids = {0};
    vx_err err = list_speakers(store, &ids, info);
    if (err == VX_OK)
        err = for_each(store, &ids, do_one, info);
    vx_buf_done(&ids);
    return err;
}

vx_err vx_profiles_prove(vx_store *store, vx_errinfo *info)
{
    vx_err err = vx_roster_prove(store, info);
    return err == VX_OK ? for_all(store, prove_one, info) : err;
}

/* ---- binds -------------------------------------------------------------------------------------------------------- */

static vx_err bind_one(vx_store *store, int64_t id, vx_errinfo *info)
{
    uint8_t mac[VX_MAC];
    vx_err err = mac_of(store, &profile, id, mac, info);
    if (err != VX_OK)
        return err;
    return vx_store_run(store, info, "UPDATE speakers SET mac = ?2 WHERE id = ?1", "ib", id, (const void *)mac,
                        sizeof mac);
}

vx_err vx_roster_bind(vx_store *store, vx_errinfo *info)
{
    vx_head head = {.n_entries = 0};
    vx_err err = vx_head_read(store, &head, info);
    if (err == VX_OK)
        err = vx_roster_mac(store, head.roster, info);
    return err == VX_OK ? vx_head_write(store, &head, info) : err;
}

vx_err vx_profile_bind(vx_store *store, int64_t speaker, vx_errinfo *info)
{
    vx_err err = bind_one(store, speaker, info);
    return err == VX_OK ? vx_roster_bind(store, info) : err;
}

vx_err vx_profiles_bind(vx_store *store, vx_errinfo *info)
{
    vx_err err = for_all(store, bind_one, info);
    return err == VX_OK ? vx_roster_bind(store, info) : err;
}

/* ---- forms -------------------------------------------------------------------------------------------------------- */

static bool is_tampering(vx_err err)
{
    return err == VX_ERR_STORE_CORRUPT || err == VX_ERR_AUDIT_BROKEN;
}

vx_err vx_profiles_prove_old(vx_store *store, vx_fitting *ret_fitting, vx_errinfo *info)
{
    vx_buf ids = {0};
    vx_err err = prove_roster_as(store, &old_roster, NULL);
    if (is_tampering(err))
        return VX_OK;
    ret_fitting->roster = err == VX_OK;
    if (err == VX_OK)
        err = list_speakers(store, &ids, info);
    for (size_t at = 0; err == VX_OK && at < ids.len; at += sizeof(int64_t)) {
        int64_t id;
        memcpy(&id, ids.data + at, sizeof id);
        err = prove_as(store, &old_profile, id, NULL);
        if (err == VX_OK)
            err = vx_buf_append(&ret_fitting->profiles, &id, sizeof id);
        else if (is_tampering(err))
            err = VX_OK;
    }
    vx_buf_done(&ids);
    return err;
}

/* A profile that does not fit keeps the MAC it has, which fits nothing of this form. */
vx_err vx_profiles_rebind(vx_store *store, const vx_fitting *fitting, vx_errinfo *info)
{
    if (!fitting->roster)
        return VX_OK;
    vx_err err = for_each(store, &fitting->profiles, bind_one, info);
    return err == VX_OK ? vx_roster_bind(store, info) : err;
}

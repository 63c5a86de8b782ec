/* values.c - small values by name: sealed ones for whoever uses the store, plain ones of the file itself.
 * Owns:   the tables vals and meta, and that a value is proven before it is read or changed, and bound after. Does not:
 *         know what a value means.
 */
#include <string.h>

#include "edge/store/binding.h"

enum { VALUE_MAX = 64 << 10 };

static vx_err check_name(const char *name, vx_errinfo *info)
{
    size_t len = strlen(name);
    if (len == 0 || len >= VX_VALUE_NAME_CAP)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the name of a value has 1 to %d bytes", VX_VALUE_NAME_CAP - 1);
    return VX_OK;
}

/* ---- whose it is -------------------------------------------------------------------------------------------------- */

enum { NOBODY = 0 /* no speaker has this number */ };

/* As binding.c tells them apart. */
static vx_err find_owner(vx_store *store, const char *name, int64_t *ret_speaker, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT id FROM speakers NOT INDEXED WHERE CAST(id AS TEXT) = " VX_VALUE_OWNER("?1"),
                                  "t", name);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK)
        *ret_speaker = row ? sqlite3_column_int64(rows, 0) : NOBODY;
    sqlite3_finalize(rows);
    return err;
}

static vx_err prove_owner(vx_store *store, const char *name, int64_t *ret_speaker, vx_errinfo *info)
{
    int64_t speaker = NOBODY;
    vx_err err = find_owner(store, name, &speaker, info);
    if (err == VX_OK)
        err = speaker == NOBODY ? vx_roster_prove(store, info) : vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        *ret_speaker = speaker;
    return err;
}

/* Takes away what there is of that name, and puts `sealed` there where it is not NULL. */
static vx_err replace(vx_store *store, const char *name, const vx_buf *sealed, vx_errinfo *info)
{
    int64_t owner = NOBODY;
    vx_err err = prove_owner(store, name, &owner, info);
    if (err == VX_OK)
        err = vx_store_run(store, info, "DELETE FROM vals NOT INDEXED WHERE name = ?1", "t", name);
    if (err == VX_OK && sealed)
        err = vx_store_run(store, info, "INSERT INTO vals (name, value) VALUES (?1, ?2)", "tb", name,
                           (const void *)sealed->data, sealed->len);
    if (err == VX_OK)
        err = owner == NOBODY ? vx_roster_bind(store, info) : vx_profile_bind(store, owner, info);
    return err;
}

/* ---- sealed values ------------------------------------------------------------------------------------------------ */

vx_err vx_store_put(vx_store *store, const char *name, const void *value, size_t len, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf sealed = {0};
    vx_err err = check_name(name, info);
    if (err == VX_OK && len > VALUE_MAX)
        err = vx_errinfo_set(info, VX_ERR_RANGE, "%s: a value has at most %d bytes", name, VALUE_MAX);
    if (err == VX_OK)
        err = vx_vault_seal(store->vault, vx_place_value(place, name), value, len, &sealed);
    if (err == VX_OK)
        err = vx_store_begin(store, info);
    if (err == VX_OK)
        err = vx_store_end(store, replace(store, name, &sealed, info), info);
    vx_buf_done(&sealed);
    return err;
}

/* The one blob that a statement gives; NOT_FOUND, info untouched, where it has no row. */
static vx_err read_blob(vx_store *store, const char *sql, const char *name, vx_buf *ret_blob, vx_errinfo *info)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    vx_store_lock(store);
    vx_err err = vx_store_prepare(store, &statement, info, sql, "t", name);
    if (err == VX_OK)
        err = vx_store_step(store, statement, &row, info);
    if (err == VX_OK && row) {
        const void *blob = sqlite3_column_blob(statement, 0);
        size_t len = (size_t)sqlite3_column_bytes(statement, 0);
        err = !blob && sqlite3_errcode(store->db) == SQLITE_NOMEM ? VX_ERR_NOMEM : vx_buf_append(ret_blob, blob, len);
    } else if (err == VX_OK) {
        err = VX_ERR_NOT_FOUND;
    }
    sqlite3_finalize(statement);
    vx_store_unlock(store);
    return err;
}

/* Proven and read of one moment. */
static vx_err read_proven(vx_store *store, const char *name, vx_buf *ret_sealed, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL;
    int64_t owner = NOBODY;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = prove_owner(store, name, &owner, info);
    if (err == VX_OK)
        err = read_blob(store, "SELECT value FROM vals NOT INDEXED WHERE name = ?1", name, ret_sealed, info);
    vx_store_release(store, hold);
    return err;
}

vx_err vx_store_get(vx_store *store, const char *name, vx_buf *ret_value, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf sealed = {0};
    vx_err err = check_name(name, info);
    if (err == VX_OK)
        err = read_proven(store, name, &sealed, info);
    if (err == VX_ERR_NOT_FOUND)
        err = vx_errinfo_set_at(info, err, store->path, -1, 0, "it holds no %s", name);
    else if (err == VX_OK)
        err = vx_vault_open(store->vault, vx_place_value(place, name), sealed.data, sealed.len, ret_value, info);
    vx_buf_done(&sealed);
    return err;
}

vx_err vx_store_drop(vx_store *store, const char *name, vx_errinfo *info)
{
    vx_err err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, replace(store, name, NULL, info), info) : err;
}

/* ---- older forms -------------------------------------------------------------------------------------------------- */

/* Columns: rowid, name, value. */
static vx_err reseal(vx_store *store, sqlite3_stmt *row, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf plain = {0}, sealed = {0};
    const char *name = (const char *)sqlite3_column_text(row, 1);
    const void *old = sqlite3_column_blob(row, 2);
    const size_t len = (size_t)sqlite3_column_bytes(row, 2);
    if (!name || (!old && len > 0))
        return VX_ERR_NOMEM; /* SQLite could not make it */
    vx_err err = vx_vault_open(store->vault, vx_place_old_value(place, name), old, len, &plain, NULL);
    if (err == VX_OK)
        err = vx_vault_seal(store->vault, vx_place_value(place, name), plain.data, plain.len, &sealed);
    else if (err == VX_ERR_STORE_CORRUPT)
        err =
            VX_OK; /* stays without bytes, which open nowhere: it may be one of form 3's, which would open from now on */
    if (err == VX_OK)
        err = vx_store_run(store, info, "UPDATE vals SET value = ?2 WHERE rowid = ?1", "ib",
                           sqlite3_column_int64(row, 0), sealed.len > 0 ? (const void *)sealed.data : "", sealed.len);
    vx_buf_wipe_done(&plain);
    vx_buf_done(&sealed);
    return err;
}

/* The walk goes by rowid and changes the row that it is at, and no rowid. */
vx_err vx_values_reseal(vx_store *store, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = true;
    vx_err err =
        vx_store_prepare(store, &rows, info, "SELECT rowid, name, value FROM vals NOT INDEXED ORDER BY rowid", "");
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row)
        err = reseal(store, rows, info);
    sqlite3_finalize(rows);
    return err;
}

/* ---- plain values of the file ------------------------------------------------------------------------------------- */

vx_err vx_meta_get(vx_store *store, const char *name, vx_buf *ret_value, vx_errinfo *info)
{
    vx_err err = read_blob(store, "SELECT value FROM meta WHERE name = ?1", name, ret_value, info);
    if (err == VX_ERR_NOT_FOUND)
        err = vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0, "its %s is missing", name);
    return err;
}

vx_err vx_meta_put(vx_store *store, const char *name, const void *value, size_t len, vx_errinfo *info)
{
    return vx_store_run(store, info,
                        "INSERT INTO meta (name, value) VALUES (?1, ?2) "
                        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        "tb", name, value, len);
}

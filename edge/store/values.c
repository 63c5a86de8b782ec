/* values.c - small values by name: sealed ones for whoever uses the store, plain ones of the file itself.
 * Owns:   the tables vals and meta. Does not: know what a value means.
 */
#include <string.h>

#include "edge/store/store_private.h"

enum { VALUE_MAX = 64 << 10 };

static vx_err check_name(const char *name, vx_errinfo *info)
{
    size_t len = strlen(name);
    if (len == 0 || len >= VX_VALUE_NAME_CAP)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the name of a value has 1 to %d bytes", VX_VALUE_NAME_CAP - 1);
    return VX_OK;
}

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
    if (err == VX_OK) {
        err = vx_store_run(store, info,
                           "INSERT INTO vals (name, value) VALUES (?1, ?2) "
                           "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                           "tb", name, sealed.data, sealed.len);
        err = vx_store_end(store, err, info);
    }
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

vx_err vx_store_get(vx_store *store, const char *name, vx_buf *ret_value, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf sealed = {0};
    vx_err err = check_name(name, info);
    if (err == VX_OK)
        err = read_blob(store, "SELECT value FROM vals WHERE name = ?1", name, &sealed, info);
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
    if (err != VX_OK)
        return err;
    err = vx_store_run(store, info, "DELETE FROM vals WHERE name = ?1", "t", name);
    return vx_store_end(store, err, info);
}

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

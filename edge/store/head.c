/* head.c - the one sealed value that says how much there is: entries, attempts, profiles.
 * Owns:   the value audit_head. Does not: compute what it says of profiles (binding.c) or entries (audit.c).
 *
 * One value, so that no part of it can be put back alone.
 */
#include <string.h>

#include "edge/store/binding.h"

#define PLACE_HEAD "meta/audit_head"

/* entries 8 | MAC of the last 32 | attempts 8 | roster 32 */
enum { AT_MAC = 8, AT_ATTEMPTS = AT_MAC + VX_MAC, AT_ROSTER = AT_ATTEMPTS + 8, HEAD_BYTES = AT_ROSTER + VX_MAC };

static void put_le64(uint8_t *to, int64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)((uint64_t)value >> 8 * i);
}

vx_err vx_head_write(vx_store *store, const vx_head *head, vx_errinfo *info)
{
    uint8_t bytes[HEAD_BYTES];
    vx_buf sealed = {0};
    put_le64(bytes, head->n_entries);
    memcpy(bytes + AT_MAC, head->mac, VX_MAC);
    put_le64(bytes + AT_ATTEMPTS, head->n_attempts);
    memcpy(bytes + AT_ROSTER, head->roster, VX_MAC);
    vx_err err = vx_vault_seal(store->vault, PLACE_HEAD, bytes, sizeof bytes, &sealed);
    if (err == VX_OK)
        err = vx_meta_put(store, VX_META_AUDIT_HEAD, sealed.data, sealed.len, info);
    vx_buf_done(&sealed);
    return err;
}

vx_err vx_head_read(vx_store *store, vx_head *ret_head, vx_errinfo *info)
{
    vx_buf sealed = {0}, plain = {0};
    vx_err err = vx_meta_get(store, VX_META_AUDIT_HEAD, &sealed, NULL);
    if (err == VX_OK)
        err = vx_vault_open(store->vault, PLACE_HEAD, sealed.data, sealed.len, &plain, NULL);
    if (err == VX_ERR_STORE_CORRUPT || (err == VX_OK && plain.len != HEAD_BYTES)) {
        err = vx_errinfo_set_at(info, VX_ERR_AUDIT_BROKEN, store->path, -1, 0,
                                "the head of the audit log is missing or was changed");
    } else if (err == VX_OK) {
        ret_head->n_entries = (int64_t)vx_le64(plain.data);
        memcpy(ret_head->mac, plain.data + AT_MAC, VX_MAC);
        ret_head->n_attempts = (int64_t)vx_le64(plain.data + AT_ATTEMPTS);
        memcpy(ret_head->roster, plain.data + AT_ROSTER, VX_MAC);
    }
    vx_buf_done(&sealed);
    vx_buf_done(&plain);
    return err;
}

vx_err vx_head_found(vx_store *store, vx_errinfo *info)
{
    vx_head head = {.n_entries = 0};
    vx_err err = vx_roster_mac(store, head.roster, info);
    return err == VX_OK ? vx_head_write(store, &head, info) : err;
}

/* Columns: number and MAC of the last entry, number of the last attempt; NULLs where there is none. */
static vx_err compare(vx_store *store, sqlite3_stmt *row, const vx_head *head, vx_errinfo *info)
{
    const int64_t n = sqlite3_column_int64(row, 0), n_attempts = sqlite3_column_int64(row, 2);
    if (n != head->n_entries || (n > 0 && !vx_row_has_mac(row, 1, head->mac)))
        return vx_errinfo_set_at(info, VX_ERR_AUDIT_BROKEN, store->path, -1, 0,
                                 "the audit log ends with entry %lld, and not as its head says (entry %lld)",
                                 (long long)n, (long long)head->n_entries);
    if (n_attempts != head->n_attempts)
        return vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0,
                                 "the last attempt is number %lld, and not %lld: it was not voxlock that changed this",
                                 (long long)n_attempts, (long long)head->n_attempts);
    return VX_OK;
}

vx_err vx_head_prove(vx_store *store, vx_head *ret_head, vx_errinfo *info)
{
    static const char sql[] = "SELECT (SELECT max(n) FROM audit NOT INDEXED),"
                              " (SELECT mac FROM audit NOT INDEXED ORDER BY n DESC LIMIT 1),"
                              " (SELECT max(id) FROM attempts NOT INDEXED)";
    vx_head head = {.n_entries = 0};
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_head_read(store, &head, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, sql, "");
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK)
        err = compare(store, rows, &head, info);
    sqlite3_finalize(rows);
    if (err == VX_OK)
        *ret_head = head;
    return err;
}

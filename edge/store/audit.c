/* audit.c - the chain of the audit log.
 * Owns:   the table audit. Does not: decide what is worth an entry, or keep the head (head.c).
 *
 * What it proves: nobody without the key changed, removed, added or moved an entry, or cut off the last ones. What no
 * file can prove of itself: that it is not an older copy of itself, put back whole. Whoever has to know that keeps the
 * number of entries, which `voxlock audit verify` prints, somewhere else.
 */
#include "edge/store/audit.h"

#include <string.h>

#include "edge/store/binding.h"
#include "shared/base/clock.h"

static uint8_t *put_le(uint8_t *to, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        *to++ = (uint8_t)(value >> 8 * i);
    return to;
}

static uint8_t *put_text(uint8_t *to, const char *text)
{
    size_t len = strlen(text);
    to = put_le(to, len, 4);
    memcpy(to, text, len);
    return to + len;
}

/* Lengths stand before the texts, so that no two entries give the same bytes. */
static vx_err mac_of(const vx_store *store, const uint8_t before[VX_MAC], const vx_audit_entry *entry,
                     uint8_t ret_mac[VX_MAC])
{
    uint8_t bytes[VX_MAC + 2 * 8 + 3 * 4 + sizeof entry->kind + sizeof entry->subject + sizeof entry->detail];
    memcpy(bytes, before, VX_MAC);
    uint8_t *end = put_le(bytes + VX_MAC, (uint64_t)entry->n, 8);
    end = put_le(end, (uint64_t)entry->when_ms, 8);
    end = put_text(end, entry->kind);
    end = put_text(end, entry->subject);
    end = put_text(end, entry->detail);
    return vx_vault_mac(store->vault, bytes, (size_t)(end - bytes), ret_mac);
}

/* ---- entries ------------------------------------------------------------------------------------------------------ */

static vx_err take_text(const char *what, const char *text, char *ret_field, size_t cap, vx_errinfo *info)
{
    size_t len = strlen(text);
    if (len >= cap)
        return vx_errinfo_set(info, VX_ERR_RANGE, "an audit entry's %s has at most %zu bytes", what, cap - 1);
    memcpy(ret_field, text, len + 1);
    return VX_OK;
}

/* Inside a transaction: the entry and the head that counts it are one write. */
static vx_err append(vx_store *store, vx_audit_entry *entry, vx_errinfo *info)
{
    vx_head head = {0};
    uint8_t before[VX_MAC];
    vx_err err = vx_head_read(store, &head, info);
    if (err != VX_OK)
        return err;
    memcpy(before, head.mac, VX_MAC);
    entry->n = ++head.n_entries;
    err = mac_of(store, before, entry, head.mac);
    if (err == VX_OK)
        err = vx_store_run(
            store, info, "INSERT INTO audit (n, when_ms, kind, subject, detail, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            "iitttb", entry->n, entry->when_ms, entry->kind, entry->subject, entry->detail, head.mac, (size_t)VX_MAC);
    if (err == VX_OK)
        err = vx_head_write(store, &head, info);
    return err;
}

vx_err vx_audit_add(vx_store *store, const char *kind, const char *subject, const char *detail, vx_errinfo *info)
{
    vx_audit_entry entry = {.when_ms = vx_wall_ms()};
    vx_err err = take_text("kind", kind, entry.kind, sizeof entry.kind, info);
    if (err == VX_OK)
        err = take_text("subject", subject, entry.subject, sizeof entry.subject, info);
    if (err == VX_OK)
        err = take_text("detail", detail, entry.detail, sizeof entry.detail, info);
    if (err == VX_OK)
        err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = append(store, &entry, info);
    return vx_store_end(store, err, info);
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

#define COLUMNS "n, when_ms, kind, subject, detail, mac"

static bool read_text(sqlite3_stmt *row, int column, char *ret_field, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    size_t len = (size_t)sqlite3_column_bytes(row, column);
    if (!text || len >= cap || strlen((const char *)text) != len)
        return false;
    memcpy(ret_field, text, len + 1);
    return true;
}

/* False for a row that voxlock cannot have written. */
static bool read_entry(sqlite3_stmt *row, vx_audit_entry *ret_entry, uint8_t ret_mac[VX_MAC])
{
    const void *mac = sqlite3_column_blob(row, 5);
    if (sqlite3_column_bytes(row, 5) != VX_MAC || !mac)
        return false;
    memcpy(ret_mac, mac, VX_MAC);
    ret_entry->n = sqlite3_column_int64(row, 0);
    ret_entry->when_ms = sqlite3_column_int64(row, 1);
    return read_text(row, 2, ret_entry->kind, sizeof ret_entry->kind) &&
           read_text(row, 3, ret_entry->subject, sizeof ret_entry->subject) &&
           read_text(row, 4, ret_entry->detail, sizeof ret_entry->detail);
}

static vx_err broken(const vx_store *store, int64_t n, const char *how, vx_errinfo *info)
{
    return vx_errinfo_set_at(info, VX_ERR_AUDIT_BROKEN, store->path, -1, 0, "audit entry %lld %s", (long long)n, how);
}

/* One row against what has been proven so far, which then includes it. */
static vx_err prove(vx_store *store, sqlite3_stmt *row, const vx_head *head, vx_head *proven, vx_errinfo *info)
{
    vx_audit_entry entry;
    uint8_t stated[VX_MAC], mac[VX_MAC];
    int64_t due = proven->n_entries + 1;
    if (!read_entry(row, &entry, stated))
        return broken(store, due, "was changed", info);
    if (entry.n != due)
        return broken(store, entry.n < due ? entry.n : due, entry.n < due ? "was added" : "is missing", info);
    if (due > head->n_entries)
        return broken(store, due, "is one that the head does not count: it was added, or the head is an old one", info);
    vx_err err = mac_of(store, proven->mac, &entry, mac);
    if (err != VX_OK)
        return err;
    if (!vx_equal_ct(mac, stated, VX_MAC))
        return broken(store, due, "was changed, or does not follow the one before it", info);
    proven->n_entries = due;
    memcpy(proven->mac, mac, VX_MAC);
    return VX_OK;
}

static vx_err prove_all(vx_store *store, const vx_head *head, vx_head *proven, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &rows, info, "SELECT " COLUMNS " FROM audit NOT INDEXED ORDER BY n", "");
    while (err == VX_OK) {
        err = vx_store_step(store, rows, &row, info);
        if (err != VX_OK || !row)
            break;
        err = prove(store, rows, head, proven, info);
    }
    sqlite3_finalize(rows);
    if (err == VX_OK && proven->n_entries < head->n_entries)
        err = broken(store, proven->n_entries + 1, "is missing: the end was cut off", info);
    if (err == VX_OK && !vx_equal_ct(proven->mac, head->mac, VX_MAC))
        err = broken(store, proven->n_entries, "is not the one that the head names", info);
    return err;
}

vx_err vx_audit_verify(vx_store *store, int64_t *ret_n, vx_errinfo *info)
{
    vx_head head = {0}, proven = {0};
    sqlite3_stmt *hold = NULL;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err == VX_OK) {
        err = vx_head_read(store, &head, info);
        if (err == VX_OK)
            err = prove_all(store, &head, &proven, info);
        vx_store_release(store, hold);
    }
    *ret_n = proven.n_entries;
    return err;
}

vx_err vx_audit_walk(vx_store *store, int64_t most, vx_audit_fn *fn, void *arg, vx_errinfo *info)
{
    static const char sql[] = "SELECT " COLUMNS " FROM (SELECT " COLUMNS " FROM audit ORDER BY n DESC LIMIT ?1) "
                              "ORDER BY n";
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_store_lock(store);
    vx_err err = vx_store_prepare(store, &rows, info, sql, "i", most > 0 ? most : (int64_t)-1);
    while (err == VX_OK) {
        vx_audit_entry entry;
        uint8_t mac[VX_MAC];
        err = vx_store_step(store, rows, &row, info);
        if (err != VX_OK || !row)
            break;
        err = read_entry(rows, &entry, mac) ? fn(arg, &entry)
                                            : broken(store, sqlite3_column_int64(rows, 0), "was changed", info);
    }
    sqlite3_finalize(rows);
    vx_store_unlock(store);
    return err;
}

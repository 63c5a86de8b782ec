/* statement.c - statements and transactions of the store, and what SQLite's errors mean to it.
 * Owns:   the lock's discipline and that a transaction is whole or nothing. Does not: know a table.
 */
#include "edge/store/store_private.h"

#include <stdarg.h>

static vx_err err_of(int code)
{
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        return VX_ERR_EXISTS;
    if (code == SQLITE_IOERR_NOMEM)
        return VX_ERR_NOMEM;
    switch (code & 0xff) { /* the low byte of an extended code is its kind */
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return VX_ERR_STORE_LOCKED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: return VX_ERR_STORE_CORRUPT;
    case SQLITE_NOMEM: return VX_ERR_NOMEM;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH: return VX_ERR_PERMISSION;
    default: return VX_ERR_IO;
    }
}

vx_err vx_store_failed(vx_store *store, const char *doing, vx_errinfo *info)
{
    vx_err err = err_of(sqlite3_extended_errcode(store->db));
    return vx_errinfo_set_at(info, err, store->path, -1, 0, "cannot %s: %s", doing, sqlite3_errmsg(store->db));
}

void vx_store_lock(vx_store *store)
{
    pthread_mutex_lock(&store->lock);
}

void vx_store_unlock(vx_store *store)
{
    pthread_mutex_unlock(&store->lock);
}

/* A statement that is under way holds the file as it was at its first row. */
vx_err vx_store_hold(vx_store *store, sqlite3_stmt **ret_hold, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL;
    bool row = false;
    vx_store_lock(store);
    vx_err err = vx_store_prepare(store, &hold, info, "SELECT name FROM meta", "");
    if (err == VX_OK)
        err = vx_store_step(store, hold, &row, info);
    if (err != VX_OK) {
        sqlite3_finalize(hold);
        vx_store_unlock(store);
        return err;
    }
    *ret_hold = hold;
    return VX_OK;
}

void vx_store_release(vx_store *store, sqlite3_stmt *hold)
{
    sqlite3_finalize(hold);
    vx_store_unlock(store);
}

/* Some errors (disk full, I/O, memory) make SQLite roll back by itself, and what came after would be committed alone; some
 * (memory) keep it from rolling back, and what was to be undone would be read, and go into the next transaction. */
static vx_err check_state(vx_store *store, vx_errinfo *info)
{
    bool is_open = sqlite3_get_autocommit(store->db) == 0;
    if (store->depth > 0 && !is_open)
        return vx_errinfo_set_at(info, VX_ERR_IO, store->path, -1, 0, "what was written has been undone");
    if (store->depth == 0 && is_open && sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        return vx_store_failed(store, "undo what failed", info);
    return VX_OK;
}

static vx_err begin(vx_store *store, vx_errinfo *info)
{
    vx_err err = check_state(store, info);
    if (err != VX_OK)
        return err;
    /* IMMEDIATE: a transaction that reads first and then wants to write cannot wait for another writer; SQLite would fail
     * it at once, whatever the busy timeout. */
    if (sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return vx_store_failed(store, "begin to write", info);
    store->failed = VX_OK;
    return VX_OK;
}

vx_err vx_store_begin(vx_store *store, vx_errinfo *info)
{
    vx_store_lock(store);
    vx_err err = store->depth == 0 ? begin(store, info) : VX_OK;
    if (err == VX_OK)
        store->depth++;
    else
        vx_store_unlock(store);
    return err;
}

static vx_err commit(vx_store *store, vx_errinfo *info)
{
    vx_err err = check_state(store, info);
    if (err == VX_OK && sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        err = vx_store_failed(store, "save", info);
    return err;
}

vx_err vx_store_end(vx_store *store, vx_err err, vx_errinfo *info)
{
    if (err != VX_OK && store->failed == VX_OK)
        store->failed = err;
    if (store->depth == 1) {
        err = store->failed != VX_OK ? store->failed : commit(store, info);
        /* Where this fails, check_state tries again before anything else is done. */
        if (err != VX_OK && sqlite3_get_autocommit(store->db) == 0)
            (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    store->depth--;
    vx_store_unlock(store);
    return err;
}

static int bind_one(sqlite3_stmt *statement, int i, char kind, va_list *args)
{
    switch (kind) {
    case 'i': return sqlite3_bind_int64(statement, i, va_arg(*args, int64_t));
    case 'd': return sqlite3_bind_double(statement, i, va_arg(*args, double));
    case 't': return sqlite3_bind_text(statement, i, va_arg(*args, const char *), -1, SQLITE_STATIC);
    case 'b': {
        const void *data = va_arg(*args, const void *);
        return sqlite3_bind_blob64(statement, i, data, va_arg(*args, size_t), SQLITE_STATIC);
    }
    default: return SQLITE_MISUSE;
    }
}

static vx_err prepare(vx_store *store, sqlite3_stmt **ret_statement, vx_errinfo *info, const char *sql,
                      const char *format, va_list *args)
{
    sqlite3_stmt *statement = NULL;
    vx_err err = check_state(store, info);
    if (err != VX_OK)
        return err;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return vx_store_failed(store, "use the profiles", info);
    for (int i = 0; format[i]; i++) {
        int code = bind_one(statement, i + 1, format[i], args);
        if (code != SQLITE_OK) {
            sqlite3_finalize(statement);
            return vx_errinfo_set_at(info, code == SQLITE_NOMEM ? VX_ERR_NOMEM : VX_ERR_RANGE, store->path, -1, 0,
                                     "a value does not fit the profiles: %s", sqlite3_errstr(code));
        }
    }
    *ret_statement = statement;
    return VX_OK;
}

vx_err vx_store_prepare(vx_store *store, sqlite3_stmt **ret_statement, vx_errinfo *info, const char *sql,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vx_err err = prepare(store, ret_statement, info, sql, format, &args);
    va_end(args);
    return err;
}

vx_err vx_store_step(vx_store *store, sqlite3_stmt *statement, bool *ret_row, vx_errinfo *info)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return vx_store_failed(store, sqlite3_stmt_readonly(statement) ? "read" : "write", info);
    *ret_row = code == SQLITE_ROW;
    return VX_OK;
}

vx_err vx_store_run(vx_store *store, vx_errinfo *info, const char *sql, const char *format, ...)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    va_list args;
    va_start(args, format);
    vx_err err = prepare(store, &statement, info, sql, format, &args);
    va_end(args);
    if (err == VX_OK)
        err = vx_store_step(store, statement, &row, info);
    if (err == VX_OK && row)
        err = vx_errinfo_set_at(info, VX_ERR_INTERNAL, store->path, -1, 0, "a statement that writes has rows");
    sqlite3_finalize(statement);
    return err;
}

/* check.c - what the store holds, in numbers, and whether all of it can still be read.
 * Owns:   the walk over everything that is sealed or bound (binding.h). Does not: mend; the audit log has a proof of its
 *         own (audit.c).
 */
#include <string.h>
#include <sys/stat.h>

#include "edge/store/binding.h"
#include "edge/store/durable.h"
#include "shared/base/file.h"

vx_err vx_store_get_view(vx_store *store, vx_store_view *ret_view, vx_errinfo *info)
{
    static const char sql[] = "SELECT (SELECT count(*) FROM speakers), (SELECT count(*) FROM samples),"
                              " (SELECT count(*) FROM attempts), (SELECT count(*) FROM audit)";
    vx_store_view view = {.schema = VX_STORE_SCHEMA, .key_source = store->key_source};
    sqlite3_stmt *statement = NULL;
    struct stat st;
    bool row = false;

    memcpy(view.path, store->path, sizeof view.path);
    memcpy(view.key_warning, store->key_warning, sizeof view.key_warning);
    if (stat(store->path, &st) != 0)
        return vx_file_failed(store->path, "examine", info);
    view.bytes = (int64_t)st.st_size;

    vx_store_lock(store);
    vx_err err = vx_store_prepare(store, &statement, info, sql, "");
    if (err == VX_OK)
        err = vx_store_step(store, statement, &row, info);
    if (err == VX_OK && row) {
        view.n_speakers = sqlite3_column_int(statement, 0);
        view.n_samples = sqlite3_column_int(statement, 1);
        view.n_attempts = sqlite3_column_int64(statement, 2);
        view.n_audit = sqlite3_column_int64(statement, 3);
        *ret_view = view;
    }
    sqlite3_finalize(statement);
    vx_store_unlock(store);
    return err;
}

/* ---- SQLite's own checks ------------------------------------------------------------------------------------------ */

/* A pragma that gives no row, or the one row "ok", when all is well. */
static vx_err check_pragma(vx_store *store, const char *sql, const char *what, vx_errinfo *info)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &statement, info, sql, "");
    if (err == VX_OK)
        err = vx_store_step(store, statement, &row, info);
    if (err == VX_OK && row) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (!text || strcmp(text, "ok") != 0)
            err = vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0, "%s: %.150s", what,
                                    text ? text : "unreadable");
    }
    sqlite3_finalize(statement);
    return err;
}

/* ---- sealed values ------------------------------------------------------------------------------------------------ */

/* Where the value of a row was sealed for. False: no place of ours. */
typedef bool place_fn(sqlite3_stmt *row, char ret_place[VX_PLACE_CAP]);

static bool audio_place(sqlite3_stmt *row, char ret_place[VX_PLACE_CAP])
{
    vx_place_audio(ret_place, sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2));
    return true;
}

static bool vector_place(sqlite3_stmt *row, char ret_place[VX_PLACE_CAP])
{
    const uint8_t *model = sqlite3_column_blob(row, 3);
    if (!model || sqlite3_column_bytes(row, 3) != 32)
        return false;
    vx_place_vector(ret_place, sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2), model);
    return true;
}

static bool value_place(sqlite3_stmt *row, char ret_place[VX_PLACE_CAP])
{
    const char *name = (const char *)sqlite3_column_text(row, 1);
    if (!name || strlen(name) != (size_t)sqlite3_column_bytes(row, 1) || strlen(name) >= VX_VALUE_NAME_CAP)
        return false;
    vx_place_value(ret_place, name);
    return true;
}

static const struct {
    const char *sql; /* the value first, then what names its place */
    place_fn *place;
} sealed[] = {
    {"SELECT audio, speaker, id FROM samples WHERE audio IS NOT NULL", audio_place},
    {"SELECT vector, s.speaker, s.id, model FROM embeddings e JOIN samples s ON s.id = e.sample", vector_place},
    {"SELECT value, name FROM vals", value_place},
};

static vx_err check_row(vx_store *store, sqlite3_stmt *row, place_fn *place_of, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    vx_buf plain = {0};
    if (!place_of(row, place))
        return vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0, "a row has a name that cannot be");
    const void *value = sqlite3_column_blob(row, 0);
    vx_err err = vx_vault_open(store->vault, place, value, (size_t)sqlite3_column_bytes(row, 0), &plain, info);
    vx_buf_wipe_done(&plain);
    return err;
}

static vx_err check_sealed(vx_store *store, const char *sql, place_fn *place_of, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &rows, info, sql, "");
    while (err == VX_OK) {
        err = vx_store_step(store, rows, &row, info);
        if (err != VX_OK || !row)
            break;
        err = check_row(store, rows, place_of, info);
    }
    sqlite3_finalize(rows);
    return err;
}

vx_err vx_store_check(vx_store *store, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = check_pragma(store, "PRAGMA integrity_check(1)", "SQLite finds a fault", info);
    if (err == VX_OK)
        err = vx_profiles_prove(store, info);
    if (err == VX_OK)
        err = vx_utterances_prove(store, info);
    if (err == VX_OK)
        err = vx_attempts_prove(store, info);
    if (err == VX_OK)
        err = check_pragma(store, "PRAGMA foreign_key_check", "a row belongs to nothing, in", info);
    for (size_t i = 0; err == VX_OK && i < sizeof sealed / sizeof *sealed; i++)
        err = check_sealed(store, sealed[i].sql, sealed[i].place, info);
    vx_store_release(store, hold);
    return err;
}

/* attempts.c - the record of every attempt: one row when it begins, the rest when it ends.
 * Owns:   that a row is written before anything is computed, and ends once. Does not: know what evidence means.
 */
#include "edge/store/attempts.h"

#include <math.h>
#include <string.h>

#include "edge/store/audit.h"
#include "edge/store/store_private.h"

#define SELECT_ATTEMPTS                                                                                                \
    "SELECT id, begun_ms, coalesce(ended_ms, 0), command, speaker, verdict, probability, detail FROM attempts"

static bool fits(const char *text, size_t cap)
{
    return memchr(text, '\0', cap) != NULL;
}

vx_err vx_attempt_begin(vx_store *store, const char *command, const char *speaker, int64_t when_ms, int64_t *ret_id,
                        vx_errinfo *info)
{
    if (!*command || strlen(command) >= sizeof((vx_attempt_record *)0)->command || strlen(speaker) >= VX_NAME_CAP)
        return vx_errinfo_set(info, VX_ERR_RANGE, "an attempt needs a command and at most a speaker's name");
    vx_err err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = vx_store_run(store, info, "INSERT INTO attempts (begun_ms, command, speaker) VALUES (?1, ?2, ?3)", "itt",
                       when_ms, command, speaker);
    const int64_t id = sqlite3_last_insert_rowid(store->db);
    err = vx_store_end(store, err, info);
    if (err == VX_OK)
        *ret_id = id;
    return err;
}

static vx_err check_record(const vx_attempt_record *r, vx_errinfo *info)
{
    const char *fault = NULL;
    if ((unsigned)r->verdict >= VX_N_VERDICTS || r->ended_ms <= 0)
        fault = "has no verdict or no end";
    else if (!fits(r->speaker, sizeof r->speaker) || !fits(r->detail, sizeof r->detail))
        fault = "holds text without an end";
    else if (r->has_probability && !(r->probability >= 0 && r->probability <= 1))
        fault = "has a probability outside 0 to 1";
    return fault ? vx_errinfo_set(info, VX_ERR_RANGE, "the attempt %s", fault) : VX_OK;
}

/* Command of an attempt that has begun and not ended. */
static vx_err find_open(vx_store *store, int64_t id, char ret_command[16], vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = false, ended = false;
    vx_err err = vx_store_prepare(store, &rows, info, "SELECT command, ended_ms FROM attempts WHERE id = ?1", "i", id);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    if (err == VX_OK && row) {
        (void)snprintf(ret_command, 16, "%s", (const char *)sqlite3_column_text(rows, 0));
        ended = sqlite3_column_type(rows, 1) != SQLITE_NULL;
    }
    sqlite3_finalize(rows);
    if (err == VX_OK && (!row || ended))
        err = vx_errinfo_set(info, row ? VX_ERR_EXISTS : VX_ERR_NOT_FOUND,
                             row ? "attempt %lld has ended already" : "there is no attempt %lld", (long long)id);
    return err;
}

static vx_err end_attempt(vx_store *store, int64_t id, const vx_attempt_record *r, vx_errinfo *info)
{
    static const char sql[] =
        "UPDATE attempts SET ended_ms = ?2, speaker = ?3, verdict = ?4, detail = ?5, probability = ?6 WHERE id = ?1";
    static const char sql_without[] =
        "UPDATE attempts SET ended_ms = ?2, speaker = ?3, verdict = ?4, detail = ?5 WHERE id = ?1";
    char command[16], detail[128];
    const char *verdict = vx_verdict_name(r->verdict);
    vx_err err = find_open(store, id, command, info);
    if (err != VX_OK)
        return err;
    if (r->has_probability)
        err = vx_store_run(store, info, sql, "iitttd", id, r->ended_ms, r->speaker, verdict, r->detail, r->probability);
    else
        err = vx_store_run(store, info, sql_without, "iittt", id, r->ended_ms, r->speaker, verdict, r->detail);
    if (err != VX_OK)
        return err;
    (void)snprintf(detail, sizeof detail, "{\"attempt\":%lld,\"command\":\"%s\",\"verdict\":\"%s\"}", (long long)id,
                   command, verdict);
    return vx_audit_add(store, r->verdict == VX_ESCALATE ? "alert" : "attempt", r->speaker, detail, info);
}

vx_err vx_attempt_end(vx_store *store, int64_t id, const vx_attempt_record *record, vx_errinfo *info)
{
    vx_err err = check_record(record, info);
    if (err == VX_OK)
        err = vx_store_begin(store, info);
    return err == VX_OK ? vx_store_end(store, end_attempt(store, id, record, info), info) : err;
}

static void read_text(sqlite3_stmt *row, int column, char *ret_text, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    (void)snprintf(ret_text, cap, "%s", text ? (const char *)text : "");
}

static vx_err read_attempt(sqlite3_stmt *row, vx_attempt_record *ret, vx_errinfo *info)
{
    const char *verdict = (const char *)sqlite3_column_text(row, 5);
    ret->id = sqlite3_column_int64(row, 0);
    ret->begun_ms = sqlite3_column_int64(row, 1);
    ret->ended_ms = sqlite3_column_int64(row, 2);
    read_text(row, 3, ret->command, sizeof ret->command);
    read_text(row, 4, ret->speaker, sizeof ret->speaker);
    ret->verdict = VX_N_VERDICTS;
    for (unsigned v = 0; verdict && v < VX_N_VERDICTS && ret->verdict == VX_N_VERDICTS; v++)
        if (strcmp(verdict, vx_verdict_name((vx_verdict)v)) == 0)
            ret->verdict = (vx_verdict)v;
    if (ret->ended_ms != 0 && ret->verdict == VX_N_VERDICTS)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "attempt %lld has ended without a verdict",
                              (long long)ret->id);
    ret->has_probability = sqlite3_column_type(row, 6) != SQLITE_NULL;
    ret->probability = sqlite3_column_double(row, 6);
    read_text(row, 7, ret->detail, sizeof ret->detail);
    return VX_OK;
}

vx_err vx_attempt_walk(vx_store *store, const char *speaker, int64_t most, vx_attempt_fn *fn, void *arg,
                       vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    vx_attempt_record record;
    bool row = true;

    vx_store_lock(store);
    vx_err err = vx_store_prepare(store, &rows, info,
                                  SELECT_ATTEMPTS " WHERE ?1 IS NULL OR speaker = ?1 ORDER BY id DESC LIMIT ?2", "ti",
                                  speaker, most > 0 ? most : (int64_t)-1);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        err = read_attempt(rows, &record, info);
        if (err == VX_OK)
            err = fn(arg, &record);
    }
    sqlite3_finalize(rows);
    vx_store_unlock(store);
    return err;
}

vx_err vx_attempt_rejections(vx_store *store, const char *speaker, int64_t own, int64_t *ret_ms, size_t cap,
                             size_t *ret_n, vx_errinfo *info)
{
    /* Order is that of ids: a clock that was set back must not move a rejection behind an acceptance. */
    static const char sql[] = "SELECT when_ms FROM (SELECT id, coalesce(ended_ms, begun_ms) AS when_ms FROM attempts"
                              " WHERE (?1 IS NULL OR speaker = ?1) AND id <> ?2"
                              " AND (ended_ms IS NULL OR verdict IN ('REJECT', 'ESCALATE'))"
                              " AND id > (SELECT coalesce(max(id), 0) FROM attempts"
                              "  WHERE (?1 IS NULL OR speaker = ?1) AND verdict = 'AUTHENTICATE')"
                              " ORDER BY id DESC LIMIT ?3) ORDER BY id";
    sqlite3_stmt *rows = NULL;
    size_t n = 0;
    bool row = true;

    vx_store_lock(store);
    vx_err err = vx_store_prepare(store, &rows, info, sql, "tii", speaker, own, (int64_t)cap);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row && n < cap)
        ret_ms[n++] = sqlite3_column_int64(rows, 0);
    sqlite3_finalize(rows);
    vx_store_unlock(store);
    if (err == VX_OK)
        *ret_n = n;
    return err;
}

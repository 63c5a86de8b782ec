/* attempts.c - the record of every attempt: one row when it begins, the rest when it ends.
 * Owns:   that a row is written before anything is computed, and ends once; that none is changed or taken away unseen.
 *         Does not: know what evidence means.
 *
 * Each row has a MAC (binding.h), and the sealed head counts the rows, whose numbers have no gaps: a walk from the newest
 * on notices the first that is not there. The longest walk of a back-off ends at the last acceptance.
 */
#include "edge/store/attempts.h"

#include <math.h>
#include <string.h>

#include "edge/store/audit.h"
#include "edge/store/binding.h"

/* The columns that are bound, and the MAC behind them. A column more is another label. */
#define SELECT_ATTEMPTS                                                                                                \
    "SELECT id, begun_ms, ended_ms, command, speaker, verdict, probability, detail, mac FROM attempts NOT INDEXED"
#define LABEL_ATTEMPT "voxlock attempt 1"
enum { BOUND = 8 };

static bool fits(const char *text, size_t cap)
{
    return memchr(text, '\0', cap) != NULL;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static void read_text(sqlite3_stmt *row, int column, char *ret_text, size_t cap)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    (void)snprintf(ret_text, cap, "%s", text ? (const char *)text : "");
}

static vx_err changed(const vx_store *store, int64_t id, const char *how, vx_errinfo *info)
{
    return vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0, "attempt %lld %s, and not by voxlock",
                             (long long)id, how);
}

static vx_err prove_row(vx_store *store, sqlite3_stmt *row, vx_errinfo *info)
{
    uint8_t mac[VX_MAC];
    vx_err err = vx_row_mac(store, LABEL_ATTEMPT, row, BOUND, mac);
    if (err == VX_OK && !vx_row_has_mac(row, BOUND, mac))
        err = changed(store, sqlite3_column_int64(row, 0), "was changed", info);
    return err;
}

/* The row as it lies there; *ret_found false where there is none. *ret_row is finalized by the caller, also on failure. */
static vx_err find_row(vx_store *store, int64_t id, sqlite3_stmt **ret_row, bool *ret_found, vx_errinfo *info)
{
    vx_err err = vx_store_prepare(store, ret_row, info, SELECT_ATTEMPTS " WHERE id = ?1", "i", id);
    return err == VX_OK ? vx_store_step(store, *ret_row, ret_found, info) : err;
}

static vx_err bind_row(vx_store *store, int64_t id, vx_errinfo *info)
{
    uint8_t mac[VX_MAC];
    sqlite3_stmt *row = NULL;
    bool found = false;
    vx_err err = find_row(store, id, &row, &found, info);
    if (err == VX_OK)
        err = found ? vx_row_mac(store, LABEL_ATTEMPT, row, BOUND, mac) : VX_ERR_INTERNAL;
    sqlite3_finalize(row);
    if (err != VX_OK)
        return err;
    return vx_store_run(store, info, "UPDATE attempts SET mac = ?2 WHERE id = ?1", "ib", id, (const void *)mac,
                        sizeof mac);
}

static vx_err read_attempt(sqlite3_stmt *row, vx_attempt_record *ret, vx_errinfo *info)
{
    const char *verdict = (const char *)sqlite3_column_text(row, 5);
    ret->id = sqlite3_column_int64(row, 0);
    ret->begun_ms = sqlite3_column_int64(row, 1);
    ret->ended_ms = sqlite3_column_int64(row, 2); /* 0 for NULL */
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

/* ---- begin and end ------------------------------------------------------------------------------------------------ */

static vx_err begin_attempt(vx_store *store, const char *command, const char *speaker, int64_t when_ms, int64_t *ret_id,
                            vx_errinfo *info)
{
    vx_head head = {.n_entries = 0};
    vx_err err = vx_head_prove(store, &head, info);
    if (err != VX_OK)
        return err;
    *ret_id = ++head.n_attempts;
    err = vx_store_run(store, info, "INSERT INTO attempts (id, begun_ms, command, speaker) VALUES (?1, ?2, ?3, ?4)",
                       "iitt", *ret_id, when_ms, command, speaker);
    if (err == VX_OK)
        err = bind_row(store, *ret_id, info);
    return err == VX_OK ? vx_head_write(store, &head, info) : err;
}

vx_err vx_attempt_begin(vx_store *store, const char *command, const char *speaker, int64_t when_ms, int64_t *ret_id,
                        vx_errinfo *info)
{
    int64_t id = 0;
    if (!*command || strlen(command) >= sizeof((vx_attempt_record *)0)->command || strlen(speaker) >= VX_NAME_CAP)
        return vx_errinfo_set(info, VX_ERR_RANGE, "an attempt needs a command and at most a speaker's name");
    vx_err err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = vx_store_end(store, begin_attempt(store, command, speaker, when_ms, &id, info), info);
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
    sqlite3_stmt *row = NULL;
    bool found = false, ended = false;
    vx_err err = find_row(store, id, &row, &found, info);
    if (err == VX_OK && found)
        err = prove_row(store, row, info);
    if (err == VX_OK && found) {
        read_text(row, 3, ret_command, 16);
        ended = sqlite3_column_type(row, 2) != SQLITE_NULL;
    }
    sqlite3_finalize(row);
    if (err == VX_OK && (!found || ended))
        err = vx_errinfo_set(info, found ? VX_ERR_EXISTS : VX_ERR_NOT_FOUND,
                             found ? "attempt %lld has ended already" : "there is no attempt %lld", (long long)id);
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
    if (err == VX_OK)
        err = bind_row(store, id, info);
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

static vx_err rename_one(vx_store *store, int64_t id, const char *new_name, vx_errinfo *info)
{
    sqlite3_stmt *row = NULL;
    bool found = false;
    vx_err err = find_row(store, id, &row, &found, info);
    if (err == VX_OK && found)
        err = prove_row(store, row, info);
    sqlite3_finalize(row);
    if (err == VX_OK)
        err = vx_store_run(store, info, "UPDATE attempts SET speaker = ?2 WHERE id = ?1", "it", id, new_name);
    return err == VX_OK ? bind_row(store, id, info) : err;
}

vx_err vx_attempts_rename(vx_store *store, const char *name, const char *new_name, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    vx_buf ids = {0}; /* first, so that what is done to a row does not meet the walk */
    bool row = true;
    vx_err err =
        vx_store_prepare(store, &rows, info, "SELECT id FROM attempts NOT INDEXED WHERE speaker = ?1", "t", name);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        const int64_t id = sqlite3_column_int64(rows, 0);
        err = vx_buf_append(&ids, &id, sizeof id);
    }
    sqlite3_finalize(rows);
    for (size_t at = 0; err == VX_OK && at < ids.len; at += sizeof(int64_t)) {
        int64_t id;
        memcpy(&id, ids.data + at, sizeof id);
        err = rename_one(store, id, new_name, info);
    }
    vx_buf_done(&ids);
    return err;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* Sees each attempt; *ret_enough ends the walk. */
typedef vx_err see_fn(void *arg, const vx_attempt_record *record, bool *ret_enough);

/* From the newest on, each proven, none missing; under vx_store_hold. */
static vx_err walk(vx_store *store, see_fn *see, void *arg, vx_errinfo *info)
{
    vx_head head = {.n_entries = 0};
    sqlite3_stmt *rows = NULL;
    vx_attempt_record record;
    bool row = true, enough = false;
    vx_err err = vx_head_prove(store, &head, info);
    int64_t due = head.n_attempts;
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, SELECT_ATTEMPTS " ORDER BY id DESC", "");
    while (err == VX_OK && !enough && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        const int64_t id = sqlite3_column_int64(rows, 0);
        if (id != due)
            err = due > 0 ? changed(store, due, "was taken away", info) : changed(store, id, "was added", info);
        if (err == VX_OK)
            err = prove_row(store, rows, info);
        if (err == VX_OK)
            err = read_attempt(rows, &record, info);
        if (err == VX_OK)
            err = see(arg, &record, &enough);
        due--;
    }
    if (err == VX_OK && !row && due != 0)
        err = changed(store, due, "was taken away", info);
    sqlite3_finalize(rows);
    return err;
}

static vx_err walk_held(vx_store *store, see_fn *see, void *arg, vx_errinfo *info)
{
    sqlite3_stmt *hold = NULL;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = walk(store, see, arg, info);
    vx_store_release(store, hold);
    return err;
}

static vx_err see_nothing(void *arg, const vx_attempt_record *record, bool *ret_enough)
{
    (void)arg, (void)record, (void)ret_enough;
    return VX_OK;
}

vx_err vx_attempts_prove(vx_store *store, vx_errinfo *info)
{
    return walk(store, see_nothing, NULL, info);
}

static bool is_of(const vx_attempt_record *record, const char *speaker)
{
    return !speaker || strcmp(record->speaker, speaker) == 0;
}

typedef struct {
    const char *speaker;
    int64_t left; /* at 0 none was asked for: all */
    vx_attempt_fn *fn;
    void *arg;
} visit;

static vx_err see_for_visit(void *arg, const vx_attempt_record *record, bool *ret_enough)
{
    visit *v = arg;
    if (!is_of(record, v->speaker))
        return VX_OK;
    vx_err err = v->fn(v->arg, record);
    *ret_enough = v->left > 0 && --v->left == 0;
    return err;
}

vx_err vx_attempt_walk(vx_store *store, const char *speaker, int64_t most, vx_attempt_fn *fn, void *arg,
                       vx_errinfo *info)
{
    visit v = {speaker, most, fn, arg};
    return walk_held(store, see_for_visit, &v, info);
}

typedef struct {
    const char *speaker;
    int64_t own;
    int64_t *ms; /* newest first */
    size_t n, cap;
} rejections;

static vx_err see_for_rejections(void *arg, const vx_attempt_record *record, bool *ret_enough)
{
    rejections *r = arg;
    if (!is_of(record, r->speaker))
        return VX_OK;
    const bool open = record->ended_ms == 0;
    if (record->id != r->own && (open || record->verdict == VX_REJECT || record->verdict == VX_ESCALATE))
        r->ms[r->n++] = open ? record->begun_ms : record->ended_ms;
    *ret_enough = r->n == r->cap || record->verdict == VX_AUTHENTICATE;
    return VX_OK;
}

/* Order is that of numbers: a clock that was set back must not move a rejection behind an acceptance. */
vx_err vx_attempt_rejections(vx_store *store, const char *speaker, int64_t own, int64_t *ret_ms, size_t cap,
                             size_t *ret_n, vx_errinfo *info)
{
    rejections r = {.speaker = speaker, .own = own, .ms = ret_ms, .cap = cap};
    vx_err err = cap > 0 ? walk_held(store, see_for_rejections, &r, info) : VX_OK;
    if (err != VX_OK)
        return err;
    for (size_t i = 0; i < r.n / 2; i++) {
        const int64_t ms = ret_ms[i];
        ret_ms[i] = ret_ms[r.n - 1 - i];
        ret_ms[r.n - 1 - i] = ms;
    }
    *ret_n = r.n;
    return VX_OK;
}

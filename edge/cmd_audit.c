/* cmd_audit.c - voxlock audit: the log of what changed who may unlock, and the proof that nobody else wrote in it. */
#include <string.h>

#include "edge/cmd.h"
#include "edge/runtime.h"
#include "edge/store/audit.h"
#include "shared/base/json.h"

enum { FLAG_JSON = 1 << 0 };
static const int64_t SHOWN = 50;

static vx_err add_row(void *arg, const vx_audit_entry *entry)
{
    json_t *row = json_pack("{s:I, s:o, s:o, s:o, s:o}", "n", (json_int_t)entry->n, "when",
                            vx_json_time(entry->when_ms), "kind", vx_json_shown(entry->kind), "subject",
                            vx_json_shown(entry->subject), "detail", vx_json_shown(entry->detail));
    return row && json_array_append_new(arg, row) == 0 ? VX_OK : VX_ERR_NOMEM;
}

static int show(vx_store *store, bool json)
{
    vx_errinfo info = {0};
    json_t *rows = json_array();
    vx_err err = vx_audit_walk(store, json ? 0 : SHOWN, add_row, rows, &info);
    if (err != VX_OK) {
        json_decref(rows);
        return vx_cmd_fail(NULL, err, &info);
    }
    return vx_cmd_print(json_pack("{s:o}", "entries", rows), json);
}

static int verify(vx_store *store, bool json)
{
    vx_errinfo info = {0};
    int64_t n = 0;
    const vx_err err = vx_audit_verify(store, &n, &info);
    const int code =
        vx_cmd_print(json_pack("{s:{s:b, s:I, s:o}}", "audit", "whole", err == VX_OK, "entries_proven", (json_int_t)n,
                               "fault", err ? vx_json_shown(vx_errinfo_text(&info, err)) : json_null()),
                     json);
    return err == VX_OK ? code : vx_cmd_fail(NULL, err, &info);
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_errinfo info = {0};
    const bool wants_proof = call->n_operands == 1 && strcmp(call->operands[0], "verify") == 0;
    if (call->n_operands == 1 && !wants_proof && strcmp(call->operands[0], "list") != 0)
        return vx_cmd_misused("usage: voxlock audit [list | verify]");
    vx_err err = vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    const int code =
        wants_proof ? verify(runtime.store, call->flags & FLAG_JSON) : show(runtime.store, call->flags & FLAG_JSON);
    vx_runtime_close(&runtime);
    return code;
}

const vx_cmd vx_cmd_audit = {
    .name = "audit",
    .usage = "[list | verify] [--json]",
    .help = "List the last entries of the audit log, or prove that the whole of it is as voxlock wrote it.",
    .flags = {{"--json", "one JSON object; list: every entry", NULL}},
    .actions = "list|verify",
    .max_operands = 1,
    .run = run,
};

/* cmd_history.c - voxlock history: the attempts on record, those included that never ended. */
#include <stdlib.h>
#include <string.h>

#include "edge/cmd.h"
#include "edge/runtime.h"
#include "edge/store/attempts.h"
#include "shared/base/json.h"

enum { FLAG_JSON = 1 << 0, LAST = 1, SPEAKER = 2 };
/* What a record of attempts.h can hold is of small values. */
static const vx_json_limits LIMITS = {8, 1024};
static const int64_t USUALLY = 20;

typedef struct {
    json_t *rows;
    bool whole; /* with evidence */
} listing;

static json_t *detail_of(const vx_attempt_record *record)
{
    json_t *root = NULL;
    if (!*record->detail || vx_json_parse(record->detail, strlen(record->detail), LIMITS, &root, NULL) != VX_OK)
        return json_null();
    return root;
}

static vx_err add_row(void *arg, const vx_attempt_record *r)
{
    listing *l = arg;
    json_t *row = json_pack("{s:I, s:o, s:s, s:o, s:s, s:o}", "id", (json_int_t)r->id, "begun",
                            vx_json_time(r->begun_ms), "command", r->command, "speaker", vx_json_shown(r->speaker),
                            "verdict", r->ended_ms ? vx_verdict_name(r->verdict) : "UNFINISHED", "probability",
                            r->has_probability ? json_real(r->probability) : json_null());
    if (row && l->whole &&
        (json_object_set_new(row, "ended", vx_json_time(r->ended_ms)) != 0 ||
         json_object_set_new(row, "detail", detail_of(r)) != 0)) {
        json_decref(row);
        row = NULL;
    }
    return row && json_array_append_new(l->rows, row) == 0 ? VX_OK : VX_ERR_NOMEM;
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_errinfo info = {0};
    int64_t last = USUALLY;
    char *end = NULL;
    if (call->values[LAST] && ((last = strtoll(call->values[LAST], &end, 10)) < 0 || *end || end == call->values[LAST]))
        return vx_cmd_misused("--last takes a number of attempts, 0 for all, not '%.40s'", call->values[LAST]);
    vx_err err = vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    listing l = {json_array(), call->flags & FLAG_JSON};
    err = vx_attempt_walk(runtime.store, call->values[SPEAKER], last, add_row, &l, &info);
    vx_runtime_close(&runtime);
    if (err != VX_OK) {
        json_decref(l.rows);
        return vx_cmd_fail(NULL, err, &info);
    }
    return vx_cmd_print(json_pack("{s:o}", "attempts", l.rows), call->flags & FLAG_JSON);
}

const vx_cmd vx_cmd_history = {
    .name = "history",
    .usage = "[--last N] [--speaker NAME] [--json]",
    .help = "List the last attempts and their verdicts, newest first.",
    .flags = {{"--json", "one JSON object: attempts with all their evidence", NULL},
              {"--last", "how many; 0 is all, 20 when not said", "N"},
              {"--speaker", "of this profile only", "NAME"}},
    .max_operands = 0,
    .run = run,
};

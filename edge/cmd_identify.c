/* cmd_identify.c - voxlock identify: whose of the enrolled voices is it? The voice alone, no verdict: nothing that could
 * unlock, so it is on the audit log and not among the attempts. */
#include <stdio.h>
#include <stdlib.h>

#include "edge/cmd.h"
#include "edge/likeness.h"
#include "edge/runtime.h"
#include "edge/store/audit.h"
#include "edge/store/profiles.h"
#include "shared/base/json.h"

enum { FLAG_JSON = 1 << 0 };

typedef struct {
    char name[VX_NAME_CAP];
    vx_err err; /* NOT_FOUND: no voiceprint of this model */
    vx_score score;
} candidate;

/* Likeness to one profile. */
static vx_err compare(vx_runtime *runtime, const vx_speaker *speaker, const vx_embedding *utterance,
                      const vx_quality *quality, candidate *ret, vx_errinfo *info)
{
    vx_voiceprints profile = {0};
    (void)snprintf(ret->name, sizeof ret->name, "%s", speaker->name);
    ret->err = vx_voiceprints_load(runtime, speaker->id, &profile, info);
    if (ret->err == VX_ERR_NOT_FOUND)
        return VX_OK;
    vx_err err = ret->err;
    if (err == VX_OK)
        err = vx_voiceprints_compare(runtime, &profile, utterance, quality, &ret->score, info);
    vx_voiceprints_done(&profile);
    return err;
}

static int by_likeness(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->err != y->err)
        return x->err == VX_OK ? -1 : 1;
    return (x->score.llr < y->score.llr) - (x->score.llr > y->score.llr);
}

static json_t *answer(const vx_runtime *runtime, const candidate *list, size_t n)
{
    const double threshold = vx_voiceprints_threshold(runtime);
    const bool found = n > 0 && list[0].err == VX_OK && list[0].score.probability >= threshold;
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i++) {
        const bool known = list[i].err == VX_OK;
        if (json_array_append_new(
                rows, json_pack("{s:s, s:o, s:o, s:o}", "name", list[i].name, "probability",
                                known ? json_real(list[i].score.probability) : json_null(), "similarity",
                                known ? json_real(list[i].score.cosine) : json_null(), "reason",
                                known ? json_null() : json_string("no voiceprint of this model: voxlock migrate"))) !=
            0) {
            json_decref(rows);
            return NULL;
        }
    }
    return json_pack("{s:{s:o, s:f}, s:o}", "answer", "speaker", found ? json_string(list[0].name) : json_null(),
                     "threshold", threshold, "profiles", rows);
}

static vx_err identify(vx_runtime *runtime, const char *path, candidate **ret_list, size_t *ret_n, vx_errinfo *info)
{
    vx_audio audio = {0};
    vx_embedding utterance = {0};
    vx_quality quality;
    vx_speaker *speakers = NULL;
    size_t n = 0;
    vx_err err = vx_cmd_read_audio(path, &audio, info);
    if (err == VX_OK)
        err = vx_voice_embed(runtime, &audio, &utterance, &quality, info);
    vx_audio_done(&audio);
    if (err == VX_OK)
        err = vx_store_speakers(runtime->store, &speakers, &n, info);
    candidate *list = err == VX_OK ? calloc(n + 1, sizeof *list) : NULL;
    if (err == VX_OK && !list)
        err = VX_ERR_NOMEM;
    for (size_t i = 0; i < n && err == VX_OK; i++)
        err = compare(runtime, &speakers[i], &utterance, &quality, &list[i], info);
    if (err == VX_OK)
        err = vx_audit_add(runtime->store, "identify", "", "{}", info);
    vx_embedding_wipe(&utterance);
    free(speakers);
    if (err != VX_OK) {
        free(list);
        return err;
    }
    qsort(list, n, sizeof *list, by_likeness);
    *ret_list = list;
    *ret_n = n;
    return VX_OK;
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_errinfo info = {0};
    candidate *list = NULL;
    size_t n = 0;
    vx_err err =
        vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    err = identify(&runtime, call->operands[0], &list, &n, &info);
    const int code = err == VX_OK ? vx_cmd_print(answer(&runtime, list, n), call->flags & FLAG_JSON)
                                  : vx_cmd_fail(call->operands[0], err, &info);
    free(list);
    vx_runtime_close(&runtime);
    return code;
}

const vx_cmd vx_cmd_identify = {
    .name = "identify",
    .usage = "FILE [--json]",
    .help =
        "Say whose of the enrolled voices a recording holds, and how probable each is; the voice alone, no verdict.",
    .flags = {{"--json", "one JSON object: answer, profiles by likeness", NULL}},
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

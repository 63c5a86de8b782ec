/* cmd_profiles.c - voxlock profiles: who is enrolled, with what, and may an acceptance unlock. */
#include <stdlib.h>
#include <string.h>

#include "edge/cmd.h"
#include "edge/runtime.h"
#include "edge/store/profiles.h"
#include "shared/base/json.h"

#define USAGE "[list | show NAME | remove NAME | rename NAME NEW | arm NAME | disarm NAME]"

enum { FLAG_JSON = 1 << 0, FLAG_STARTER = 1 << 1 };

typedef struct {
    const vx_cmd_call *call;
    vx_store *store;
    vx_manifest manifest;
    vx_err manifest_err;
    json_t *answer; /* NULL: the action has nothing to show */
} task;

static json_t *row(const task *t, const vx_speaker *s)
{
    const bool fits = !t->manifest_err && vx_model_digest_equal(&s->model, &t->manifest.digest);
    return json_pack("{s:s, s:i, s:i, s:b, s:s, s:o, s:o}", "name", s->name, "recordings", s->n_samples, "microphones",
                     s->n_microphones, "armed", s->armed, "model",
                     fits        ? "the one in use"
                     : s->legacy ? "another, and no audio: enrol again"
                                 : "another: voxlock migrate",
                     "created", vx_json_time(s->created_ms), "updated", vx_json_time(s->updated_ms));
}

static vx_err list(task *t, vx_errinfo *info)
{
    vx_speaker *speakers = NULL;
    size_t n = 0;
    vx_err err = vx_store_speakers(t->store, &speakers, &n, info);
    json_t *rows = json_array();
    for (size_t i = 0; i < n && err == VX_OK; i++)
        if (json_array_append_new(rows, row(t, &speakers[i])) != 0)
            err = VX_ERR_NOMEM;
    free(speakers);
    t->answer = json_pack("{s:o}", "profiles", rows);
    return err;
}

static vx_err show(task *t, vx_errinfo *info)
{
    vx_speaker speaker;
    vx_sample *samples = NULL;
    size_t n = 0;
    vx_err err = vx_store_speaker(t->store, t->call->operands[1], &speaker, info);
    if (err == VX_OK)
        err = vx_store_samples(t->store, speaker.id, t->manifest_err ? NULL : &t->manifest.digest, &samples, &n, info);
    if (err != VX_OK)
        return err;
    json_t *rows = json_array();
    for (size_t i = 0; i < n && err == VX_OK; i++) {
        const vx_quality *q = &samples[i].quality;
        if (json_array_append_new(rows, json_pack("{s:I, s:o, s:o, s:f, s:f, s:f, s:f, s:b, s:b}", "id",
                                                  (json_int_t)samples[i].id, "taken", vx_json_time(samples[i].taken_ms),
                                                  "microphone", vx_json_shown(samples[i].microphone), "speech_s",
                                                  q->speech_s, "speech_dbfs", q->speech_dbfs, "snr_db", q->snr_db,
                                                  "quality", q->score, "audio", samples[i].has_audio, "voiceprint",
                                                  samples[i].has_embedding)) != 0)
            err = VX_ERR_NOMEM;
    }
    free(samples);
    t->answer = json_pack("{s:o, s:o}", "profile", row(t, &speaker), "recordings", rows);
    return err;
}

static vx_err remove_profile(task *t, vx_errinfo *info)
{
    return vx_store_remove(t->store, t->call->operands[1], info);
}

static vx_err rename_profile(task *t, vx_errinfo *info)
{
    return vx_store_rename(t->store, t->call->operands[1], t->call->operands[2], info);
}

/* The starter's error rate is no lock's, so its owner must say that he knows. */
static vx_err arm(task *t, vx_errinfo *info)
{
    const bool accepted = t->call->flags & FLAG_STARTER;
    if (t->manifest_err)
        return vx_errinfo_set(info, t->manifest_err, "a profile is armed for the model in use, which cannot be read");
    if (t->manifest.starter && !accepted)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "this is the starter model (%.120s): import a better one (docs/models.md), or say "
                              "--accept-starter-model",
                              t->manifest.accuracy);
    return vx_store_arm(t->store, t->call->operands[1], true, accepted, info);
}

static vx_err disarm(task *t, vx_errinfo *info)
{
    return vx_store_arm(t->store, t->call->operands[1], false, false, info);
}

static const struct {
    const char *name;
    int operands; /* with its own name */
    vx_err (*act)(task *t, vx_errinfo *info);
} actions[] = {
    {"list", 1, list}, {"show", 2, show},     {"remove", 2, remove_profile}, {"rename", 3, rename_profile},
    {"arm", 2, arm},   {"disarm", 2, disarm},
};

static int act(const vx_cmd_call *call, vx_err (*action)(task *t, vx_errinfo *info))
{
    vx_runtime runtime;
    vx_errinfo info = {0};
    vx_err err = vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    task t = {.call = call, .store = runtime.store};
    t.manifest_err = vx_manifest_read(runtime.model_folder, &t.manifest, NULL);
    err = action(&t, &info);
    int code = err == VX_OK ? VX_EXIT_OK : vx_cmd_fail(NULL, err, &info);
    if (err == VX_OK && t.answer)
        code = vx_cmd_print(t.answer, call->flags & FLAG_JSON);
    else
        json_decref(t.answer);
    vx_runtime_close(&runtime);
    return code;
}

static int run(const vx_cmd_call *call)
{
    const char *name = call->n_operands > 0 ? call->operands[0] : "list";
    const int n = call->n_operands > 0 ? call->n_operands : 1;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0 && actions[i].operands == n)
            return act(call, actions[i].act);
    return vx_cmd_misused("usage: voxlock profiles " USAGE);
}

const vx_cmd vx_cmd_profiles = {
    .name = "profiles",
    .usage = USAGE,
    .help = "List the profiles, show one, take one away, or say whether accepting it may unlock.",
    .flags = {{"--json", "one JSON object", NULL},
              {"--accept-starter-model", "arm although the model is the starter, whose error rate is no lock's", NULL}},
    .actions = "list|show|remove|rename|arm|disarm",
    .max_operands = 3,
    .run = run,
};

/* cmd_migrate.c - voxlock migrate: profiles to the model in use, their voiceprints computed anew from the audio kept. */
#include <stdlib.h>

#include "edge/cmd.h"
#include "edge/lessons.h"
#include "edge/runtime.h"
#include "edge/store/profiles.h"
#include "shared/base/bytes.h"
#include "shared/base/json.h"

enum { FLAG_JSON = 1 << 0, FLAG_LEGACY = 1 << 1, FLAG_FORGET = 1 << 2 };

static vx_err embed_sample(vx_runtime *runtime, int64_t sample, vx_embedding *ret, vx_errinfo *info)
{
    float *pcm = NULL;
    size_t n = 0;
    vx_err err = vx_store_sample_audio(runtime->store, sample, &pcm, &n, info);
    if (err != VX_OK)
        return err;
    err = vx_runtime_embed_patiently(runtime, pcm, n, ret, info);
    vx_wipe(pcm, n * sizeof *pcm);
    free(pcm);
    return err;
}

/* The missing voiceprints of one speaker, all or none. */
static vx_err recompute(vx_runtime *runtime, const vx_speaker *speaker, int *ret_n, vx_errinfo *info)
{
    vx_sample *samples = NULL;
    size_t n = 0, n_new = 0;
    vx_err err = vx_store_samples(runtime->store, speaker->id, &runtime->manifest.digest, &samples, &n, info);
    if (err != VX_OK)
        return err;
    vx_embedding *embeddings = calloc(n + 1, sizeof *embeddings);
    int64_t *ids = calloc(n + 1, sizeof *ids);
    if (!embeddings || !ids)
        err = VX_ERR_NOMEM;
    for (size_t i = 0; i < n && err == VX_OK; i++) {
        if (samples[i].has_embedding || !samples[i].has_audio)
            continue;
        err = embed_sample(runtime, samples[i].id, &embeddings[n_new], info);
        ids[n_new++] = samples[i].id;
    }
    if (err == VX_OK && n_new > 0)
        err = vx_store_put_embeddings(runtime->store, speaker->id, ids, embeddings, n_new, info);
    if (embeddings)
        vx_wipe(embeddings, (n + 1) * sizeof *embeddings);
    free(embeddings);
    free(ids);
    free(samples);
    if (err == VX_OK)
        *ret_n = (int)n_new;
    return err;
}

/* One profile, and what became of it. A legacy one is padded only when that was asked for by name. */
static vx_err migrate(vx_runtime *runtime, const vx_speaker *speaker, bool allow_legacy, json_t *rows, bool *ret_left,
                      vx_errinfo *info)
{
    int n = 0;
    const char *what = "fits already";
    const bool fits = vx_model_digest_equal(&speaker->model, &runtime->manifest.digest);
    vx_err err = VX_OK;
    if (speaker->legacy && !fits && allow_legacy) {
        err =
            vx_store_pad_legacy(runtime->store, speaker->name, &runtime->manifest.digest, runtime->manifest.dim, info);
        what = "padded: a number that measures no likeness; enrol again";
    } else if (speaker->legacy && !fits) {
        *ret_left = true;
        what = "legacy, no audio: enrol again, or --allow-legacy";
    } else if (!speaker->legacy) {
        err = recompute(runtime, speaker, &n, info);
        what = n > 0 ? "computed anew" : what;
        if (err == VX_OK)
            err = vx_lessons_from_profile(runtime->store, speaker->id, info);
    }
    if (err != VX_OK)
        return err;
    json_t *row = json_pack("{s:s, s:s, s:i}", "name", speaker->name, "result", what, "voiceprints_computed", n);
    return json_array_append_new(rows, row) == 0 ? VX_OK : VX_ERR_NOMEM;
}

static vx_err migrate_all(vx_runtime *runtime, unsigned flags, json_t *rows, bool *ret_left, vx_errinfo *info)
{
    vx_speaker *speakers = NULL;
    size_t n = 0;
    vx_err err = vx_runtime_has_model(runtime, info);
    if (err == VX_OK)
        err = vx_store_speakers(runtime->store, &speakers, &n, info);
    for (size_t i = 0; i < n && err == VX_OK; i++)
        err = migrate(runtime, &speakers[i], flags & FLAG_LEGACY, rows, ret_left, info);
    free(speakers);
    if (err == VX_OK && flags & FLAG_FORGET)
        err = vx_store_forget_models(runtime->store, &runtime->manifest.digest, info);
    return err;
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_errinfo info = {0};
    bool left = false;
    vx_err err =
        vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    json_t *rows = json_array();
    err = migrate_all(&runtime, call->flags, rows, &left, &info);
    int code = vx_cmd_print(json_pack("{s:o}", "profiles", rows), call->flags & FLAG_JSON);
    if (err == VX_OK && left)
        err = vx_errinfo_set(
            &info, VX_ERR_LEGACY_PROFILE,
            "a profile holds no audio that the model in use could compute voiceprints from: enrol again");
    if (err != VX_OK)
        code = vx_cmd_fail(NULL, err, &info);
    vx_runtime_close(&runtime);
    return code;
}

const vx_cmd vx_cmd_migrate = {
    .name = "migrate",
    .usage = "[--allow-legacy] [--forget-others] [--json]",
    .help = "Bring every profile to the model in use, from the recordings kept.",
    .flags = {{"--json", "one JSON object: profiles and what became of each", NULL},
              {"--allow-legacy", "pad or cut voiceprints of profiles without recordings", NULL},
              {"--forget-others", "drop voiceprints of other models afterwards", NULL}},
    .max_operands = 0,
    .run = run,
};

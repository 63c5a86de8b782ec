/* cmd_enroll.c - voxlock enroll: recordings of one person become a profile. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "edge/cmd.h"
#include "edge/enrol.h"
#include "edge/store/profiles.h"
#include "shared/base/json.h"

enum {
    FLAG_JSON = 1 << 0,
    FLAG_REPLACE = 1 << 1,
    FLAG_ANYWAY = 1 << 2,
    MICROPHONE = 3,
    FLAG_ARM = 1 << 4,
    FLAG_STARTER = 1 << 5,
};

typedef struct {
    vx_audio audio[VX_ENROL_MAX_CLIPS];
    vx_enrol_clip clips[VX_ENROL_MAX_CLIPS];
    vx_enrol_result results[VX_ENROL_MAX_CLIPS];
    size_t n;
} recordings;

/* One line a recording, on standard error: standard output is for the answer. */
static void show_progress(void *arg, size_t i, size_t n, const vx_enrol_result *result)
{
    const recordings *r = arg;
    if (result->err != VX_OK)
        dprintf(STDERR_FILENO, "[%zu/%zu] %s: %s\n", i + 1, n, r->clips[i].name, result->text);
    else
        dprintf(STDERR_FILENO, "[%zu/%zu] %s: good: %.1f s of speech, %.0f dB above the noise\n", i + 1, n,
                r->clips[i].name, result->quality.speech_s, result->quality.snr_db);
}

static vx_err read_all(const vx_cmd_call *call, recordings *r, const char **ret_what, vx_errinfo *info)
{
    for (int i = 1; i < call->n_operands; i++) {
        vx_audio *audio = &r->audio[r->n];
        *ret_what = call->operands[i];
        vx_err err = vx_cmd_read_audio(*ret_what, audio, info);
        if (err != VX_OK)
            return err;
        r->clips[r->n++] = (vx_enrol_clip){.name = *ret_what,
                                           .samples = audio->samples,
                                           .n = audio->n,
                                           .clipped_share = audio->clipped_share,
                                           .microphone = call->values[MICROPHONE]};
    }
    *ret_what = NULL;
    return VX_OK;
}

static json_t *list_of(const recordings *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const vx_enrol_result *result = &r->results[i];
        if (json_array_append_new(
                list, json_pack("{s:o, s:b, s:f, s:f, s:o, s:o}", "file", vx_json_shown(r->clips[i].name), "taken",
                                result->taken, "speech_s", result->quality.speech_s, "snr_db", result->quality.snr_db,
                                "agreement", result->agreement >= 0 ? json_real(result->agreement) : json_null(),
                                "reason", result->err ? vx_json_shown(result->text) : json_null())) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *answer(const char *name, const recordings *r, int kept, bool armed, const vx_manifest *manifest)
{
    return json_pack("{s:{s:s, s:i, s:b, s:s, s:s}, s:o}", "profile", "name", name, "recordings_kept", kept, "armed",
                     armed, "model", manifest->name, "accuracy", manifest->accuracy, "recordings", list_of(r));
}

/* As the store has it: it may have been armed before. */
static bool is_armed(vx_store *store, const char *name)
{
    vx_speaker speaker;
    return vx_store_speaker(store, name, &speaker, NULL) == VX_OK && speaker.armed;
}

/* May an AUTHENTICATE for this profile unlock? The starter's error rate is no lock's, so its owner must say so. */
static vx_err arm(const vx_cmd_call *call, vx_runtime *runtime, vx_errinfo *info)
{
    if (!(call->flags & FLAG_ARM))
        return VX_OK;
    const bool accepted = call->flags & FLAG_STARTER;
    if (runtime->manifest.starter && !accepted)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "enrolled, but not armed: this is the starter model (%.100s). Import a better one "
                              "(docs/models.md), or say --accept-starter-model",
                              runtime->manifest.accuracy);
    return vx_store_arm(runtime->store, call->operands[0], true, accepted, info);
}

/* That the key lies beside what it protects must be known before a voice is entrusted to it. */
static void warn_of_key(vx_store *store)
{
    vx_store_view view;
    if (vx_store_get_view(store, &view, NULL) == VX_OK && *view.key_warning)
        dprintf(STDERR_FILENO, "voxlock: warning: %s\n", view.key_warning);
}

static int run(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_errinfo info = {0};
    const char *what = NULL;
    int kept = 0, code = VX_EXIT_OK;
    if (call->n_operands - 1 > VX_ENROL_MAX_CLIPS)
        return vx_cmd_misused("at most %d recordings can be enrolled at once", VX_ENROL_MAX_CLIPS);
    vx_err err = vx_runtime_open(call->options, call->environment,
                                 VX_RUNTIME_STORE | VX_RUNTIME_CREATE | VX_RUNTIME_MODEL, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    warn_of_key(runtime.store);
    recordings *r = calloc(1, sizeof *r);
    err = r ? read_all(call, r, &what, &info) : VX_ERR_NOMEM;
    if (err == VX_OK) {
        const vx_enrol_options options = {.replace = call->flags & FLAG_REPLACE,
                                          .anyway = call->flags & FLAG_ANYWAY,
                                          .progress = call->flags & FLAG_JSON ? NULL : show_progress,
                                          .progress_arg = r};
        err = vx_enrol(&runtime, call->operands[0], r->clips, r->n, &options, r->results, &kept, &info);
    }
    const vx_err arm_err = err == VX_OK ? arm(call, &runtime, &info) : VX_OK;
    if (err != VX_OK && r && r->n > 0 && call->flags & FLAG_JSON)
        (void)vx_cmd_print(json_pack("{s:n, s:s, s:o}", "profile", "code", vx_err_code(err), "recordings", list_of(r)),
                           true);
    if (err == VX_OK)
        code = vx_cmd_print(
            answer(call->operands[0], r, kept, is_armed(runtime.store, call->operands[0]), &runtime.manifest),
            call->flags & FLAG_JSON);
    if (err != VX_OK || arm_err != VX_OK)
        code = vx_cmd_fail(what, err ? err : arm_err, &info);
    for (size_t i = 0; r && i < r->n; i++)
        vx_audio_done(&r->audio[i]);
    free(r);
    vx_runtime_close(&runtime);
    return code;
}

const vx_cmd vx_cmd_enroll = {
    .name = "enroll",
    .usage = "NAME FILE... [--replace] [--arm]",
    .help = "Make a profile of one person's recordings (three at least), or add recordings to it.",
    .flags = {{"--json", "one JSON object: profile, recordings with their measures and reasons", NULL},
              {"--replace", "drop what the profile held before", NULL},
              {"--anyway", "take recordings that are not good enough; never those of another voice", NULL},
              {"--microphone", "what they were recorded with: a profile keeps a variant for each", "TEXT"},
              {"--arm", "let an accepted attempt unlock the screen", NULL},
              {"--accept-starter-model", "arm although the model is the starter, whose error rate is no lock's", NULL}},
    .min_operands = 2,
    .max_operands = -1,
    .run = run,
};
